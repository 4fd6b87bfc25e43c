//! The explanations below the table of `navigator status`: which processes are not as the file says, why, since when, and what
//! happens next.

use crate::snapshot::{Cause, Exit, Moment, ProcessSnapshot, Snapshot};
use crate::terminal::columns::{padded, width, wrapped};
use crate::terminal::{TerminalStyle, escape};
use jiff::Timestamp;
use reconcile::state::ProcessState;
use std::fmt::Write;
use std::time::Duration;

/// A sentence gets at least this many columns, however narrow the terminal is.
const MIN_WIDTH: usize = 20;

/// Explains the processes that are not as the file says, and those that differ on purpose.
pub(super) fn explain(snapshot: &Snapshot, now: Timestamp, style: TerminalStyle) -> String {
    let differing = snapshot.processes.iter().filter(|process| !process.as_wanted);
    let differing = differing.map(|process| (process, difference(process, now)));
    let on_purpose = snapshot.processes.iter().filter_map(|process| Some((process, on_purpose(process, now)?)));
    let parts = [("not as the file says:", differing.collect::<Vec<_>>()), ("on purpose:", on_purpose.collect())];
    let mut text = String::new();
    for (head, sentences) in parts.into_iter().filter(|(_, sentences)| !sentences.is_empty()) {
        let _ = write!(text, "\n{}\n{}", style.painted(head, "1"), paragraph(&sentences, style));
    }
    text
}

/// A line for each process: its name, and the sentence about it.
fn paragraph(sentences: &[(&ProcessSnapshot, String)], style: TerminalStyle) -> String {
    let names = sentences.iter().map(|(process, _)| width(&escape(&process.name))).max().unwrap_or(0);
    let margin = 2 + names + 2;
    let room = style.columns().map_or(usize::MAX, |columns| columns.saturating_sub(margin).max(MIN_WIDTH));
    let line = |(process, sentence): &(&ProcessSnapshot, String)| {
        let sentence = wrapped(&escape(sentence), room).join(&format!("\n{:margin$}", ""));
        format!("  {}  {sentence}\n", padded(&escape(&process.name), names))
    };
    sentences.iter().map(line).collect()
}

/// How a process differs from the file, why, since when, and what happens next: a sentence without its subject, the process.
pub(super) fn difference(process: &ProcessSnapshot, now: Timestamp) -> String {
    let ProcessSnapshot { name, reason, .. } = process;
    let since = since(process, now);
    let ago = since.as_ref().map(|time| format!(", {time} ago")).unwrap_or_default();
    let lasting = since.as_ref().map(|time| format!(" for {time}")).unwrap_or_default();
    let waiting = process.waiting.as_deref();
    let next = waiting.map(|waiting| format!("; {waiting}")).unwrap_or_default();
    match process.state {
        ProcessState::Pending => waiting.unwrap_or("is about to be started").to_owned(),
        ProcessState::Running if process.stale => {
            format!(
                "goes on with generation {}: {reason}{next}; `navigator restart {name}` tries the file's again",
                process.generation
            )
        }
        ProcessState::Running if process.runs.iter().any(|run| run.is_new) => {
            let new = waiting.map(|waiting| format!("; its new run {waiting}")).unwrap_or_default();
            format!("has run{lasting}{new}")
        }
        ProcessState::Running if process.runs.len() > 1 => {
            let old = waiting.map(|waiting| format!("; old run: {waiting}")).unwrap_or_default();
            format!("has run{lasting}{old}")
        }
        ProcessState::Running if waiting.is_none() => format!("has run{lasting}; it is a task, and has not completed"),
        ProcessState::Starting | ProcessState::Running => format!("has run{lasting}{next}"),
        ProcessState::Stopping => format!("has been stopping{lasting}: {reason}{next}"),
        ProcessState::Backoff => format!("{}: {reason}{ago}{next}", ended(process)),
        ProcessState::Failed => format!("{}: {reason}{ago}{next}; `navigator start {name}` tries it again", ended(process)),
        state @ (ProcessState::Completed | ProcessState::Stopped) => format!("has been {state}{lasting}: {reason}{next}"),
    }
}

