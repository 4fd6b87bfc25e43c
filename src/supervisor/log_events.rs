//! Turns what changed into log lines. The fixed words in here are what people grep for: they are part of the contract.

use crate::config::{Diagnostic, Rejected, Severity};
use reconcile::event::{ExitStatus, Pid};
use reconcile::human_duration::HumanDuration;
use reconcile::report::{Report, Summary, Transition, TransitionKind};
use reconcile::text::Name;
use std::time::Duration;
use tracing::{error, info, warn};

/// Tells one report of the engine.
pub(super) fn report(report: &Report) {
    match report {
        Report::Process(transition) => process(transition),
        Report::Accepted(summary) => accepted(summary),
        Report::Unchanged => info!(target: "managed_processes", "Configuration unchanged"),
    }
}

/// One line, `$message`, about a transition, with the fields that every such line has and those given.
macro_rules! line {
    ($level:ident, $transition:expr, $message:literal $(, $field:ident = $value:expr)*) => {
        $level!(
            target: "managed_processes",
            name = $transition.name.as_str(),
            pid = $transition.pid.map(|pid| pid.0),
            $($field = $value,)*
            generation = $transition.generation,
            $message
        )
    };
}

fn process(transition: &Transition) {
    match &transition.what {
        TransitionKind::Starting(reason) => line!(info, transition, "Starting process", reason = reason.to_string()),
        TransitionKind::Started => line!(info, transition, "Process started"),
        TransitionKind::Ready => line!(info, transition, "Process ready"),
        TransitionKind::Unready(why) => line!(warn, transition, "Process unready", reason = why.as_str()),
        TransitionKind::Reloading(reason) => line!(info, transition, "Reloading process", reason = reason.to_string()),
        TransitionKind::NotReloaded(why) => line!(warn, transition, "Process not reloaded", reason = why.as_str()),
        TransitionKind::Stopping(reason) => line!(info, transition, "Stopping process", reason = reason.to_string()),
        TransitionKind::Stopped { status, reason } => {
            line!(
                info,
                transition,
                "Process stopped",
                status = code(status),
                signal = signal(status),
                reason = reason.to_string()
            );
        }
        TransitionKind::Killing(reason) => line!(warn, transition, "Killing process", reason = reason.to_string()),
        TransitionKind::Exited => line!(info, transition, "Process exited", status = 0),
        TransitionKind::Crashed(status) => {
            line!(
                warn,
                transition,
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
                "Restarting process",
                delay = HumanDuration(to_millis(*delay)).to_string(),
                reason = reason.to_string()
            );
        }
        TransitionKind::Updated(differences) => {
            let fields: Vec<String> = differences.iter().map(|difference| difference.field.clone()).collect();
            line!(info, transition, "Process updated", reason = format!("{} changed", fields.join(", ")));
        }
        TransitionKind::Failed(reason) => line!(error, transition, "Process failed", reason = reason.to_string()),
        // Told by `survivors`, with the numbers that only the runtime knows.
        TransitionKind::Survives => {}
    }
}

/// Nobody reads more of a delay than milliseconds.
fn to_millis(delay: Duration) -> Duration {
    Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX))
}

fn code(status: &ExitStatus) -> Option<i32> {
    if let ExitStatus::Code(code) = status { Some(*code) } else { None }
}

fn signal(status: &ExitStatus) -> Option<&'static str> {
    if let ExitStatus::Signal(signal) = status { Some(signal.0) } else { None }
}

fn accepted(summary: &Summary) {
    if summary.generation == 1 {
        let processes = summary.added + summary.unchanged;
        return info!(target: "managed_processes", generation = summary.generation, processes, "Configuration loaded");
    }
    info!(
        target: "managed_processes",
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

/// Tells that a process is told by hand to read its own files again.
pub(super) fn reloading(name: &Name) {
    info!(target: "managed_processes", name = name.as_str(), reason = "reloaded by hand", "Reloading process");
}

/// Why what was left is stopped.
pub(super) const LEFT: &str = "left by a navigator that was killed";

/// Tells what was found.
pub(super) fn left(processes: &[(Name, Vec<Pid>)]) {
    let names: Vec<&str> = processes.iter().map(|(name, _)| name.as_str()).collect();
    warn!(target: "managed_processes", processes = names.len(), names = names.join(" "), "Found what a killed navigator left");
}

/// Tells what becomes of something that was left, of which these are alive.
pub(super) fn of_left(transition: &Transition, alive: &[Pid]) {
    let (name, pid) = (transition.name.as_str(), transition.pid.map(|pid| pid.0));
    match &transition.what {
        TransitionKind::Stopping(_) => {
            info!(target: "managed_processes", name, pid, pids = list(alive), reason = LEFT, "Stopping process");
        }
        TransitionKind::Killing(_) => warn!(target: "managed_processes", name, pid, reason = LEFT, "Killing process"),
        TransitionKind::Stopped { .. } => info!(target: "managed_processes", name, pid, reason = LEFT, "Process stopped"),
        TransitionKind::Survives => survivors(&transition.name, alive),
        // What it would say of its being started is long past.
        _ => {}
    }
}

fn list(pids: &[Pid]) -> String {
    pids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// Tells which processes survive being killed.
pub(super) fn survivors(name: &Name, pids: &[Pid]) {
    error!(target: "managed_processes", name = name.as_str(), pids = list(pids), "Process survives KILL");
}

/// Tells a warning of an accepted configuration.
pub(super) fn warning(warning: &Diagnostic) {
    warn!(target: "managed_processes", place = place(warning), help = warning.help.as_deref(), "{}", warning.message);
}

/// Tells why a configuration changes nothing.
pub(super) fn rejected(rejected: &Rejected) {
    let errors = rejected.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let lines: Vec<String> = errors.map(|error| format!("{}: {}", place(error), error.message)).collect();
    error!(
        target: "managed_processes",
        problems = lines.len() + rejected.omitted,
        diagnostics = lines.join("; "),
        "Configuration rejected"
    );
}

/// `file:line:column`, as editors understand it.
fn place(diagnostic: &Diagnostic) -> String {
    format!("{}:{}:{}", diagnostic.file.display(), diagnostic.line, diagnostic.column)
}
