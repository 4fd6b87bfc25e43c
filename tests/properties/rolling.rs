//! Rolling replacement, from the contract: a new run is on trial beside the old one until it has stayed ready for long enough. One
//! that fails before is put back: the process is wanted as it was, until something asks for another try.

use crate::facts::{Facts, streak_after};
use crate::fates::Fate;
use crate::places::has;
use crate::records::{Past, Run};
use crate::rules::{Moment, Rest, Why, rest_after};
use crate::wishes::MOST;
use reconcile::backoff::{End, RestartDecision, Streak, due};
use reconcile::event::{Content, ExitStatus, Refusal, RunId};
use reconcile::spec::Spec;
use reconcile::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// A run is to be replaced although its definition is in force.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) why: Why,
    /// It has to stop before the new one starts.
    pub(crate) stop_first: bool,
}

/// What came of a trial that failed.
#[derive(Clone)]
pub(crate) struct PutBack {
    /// The definition that the process is wanted by instead of that of the file.
    pub(crate) in_force: Arc<Spec>,
    /// It is the same program: there is no more to try again than the start.
    is_same: bool,
    /// Why that was asked for.
    again: Option<Why>,
    /// What the files contain that only the definition of the file watches.
    pub(crate) apart: Option<Content>,
}

impl Facts {
    /// Whether a process is to run.
    pub(crate) fn wanted(&self, process: usize) -> bool {
        self.closing.is_none() && self.processes[process].stopped.is_none() && self.enabled(process)
    }

    /// Begins a trial if something is there beside which a run is started; with the definition of that.
    pub(crate) fn begin_trial(&mut self, now: Time, process: usize) -> Option<Arc<Spec>> {
        let beside = self.runs.iter_mut().rev().find(|run| run.process == process && run.undisturbed());
        // What is to be replaced is what serves. If it was on trial itself, that is over.
        let (beside, was_on_trial) = beside.map_or((None, false), |run| (Some(run.spec.clone()), run.trial.take().is_some()));
        let known = &mut self.processes[process];
        // Once the same program is started again, there is nothing left that was put back.
        known.put_back.take_if(|put_back| put_back.is_same);
        known.trying_since.take_if(|_| was_on_trial);
        if beside.is_some() {
            known.trying_since.get_or_insert(now);
        }
        beside
    }

    /// Takes the failure of a run, which puts it back if it is on trial; answers whether it does.
    pub(crate) fn fail_trial(&mut self, now: Time, id: RunId) -> bool {
        let Some((process, exec, Some(former), asked)) =
            self.run(id).map(|run| (run.process, run.spec.exec.clone(), run.trial.clone(), run.asked))
        else {
            return false;
        };
        if asked.is_some() {
            // Another start was asked for already, and this failure says nothing about that.
            self.runs.iter_mut().filter(|run| run.id == id).for_each(|run| run.forgiven = true);
            return false;
        }
        let (Some(in_file), Some(spec)) = (self.in_file(process), self.spec(process)) else { return false };
        if !self.wanted(process) || spec.exec != exec {
            return false;
        }
        let is_other = |before: &&Arc<Spec>| before.exec != spec.exec;
        let before_roll = self.processes[process].before_roll.as_ref().filter(is_other);
        let in_force = if former.exec == spec.exec { spec.clone() } else { in_place_of(in_file, before_roll.unwrap_or(&former)) };
        let (is_same, in_file_watch) = (in_force.exec == in_file.exec, in_file.watch.clone());
        let files = self.processes[process].files.clone();
        let (mut again, newest, mut tried_at) = (None, self.last_run, None);
        for run in self.runs.iter_mut().filter(|run| run.process == process) {
            if run.id == id {
                (run.forgiven, tried_at) = (true, Some(run.causes));
            } else if run.undisturbed() {
                again = again.or(run.asked.take().map(|asked| asked.why));
                // With what is there now, it goes on.
                (run.taken_over, run.bound) = (newest, (newest, now));
                run.read = read_now(run.read.take(), files.as_ref(), &in_force);
            }
        }
        let goes_further = in_force.exec != former.exec;
        let known = &mut self.processes[process];
        (known.trying_since, known.failed_at) = (None, tried_at);
        let apart = files.filter(|files| files.watch == in_file_watch && files.watch != in_force.watch);
        known.put_back = Some(PutBack { in_force: Arc::new(in_force), is_same, again: again.filter(|_| is_same), apart });
        known.causes += u32::from(goes_further);
        self.doubt(process);
        if !is_same {
            self.put_back_others(now, process);
        }
        self.take_places();
        true
    }

