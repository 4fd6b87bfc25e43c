//! `navigator status`: shows each process, and explains those that are not as the file says.

use super::super::console::{OK, print, print_json};
use super::explain::{elapsed, explain, short_duration};
use super::source::source_text;
use super::table::{Column, table};
use super::{InstanceTarget, TIMEOUT, refused, rendered, unanswered, url};
use crate::config::Severity;
use crate::snapshot::{ConfigState, Exit, ProcessSnapshot, RolledBack, RolloutSnapshot, RunSnapshot, Snapshot, Watch};
use crate::terminal::columns::cut;
use crate::terminal::{TerminalStyle, escape};
use jiff::Timestamp;
use reconcile::state::ProcessState;
use serde_json::Value;
use std::fmt::Write;
use std::io::stdout;
use std::process::ExitCode;
use std::time::Duration;

/// A process isn't as the file says.
const NOT_CONVERGED: u8 = 3;

/// Shows the named processes; without names, all.
pub(in super::super) fn status(target: &InstanceTarget, names: &[String], as_json: bool) -> ExitCode {
    let path = url("/v1/status", names.iter().map(|name| ("name", name.as_str())));
    let answer = match target.connect().and_then(|client| client.within(TIMEOUT).get(&path)) {
        Ok((200, answer)) => answer,
        Ok((_, answer)) => return refused(&answer),
        Err(error) => return unanswered(&error),
    };
    let snapshot: Snapshot = match serde_json::from_value(answer) {
        Ok(snapshot) => snapshot,
        Err(error) => return unanswered(&crate::control::ClientError::Broken(error.to_string())),
    };
    if as_json {
        print_json(&json(&snapshot));
    } else {
        print(&text(&snapshot, Timestamp::now(), TerminalStyle::of(stdout())));
    }
    if snapshot.converged { OK.into() } else { NOT_CONVERGED.into() }
}

/// The snapshot as JSON, without the parts that are only for people.
fn json(snapshot: &Snapshot) -> String {
    let mut value = serde_json::json!(snapshot);
    without(&mut value["config"], &["rejected_at", "pending"]);
    for problem in value["config"]["diagnostics"].as_array_mut().into_iter().flatten() {
        without(problem, &["excerpt"]);
    }
    for process in value["processes"].as_array_mut().into_iter().flatten() {
        without(process, &["as_wanted", "entered_at", "failures", "waiting", "output"]);
        let runs = process.get_mut("runs").and_then(Value::as_array_mut);
        for run in runs.into_iter().flatten() {
            without(run, &["state", "reason", "is_new", "started_at"]);
        }
    }
    format!("{value:#}\n")
}

fn without(value: &mut Value, keys: &[&str]) {
    if let Some(object) = value.as_object_mut() {
        object.retain(|key, _| !keys.contains(&key.as_str()));
    }
}

fn text(snapshot: &Snapshot, now: Timestamp, style: TerminalStyle) -> String {
    let mut text = head(snapshot, now, style);
    if snapshot.processes.is_empty() {
        text.push_str("no processes\n");
        return text;
    }
    let shown: Vec<ProcessSnapshot> = snapshot.processes.iter().flat_map(rows_of).collect();
    let rows: Vec<Vec<String>> = shown.iter().map(|process| row(process, now)).collect();
    let lines = table(&COLUMNS, &rows, style.columns());
    let mut lines = lines.iter();
    let _ = writeln!(text, "{}", style.painted(lines.next().map_or("", String::as_str), "1"));
    for (line, process) in lines.zip(&shown) {
        let _ = writeln!(text, "{}", colored(line, process, style));
    }
    text.push_str(&explain(snapshot, now, style));
    for process in snapshot.processes.iter().filter(|process| !process.output.is_empty()) {
        text.push_str(&last_lines(process, style));
    }
    text
}

/// The last output lines of a process, below its name.
fn last_lines(process: &ProcessSnapshot, style: TerminalStyle) -> String {
    let mut text = format!("\n{}\n", style.painted(&format!("{} wrote last:", escape(&process.name)), "1"));
    for line in &process.output {
        let line = format!("  {}", escape(line));
        let _ = writeln!(text, "{}", style.columns().map_or(line.clone(), |room| cut(&line, room)));
    }
    text
}

