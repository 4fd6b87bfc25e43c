//! The engine: takes events into the facts, plans, and begins steps until there are none left.
//!
//! It owns the definitions, the orders by hand and the observed facts. It never acts, never waits and never reads a clock. Its
//! caller performs the actions that it returns, and reports their outcomes as events.

use crate::desired::Desired;
use crate::diff::{ChangeClass, Difference, change, changed_fields, differences};
use crate::event::{Action, Event, RunId, StopBy};
use crate::merge_lookup::MergeLookup;
use crate::observed::{Observed, ObservedProcess, Replaced, Run, Stopping, Unwanted};
use crate::orders::Orders;
use crate::plan::{Block, Plan, Planner, RestingState, Step, Waiting, changed_since_end, is_mended, resting_state};
use crate::put_back::PutBack;
use crate::reason::Reason;
use crate::report::{Report, Transition, TransitionKind};
use crate::socket::{HeldSockets, HoldState, Listener};
use crate::spec::{OnChange, ProcessKind, Spec};
use crate::text::Name;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

/// Definitions, orders and facts, and the rules between them.
///
/// A clone is cheap: it shares the facts about each process with the original until either side changes them. Readers on other
/// threads get a clone, and so see one moment.
#[derive(Clone, Debug)]
pub struct Engine {
    /// The definitions in force.
    pub(crate) desired: Arc<Desired>,
    /// The definitions of the file. The others differ where a run was put back.
    pub(crate) file: Arc<Desired>,
    pub(crate) put_back: BTreeMap<Name, PutBack>,
    pub(crate) orders: Orders,
    pub(crate) observed: Observed,
    pub(crate) planner: Planner,
    pub(crate) generation: u64,
    /// The generation in which each wanted definition appeared.
    pub(crate) since: Arc<BTreeMap<Name, u64>>,
}

/// The actions and reports of one step of the engine.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepOutcome {
    /// The actions to perform, in this order.
    pub actions: Vec<Action>,
    /// The reports, in this order.
    pub reports: Vec<Report>,
    /// When to step again if there is no event before.
    pub wake_at: Option<Time>,
}

impl Default for Engine {
    fn default() -> Engine {
        Engine::new()
    }
}

impl Engine {
    /// An engine without definitions and facts.
    pub fn new() -> Engine {
        Engine {
            desired: Arc::new(Desired::nothing()),
            file: Arc::new(Desired::nothing()),
            put_back: BTreeMap::new(),
            orders: Orders::default(),
            observed: Observed::default(),
            planner: Planner::default(),
            generation: 0,
            since: Arc::default(),
        }
    }

    /// Makes the engine read all facts for each plan, and plan until a plan has no step. The outcomes are the same. This is slow,
    /// and for tests.
    #[must_use]
    pub fn with_plain_plans(mut self) -> Engine {
        self.planner = Planner::plain();
        self
    }

    /// Lets a start begin while the execs before it in the list are still under way. The caller keeps the execs in order, see
    /// [`Action::Spawn`].
    #[must_use]
    pub fn with_ordered_execs(mut self) -> Engine {
        self.observed.orders_execs = true;
        self
    }

    /// Takes all events, then plans and begins steps until a plan has none.
    ///
    /// The time to wake is that of the last plan, so it covers everything that was begun.
    ///
    /// # Panics
    /// If planning doesn't end, which is a bug.
    pub fn step(&mut self, now: Time, events: impl IntoIterator<Item = Event>) -> StepOutcome {
        let mut outcome = StepOutcome::default();
        for event in events {
            self.fold(now, event, &mut outcome.reports);
        }
        for _ in 0..self.most_plans() {
            let next = self.planner.next(&self.desired, &self.orders, &mut self.observed, now);
            for step in next.steps {
                self.begin(now, step, &mut outcome);
            }
            if next.is_last {
                self.prove(now);
                outcome.wake_at = next.wake_at.into_iter().chain(self.next_proof()).min();
                return outcome;
            }
        }
        panic!("a step of the engine doesn't come to an end");
    }

