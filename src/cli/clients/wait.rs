//! `navigator wait`: ends when everything is as the file says.

use super::super::{OK, print_error};
use super::{Target, refused, unanswered, url};
use crate::snapshot::Snapshot;
use std::process::ExitCode;
use std::time::Duration;

/// It isn't in time.
const NOT_CONVERGED: u8 = 3;

/// Waits for the processes, or for everything.
pub(in super::super) fn wait(target: &Target, names: &[String], timeout: Duration) -> ExitCode {
    let seconds = timeout.as_secs_f64().to_string();
    let pairs = names.iter().map(|name| ("name", name.as_str())).chain([("timeout", seconds.as_str())]);
    let answer = target.connect().and_then(|mut client| client.get(&url("/v1/wait", pairs)));
    let snapshot: Snapshot = match answer {
        Ok((200, _)) => return OK.into(),
        Ok((408, answer)) => match serde_json::from_value(answer) {
            Ok(snapshot) => snapshot,
            Err(error) => return unanswered(&crate::control::ClientError::Broken(error.to_string())),
        },
        Ok((_, answer)) => return refused(&answer),
        Err(error) => return unanswered(&error),
    };
    let is_meant = |name: &String| names.is_empty() || names.contains(name);
    for process in snapshot.processes.iter().filter(|process| is_meant(&process.name)) {
        let is_there = matches!(process.state.as_str(), "running" | "completed" | "stopped") && process.waiting.is_none();
        if !is_there {
            let why = process.waiting.as_ref().unwrap_or(&process.reason);
            print_error(&format!("navigator: {} is {}: {why}\n", process.name, process.state));
        }
    }
    for problem in snapshot.config.diagnostics.iter().filter(|_| !snapshot.converged) {
        print_error(&format!("{}:{}:{}: {}\n", problem.file.display(), problem.line, problem.column, problem.message));
    }
    NOT_CONVERGED.into()
}