/// The instance, and the state of its configuration.
fn head(snapshot: &Snapshot, now: Timestamp, style: TerminalStyle) -> String {
    let config = &snapshot.config;
    let watch = match config.watch {
        Watch::Events => "",
        Watch::Poll => ", polled every 2s: the kernel does not report changes",
        Watch::Off => ", not watched",
    };
    let path = config.path.to_string_lossy();
    let mut text = format!("{}: generation {}, pid {}{watch}\n", escape(&path), snapshot.generation, snapshot.pid);
    let is_rejected = config.state == ConfigState::Rejected;
    if is_rejected {
        let ago = config.rejected_at.map(|at| short_duration(elapsed(at, now)));
        let ago = ago.map(|ago| format!(" {ago} ago")).unwrap_or_default();
        let rejected = style.painted(&format!("rejected{ago}:"), "1;31");
        let _ = writeln!(text, "{rejected} generation {} stays in force until the file is fixed", snapshot.generation);
    }
    if let Some(RolledBack { generation, to, reason, at }) = &config.rolled_back {
        let ago = short_duration(elapsed(*at, now));
        let rolled_back = style.painted(&format!("rolled back {ago} ago:"), "1;31");
        let _ = writeln!(text, "{rolled_back} generation {generation} was bad ({}); {to} is in force again", escape(reason));
        text.push_str("  change the file, or try it again by `navigator reload --retry`\n");
    }
    if let Some(RolloutSnapshot { state, until: Some(until), .. }) = &snapshot.rollout
        && state == "trial"
    {
        let left = Duration::try_from(until.0.duration_since(now)).unwrap_or_default();
        let left = short_duration(left);
        let outlook = if snapshot.converged {
            format!("good in {left} if nothing fails")
        } else {
            format!("bad in {left} if it isn't good by then")
        };
        let _ = writeln!(text, "{}: {outlook}", style.painted("on trial", "1;33"));
    }
    if config.pending {
        let _ = writeln!(text, "{}: not in force yet", style.painted("changed a moment ago", "1;33"));
    }
    if let Some(source) = &snapshot.source {
        text.push_str(&source_text(source, now, style));
    }
    let severity = if is_rejected { Severity::Error } else { Severity::Warning };
    text.push_str(&rendered(&config.diagnostics, severity, style));
    text
}

/// Pids and times have a minimum width, so that the columns stay in place when `status` is repeated.
const COLUMNS: [Column; 7] = [
    Column::new("NAME"),
    Column::new("STATE"),
    Column { head: "PID", least: 7 },
    Column { head: "UPTIME", least: 6 },
    Column::new("RESTARTS"),
    Column::new("LAST EXIT"),
    Column::new("REASON"),
];

/// A line with its state in colour. The state is one word after the first column.
fn colored(line: &str, process: &ProcessSnapshot, style: TerminalStyle) -> String {
    let color = match process.state {
        ProcessState::Running | ProcessState::Completed => "32",
        ProcessState::Failed | ProcessState::Backoff => "31",
        ProcessState::Stopped => "2",
        ProcessState::Pending | ProcessState::Starting | ProcessState::Stopping => "33",
    };
    let state = process.state.as_str();
    let (before, after) = line.split_at_checked(process.name.len()).unwrap_or((line, ""));
    before.to_owned() + &after.replacen(state, &style.painted(state, color), 1)
}

/// A process, and each further run of it as a row of its own: one that has yet to take over, or that is on its way out.
fn rows_of(process: &ProcessSnapshot) -> Vec<ProcessSnapshot> {
    let main = process.runs.iter().position(|run| run.pid == process.pid).unwrap_or(0);
    let others = process.runs.iter().enumerate().filter(|(place, run)| *place != main && run.pid.is_some());
    let other = |(place, run): (usize, &RunSnapshot)| ProcessSnapshot {
        name: format!("{} ({})", process.name, if place > main { "new" } else { "old" }),
        state: run.state,
        pid: run.pid,
        ready: run.ready,
        stale: false,
        generation: run.generation,
        started_at: run.started_at,
        reason: run.reason.clone(),
        output: Vec::new(),
        ..process.clone()
    };
    std::iter::once(process.clone()).chain(others.map(other)).collect()
}

/// When a scheduled task that doesn't run is started next, behind its reason.
fn next_run(process: &ProcessSnapshot, now: Timestamp) -> String {
    let next = process.next_runs.first().filter(|next| process.pid.is_none() && next.0 > now);
    next.map_or_else(String::new, |next| {
        let left = Duration::try_from(next.0.duration_since(now)).unwrap_or_default();
        format!("; next run in {}", short_duration(left))
    })
}

fn row(process: &ProcessSnapshot, now: Timestamp) -> Vec<String> {
    let dash = || "-".to_owned();
    let uptime = process.started_at.map(|at| short_duration(elapsed(at, now)));
    let exit = match &process.last_exit {
        None => dash(),
        Some(Exit::Code(code)) => code.to_string(),
        Some(Exit::Signal(signal)) => signal.clone(),
        Some(Exit::Unknown(_)) => "unknown".to_owned(),
    };
    let state = if process.stale { format!("{} (stale)", process.state) } else { process.state.to_string() };
    let cells = [
        process.name.clone(),
        state,
        process.pid.map_or_else(dash, |pid| pid.to_string()),
        uptime.unwrap_or_else(dash),
        process.restarts.to_string(),
        exit,
        process.reason.to_string() + &next_run(process, now),
    ];
    cells.iter().map(|cell| escape(cell).into_owned()).collect()
}
