//! Puts back a failed replacement: if a new run fails before it has replaced the old one, the old definition stays in force.
//!
//! Until there is a reason to try again, the old definition is the desired one. So no other part of the core has to know about
//! this: the old run is up to date, and after a crash the process is restarted with the old definition.

use crate::desired::{Desired, DesiredProcess};
use crate::engine::Engine;
use crate::event::{Content, ExitStatus, Refusal, RunId};
use crate::fold::past_of;
use crate::observed::{Replaced, Run, Unwanted};
use crate::plan::{RestingState, is_same, resting_state_after};
use crate::reason::{BoundAddress, Reason};
use crate::report::{Report, Transition, TransitionKind};
use crate::spec::Spec;
use crate::take_over::RememberedPutBack;
use crate::text::Name;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A definition of the file that is not in force, because a run of it failed before it could take the place of the old one.
#[derive(Clone, Debug)]
pub(crate) struct PutBack {
    /// The definition of the file, and the generation that it came with.
    pub(crate) rejected: (Arc<Spec>, u64),
    /// The definition that is in force instead, and its generation.
    serving: (Arc<Spec>, u64),
    /// Why.
    why: Reason,
    /// Why a new run of the same program was started, if that is what failed.
    again: Option<Reason>,
    /// The content of the files that the definition of the file watches, if those aren't the same as in the definition in force.
    pub(crate) content: Option<Content>,
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

    /// Whether this is the content of files that the definition of the file watches, and the one in force doesn't.
    pub(crate) fn watches_apart(&self, content: &Content) -> bool {
        content.watch == self.rejected.0.watch && content.watch != self.in_force().watch
    }

    /// What the next life of navigator needs to know.
    pub(crate) fn remember(&self) -> RememberedPutBack {
        let (serving, serving_generation) = self.serving.clone();
        RememberedPutBack { rejected: self.rejected.1, serving, serving_generation, why: self.why.clone() }
    }

    /// The same from a former life, for this definition of the file.
    pub(crate) fn recall(file: Arc<Spec>, former: RememberedPutBack) -> PutBack {
        let RememberedPutBack { rejected, serving, serving_generation, why } = former;
        PutBack { rejected: (file, rejected), serving: (serving, serving_generation), why, again: None, content: None }
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
        let why = Reason::PutBack { why: Box::new(why.clone()), generation, bound: self.bound_by_old(id, why, &entry.spec) };
        // If the definition of the file was put back before, this run is of the old one. The rejected generation is still the
        // same.
        let rejected = self.put_back.get(&name).map_or(generation, |former| former.rejected.1);
        let former = self.former_replica(&name, &entry.spec).unwrap_or_else(|| (replaced.spec.clone(), replaced.generation));
        let is_same_program = replaced.spec.exec == entry.spec.exec;
        let serving = if is_same_program { (entry.spec.clone(), replaced.generation) } else { former };
        let rejected = (file.spec.clone(), rejected);
        let mut put_back = PutBack { rejected, serving, why: why.clone(), again: None, content: None };
        let serving = put_back.serving.1;
        let newest = self.observed.last_run();
        if let Some(process) = self.observed.process_mut(&name) {
            process.replacing_since = None;
            let content = process.content.clone();
            put_back.content = content.clone().filter(|content| put_back.watches_apart(content));
            let in_force = put_back.in_force();
            for run in &mut process.runs {
                if run.id == id {
                    // Its end says nothing about the definition that is in force.
                    run.forgiven = true;
                } else if run.is_undisturbed() {
                    let unwanted = run.unwanted.take().filter(|_| put_back.is_of_same_program());
                    put_back.again = put_back.again.or(unwanted.map(|unwanted| unwanted.why));
                    count_as_new(run, newest, now, &in_force, content.as_ref());
                }
            }
        }
        let mut renewed = alloc::vec![(name.clone(), serving)];
        if !put_back.is_of_same_program() {
            renewed.extend(self.put_back_replicas(now, &name, &why, reports));
        }
        self.put_back.insert(name.clone(), put_back);
        self.renew_force(renewed);
        let what = TransitionKind::PutBack(why);
        reports.push(Report::Process(Transition { name, run: Some(id), pid, generation, what }));
    }

    /// The addresses that the old run has bound itself, if the new run may have failed for them.
    fn bound_by_old(&self, id: RunId, why: &Reason, wanted: &Spec) -> Option<BoundAddress> {
        let (Reason::Ended(ExitStatus::Code(_) | ExitStatus::Signal(_)) | Reason::Unready(..)) = why else { return None };
        let runs = &self.observed.processes().get(&wanted.name)?.runs;
        let old = runs.iter().find(|run| run.id != id && run.is_undisturbed())?;
        let is_of_replica = self.file.get(&wanted.name)?.siblings.len() > 1;
        Some(BoundAddress { address: old.listens_on.clone()?, is_of_replica })
    }

