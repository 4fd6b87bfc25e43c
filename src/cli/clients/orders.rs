//! `navigator start`, `stop`, `restart`, `signal` and `reload`: give an order and wait for its outcome.

use super::super::console::{FAILURE, OK, USAGE, fail, print, print_error};
use super::{InstanceTarget, TIMEOUT, refused, unanswered};
use crate::control::{Client, ClientError};
use crate::signals;
use crate::terminal::escape;
use serde_json::{Value, json};
use std::process::ExitCode;

/// The newest commit is not in force yet.
const HELD: u8 = 3;

/// Gives the order `verb`, a path under `/v1/`, for these processes.
pub(in super::super) fn order(target: &InstanceTarget, verb: &str, names: &[String]) -> ExitCode {
    if names.is_empty() {
        return no_names(verb);
    }
    send(target.connect(), verb, &json!({ "names": names }))
}

/// Restarts these processes; `now`: they stop first, even if their definitions ask for a rolling replacement.
pub(in super::super) fn restart(target: &InstanceTarget, names: &[String], now: bool) -> ExitCode {
    if names.is_empty() {
        return no_names("restart");
    }
    send(target.connect(), "restart", &json!({ "names": names, "now": now }))
}

/// Sends the processes a signal.
pub(in super::super) fn signal(target: &InstanceTarget, signal: &str, names: &[String]) -> ExitCode {
    if names.is_empty() {
        return no_names(&format!("signal {signal}"));
    }
    if let (None, [name]) = (signals::parse(signal), names)
        && signals::parse(name).is_some()
    {
        return fail(USAGE, &format!("`{signal}` is no signal: write `navigator signal {name} {signal}`"));
    }
    let body = json!({ "names": names, "signal": signal });
    // It is answered at once.
    send(target.connect().map(|client| client.within(TIMEOUT)), "signal", &body)
}

/// Reloads the configuration; with names, makes these processes re-read their own files.
pub(in super::super) fn reload(target: &InstanceTarget, names: &[String], retry: bool) -> ExitCode {
    if !names.is_empty() {
        return order(target, "reload", names);
    }
    match target.connect().and_then(|mut client| client.post("/v1/reload", &json!({ "retry": retry }))) {
        Ok((200, answer)) => {
            let generation = &answer["generation"];
            let changed = answer["changed"] == Value::Bool(true);
            print(&if changed { format!("generation {generation}\n") } else { format!("unchanged: generation {generation}\n") });
            OK.into()
        }
        Ok((409, answer)) => {
            print_error(&format!("navigator: {}\n", escape(answer["error"].as_str().unwrap_or_default())));
            HELD.into()
        }
        Ok((_, answer)) => refused(&answer),
        Err(error) => unanswered(&error),
    }
}

/// The error if there is a configuration and no name.
fn no_names(verb: &str) -> ExitCode {
    fail(USAGE, &format!("no process is named: write `navigator {verb} CONFIG NAME`"))
}

fn send(client: Result<Client, ClientError>, verb: &str, body: &Value) -> ExitCode {
    let answer = match client.and_then(|mut client| client.post(&format!("/v1/{verb}"), body)) {
        Ok((200 | 409, answer)) => answer,
        Ok((_, answer)) => return refused(&answer),
        Err(error) => return unanswered(&error),
    };
    let mut code = OK;
    for result in answer["results"].as_array().into_iter().flatten() {
        if let Some(error) = result["error"].as_str() {
            let name = result["name"].as_str().unwrap_or_default();
            print_error(&format!("navigator: {verb} {}: {}\n", escape(name), escape(error)));
            code = FAILURE;
        }
    }
    code.into()
}
