//! `navigator status`: how every process stands, and what keeps it from standing otherwise.

use super::super::{OK, look_of, print};
use super::table::{shortened, table};
use super::{Target, refused, unanswered, url};
use crate::config::Look;
use crate::snapshot::{ConfigState, Exit, Process, Snapshot, Watch};
use std::fmt::Write;
use std::io::stdout;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

/// Something isn't as the file says.
const NOT_CONVERGED: u8 = 3;

/// Shows how the processes stand; all of them if none is named.
pub(in super::super) fn status(target: &Target, names: &[String], as_json: bool) -> ExitCode {
    let path = url("/v1/status", names.iter().map(|name| ("name", name.as_str())));
    let answer = match target.connect().and_then(|mut client| client.get(&path)) {
        Ok((200, answer)) => answer,
        Ok((_, answer)) => return refused(&answer),
        Err(error) => return unanswered(&error),
    };
    let snapshot: Snapshot = match serde_json::from_value(answer) {
        Ok(snapshot) => snapshot,
        Err(error) => return unanswered(&crate::control::ClientError::Broken(error.to_string())),
    };
    print(&if as_json { json(&snapshot) } else { text(&snapshot, SystemTime::now(), look_of(stdout())) });
    if snapshot.converged { OK.into() } else { NOT_CONVERGED.into() }
}

/// As the contract has it, one object.
fn json(snapshot: &Snapshot) -> String {
    let mut value = serde_json::json!(snapshot);
    for process in value["processes"].as_array_mut().into_iter().flatten() {
        // What is waited for changes from moment to moment, and lines are lines: they are for people.
        for key in ["waiting", "output"] {
            process.as_object_mut().map(|process| process.remove(key));
        }
    }
    format!("{value:#}\n")
}

fn text(snapshot: &Snapshot, now: SystemTime, look: Look) -> String {
    let mut text = String::new();
    let config = &snapshot.config;
    let watch = match config.watch {
        Watch::Events => "",
        Watch::Poll => ", looked at every 2s: the kernel doesn't tell of changes",
        Watch::Off => ", not watched",
    };
    let _ = writeln!(text, "{}: generation {}, pid {}{watch}", config.path.display(), snapshot.generation, snapshot.pid);
    if config.state == ConfigState::Rejected {
        let _ = writeln!(text, "{}", look.painted("rejected: what stands in the file is not in force", "1;31"));
    }
    for problem in &config.diagnostics {
        let _ = writeln!(text, "  {}:{}:{}: {}", problem.file.display(), problem.line, problem.column, problem.message);
    }
    if snapshot.processes.is_empty() {
        text.push_str("no processes\n");
        return text;
    }
    let rows: Vec<Vec<String>> = snapshot.processes.iter().map(|process| row(process, now)).collect();
    let table = table(&["NAME", "STATE", "PID", "UPTIME", "RESTARTS", "LAST EXIT", "REASON"], &rows, look.columns());
    let mut lines = table.lines();
    let _ = writeln!(text, "{}", look.painted(lines.next().unwrap_or_default(), "1"));
    for (line, process) in lines.zip(&snapshot.processes) {
        let _ = writeln!(text, "{}", colored(line, process, look));
    }
    for process in snapshot.processes.iter().filter(|process| !process.output.is_empty()) {
        text.push_str(&last_lines(process, look));
    }
    text
}

/// What a process wrote last, below its name.
fn last_lines(process: &Process, look: Look) -> String {
    let mut text = format!("\n{}\n", look.painted(&format!("{} wrote last:", process.name), "1"));
    for line in &process.output {
        // What a process writes may hold what moves a cursor or changes a colour.
        let line: String = line.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        let _ = writeln!(text, "{}", shortened(&format!("  {line}"), look.columns()));
    }
    text
}

/// A line with its state in colour; the state stands behind the first column, and is one word.
fn colored(line: &str, process: &Process, look: Look) -> String {
    let color = match process.state.as_str() {
        "running" | "completed" => "32",
        "failed" | "backoff" => "31",
        "stopped" => "2",
        _ => "33",
    };
    let (before, after) = line.split_at(process.name.len().min(line.len()));
    before.to_owned() + &after.replacen(&process.state, &look.painted(&process.state, color), 1)
}

fn row(process: &Process, now: SystemTime) -> Vec<String> {
    let dash = || "-".to_owned();
    let started = process.started_at.as_ref().and_then(|text| humantime_of(text));
    let uptime = started.map(|at| brief(now.duration_since(at).unwrap_or_default()));
    let exit = match &process.last_exit {
        None => dash(),
        Some(Exit::Code(code)) => code.to_string(),
        Some(Exit::Signal(signal)) => signal.clone(),
    };
    let state = if process.stale { format!("{} (stale)", process.state) } else { process.state.clone() };
    let reason = match &process.waiting {
        Some(waiting) => format!("{}; {waiting}", process.reason),
        None => process.reason.clone(),
    };
    vec![
        process.name.clone(),
        state,
        process.pid.map_or_else(dash, |pid| pid.to_string()),
        uptime.unwrap_or_else(dash),
        process.restarts.to_string(),
        exit,
        reason,
    ]
}

/// The moment that an RFC 3339 text of ours names.
fn humantime_of(text: &str) -> Option<SystemTime> {
    crate::runtime::utc::Utc::parse(text).map(SystemTime::from)
}

/// A time as people say it, in its two largest units: `3d4h`, `5m12s`.
fn brief(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m{}s", seconds % 60),
        (0, _, _) => format!("{hours}h{minutes}m"),
        _ => format!("{days}d{hours}h"),
    }
}