    /// Forgets the failures of processes that have been healthy for long enough since, or that no longer count.
    fn prove(&mut self, now: Time) {
        let mut unproven = core::mem::take(&mut self.observed.unproven);
        unproven.retain(|name| {
            let past = self.observed.processes().get(name).and_then(|process| process.past.as_ref());
            let is_failure = past
                .zip(self.desired.get(name))
                .is_some_and(|(past, entry)| past.streak.is_some() && !past.succeeded(&entry.spec));
            is_failure && self.healthy_at(name).is_none_or(|at| at > now)
        });
        self.observed.unproven = unproven;
    }

    /// When a process has been healthy for long enough, if it stays so; `None`: it isn't ready.
    fn healthy_at(&self, name: &Name) -> Option<Time> {
        let process = self.observed.processes().get(name)?;
        // A run from before the failure proves nothing.
        let run = process.runs.last().filter(|run| process.past.as_ref().is_some_and(|past| past.run < run.id))?;
        if run.is_undisturbed() { run.healthy_at() } else { None }
    }

    /// When a service that failed last counts as healthy again, if it stays ready.
    pub(crate) fn proven_at(&self, name: &Name) -> Option<Time> {
        self.desired.get(name).filter(|entry| entry.spec.exec.kind == ProcessKind::Service)?;
        self.observed.unproven.get(name).and_then(|name| self.healthy_at(name))
    }

    /// When the next of them does.
    fn next_proof(&self) -> Option<Time> {
        self.observed.unproven.iter().filter_map(|name| self.healthy_at(name)).min()
    }

    /// More plans than one step can need. Each plan but the last begins something. Within one step a process begins or forgets its
    /// delay, is reported to wait, gets and loses sockets and is started, and a run is updated, reloaded, drained, stopped, killed and reported, and so is what its main
    /// process left behind: each at most once.
    fn most_plans(&self) -> usize {
        const OF_ONE: usize = 12;
        1 + OF_ONE * (self.desired.entries().len() + self.observed.processes().len() + self.observed.runs())
    }

    /// What to do now. After a step that is nothing, until the next event or until its time to wake.
    pub fn plan(&self, now: Time) -> Plan {
        let mut plan = self.planner.plan(&self.desired, &self.orders, &self.observed, now);
        plan.wake_at = plan.wake_at.into_iter().chain(self.next_proof()).min();
        plan
    }

    /// The processes that are not as they should be, and what each waits for, as of the last step.
    pub fn waiting(&self, now: Time) -> Vec<(Name, Waiting)> {
        self.plan(now).waiting
    }

    /// The definitions in force.
    pub fn desired(&self) -> &Desired {
        &self.desired
    }

    /// The orders by hand.
    pub fn orders(&self) -> &Orders {
        &self.orders
    }

    /// The observed facts.
    pub fn observed(&self) -> &Observed {
        &self.observed
    }

    /// The number of the configuration in force, from 1; 0 before there is one.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether navigator shuts down, and no run is left that could be ended.
    pub fn is_finished(&self) -> bool {
        self.orders.closing().is_some() && self.observed.is_quiet()
    }

    /// Whether a configuration would be a new generation: it is the first, or differs in meaning from the one in force.
    pub fn is_news(&self, wanted: &Desired) -> bool {
        self.orders.closing().is_none() && (self.generation == 0 || *wanted != *self.file)
    }

    /// What a configuration means for each process, compared with the definitions in force.
    pub fn changes(&self, file: &Desired) -> BTreeMap<Name, ChangeClass> {
        let replaced = self.in_force(file);
        let wanted = replaced.as_ref().unwrap_or(file);
        let mut names: Vec<&Name> = self.desired.specs().chain(wanted.specs()).map(|(name, _)| name).collect();
        names.sort();
        names.dedup();
        let (mut former, mut next) = (MergeLookup::over(self.desired.specs()), MergeLookup::over(wanted.specs()));
        let mut processes = MergeLookup::over(self.observed.processes());
        let mut change_of = |name: &Name| {
            let (former, next) = (former.to(name), next.to(name));
            let serving = processes.to(name).and_then(serving);
            if let Some(rejected) = next.filter(|_| replaced.is_some()).and_then(|next| rejected(file, next)) {
                return ChangeClass::Stale(rejected);
            }
            match change(former.map(|former| in_force(former, serving)), next.map(|spec| &**spec)) {
                ChangeClass::Replace(fields) if keeps(serving, next) => ChangeClass::Stale(fields),
                change => change,
            }
        };
        names.into_iter().map(|name| (name.clone(), change_of(name))).collect()
    }

