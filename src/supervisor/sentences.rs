//! What happened, as sentences for a terminal: one line for what a person sees as one event.
//!
//! Files and pipes get the fixed messages of `log_events`. Here a start is one line, and so is a crash with what follows from it,
//! if both are known in the same step.

use crate::terminal::plural;
use reconcile::desired::Desired;
use reconcile::event::{ExitStatus, RunId};
use reconcile::human_duration::HumanDuration;
use reconcile::orders::ShutdownCause;
use reconcile::plan::Block;
use reconcile::report::{Report, Summary, Transition, TransitionKind as Kind};
use reconcile::socket::SocketChange;
use reconcile::spec::{ProcessKind, Restart, Spec};
use std::collections::HashMap;
use std::time::Duration;

/// The sentences for the reports of a step.
pub(super) struct Sentences<'r> {
    reports: &'r [Report],
    /// What happens to each run, with the indexes of the reports.
    by_run: HashMap<RunId, Vec<(usize, &'r Kind)>>,
}

impl<'r> Sentences<'r> {
    pub(super) fn of(reports: &'r [Report]) -> Sentences<'r> {
        let mut by_run: HashMap<RunId, Vec<(usize, &Kind)>> = HashMap::new();
        for (index, report) in reports.iter().enumerate() {
            if let Report::Process(Transition { run: Some(run), what, .. }) = report {
                by_run.entry(*run).or_default().push((index, what));
            }
        }
        Sentences { reports, by_run }
    }

    /// The sentence for the report at `index`; empty: another report says it.
    pub(super) fn at(&self, index: usize, desired: &Desired) -> String {
        match &self.reports[index] {
            Report::Accepted(summary) => accepted(summary),
            Report::Good(_) => "Configuration good: everything has stayed well".to_owned(),
            Report::RolledBack { to: Some(to), why, .. } => format!("Configuration rolled back to generation {to}: {why}"),
            Report::RolledBack { to: None, why, .. } => format!("Configuration bad, and none was good before: {why}"),
            Report::KnownBad => "Configuration known to be bad; change it, or `navigator reload --retry`".to_owned(),
            Report::Unchanged => "Configuration unchanged".to_owned(),
            Report::Stalled { on, why, names } => {
                let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
                let verb = if names.len() == 1 { "waits" } else { "wait" };
                let in_vain = if *why == Block::Unready { "" } else { ", which doesn't come by itself" };
                format!("{} {verb} for `{on}`{in_vain}: {}", names.join(", "), why.words())
            }
            Report::ShuttingDown(ShutdownCause { name, status, .. }) => format!("Shutting down: `{name}` {}", ended(status)),
            Report::Process(transition) => {
                let spec = desired.get(&transition.name).map(|entry| &*entry.spec);
                let same = transition.run.and_then(|run| self.by_run.get(&run)).map_or(&[][..], Vec::as_slice);
                let (before, rest) = same.split_at(same.partition_point(|(other, _)| *other < index));
                let after = rest.get(1..).unwrap_or_default();
                process(transition, before, after, spec)
            }
        }
    }
}

/// What else happens to a run in a step, with the indexes of the reports.
type SameRun<'r> = [(usize, &'r Kind)];