    /// The other replicas go back along with one that is put back.
    fn put_back_others(&mut self, now: Time, process: usize) {
        let (newest, siblings) = (self.last_run, self.places.siblings[process]);
        for other in (0..MOST).filter(|&other| other != process && has(siblings, other)) {
            let (Some(in_file), None) = (self.in_file(other).cloned(), &self.processes[other].put_back) else { continue };
            let is_other = |spec: &&Arc<Spec>| spec.exec != in_file.exec;
            let running = self.runs_of(other).find(|run| run.undisturbed() && run.spec.exec != in_file.exec);
            let running = running.map(|run| run.spec.clone());
            let before = self.processes[other].before_roll.clone().filter(|before| is_other(&before)).or(running);
            let Some(in_force) = before.map(|before| in_place_of(&in_file, &before)) else { continue };
            let files = self.processes[other].files.clone();
            for run in
                self.runs.iter_mut().filter(|run| run.process == other && run.undisturbed() && run.spec.exec == in_force.exec)
            {
                (run.taken_over, run.bound) = (newest, (newest, now));
                run.read = read_now(run.read.take(), files.as_ref(), &in_force);
            }
            let known = &mut self.processes[other];
            (known.trying_since, known.causes) = (None, known.causes + 1);
            let apart = files.filter(|files| files.watch == in_file.watch && files.watch != in_force.watch);
            known.put_back = Some(PutBack { in_force: Arc::new(in_force), is_same: false, again: None, apart });
            self.doubt(other);
        }
    }

    /// Lets what was put back be tried again.
    pub(crate) fn try_again(&mut self, process: usize) {
        let Some(put_back) = self.processes[process].put_back.take() else { return };
        if let Some(why) = put_back.again {
            for run in self.runs.iter_mut().filter(|run| run.process == process && run.undisturbed()) {
                run.asked.get_or_insert(Asked { why, stop_first: false });
            }
        }
        self.doubt(process);
        self.take_places();
    }

    /// Takes what the files contain that only a definition watches that was put back.
    pub(crate) fn look_apart(&mut self, process: usize, content: &Content, in_file: bool) {
        let known = &mut self.processes[process];
        let Some(put_back) = known.put_back.as_mut().filter(|_| in_file) else { return };
        let former = put_back.apart.replace(content.clone());
        if former.is_some_and(|former| former.watch == content.watch && former.files != content.files) {
            known.causes += 1;
            self.try_again(process);
        }
    }

    /// Whether a start on trial that failed for lack of room is repeated before the time to get ready is over.
    pub(crate) fn has_time_for_room(&self, now: Time, id: RunId, status: &ExitStatus) -> bool {
        let ExitStatus::NotStarted(Refusal::Exhausted { .. } | Refusal::Busy { .. }) = status else { return false };
        let Some(run) = self.run(id).filter(|run| run.trial.is_some() && run.asked.is_none()) else { return false };
        let known = &self.processes[run.process];
        let until = known.trying_since.unwrap_or(now) + run.spec.ready_timing.deadline;
        let (length, after_health) = streak_after(known.past.as_ref(), run, now);
        let streak = (!run.forgiven).then_some((length, after_health));
        let (spec, status, read) = (run.spec.clone(), status.clone(), run.read.clone());
        let past = Past { run: id, spec: spec.clone(), status, at: now, why: None, streak, read, proven: false };
        match rest_after(self, run.process, &past, &spec) {
            Rest::Again(_, most) if most < until => true,
            Rest::Again(least, _) if least >= until => false,
            // By chance.
            Rest::Again(..) => {
                let end = End { success: false, missing: false, at: now };
                let decision = due(&spec, end, Streak { length, after_health }, id.0);
                matches!(decision, RestartDecision::Again(at) if at < until)
            }
            Rest::Fresh | Rest::Completed | Rest::Failed => false,
        }
    }