    pub(crate) fn generation_of(&self, name: &Name) -> u64 {
        self.since.get(name).copied().unwrap_or(self.generation)
    }

    fn begin(&mut self, now: Time, step: Step, outcome: &mut StepOutcome) {
        match step {
            Step::Start { name, after } => self.begin_start(now, &name, after, outcome),
            Step::Stop(id, why) => {
                if why.is_failure() {
                    self.put_back_run(now, id, &why, &mut outcome.reports);
                }
                if let Some(run) = self.observed.run_mut(id) {
                    let drain = run.spec.stop.drain.clone().filter(|_| !why.is_failure());
                    let drains_until = drain.as_ref().map(|drain| now + drain.timeout);
                    run.stop = Some(Stopping { since: now, why: why.clone(), drains_until, told: now });
                    outcome.reports.push(report_of(run, TransitionKind::Stopping(why.clone())));
                    match drain {
                        Some(drain) => {
                            outcome.actions.push(Action::Drain { run: id, by: drain.by });
                            outcome.reports.push(report_of(run, TransitionKind::Draining(why)));
                        }
                        None => outcome.actions.push(stop_action(run)),
                    }
                }
            }
            Step::EndDrain(id) => {
                if let Some(run) = self.observed.run_mut(id)
                    && let Some(stop) = &mut run.stop
                {
                    (stop.drains_until, stop.told) = (None, now);
                    outcome.actions.push(stop_action(run));
                }
            }
            Step::Kill(id, why) => {
                if let Some(run) = self.observed.run_mut(id) {
                    run.killed = Some(now);
                    outcome.reports.push(report_of(run, TransitionKind::Killing(why.clone())));
                    // One that ended by itself was not stopped.
                    if run.exit.is_none() {
                        run.stop.get_or_insert(Stopping { since: now, why, drains_until: None, told: now });
                    }
                    outcome.actions.push(Action::Kill { run: id });
                }
            }
            Step::StopRest(id, why) => {
                if let Some(run) = self.observed.run_mut(id) {
                    run.rest_stop = Some(now);
                    outcome.actions.push(Action::StopRest { run: id, signal: run.spec.stop.signal });
                    outcome.reports.push(report_of(run, TransitionKind::StoppingRest(why)));
                }
            }
            Step::Stall(name, on, why) => self.begin_stall(name, on, why, outcome),
            Step::ShutDown(cause) => {
                self.observed.mark_all_dirty();
                self.orders.shut_down_for(now, cause.clone());
                outcome.reports.push(Report::ShuttingDown(cause));
            }
            Step::Update(id) => self.begin_update(now, id, outcome),
            Step::Reload(id, why) => self.begin_reload(id, why, outcome),
            Step::CountDelay(name) => self.observed.process_or_new(&name).due_since = Some(now),
            Step::ForgetDelay(name) => {
                if let Some(process) = self.observed.process_mut(&name) {
                    process.due_since = None;
                }
            }
            Step::Hold(name, listeners) => self.begin_hold(name, listeners, outcome),
            Step::Replace(id, why) => {
                if let Some(run) = self.observed.run_mut(id) {
                    run.unwanted = Some(Unwanted { why, stops_first: false });
                }
            }
            Step::Establish(id) => {
                let Some(run) = self.observed.run_mut(id) else { return };
                run.replaces = None;
                let name = run.spec.name.clone();
                self.observed.process_or_new(&name).replacing_since = None;
            }
            Step::Report(id) => {
                if let Some(run) = self.observed.run_mut(id) {
                    run.reported = true;
                    outcome.reports.push(report_of(run, TransitionKind::Survives(run.kill_refused.clone())));
                }
            }
        }
    }

    /// Reports a start that waits in vain, together with those that wait for the same.
    fn begin_stall(&mut self, name: Name, on: Name, why: Block, outcome: &mut StepOutcome) {
        self.observed.process_or_new(&name).stalled = Some((on.clone(), why));
        let same = outcome.reports.iter_mut().find_map(|report| match report {
            Report::Stalled { on: other, why: cause, names } if *other == on && *cause == why => Some(names),
            _ => None,
        });
        match same {
            Some(names) => names.push(name),
            None => outcome.reports.push(Report::Stalled { on, why, names: alloc::vec![name] }),
        }
    }