fn accepted(summary: &Summary) -> String {
    if summary.generation == 1 {
        let processes = summary.added + summary.unchanged;
        return format!("Configuration loaded: {}", plural(processes, "process", "processes"));
    }
    let counts = [
        (summary.added, "added"),
        (summary.removed, "removed"),
        (summary.changed, "changed"),
        (summary.updated, "updated in place"),
        (summary.stale, "stale"),
        (summary.unchanged, "unchanged"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let counts = if counts.is_empty() { "nothing is left".to_owned() } else { counts.join(", ") };
    format!("Configuration reloaded: {counts}")
}

fn process(transition: &Transition, before: &SameRun<'_>, after: &SameRun<'_>, spec: Option<&Spec>) -> String {
    let pid = transition.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
    let next = || follow_up(transition, after, spec);
    let is_said = |by: fn(&Kind) -> bool| before.iter().any(|(_, what)| by(what));
    match &transition.what {
        Kind::Starting(_) | Kind::Survives(_) => String::new(),
        // Its line comes when it is ready.
        Kind::Started if spec.is_some_and(Spec::has_readiness) => String::new(),
        Kind::Started => format!("started{pid}"),
        Kind::Ready => format!("ready{pid}"),
        Kind::Unready(why) => format!("not ready any more: {why}"),
        Kind::Reloading(reason) => format!("re-reads its files: {reason}"),
        Kind::NotReloaded(why) => format!("could not re-read its files: {why}"),
        Kind::Draining(reason) => format!("draining: {reason}"),
        Kind::PutBack(reason) => format!("{reason}; the old one goes on"),
        Kind::Socket(address, what) => match what {
            SocketChange::Opened => format!("listens on {address}"),
            SocketChange::TakenOver => format!("its socket {address} is held by navigator now"),
            SocketChange::Closed => format!("no longer listens on {address}"),
            SocketChange::Restored => format!("its socket {address} was removed or shut down, and is open again"),
        },
        Kind::KeepsNoSocket => "has kept none of its sockets; does it know LISTEN_FDS?".to_owned(),
        Kind::Stopping(reason) => format!("stopping: {reason}"),
        Kind::Stopped { .. } => format!("stopped{}", next()),
        Kind::StoppingRest(reason) => format!("stopping what is left: {reason}"),
        Kind::MainChanged => format!("has another main process{pid}"),
        Kind::NotStarted(reason) => format!("could not be started: {reason}{}", next()),
        Kind::SlowedDown(reason) => format!("restarts too often, so restarts are slowed down: {reason}"),
        Kind::Killing(reason) => format!("killing what is left: {reason}"),
        Kind::Exited(_) if spec.is_some_and(|spec| spec.exec.kind == ProcessKind::Task) => format!("completed{}", next()),
        Kind::Exited(status) | Kind::Crashed(status) => format!("{}{}", ended(status), next()),
        Kind::Updated(differences) => {
            let fields: Vec<&str> = differences.iter().map(|difference| difference.field.as_str()).collect();
            format!("updated in place: {} changed", fields.join(", "))
        }
        Kind::Restarting { .. } if is_said(has_follow_up) => String::new(),
        Kind::Restarting { delay, .. } => restarting(*delay),
        Kind::Failed(_) if is_said(|what| has_follow_up(what) && !matches!(what, Kind::Failed(_))) => String::new(),
        Kind::Failed(reason) => format!("failed: {reason}{}", next()),
    }
}

/// Whether its sentence says what follows.
fn has_follow_up(what: &Kind) -> bool {
    matches!(what, Kind::Exited(_) | Kind::NotStarted(_) | Kind::Crashed(_) | Kind::Stopped { .. } | Kind::Failed(_))
}

/// What follows from the end of a run, as the rest of the sentence about it.
fn follow_up(transition: &Transition, after: &SameRun<'_>, spec: Option<&Spec>) -> String {
    let next = after.iter().find_map(|(_, what)| match what {
        Kind::Restarting { delay, .. } => Some(format!(", {}", restarting(*delay))),
        // The reason was said when it was told to stop.
        Kind::Failed(_) if matches!(transition.what, Kind::Stopped { .. }) => Some(" and has failed".to_owned()),
        Kind::Failed(_) if spec.is_some_and(|spec| spec.restart == Restart::Never) => Some(", not restarted".to_owned()),
        Kind::Failed(_) => Some(", given up".to_owned()),
        _ => None,
    });
    next.unwrap_or_default()
}

fn restarting(delay: Duration) -> String {
    // Rounded: jitter is of no interest.
    let millis = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
    let step = if millis < 850 { 100 } else { 1_000 };
    match millis.saturating_add(step / 2) / step {
        0 => "restarting now".to_owned(),
        steps => format!("restarting in {}", HumanDuration(Duration::from_millis(steps.saturating_mul(step)))),
    }
}

fn ended(status: &ExitStatus) -> String {
    match status {
        ExitStatus::Code(code) => format!("exited with status {code}"),
        ExitStatus::Signal(signal) => format!("was ended by signal {}", signal.0),
        ExitStatus::OutOfMemory => "was ended by the kernel: out of memory".to_owned(),
        other => format!("ended: {other}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::event::Pid;
    use reconcile::reason::Reason;
    use reconcile::spec::Signal;

    fn report(run: u64, what: Kind) -> Report {
        let (run, pid) = (Some(RunId(run)), Some(Pid(72)));
        Report::Process(Transition { name: "web".into(), run, pid, generation: 1, what })
    }

    /// The sentences of one step, for a process with this change of its definition.
    fn said(reports: &[Report], change: impl FnOnce(&mut Spec)) -> Vec<String> {
        let mut spec = Spec::new("web", "web");
        change(&mut spec);
        let desired = Desired::new(vec![spec], Duration::from_secs(90)).expect("it is complete");
        let sentences = Sentences::of(reports);
        let sentences = (0..reports.len()).map(|index| sentences.at(index, &desired));
        sentences.filter(|sentence| !sentence.is_empty()).collect()
    }

    fn always(spec: &mut Spec) {
        spec.restart = Restart::Always;
    }

    fn exited() -> Kind {
        Kind::Exited(ExitStatus::Code(0))
    }

    fn crashed(code: i32) -> Kind {
        Kind::Crashed(ExitStatus::Code(code))
    }

    fn restarting_in(millis: u64) -> Kind {
        Kind::Restarting { delay: Duration::from_millis(millis), reason: Reason::Ended(ExitStatus::Code(1)) }
    }

    fn failed() -> Kind {
        Kind::Failed(Reason::Ended(ExitStatus::Code(1)))
    }

    #[test]
    fn a_crash_and_what_follows_is_one_sentence() {
        for (reports, expected) in [
            (&[report(1, crashed(1)), report(1, restarting_in(1_060))][..], &["exited with status 1, restarting in 1s"][..]),
            (&[report(1, crashed(1)), report(1, restarting_in(0))], &["exited with status 1, restarting now"]),
            (&[report(1, exited()), report(1, restarting_in(480))], &["exited with status 0, restarting in 500ms"]),
            (
                &[report(1, Kind::Crashed(ExitStatus::Signal(Signal::KILL))), report(1, failed())],
                &["was ended by signal KILL, given up"],
            ),
            // In a later step, or of another run.
            (&[report(1, crashed(1))], &["exited with status 1"]),
            (&[report(1, restarting_in(30_000))], &["restarting in 30s"]),
            (&[report(1, crashed(1)), report(2, restarting_in(0))], &["exited with status 1", "restarting now"]),
        ] {
            assert_eq!(said(reports, always), expected);
        }
        assert_eq!(said(&[report(1, crashed(3)), report(1, failed())], |_| ()), ["exited with status 3, not restarted"]);
    }

    #[test]
    fn a_start_is_one_sentence() {
        let start = [report(1, Kind::Starting(Reason::Added)), report(1, Kind::Started), report(1, Kind::Ready)];
        assert_eq!(said(&start[..2], |_| ()), ["started (pid 72)"]);
        let probed = |spec: &mut Spec| spec.exec.announce = Some(reconcile::spec::Announce::Notify);
        assert_eq!(said(&start, probed), ["ready (pid 72)"]);
        let task = |spec: &mut Spec| spec.exec.kind = ProcessKind::Task;
        assert_eq!(said(&[report(1, exited())], task), ["completed"]);
    }

    #[test]
    fn a_stop_for_a_failure_says_what_follows() {
        let reason = Reason::Unready(Duration::from_secs(5), None);
        let stopped = || Kind::Stopped { status: ExitStatus::Code(0), reason: reason.clone() };
        let stop = [report(1, Kind::Stopping(reason.clone())), report(1, stopped()), report(1, restarting_in(2_000))];
        assert_eq!(said(&stop, always), ["stopping: not ready within 5s", "stopped, restarting in 2s"]);
        assert_eq!(said(&[report(1, stopped()), report(1, Kind::Failed(reason.clone()))], always), ["stopped and has failed"]);
    }

    #[test]
    fn a_reload_counts_what_it_changes() {
        let summary = Summary { generation: 2, changed: 1, unchanged: 4, ..Summary::default() };
        assert_eq!(said(&[Report::Accepted(summary)], |_| ()), ["Configuration reloaded: 1 changed, 4 unchanged"]);
        let empty = Summary { generation: 3, ..Summary::default() };
        assert_eq!(said(&[Report::Accepted(empty)], |_| ()), ["Configuration reloaded: nothing is left"]);
    }
}
