//! Log lines about processes and the configuration. Their messages are fixed: people and scripts search for them.

use crate::config::{Diagnostic, Rejected, Severity};
use reconcile::engine::Engine;
use reconcile::event::{Event, ExitStatus, Pid};
use reconcile::human_duration::HumanDuration;
use reconcile::orders::ShutdownCause;
use reconcile::plan::Block;
use reconcile::report::{Report, Summary, Transition, TransitionKind};
use reconcile::socket::SocketChange;
use reconcile::spec::Signal;
use reconcile::text::Name;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tracing::{error, info, warn};

/// Logs a report of the engine. `pids` are the living processes of the run that it is about, where that matters. A terminal shows
/// the `sentence` instead, or nothing if it is empty.
/// `is_mended`: the configuration was rejected until just now.
pub(super) fn report(report: &Report, pids: &[Pid], engine: &Engine, sentence: Option<&str>, is_mended: bool) {
    match report {
        Report::Process(transition) => process(transition, pids, sentence),
        Report::Stalled { on, why, names } => {
            let names: Vec<&str> = names.iter().map(Name::as_str).collect();
            let ended = engine.status(on).filter(|_| *why == Block::Failed);
            let reason = ended.map_or_else(|| why.words().to_owned(), |status| format!("failed: {}", status.reason));
            warn!(target: "managed_processes", names = names.join(" "), dependency = on.as_str(), reason, sentence, "Start blocked");
        }
        Report::ShuttingDown(ShutdownCause { name, status, .. }) => {
            warn!(target: "managed_processes", name = name.as_str(), reason = status.to_string(), sentence, "Shutting down");
        }
        Report::Accepted(summary) => accepted(summary, sentence),
        Report::Good(generation) => info!(target: "managed_processes", sentence, generation, "Configuration good"),
        Report::RolledBack { generation, to: Some(to), why } => {
            error!(target: "managed_processes", sentence, generation, to, reason = why, "Configuration rolled back");
        }
        Report::RolledBack { generation, to: None, why } => {
            error!(target: "managed_processes", sentence, generation, reason = why, "Configuration bad, and none was good before");
        }
        Report::KnownBad => warn!(target: "managed_processes", sentence, "Configuration known to be bad"),
        Report::Unchanged => {
            let sentence = if is_mended { sentence.map(|_| "Configuration valid again; nothing differs") } else { sentence };
            info!(target: "managed_processes", sentence, mended = is_mended.then_some(true), "Configuration unchanged");
        }
    }
}

/// Logs `$message` about a transition, with the fields that every such line has and the given ones.
macro_rules! line {
    ($level:ident, $transition:expr, $sentence:expr, $message:literal $(, $field:ident = $value:expr)*) => {
        $level!(
            target: "managed_processes",
            sentence = $sentence,
            name = $transition.name.as_str(),
            pid = $transition.pid.map(|pid| pid.0),
            $($field = $value,)*
            generation = $transition.generation,
            $message
        )
    };
}