    fn begin_hold(&mut self, name: Name, listeners: Vec<Listener>, outcome: &mut StepOutcome) {
        let process = self.observed.process_or_new(&name);
        let count = process.sockets.as_ref().map_or(0, |held| held.refusals());
        let held = HeldSockets { listeners: listeners.clone(), state: HoldState::Pending { refusals: count } };
        process.sockets = (!listeners.is_empty()).then(|| Box::new(held));
        if listeners.is_empty() {
            self.forget_if_unused(&name);
        }
        outcome.actions.push(Action::Hold { name, listeners });
    }

    fn begin_start(&mut self, now: Time, name: &Name, after: Option<RunId>, outcome: &mut StepOutcome) {
        let Some(entry) = self.desired.get(name) else { return };
        let spec = entry.spec.clone();
        let waits = self.desired.names_before(entry);
        let generation = self.generation_of(name);
        let id = self.observed.next_run();
        let process = self.observed.process_or_new(name);
        let rest = resting_state(Some(process), &spec);
        let reason = start_reason(process, &spec);
        process.tried = true;
        let kept = process.runs.iter().rev().find(|run| run.is_undisturbed());
        let replaces = kept.map(|run| Box::new(Replaced { spec: run.spec.clone(), generation: run.generation }));
        if replaces.is_some() {
            process.replacing_since.get_or_insert(now);
        }
        process.stalled = None;
        let is_for_files = matches!(reason, Reason::Watched(_));
        let is_slowed_down = is_for_files && process.watch_restarts.count(now);
        // Content of other paths says nothing about the files that this run reads.
        let content = process.content.clone().filter(|content| content.watch == spec.watch);
        if reason.replaces() {
            process.replacement = Some(id);
        }
        if is_for_files || matches!(rest, RestingState::Again(_)) {
            process.restarts = process.restarts.saturating_add(1);
        }
        // How another definition ended, or this one with other files, no longer counts.
        if let (RestingState::Fresh, Some(past)) = (rest, process.past.as_mut()) {
            past.streak = None;
        }
        outcome.actions.push(Action::Spawn { run: id, spec: spec.clone(), after });
        let slowed_down = is_slowed_down.then(|| TransitionKind::SlowedDown(reason.clone()));
        outcome.reports.extend(
            slowed_down
                .map(|what| Report::Process(Transition { name: name.clone(), run: Some(id), pid: None, generation, what })),
        );
        self.observed.add(Run {
            id,
            spec,
            generation,
            taken_over: id,
            reason,
            waits,
            after,
            begun: now,
            pid: None,
            up: None,
            ready: None,
            was_ready_for: Duration::ZERO,
            first_ready: None,
            unready: None,
            unhealthy: None,
            content,
            kept_by: None,
            reloads: 0,
            unwanted: None,
            replaces,
            stop: None,
            rest_stop: None,
            killed: None,
            exit: None,
            kill_refused: None,
            reported: false,
            forgiven: false,
        });
    }

    fn begin_reload(&mut self, id: RunId, why: Reason, outcome: &mut StepOutcome) {
        let Some(name) = self.observed.run(id).map(|run| run.spec.name.clone()) else { return };
        let content = self.observed.processes().get(&name).and_then(|process| process.content.clone());
        if let Some(run) = self.observed.run_mut(id) {
            run.content = content;
            if let Some(by) = run.spec.reload.clone() {
                run.reloads = run.reloads.saturating_add(1);
                outcome.actions.push(Action::Reload { run: id, by });
                outcome.reports.push(report_of(run, TransitionKind::Reloading(why)));
            }
        }
    }

