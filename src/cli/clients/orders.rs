//! `navigator start`, `stop`, `restart`, `signal` and `reload`: orders by hand, which wait for their outcome.

use super::super::console::{INVALID, OK, print, print_error};
use super::{InstanceTarget, SOON, refused, unanswered};
use crate::control::{Client, ClientError};
use crate::terminal::escape;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Orders `word` (a path under `/v1/`) of these processes.
pub(in super::super) fn order(target: &InstanceTarget, word: &str, names: &[String]) -> ExitCode {
    send(target.connect(), word, &json!({ "names": names }))
}

/// Sends the processes a signal.
pub(in super::super) fn signal(target: &InstanceTarget, signal: &str, names: &[String]) -> ExitCode {
    let body = json!({ "names": names, "signal": signal });
    // To send one waits for nothing.
    send(target.connect().map(|client| client.within(SOON)), "signal", &body)
}

/// Has the configuration read again or, where processes are named, has them read their own files again.
pub(in super::super) fn reload(target: &InstanceTarget, names: &[String]) -> ExitCode {
    if !names.is_empty() {
        return order(target, "reload", names);
    }
    match target.connect().and_then(|mut client| client.post("/v1/reload", &json!({}))) {
        Ok((200, answer)) => {
            let generation = &answer["generation"];
            let changed = answer["changed"] == Value::Bool(true);
            print(&if changed { format!("generation {generation}\n") } else { format!("unchanged: generation {generation}\n") });
            OK.into()
        }
        Ok((_, answer)) => refused(&answer),
        Err(error) => unanswered(&error),
    }
}

fn send(client: Result<Client, ClientError>, word: &str, body: &Value) -> ExitCode {
    let answer = match client.and_then(|mut client| client.post(&format!("/v1/{word}"), body)) {
        Ok((200 | 409, answer)) => answer,
        Ok((_, answer)) => return refused(&answer),
        Err(error) => return unanswered(&error),
    };
    let mut code = OK;
    for result in answer["results"].as_array().into_iter().flatten() {
        if let Some(error) = result["error"].as_str() {
            let name = result["name"].as_str().unwrap_or_default();
            print_error(&format!("navigator: {word} {}: {}\n", escape(name), escape(error)));
            code = INVALID;
        }
    }
    code.into()
}
