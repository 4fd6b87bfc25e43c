//! `navigator source`, `history`, `suspend`, `resume`, `pin`, `rollback`, `accept` and `retry`: the followed repository.

use super::super::console::{FAILURE, OK, fail, print, print_error, print_json};
use super::super::plan_text::brief;
use super::source::{short, source_text};
use super::{InstanceTarget, TIMEOUT, refused, unanswered};
use crate::control::ClientError;
use crate::snapshot::{PlanReport, Snapshot, SourceSnapshot};
use crate::terminal::{TerminalStyle, escape};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::stdout;
use std::process::ExitCode;
use std::time::Duration;

/// Not all conditions are true, or the newest commit is held.
const NOT_SYNCED: u8 = 3;

/// Shows the followed repository alone.
pub(in super::super) fn source(target: &InstanceTarget, as_json: bool) -> ExitCode {
    let answer = match target.connect().and_then(|client| client.within(TIMEOUT).get("/v1/status")) {
        Ok((200, answer)) => answer,
        Ok((_, answer)) => return refused(&answer),
        Err(error) => return unanswered(&error),
    };
    let source = match serde_json::from_value::<Snapshot>(answer) {
        Ok(Snapshot { source: Some(source), .. }) => source,
        Ok(_) => return fail(FAILURE, "no repository is followed: the configuration has no `source`"),
        Err(error) => return unanswered(&ClientError::Broken(error.to_string())),
    };
    if as_json {
        print_json(&format!("{:#}\n", json!(source)));
    } else {
        print(&text(&source, TerminalStyle::of(stdout())));
    }
    let is_well = source.conditions.iter().all(|condition| condition.status == "True");
    if is_well { OK.into() } else { NOT_SYNCED.into() }
}

fn text(source: &SourceSnapshot, style: TerminalStyle) -> String {
    let mut text = source_text(source, Timestamp::now(), style);
    for condition in &source.conditions {
        let line = format!("  {:<9} {} ({}) {}", condition.kind, condition.status, condition.reason, condition.message);
        let _ = writeln!(text, "{}", escape(line.trim_end()));
    }
    text
}

/// Shows what was tried, the newest first.
pub(in super::super) fn history(target: &InstanceTarget, count: usize, all: bool, as_json: bool) -> ExitCode {
    let attempts = match attempts(target) {
        Ok(attempts) => attempts,
        Err(code) => return code,
    };
    let is_shown = |attempt: &&Value| all || attempt["outcome"] != "unchanged";
    let shown: Vec<Value> = attempts.iter().filter(is_shown).take(count).map(without_plan).collect();
    if as_json {
        print_json(&format!("{:#}\n", json!(shown)));
        return OK.into();
    }
    let text: String = shown.iter().map(line).collect();
    print(if text.is_empty() { "nothing was tried yet\n" } else { &text });
    OK.into()
}

/// Shows one attempt: the plan as it was, or why there was none.
pub(in super::super) fn show(target: &InstanceTarget, number: usize, as_json: bool) -> ExitCode {
    let attempts = match attempts(target) {
        Ok(attempts) => attempts,
        Err(code) => return code,
    };
    let shown: Vec<&Value> = attempts.iter().filter(|attempt| attempt["outcome"] != "unchanged").collect();
    let Some(attempt) = number.checked_sub(1).and_then(|place| shown.get(place)) else {
        return fail(FAILURE, &format!("there is no attempt {number}: `navigator history` lists {}", shown.len()));
    };
    if as_json {
        print_json(&format!("{attempt:#}\n"));
        return OK.into();
    }
    let mut text = line(attempt);
    if let Some(message) = attempt["message"].as_str() {
        let _ = writeln!(text, "  {}", escape(message));
    }
    if let Ok(plan) = serde_json::from_value::<PlanReport>(attempt["plan"].clone()) {
        text.push_str(&brief(&plan, TerminalStyle::of(stdout())));
    }
    print(&text);
    OK.into()
}

fn attempts(target: &InstanceTarget) -> Result<Vec<Value>, ExitCode> {
    match target.connect().and_then(|client| client.within(TIMEOUT).get("/v1/history")) {
        Ok((200, Value::Array(attempts))) => Ok(attempts),
        Ok((_, answer)) => Err(refused(&answer)),
        Err(error) => Err(unanswered(&error)),
    }
}

fn without_plan(attempt: &Value) -> Value {
    let mut attempt = attempt.clone();
    if let Some(keys) = attempt.as_object_mut() {
        keys.remove("plan");
    }
    attempt
}

/// An attempt in one line.
fn line(attempt: &Value) -> String {
    let text = |key: &str| attempt[key].as_str().unwrap_or_default().to_owned();
    let reason = attempt["reason"].as_str().map(|reason| format!(" ({reason})")).unwrap_or_default();
    let generation = attempt["generation"].as_u64().map(|number| format!(", generation {number}")).unwrap_or_default();
    let line =
        format!("{}  {}  {}{reason}{generation}  {}", text("at"), short(&text("commit")), text("outcome"), text("subject"));
    format!("{}\n", escape(&line))
}

/// Gives an order about the followed repository, with a revision.
pub(in super::super) fn order_source(target: &InstanceTarget, order: &str, rev: Option<&str>) -> ExitCode {
    send(target, &json!({ "order": order, "rev": rev }))
}

/// Suspends following.
pub(in super::super) fn suspend(target: &InstanceTarget, within: Option<Duration>, reason: Option<&str>) -> ExitCode {
    let seconds = within.map(|within| within.as_secs_f64());
    send(target, &json!({ "order": "suspend", "seconds": seconds, "reason": reason }))
}

fn send(target: &InstanceTarget, body: &Value) -> ExitCode {
    match target.connect().and_then(|mut client| client.post("/v1/source", body)) {
        Ok((200, answer)) => {
            let generation = answer["generation"].as_u64();
            print(&generation.map(|generation| format!("generation {generation}\n")).unwrap_or_default());
            OK.into()
        }
        Ok((409, answer)) if answer["outcome"] == "held" => {
            print_error(&format!("navigator: {}\n", escape(answer["error"].as_str().unwrap_or_default())));
            NOT_SYNCED.into()
        }
        Ok((_, answer)) => refused(&answer),
        Err(error) => unanswered(&error),
    }
}