    /// Puts back the other replicas of a definition along with one: those that are replaced already, too. Returns their names, each
    /// with the generation of the definition that is in force now.
    fn put_back_replicas(&mut self, now: Time, name: &Name, why: &Reason, reports: &mut Vec<Report>) -> Vec<(Name, u64)> {
        let file = self.file.clone();
        let others = file.get(name).map(|entry| entry.other_replicas(file.entries())).unwrap_or_default();
        let mut renewed = Vec::new();
        for wanted in others.into_iter().map(|(_, other)| &other.spec) {
            let is_known = self.put_back.get(&wanted.name).is_some_and(|put_back| put_back.rejected.0 == *wanted);
            let former = self.former_replica(&wanted.name, wanted).or_else(|| self.running_replica(wanted));
            let Some((spec, generation)) = former.filter(|_| !is_known) else { continue };
            let rejected = (wanted.clone(), self.generation_of(&wanted.name));
            let what = TransitionKind::PutBack(why.clone());
            reports.push(Report::Process(Transition {
                name: wanted.name.clone(),
                run: None,
                pid: None,
                generation: rejected.1,
                what,
            }));
            let newest = self.observed.last_run();
            let mut put_back = PutBack { rejected, serving: (spec, generation), why: why.clone(), again: None, content: None };
            if let Some(process) = self.observed.process_mut(&wanted.name) {
                process.replacing_since = None;
                let content = process.content.clone();
                put_back.content = content.clone().filter(|content| put_back.watches_apart(content));
                let in_force = put_back.in_force();
                for run in process.runs.iter_mut().filter(|run| run.is_undisturbed() && run.spec.exec == put_back.serving.0.exec)
                {
                    count_as_new(run, newest, now, &in_force, content.as_ref());
                }
            }
            renewed.push((wanted.name.clone(), generation));
            self.put_back.insert(wanted.name.clone(), put_back);
        }
        renewed
    }

    /// The definition that a replica had before the roll, and its generation, unless it is of the same program as this one.
    fn former_replica(&self, name: &Name, failed: &Spec) -> Option<(Arc<Spec>, u64)> {
        let former = self.former_replicas.get(name).filter(|former| former.spec.exec != failed.exec)?;
        Some((former.spec.clone(), former.generation))
    }

    /// The definition that a replica still runs although it is wanted by this one, and its generation.
    fn running_replica(&self, wanted: &Arc<Spec>) -> Option<(Arc<Spec>, u64)> {
        let runs = &self.observed.processes().get(&wanted.name)?.runs;
        let outdated = runs.iter().find(|run| run.is_undisturbed() && !is_same(run, wanted))?;
        Some((outdated.spec.clone(), outdated.generation))
    }

    /// Remembers by which definitions replicas are wanted, right before this file is put in force. If they are being replaced, what
    /// was before that counts: that is where all of them return to.
    pub(crate) fn remember_former_replicas(&mut self, file: &Desired) {
        let is_being_replaced = |entry: &DesiredProcess| {
            let runs = self.observed.processes().get(&entry.spec.name).into_iter().flat_map(|process| &process.runs);
            let replaces_other = |run: &Run| run.replaces.as_ref().is_some_and(|former| former.spec.exec != run.spec.exec);
            runs.filter(|run| run.is_undisturbed()).any(|run| !is_same(run, &entry.spec) || replaces_other(run))
        };
        let mut remembered = BTreeMap::new();
        for replicas in self.desired.entries().chunk_by(|one, other| one.siblings == other.siblings) {
            let go_on = replicas.iter().filter(|entry| entry.spec.replica.is_some() && file.get(&entry.spec.name).is_some());
            let mut go_on = go_on.map(|entry| &entry.spec).peekable();
            if go_on.peek().is_some() && replicas.iter().any(is_being_replaced) {
                let former = go_on.filter_map(|spec| self.former_replicas.get_key_value(&spec.name));
                remembered.extend(former.map(|(name, former)| (name.clone(), former.clone())));
            } else {
                let former = |spec: &Arc<Spec>| Replaced { spec: spec.clone(), generation: self.generation_of(&spec.name) };
                remembered.extend(go_on.map(|spec| (spec.name.clone(), former(spec))));
            }
        }
        if !(remembered.is_empty() && self.former_replicas.is_empty()) {
            self.former_replicas = Arc::new(remembered);
        }
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
        self.renew_force(alloc::vec![(name.clone(), put_back.rejected.1)]);
    }

    /// Tries every put-back definition again.
    pub(crate) fn retry_all_put_back(&mut self) {
        let names: Vec<Name> = self.put_back.keys().cloned().collect();
        for name in &names {
            self.retry_put_back(name);
        }
    }

    /// Updates which definitions are in force. Those of these processes are from these generations.
    fn renew_force(&mut self, renewed: Vec<(Name, u64)>) {
        self.desired = self.file_in_force();
        // What counts as a failure depends on the definition.
        self.observed.unproven.extend(renewed.iter().map(|(name, _)| name.clone()));
        Arc::make_mut(&mut self.since).extend(renewed);
        self.planner.reset(&self.desired);
        self.observed.mark_all_dirty();
        self.update_places();
    }
}

/// From now on, a run that stays counts as started with the current dependencies and files. If this is the content of other files
/// than it reads, what it has read will be compared with the next content.
fn count_as_new(run: &mut Run, newest: RunId, now: Time, in_force: &Spec, content: Option<&Content>) {
    (run.taken_over, run.bound) = (newest, (newest, now));
    let is_of_its_files = |content: &&Content| content.watch == in_force.watch;
    run.content = content.filter(is_of_its_files).or(run.content.as_ref().filter(is_of_its_files)).cloned();
}