    fn begin_update(&mut self, now: Time, id: RunId, outcome: &mut StepOutcome) {
        let Some(name) = self.observed.run(id).map(|run| run.spec.name.clone()) else { return };
        let Some(entry) = self.desired.get(&name) else { return };
        let (spec, generation, newest) = (entry.spec.clone(), self.generation_of(&name), self.observed.last_run());
        // With another `reset_after`, it may have to be healthy for longer. What doesn't count is forgotten at the end of the step.
        self.observed.unproven.insert(name.clone());
        if let Some(run) = self.observed.run_mut(id) {
            let differences = differences(&run.spec, &spec);
            // A failure of another probe no longer counts.
            if run.spec.ready != spec.ready {
                run.unready = None;
            }
            if run.spec.liveness != spec.liveness {
                run.unhealthy = None;
            }
            outcome.actions.push(Action::Update { run: id, spec: spec.clone() });
            run.spec = spec;
            run.generation = generation;
            run.taken_over = newest;
            outcome.reports.push(report_of(run, TransitionKind::Updated(differences)));
            // Without a probe, a run is ready as soon as it runs.
            if run.up.is_some() && run.ready.is_none() && !run.spec.has_readiness() {
                run.become_ready(now);
                outcome.reports.push(report_of(run, TransitionKind::Ready));
            }
        }
    }
}

/// The definition that a process runs or, where it doesn't run, the one that was wanted.
fn in_force<'a>(wanted: &'a Arc<Spec>, serving: Option<&'a Run>) -> &'a Spec {
    let run = serving.filter(|_| wanted.enabled);
    run.map_or(wanted, |run| &run.spec)
}

/// The fields in which the file differs from this definition, which is in force instead of that of the file.
fn rejected(file: &Desired, in_force: &Arc<Spec>) -> Option<Vec<Difference>> {
    let defined = &file.get(&in_force.name)?.spec;
    let differences = if Arc::ptr_eq(in_force, defined) { Vec::new() } else { differences(in_force, defined) };
    (!differences.is_empty()).then_some(differences)
}

/// Whether a process is kept running although its definition changed.
fn keeps(serving: Option<&Run>, wanted: Option<&Arc<Spec>>) -> bool {
    let is_to_stay = wanted.is_some_and(|wanted| wanted.on_change == OnChange::Keep);
    is_to_stay && serving.is_some_and(|run| run.unwanted.is_none())
}

/// The newest run of a process that is neither stopping nor ending.
fn serving(process: &ObservedProcess) -> Option<&Run> {
    process.runs.iter().rev().find(|run| run.is_undisturbed())
}

/// The action that tells a run to end.
fn stop_action(run: &Run) -> Action {
    Action::Stop { run: run.id, by: stop_by(&run.spec), scope: run.spec.stop.scope }
}

/// How a run is told to stop.
fn stop_by(spec: &Spec) -> StopBy {
    match &spec.stop.command {
        Some(command) => StopBy::Command(command.clone(), spec.stop.signal),
        None => StopBy::Signal(spec.stop.signal),
    }
}

/// Why a process is started: an order by hand, how it last ended, or what changed since.
fn start_reason(process: &mut ObservedProcess, spec: &Arc<Spec>) -> Reason {
    if let Some(cue) = process.cue.take() {
        return cue;
    }
    let unwanted = process.runs.iter().rev().filter(|run| run.is_undisturbed()).find_map(|run| run.unwanted.as_ref());
    if let Some(unwanted) = unwanted {
        return unwanted.why.clone();
    }
    if let Some(again) = restart_reason(process, spec) {
        return again;
    }
    let changed = |former: &Spec| Reason::Changed(changed_fields(former, spec));
    match (process.runs.last(), &process.past) {
        // It starts beside the run that it replaces.
        (Some(run), past) if past.as_ref().is_none_or(|past| past.run < run.id) => changed(&run.spec),
        (_, Some(past)) if is_mended(past, spec) && !past.why.is_of_another() => changed(&past.spec),
        (_, Some(past)) => past.why.clone(),
        (_, None) => Reason::Added,
    }
}

/// Why a process that ended by itself is started again: a file changed since, or how it ended. `None`: it didn't end by itself, or
/// a new definition mended the cause.
pub(crate) fn restart_reason(process: &ObservedProcess, spec: &Arc<Spec>) -> Option<Reason> {
    let past = process.past.as_ref().filter(|past| past.streak.is_some() && !is_mended(past, spec))?;
    let changed = changed_since_end(past, process.content.as_ref(), spec);
    Some(changed.map_or_else(|| past.why.clone(), |path| Reason::Watched(path.into())))
}

pub(crate) fn report_of(run: &Run, what: TransitionKind) -> Report {
    Report::Process(Transition { name: run.spec.name.clone(), run: Some(run.id), pid: run.pid, generation: run.generation, what })
}
