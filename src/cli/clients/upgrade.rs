//! `navigator upgrade`: replaces the running navigator by another version.

use super::super::console::{FAILURE, OK, fail, print};
use super::{InstanceTarget, refused, unanswered};
use crate::paths::absolute;
use crate::terminal::escape;
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Upgrades to the program of this path, or to the file that navigator was started from. `check`: only shows what it would do.
pub(in super::super) fn upgrade(target: &InstanceTarget, binary: Option<&Path>, check: bool, force: bool) -> ExitCode {
    let mut body = json!({ "check": check, "force": force });
    if let Some(path) = binary {
        let Some(path) = absolute(path).to_str().map(str::to_owned) else {
            return fail(FAILURE, "the path of the program is not UTF-8: give it another name");
        };
        body["binary"] = path.into();
    }
    match target.connect().and_then(|mut client| client.post("/v1/upgrade", &body)) {
        Ok((200, answer)) => {
            print(&format!("{}\n", escape(&if check { checked(&answer) } else { done(&answer) })));
            OK.into()
        }
        Ok((_, answer)) => refused(&answer),
        Err(error) => unanswered(&error),
    }
}

fn done(answer: &Value) -> String {
    let (from, to, took) = (text(&answer["from"]), text(&answer["to"]), &answer["milliseconds"]);
    let taken = counted(answer["taken_over"].as_u64().unwrap_or_default());
    let restarted = match answer["restarted"].as_u64() {
        Some(0) | None => "none restarted".to_owned(),
        Some(restarted) => format!("{restarted} restarted"),
    };
    format!("{from} → {to}: {taken} taken over, {restarted}, {took} ms")
}

fn checked(answer: &Value) -> String {
    let restarts = answer["restarts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let would = if restarts.is_empty() {
        "would restart nothing".to_owned()
    } else {
        let fields = |one: &Value| {
            let fields = one["fields"].as_array().into_iter().flatten().map(text).collect::<Vec<_>>().join(", ");
            format!("{} ({fields} differs)", text(&one["name"]))
        };
        format!("would restart {}", restarts.iter().map(fields).collect::<Vec<_>>().join("; "))
    };
    format!("{} → {}: {would}", text(&answer["from"]), text(&answer["to"]))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn counted(processes: u64) -> String {
    if processes == 1 { "1 process".to_owned() } else { format!("{processes} processes") }
}