/// How a process differs on purpose: it is stale or stopped by hand.
fn on_purpose(process: &ProcessSnapshot, now: Timestamp) -> Option<String> {
    let ProcessSnapshot { name, generation, .. } = process;
    if process.as_wanted && process.stale {
        return Some(format!(
            "is stale: it runs generation {generation} because of `on_change: none`; `navigator restart {name}` updates it"
        ));
    }
    let by_hand = process.state == ProcessState::Stopped && process.reason == Cause::StoppedByHand;
    let ago = since(process, now).map(|time| format!(" {time} ago")).unwrap_or_default();
    by_hand.then(|| format!("was stopped by hand{ago}, and stays so; `navigator start {name}` starts it"))
}

/// How it ended, and how often in a row.
fn ended(process: &ProcessSnapshot) -> String {
    let verb = match (&process.last_exit, &process.reason) {
        (None, _) => "failed to start",
        (Some(Exit::Code(0)), Cause::Ended(Exit::Code(0))) | (Some(Exit::Unknown(_)), Cause::Ended(Exit::Unknown(_))) => "ended",
        (Some(exit), Cause::Ended(why)) if exit == why => "crashed",
        (Some(_), _) => "failed",
    };
    match process.failures {
        0 | 1 => verb.to_owned(),
        count => format!("{verb} {count} times in a row"),
    }
}

/// For how long it has been in its state.
fn since(process: &ProcessSnapshot, now: Timestamp) -> Option<String> {
    Some(short_duration(elapsed(process.entered_at?, now)))
}

/// The time that has passed since a moment.
pub(super) fn elapsed(moment: Moment, now: Timestamp) -> Duration {
    // Zero if the clock was set back.
    Duration::try_from(now.duration_since(moment.0)).unwrap_or_default()
}

/// A duration in its two largest units: `3d4h`, `5m12s`.
pub(super) fn short_duration(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::spec::Tier;

    #[test]
    fn a_difference_is_a_sentence_about_the_process() {
        let now = "2026-11-22T18:00:10Z".parse::<Timestamp>().expect("a moment");
        let of = |state, waiting: Option<&str>, reason: &str, last_exit| ProcessSnapshot {
            name: "web".to_owned(),
            tier: Tier::Managed,
            state,
            pid: None,
            ready: false,
            stale: false,
            generation: 1,
            restarts: 0,
            started_at: None,
            last_exit,
            reason: reason.parse().unwrap_or(Cause::StoppedByHand),
            as_wanted: false,
            entered_at: Some(Moment("2026-11-22T18:00:07Z".parse().expect("a moment"))),
            failures: 2,
            waiting: waiting.map(str::to_owned),
            replica: None,
            runs: Vec::new(),
            sockets: Vec::new(),
            next_runs: Vec::new(),
            output: Vec::new(),
        };
        let crashed = Some(Exit::Code(1));
        for (process, expected) in [
            (of(ProcessState::Pending, Some("waits for db: failed"), "added to file", None), "waits for db: failed"),
            (of(ProcessState::Pending, None, "added to file", None), "is about to be started"),
            (of(ProcessState::Running, None, "added to file", None), "has run for 3s; it is a task, and has not completed"),
            (of(ProcessState::Starting, Some("is not ready yet"), "added to file", None), "has run for 3s; is not ready yet"),
            (
                of(ProcessState::Stopping, Some("is killed in 2s"), "args changed", None),
                "has been stopping for 3s: args changed; is killed in 2s",
            ),
            (
                of(ProcessState::Backoff, Some("next start in 4s"), "exit status 1", crashed.clone()),
                "crashed 2 times in a row: exit status 1, 3s ago; next start in 4s",
            ),
            (
                of(ProcessState::Failed, None, "exit status 1", crashed.clone()),
                "crashed 2 times in a row: exit status 1, 3s ago; `navigator start web` tries it again",
            ),
            (of(ProcessState::Completed, None, "exit status 0", crashed), "has been completed for 3s: exit status 0"),
            (of(ProcessState::Stopped, None, "stopped by hand", None), "has been stopped for 3s: stopped by hand"),
        ] {
            assert_eq!(difference(&process, now), expected);
        }
    }
}
