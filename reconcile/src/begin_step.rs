//! Begins the steps of a plan: turns each into facts, actions and reports.

use crate::diff::{changed_fields, differences};
use crate::engine::{Engine, StepOutcome};
use crate::event::{Action, RunId, StopBy};
use crate::observed::{ObservedProcess, Replaced, Run, Stopping, Unwanted};
use crate::plan::{Block, RestingState, Step, changed_since_end, is_mended, resting_state};
use crate::put_back::PutBack;
use crate::reason::Reason;
use crate::report::{Report, Transition, TransitionKind};
use crate::socket::{HeldSockets, Listener};
use crate::spec::Spec;
use crate::text::Name;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Engine {
    pub(crate) fn begin(&mut self, now: Time, step: Step, outcome: &mut StepOutcome) {
        match step {
            Step::Start { name, after } => self.begin_start(now, &name, after, outcome),
            Step::Stop(id, why) => {
                let mut put_back = Vec::new();
                if why.is_failure() {
                    self.put_back_run(now, id, &why, &mut put_back);
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
                outcome.reports.append(&mut put_back);
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
                    // A run that ended by itself was not stopped.
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
            Step::CallOnDate(name) => {
                if let Some(process) = self.observed.process_mut(&name) {
                    process.serve_date(now);
                    process.request_start(Reason::Scheduled);
                }
            }
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

    /// Reports a start that waits for something that won't happen by itself, together with others that wait for the same.
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
        let held = HeldSockets::after(process.sockets.as_deref(), listeners.clone());
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
        process.serve_date(now);
        let kept = process.runs.iter_mut().rev().find(|run| run.is_undisturbed());
        let replaces = kept.map(|run| {
            // This run is the one that serves now, even if it had yet to replace another one itself.
            let replaced_other = run.replaces.take().is_some();
            (Box::new(Replaced { spec: run.spec.clone(), generation: run.generation }), replaced_other)
        });
        if let Some((_, replaced_other)) = replaces {
            process.replacing_since = process.replacing_since.filter(|_| !replaced_other).or(Some(now));
        }
        let replaces = replaces.map(|(replaced, _)| replaced);
        // If a restart of the same program was put back, this start is its retry.
        if self.put_back.get(name).is_some_and(PutBack::is_of_same_program) {
            self.put_back.remove(name);
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
        let begun = Run::begun(id, spec, reason, now);
        self.observed.add(Run { generation, waits, after, content, replaces, ..begun });
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
        // With another `reset_after`, it may have to be healthy for longer. The end of the step finds out whether it has to.
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

/// Why a process that ended by itself is started again: a file changed since, or how it ended. `None`: it didn't end by itself,
/// or a new definition fixed the cause.
pub(crate) fn restart_reason(process: &ObservedProcess, spec: &Arc<Spec>) -> Option<Reason> {
    let past = process.past.as_ref().filter(|past| past.streak.is_some() && !is_mended(past, spec))?;
    let changed = changed_since_end(past, process.content.as_ref(), spec);
    Some(changed.map_or_else(|| past.why.clone(), |path| Reason::Watched(path.into())))
}

pub(crate) fn report_of(run: &Run, what: TransitionKind) -> Report {
    Report::Process(Transition { name: run.spec.name.clone(), run: Some(run.id), pid: run.pid, generation: run.generation, what })
}