    /// All answers for this moment, once it is noted what they decide for good: what is to be replaced, and what is on trial no longer,
    /// unless it had to go when the step began.
    pub(crate) fn judged(&mut self, now: Time, going: &[(RunId, Why)]) -> Moment {
        loop {
            let moment = Moment::of(self, now);
            let mut noted = false;
            for (run, fate) in self.runs.iter_mut().zip(&moment.fates) {
                match fate {
                    Fate::Roll(why) => {
                        (run.asked, noted) = (Some(Asked { why: *why, stop_first: false }), true);
                        // Also if what it follows ends by itself before it is replaced.
                        self.processes[run.process].causes += u32::from(matches!(why, Why::With(_)));
                    }
                    Fate::Stay if run.trial.is_some() && run.steady(now) && going.iter().all(|(id, _)| *id != run.id) => {
                        (run.trial, noted) = (None, true);
                        self.processes[run.process].trying_since = None;
                    }
                    Fate::Stay | Fate::Outlive | Fate::Go(_) | Fate::Leaving => {}
                }
            }
            if !noted {
                return moment;
            }
        }
    }

    /// Notes at the end of a step whether the newest run has been healthy for long enough since the last failure.
    pub(crate) fn prove(&mut self, now: Time, process: usize) {
        let newest = self.runs_of(process).next_back().filter(|run| run.undisturbed());
        let Some((id, healthy)) =
            newest.map(|run| (run.id, run.ready_until(now) >= run.spec.backoff.reset_after && run.was_ready))
        else {
            return;
        };
        self.processes[process].past.iter_mut().filter(|past| past.run < id && healthy).for_each(|past| past.proven = true);
    }

    /// The run that a process is judged by: the newest. One that has yet to take the place of another doesn't count while that
    /// one serves.
    pub(crate) fn shown(&self, process: usize) -> Option<&Run> {
        let newest = self.runs_of(process).next_back()?;
        let mut others = self.runs_of(process).rev().filter(|run| run.id != newest.id && run.undisturbed() && run.was_ready);
        others.next().filter(|_| newest.trial.is_some()).or(Some(newest))
    }
}

/// A former definition in place of that of the file: where it stands, and whether it runs at all, is what the file says.
fn in_place_of(in_file: &Spec, former: &Spec) -> Spec {
    let (tier, enabled, depends_on) = (in_file.tier, in_file.enabled, in_file.depends_on.clone());
    Spec { tier, enabled, depends_on, ..former.clone() }
}

impl Run {
    /// The longest that it was ready without a break.
    fn ready_until(&self, now: Time) -> Duration {
        self.ready.map_or(self.ready_for, |since| now.since(since).max(self.ready_for))
    }

    /// Whether it has been ready for long enough without a break.
    pub(crate) fn steady(&self, now: Time) -> bool {
        self.ready.is_some_and(|since| now >= since + self.spec.stable)
    }
}

/// What a run that goes on with this definition counts as having read: what its files contain, as far as that is known.
fn read_now(read: Option<Content>, files: Option<&Content>, in_force: &Spec) -> Option<Content> {
    files.cloned().filter(|files| files.watch == in_force.watch).or(read.filter(|read| read.watch == in_force.watch))
}
