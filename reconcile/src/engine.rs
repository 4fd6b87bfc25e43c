//! The engine: takes events into the facts, plans, and begins steps until there are none left.
//!
//! It owns the definitions, the orders by hand and the observed facts. It never acts, never waits and never reads a clock. Its
//! caller performs the actions that it returns, and reports their outcomes as events.

use crate::desired::Desired;
use crate::diff::{ChangeClass, Difference, change, differences};
use crate::event::{Action, Event};
use crate::merge_lookup::MergeLookup;
use crate::observed::{Observed, ObservedProcess, Replaced, Run};
use crate::orders::Orders;
use crate::plan::{Plan, Planner, Waiting};
use crate::put_back::PutBack;
use crate::report::Report;
use crate::rollback::Rollout;
use crate::spec::{OnChange, ProcessKind, Spec};
use crate::text::Name;
use crate::time::Time;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

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
    /// By which definitions replicas were wanted before they were replaced last, or began to be.
    pub(crate) former_replicas: Arc<BTreeMap<Name, Replaced>>,
    pub(crate) rollout: Rollout,
    pub(crate) orders: Orders,
    pub(crate) observed: Observed,
    pub(crate) planner: Planner,
    pub(crate) generation: u64,
    /// The generation in which each wanted definition appeared.
    pub(crate) since: Arc<BTreeMap<Name, u64>>,
    /// When it went on from a former life of navigator.
    pub(crate) taken_over_at: Option<Time>,
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
            former_replicas: Arc::default(),
            rollout: Rollout::default(),
            orders: Orders::default(),
            observed: Observed::default(),
            planner: Planner::default(),
            generation: 0,
            since: Arc::default(),
            taken_over_at: None,
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
        loop {
            let wake_at = self.settle(now, &mut outcome);
            // At most once in a step another configuration is wanted: what is wanted instead isn't judged.
            if !self.judge(now, &mut outcome.reports) {
                outcome.wake_at = wake_at.into_iter().chain(self.next_proof()).chain(self.next_judgement()).min();
                return outcome;
            }
        }
    }

    /// Plans and begins steps until a plan has none. Returns when to plan again.
    fn settle(&mut self, now: Time, outcome: &mut StepOutcome) -> Option<Time> {
        for _ in 0..self.most_plans() {
            let next = self.planner.next(&self.desired, &self.orders, &mut self.observed, now);
            let desired = self.desired.clone();
            for step in next.steps {
                self.begin(now, step, outcome);
                // A run was put back, so the other steps are planned anew.
                if !Arc::ptr_eq(&self.desired, &desired) {
                    break;
                }
            }
            if next.is_last && Arc::ptr_eq(&self.desired, &desired) {
                self.prove(now);
                return next.wake_at;
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
    /// delay, is reported to wait, gets and loses sockets and is started, and a run is updated, reloaded, drained, stopped, killed and
    /// reported, and so is what its main process left behind: each at most once.
    fn most_plans(&self) -> usize {
        const OF_ONE: usize = 12;
        1 + OF_ONE * (self.desired.entries().len() + self.observed.processes().len() + self.observed.runs())
    }

    /// What to do now. After a step that is nothing, until the next event or until its time to wake.
    pub fn plan(&self, now: Time) -> Plan {
        let mut plan = self.planner.plan(&self.desired, &self.orders, &self.observed, now);
        plan.wake_at = plan.wake_at.into_iter().chain(self.next_proof()).chain(self.next_judgement()).min();
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
        self.orders.closing().is_none() && !self.is_known_bad(wanted) && (self.generation == 0 || *wanted != *self.file)
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
            match change(former.map(|former| running_or_wanted(former, serving)), next.map(|spec| &**spec)) {
                ChangeClass::Replace(fields) if keeps(serving, next) => ChangeClass::Stale(fields),
                change => change,
            }
        };
        names.into_iter().map(|name| (name.clone(), change_of(name))).collect()
    }

    /// Whether a configuration has the same definition of a process as the file.
    pub(crate) fn has_same_definition(&self, wanted: &Desired, name: &Name) -> bool {
        let spec = |desired: &Desired| desired.get(name).map(|entry| entry.spec.clone());
        spec(wanted) == spec(&self.file)
    }

    pub(crate) fn generation_of(&self, name: &Name) -> u64 {
        self.since.get(name).copied().unwrap_or(self.generation)
    }
}

/// The definition that a process runs or, where it doesn't run, the one that was wanted.
fn running_or_wanted<'a>(wanted: &'a Arc<Spec>, serving: Option<&'a Run>) -> &'a Spec {
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