fn process(transition: &Transition, pids: &[Pid], sentence: Option<&str>) {
    match &transition.what {
        TransitionKind::Starting(reason) => line!(info, transition, sentence, "Starting process", reason = reason.to_string()),
        TransitionKind::Started => line!(info, transition, sentence, "Process started"),
        TransitionKind::Ready => line!(info, transition, sentence, "Process ready"),
        TransitionKind::Unready(why) => line!(warn, transition, sentence, "Process unready", reason = why.as_str()),
        TransitionKind::Reloading(reason) => line!(info, transition, sentence, "Reloading process", reason = reason.to_string()),
        TransitionKind::NotReloaded(why) => line!(warn, transition, sentence, "Process not reloaded", reason = why.as_str()),
        TransitionKind::Stopping(reason) if reason.is_failure() => {
            line!(warn, transition, sentence, "Stopping process", reason = reason.to_string());
        }
        TransitionKind::Stopping(reason) => line!(info, transition, sentence, "Stopping process", reason = reason.to_string()),
        TransitionKind::Stopped { status, reason } => {
            line!(
                info,
                transition,
                sentence,
                "Process stopped",
                status = code(status),
                signal = signal(status),
                reason = reason.to_string()
            );
        }
        TransitionKind::Killing(reason) => {
            line!(warn, transition, sentence, "Killing process", pids = pid_list(pids), reason = reason.to_string());
        }
        TransitionKind::StoppingRest(reason) => {
            line!(warn, transition, sentence, "Stopping remaining processes", pids = pid_list(pids), reason = reason.to_string());
        }
        TransitionKind::MainChanged => line!(info, transition, sentence, "Main process changed"),
        TransitionKind::Exited(status) => line!(info, transition, sentence, "Process exited", status = code(status)),
        TransitionKind::NotStarted(reason) => {
            line!(warn, transition, sentence, "Process not started", reason = reason.to_string());
        }
        TransitionKind::SlowedDown(reason) => {
            line!(
                warn,
                transition,
                sentence,
                "Slowing down restarts",
                reason = format!("{reason}, for the sixth time within 10s")
            );
        }
        TransitionKind::Crashed(status) => {
            line!(
                warn,
                transition,
                sentence,
                "Process crashed",
                status = code(status),
                signal = signal(status),
                reason = status.to_string()
            );
        }
        TransitionKind::Restarting { delay, reason } => {
            line!(
                info,
                transition,
                sentence,
                "Restarting process",
                delay = HumanDuration(to_millis(*delay)).to_string(),
                reason = reason.to_string()
            );
        }
        TransitionKind::Updated(differences) => {
            let fields: Vec<String> = differences.iter().map(|difference| difference.field.clone()).collect();
            line!(info, transition, sentence, "Process updated", reason = format!("{} changed", fields.join(", ")));
        }
        TransitionKind::Failed(reason) => line!(error, transition, sentence, "Process failed", reason = reason.to_string()),
        TransitionKind::Draining(reason) => line!(info, transition, sentence, "Process draining", reason = reason.to_string()),
        TransitionKind::PutBack(reason) => line!(error, transition, sentence, "Process put back", reason = reason.to_string()),
        TransitionKind::Socket(address, what) => socket(transition, address, *what, sentence),
        TransitionKind::KeepsNoSocket => {
            let reason = format!("`{}` has kept none of its sockets; does it know LISTEN_FDS?", transition.name);
            line!(warn, transition, sentence, "Sockets not used", reason = reason);
        }
        TransitionKind::Survives(why) => survivors(&transition.name, pids, why.as_deref()),
    }
}

fn socket(transition: &Transition, address: &str, what: SocketChange, sentence: Option<&str>) {
    match what {
        SocketChange::Opened => line!(info, transition, sentence, "Socket opened", address = address),
        SocketChange::TakenOver => line!(info, transition, sentence, "Socket taken over", address = address),
        SocketChange::Closed => line!(info, transition, sentence, "Socket closed", address = address),
        SocketChange::Restored => line!(warn, transition, sentence, "Socket restored", address = address),
    }
}

/// Delays are logged in milliseconds.
fn to_millis(delay: Duration) -> Duration {
    Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
}

fn code(status: &ExitStatus) -> Option<i32> {
    if let ExitStatus::Code(code) = status { Some(*code) } else { None }
}

fn signal(status: &ExitStatus) -> Option<&'static str> {
    match status {
        ExitStatus::Signal(signal) => Some(signal.0),
        ExitStatus::OutOfMemory => Some(Signal::KILL.0),
        ExitStatus::Code(_) | ExitStatus::NotStarted(_) | ExitStatus::Lost => None,
    }
}

fn accepted(summary: &Summary, sentence: Option<&str>) {
    if summary.generation == 1 {
        let processes = summary.added + summary.unchanged;
        return info!(target: "managed_processes", sentence, generation = summary.generation, processes, "Configuration loaded");
    }
    info!(
        target: "managed_processes",
        sentence,
        generation = summary.generation,
        added = summary.added,
        removed = summary.removed,
        changed = summary.changed,
        updated = summary.updated,
        stale = Some(summary.stale).filter(|stale| *stale > 0),
        unchanged = summary.unchanged,
        "Configuration reloaded"
    );
}

/// Logs that a process re-reads its own files by hand.
pub(super) fn reloading(name: &Name) {
    info!(target: "managed_processes", name = name.as_str(), reason = "reloaded by hand", "Reloading process");
}

