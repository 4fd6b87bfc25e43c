//! Whether the words for people agree with the facts.

use crate::facts::Facts;
use crate::invariants::{Check, ensure};
use crate::records::Run;
use crate::rules::{Moment, Rest, rest};
use crate::sockets::State;
use crate::wishes::{MOST, number};
use reconcile::engine::Engine;
use reconcile::spec::{OnChange, ProcessKind};
use reconcile::state::{ProcessState, ProcessStatus};
use reconcile::time::Time;

/// Checks that the words for people agree with the facts.
pub(crate) fn check_standings(facts: &Facts, now: Time, engine: &Engine) -> Check {
    let moment = Moment::of(facts, now);
    let standings = engine.statuses();
    let wished = facts.wish.specs.len();
    let leaving = (0..MOST).filter(|&process| facts.spec(process).is_none() && facts.runs_of(process).next().is_some());
    ensure(standings.len() == wished + leaving.count(), "every process has a state", || format!("{standings:?}"))?;
    for standing in &standings {
        let process = number(&standing.name);
        let expected = state(facts, &moment, process);
        ensure(standing.state == expected, "states agree with facts", || format!("{standing:?} is {expected}"))?;
        check_standing(facts, standing, process)?;
    }
    let all = (0..MOST).filter(|&process| facts.spec(process).is_some() || facts.runs_of(process).next().is_some());
    let converged = { all }.all(|process| is_as_wanted(facts, &moment, process));
    ensure(engine.is_converged() == converged, "converged is what the file says", || format!("{standings:?}"))
}

fn check_standing(facts: &Facts, standing: &ProcessStatus, process: usize) -> Check {
    let shown = facts.shown(process);
    let pid = shown.is_some_and(|run| run.up.is_some() && run.exit.is_none());
    ensure(standing.pid.is_some() == pid, "a pid is one of something that runs", || format!("{standing:?}"))?;
    let stale = shown.is_some_and(|run| is_stale(facts, process, run));
    ensure(standing.stale == stale, "stale is what is kept on purpose", || format!("{standing:?}"))
}

/// Whether a run goes on although the file has another definition: that is to be so, or it was put back, or can't have its sockets.
fn is_stale(facts: &Facts, process: usize, run: &Run) -> bool {
    is_kept(facts, process, run) || is_rejected(facts, process, run)
}

fn is_kept(facts: &Facts, process: usize, run: &Run) -> bool {
    let kept = facts.spec(process).filter(|spec| spec.on_change == OnChange::Keep);
    run.undisturbed() && kept.is_some_and(|spec| spec.exec != run.spec.exec)
}

fn is_rejected(facts: &Facts, process: usize, run: &Run) -> bool {
    let known = &facts.processes[process];
    let is_obsolete = facts.spec(process).is_some_and(|spec| spec.exec != run.spec.exec);
    let is_refused = known.sockets.as_ref().is_some_and(|sockets| matches!(sockets.state, State::Refused(_)));
    let is_in_file = facts.in_file(process).is_some();
    run.undisturbed() && is_in_file && (known.put_back.is_some() || (is_obsolete && is_refused))
}

fn state(facts: &Facts, moment: &Moment, process: usize) -> ProcessState {
    match facts.shown(process) {
        Some(run) if !run.undisturbed() => ProcessState::Stopping,
        Some(run) if run.ready.is_some() => ProcessState::Running,
        Some(_) => ProcessState::Starting,
        None if !moment.wanted(facts, process) => ProcessState::Stopped,
        None => match rest(facts, process) {
            Rest::Fresh => ProcessState::Pending,
            Rest::Completed => ProcessState::Completed,
            Rest::Failed => ProcessState::Failed,
            Rest::Again(..) => ProcessState::Backoff,
        },
    }
}

/// Whether one process is as the file and the operator want it.
fn is_as_wanted(facts: &Facts, moment: &Moment, process: usize) -> bool {
    if !moment.wanted(facts, process) {
        return facts.runs_of(process).next().is_none();
    }
    let Some(spec) = facts.spec(process) else { return false };
    let Some(run) = facts.shown(process) else { return rest(facts, process) == Rest::Completed };
    let past = facts.processes[process].past.as_ref();
    if past.is_some_and(|past| past.streak.is_some() && !past.success(spec) && past.run < run.id && !past.proven) {
        return false;
    }
    let is_alone = facts.runs_of(process).all(|other| other.id == run.id || other.reported);
    let right = is_alone && (*run.spec == *spec || is_kept(facts, process, run));
    let serves = run.undisturbed() && run.ready.is_some() && run.asked.is_none() && right;
    serves && !is_rejected(facts, process, run) && spec.exec.kind == ProcessKind::Service
}
