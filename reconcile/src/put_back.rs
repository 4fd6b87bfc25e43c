//! Puts back a failed replacement: if a new run fails before it has replaced the old one, the old definition stays in force.
//!
//! Until there is a reason to try again, the old definition is the desired one. So no other part of the core has to know about
//! this: the old run is up to date, and after a crash the process is restarted with the old definition.

use crate::desired::Desired;
use crate::engine::Engine;
use crate::event::{ExitStatus, Refusal, RunId};
use crate::fold::past_of;
use crate::observed::Unwanted;
use crate::plan::{RestingState, is_same, resting_state_after};
use crate::reason::Reason;
use crate::report::{Report, Transition, TransitionKind};
use crate::spec::Spec;
use crate::text::Name;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A definition of the file that is not in force, because a run of it failed before it could take the place of the old one.
#[derive(Clone, Debug)]
pub(crate) struct PutBack {
    /// The definition of the file, and the generation that it came with.
    rejected: (Arc<Spec>, u64),
    /// The definition that is in force instead, and its generation.
    serving: (Arc<Spec>, u64),
    /// Why.
    why: Reason,
    /// Why a new run of the same program was started, if that is what failed.
    again: Option<Reason>,
}

impl PutBack {
    /// The definition that is in force instead of the one in the file. Its tier, its dependencies and `enabled` are those of
    /// the file: the old dependencies may have been removed.
    fn in_force(&self) -> Arc<Spec> {
        let (file, serving) = (&self.rejected.0, &self.serving.0);
        if self.is_of_same_program() {
            return file.clone();
        }
        let (tier, enabled, depends_on) = (file.tier, file.enabled, file.depends_on.clone());
        Arc::new(Spec { tier, enabled, depends_on, ..Spec::clone(serving) })
    }

    /// Whether the run that was put back was of the same program as the old one, as in a restart by hand.
    pub(crate) fn is_of_same_program(&self) -> bool {
        self.rejected.0.exec == self.serving.0.exec
    }
}

impl Engine {
    /// Why a definition of the file is not in force, if a run of it was put back.
    pub fn put_back(&self, name: &Name) -> Option<&Reason> {
        self.put_back.get(name).map(|put_back| &put_back.why)
    }

    /// The definitions that are in force if the file has these; `None`: exactly these.
    pub(crate) fn in_force(&self, file: &Desired) -> Option<Desired> {
        let is_rejected = |spec: &Arc<Spec>| self.put_back.get(&spec.name).filter(|put_back| put_back.rejected.0 == *spec);
        let replace = |spec: &Arc<Spec>| is_rejected(spec).map(PutBack::in_force);
        if self.put_back.is_empty() { None } else { file.with_replaced(replace) }
    }

    /// The definitions that are in force with the current file.
    pub(crate) fn file_in_force(&self) -> Arc<Desired> {
        self.in_force(&self.file).map_or_else(|| self.file.clone(), Arc::new)
    }

    /// Forgets each put-back definition that the file no longer has.
    pub(crate) fn forget_changed_put_backs(&mut self, file: &Desired) {
        self.put_back.retain(|name, put_back| file.get(name).is_some_and(|entry| entry.spec == put_back.rejected.0));
    }

    /// Puts back a run that fails for this reason, if it is to replace another run and hasn't yet.
    pub(crate) fn put_back_run(&mut self, now: Time, id: RunId, why: &Reason, reports: &mut Vec<Report>) {
        let Some(run) = self.observed.run(id) else { return };
        let Some(replaced) = &run.replaces else { return };
        if run.unwanted.is_some() {
            // Another start was requested already, and this failure says nothing about that.
            return self.observed.run_mut(id).into_iter().for_each(|run| run.forgiven = true);
        }
        let (Some(entry), Some(file)) = (self.desired.get(&run.spec.name), self.file.get(&run.spec.name)) else { return };
        if !is_same(run, &entry.spec) || !self.orders.let_run(&entry.spec) || self.is_retried(now, id, why) {
            return;
        }
        let (name, generation, pid) = (run.spec.name.clone(), run.generation, run.pid);
        let why = Reason::PutBack { why: Box::new(why.clone()), generation };
        // If the definition of the file was put back before, this run is of the old one. The rejected generation is still the
        // same.
        let rejected = self.put_back.get(&name).map_or(generation, |former| former.rejected.1);
        let is_same_program = replaced.spec.exec == entry.spec.exec;
        let serving = if is_same_program { entry.spec.clone() } else { replaced.spec.clone() };
        let mut put_back = PutBack {
            rejected: (file.spec.clone(), rejected),
            serving: (serving, replaced.generation),
            why: why.clone(),
            again: None,
        };
        let serving = put_back.serving.1;
        let newest = self.observed.last_run();
        if let Some(process) = self.observed.process_mut(&name) {
            process.replacing_since = None;
            let content = process.content.clone();
            for run in &mut process.runs {
                if run.id == id {
                    // Its end says nothing about the definition that is in force.
                    run.forgiven = true;
                } else if run.is_undisturbed() {
                    let unwanted = run.unwanted.take().filter(|_| put_back.is_of_same_program());
                    put_back.again = put_back.again.or(unwanted.map(|unwanted| unwanted.why));
                    // From now on it counts as started with the current files and dependencies.
                    (run.taken_over, run.bound) = (newest, (newest, now));
                    run.content = content.clone().filter(|content| content.watch == run.spec.watch);
                }
            }
        }
        self.put_back.insert(name.clone(), put_back);
        self.renew_force(&name, serving);
        let what = TransitionKind::PutBack(why);
        reports.push(Report::Process(Transition { name, run: Some(id), pid, generation, what }));
    }

    /// Whether a failed start is tried again before the readiness deadline, because the host was short of resources.
    fn is_retried(&self, now: Time, id: RunId, why: &Reason) -> bool {
        let Reason::Ended(status @ ExitStatus::NotStarted(Refusal::Exhausted { .. } | Refusal::Busy { .. })) = why else {
            return false;
        };
        let Some(run) = self.observed.run(id) else { return false };
        let Some(process) = self.observed.processes().get(&run.spec.name) else { return false };
        let until = process.replacing_since.unwrap_or(now) + run.spec.ready_timing.deadline;
        let past = past_of(run, process, status.clone(), now);
        matches!(resting_state_after(process, Some(&past), &run.spec), RestingState::Again(at) if at < until)
    }

    /// Tries a put-back definition again.
    pub(crate) fn retry_put_back(&mut self, name: &Name) {
        let Some(put_back) = self.put_back.remove(name) else { return };
        if let (Some(why), Some(process)) = (put_back.again, self.observed.process_mut(name)) {
            for run in process.runs.iter_mut().filter(|run| run.is_undisturbed()) {
                run.unwanted.get_or_insert_with(|| Unwanted { why: why.clone(), stops_first: false });
            }
        }
        self.renew_force(name, put_back.rejected.1);
    }

    /// Tries every put-back definition again.
    pub(crate) fn retry_all_put_back(&mut self) {
        let names: Vec<Name> = self.put_back.keys().cloned().collect();
        for name in &names {
            self.retry_put_back(name);
        }
    }

    /// Updates which definitions are in force. The one of this process is from this generation.
    fn renew_force(&mut self, name: &Name, generation: u64) {
        self.desired = self.file_in_force();
        Arc::make_mut(&mut self.since).insert(name.clone(), generation);
        // What counts as a failure depends on the definition.
        self.observed.unproven.insert(name.clone());
        self.planner.reset(&self.desired);
        self.observed.mark_all_dirty();
        self.update_places();
    }
}