/// Why orphans are stopped.
pub(super) const ORPHANED: &str = "left by a navigator that was killed";

/// Logs the orphans that were found.
pub(super) fn orphans_found(processes: &[(Name, Vec<Pid>)]) {
    let names: Vec<&str> = processes.iter().map(|(name, _)| name.as_str()).collect();
    warn!(target: "managed_processes", processes = names.len(), names = names.join(" "), "Found processes left by a killed navigator");
}

/// Logs which processes of a killed navigator go on, and how many runs have ended since it was killed.
pub(super) fn taken_over(names: &BTreeSet<Name>, ended: usize) {
    let names: Vec<&str> = names.iter().map(Name::as_str).collect();
    info!(target: "managed_processes", names = names.join(" "), ended, "Processes taken over");
}

/// Logs that a process of a killed navigator can't go on.
pub(super) fn not_taken_over(name: &Name, pid: Option<Pid>, reason: &str) {
    let pid = pid.map(|pid| pid.0);
    warn!(target: "managed_processes", name = name.as_str(), pid, reason, "Process can't be taken over");
}

/// Logs what happens to the orphans of a process; `alive` are their pids.
pub(super) fn orphan(transition: &Transition, alive: &[Pid]) {
    let (name, pid) = (transition.name.as_str(), transition.pid.map(|pid| pid.0));
    match &transition.what {
        TransitionKind::Stopping(_) => {
            info!(target: "managed_processes", name, pid, pids = pid_list(alive), reason = ORPHANED, "Stopping process");
        }
        TransitionKind::Killing(_) => warn!(target: "managed_processes", name, pid, reason = ORPHANED, "Killing process"),
        TransitionKind::Stopped { .. } => info!(target: "managed_processes", name, pid, reason = ORPHANED, "Process stopped"),
        TransitionKind::Survives(why) => survivors(&transition.name, alive, why.as_deref()),
        // It was started by the former navigator.
        _ => {}
    }
}

fn pid_list(pids: &[Pid]) -> Option<String> {
    (!pids.is_empty()).then(|| pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

/// Logs the processes that survive `KILL`.
fn survivors(name: &Name, pids: &[Pid], reason: Option<&str>) {
    error!(target: "managed_processes", name = name.as_str(), pids = pid_list(pids), reason, "Process survives KILL");
}

/// The pids of processes that survive `KILL` without a refusal by the system, so that `status` and answers name them too.
pub(super) fn named_survivors(report: &Report, pids: &[Pid]) -> Option<Event> {
    let Report::Process(Transition { what: TransitionKind::Survives(None), run: Some(run), .. }) = report else { return None };
    Some(Event::KillRefused { run: *run, why: format!("pids {} are still there", pid_list(pids)?) })
}

/// Logs that navigator shuts down because its terminal was closed.
pub(super) fn terminal_closed() {
    warn!(target: "navigator", reason = "its terminal was closed", "Shutting down");
}

/// Logs that another program is to take over.
pub(super) fn handing_over(to: &str, program: &Path) {
    info!(target: "navigator", from = env!("CARGO_PKG_VERSION"), to, program = %program.display(), "Upgrading");
}

/// Logs that this program goes on.
pub(super) fn handover_failed(why: &str) {
    error!(target: "navigator", reason = why, "Upgrade failed");
}

/// Logs a signal to navigator that has no effect.
pub(super) fn signal_ignored(signal: Signal) {
    warn!(target: "navigator", signal = signal.0, "Ignored signal");
}

/// Logs a warning of an accepted configuration.
pub(super) fn warning(warning: &Diagnostic) {
    warn!(target: "managed_processes", place = warning.place(), help = warning.help.as_deref(), "{}", warning.message);
}

/// Logs why a configuration is rejected. On a terminal, the diagnostics follow with their source lines.
pub(super) fn rejected(rejected: &Rejected, is_watched: bool) {
    let errors = rejected.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let lines: Vec<String> = errors.map(|error| format!("{}: {}", error.place(), error.message)).collect();
    let sentence = is_watched.then_some("Configuration rejected; nothing is changed");
    error!(
        target: "managed_processes",
        sentence,
        problems = lines.len() + rejected.omitted,
        diagnostics = lines.join("; "),
        "Configuration rejected"
    );
}
