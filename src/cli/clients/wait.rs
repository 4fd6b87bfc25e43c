//! `navigator wait`: waits until all processes are as the file says.

use super::super::console::{OK, print_error};
use super::explain::difference;
use super::{InstanceTarget, refused, rendered, unanswered, url};
use crate::config::Severity;
use crate::snapshot::{ConfigState, ProcessSnapshot, Snapshot};
use crate::terminal::{TerminalStyle, escape, guard};
use jiff::Timestamp;
use reconcile::replica::means;
use std::io::stderr;
use std::process::ExitCode;
use std::time::Duration;

/// The time limit has passed, or what is waited for won't come without help.
const NOT_CONVERGED: u8 = 3;

/// Waits for the named processes; without names, for all.
pub(in super::super) fn wait(target: &InstanceTarget, names: &[String], timeout: Duration) -> ExitCode {
    let seconds = timeout.as_secs_f64().to_string();
    let pairs = names.iter().map(|name| ("name", name.as_str())).chain([("timeout", seconds.as_str())]);
    let answer = target.connect().and_then(|mut client| client.get(&url("/v1/wait", pairs)));
    let snapshot: Snapshot = match answer {
        Ok((200, _)) => return OK.into(),
        Ok((408 | 409, answer)) => match serde_json::from_value(answer) {
            Ok(snapshot) => snapshot,
            Err(error) => return unanswered(&crate::control::ClientError::Broken(error.to_string())),
        },
        Ok((_, answer)) => return refused(&answer),
        Err(error) => return unanswered(&error),
    };
    let is_asked_for = |process: &&ProcessSnapshot| names.is_empty() || names.iter().any(|name| means(name, &process.name));
    let now = Timestamp::now();
    for process in snapshot.processes.iter().filter(|process| !process.as_wanted).filter(is_asked_for) {
        let sentence = format!("{} {}", process.name, difference(process, now));
        print_error(&format!("navigator: {}\n", escape(&sentence)));
    }
    if let Some(undone) = &snapshot.config.rolled_back {
        print_error(&format!("navigator: generation {} was rolled back: {}\n", undone.generation, escape(&undone.reason)));
    }
    if snapshot.config.state == ConfigState::Rejected {
        print_error(&guard(&rendered(&snapshot.config.diagnostics, Severity::Error, TerminalStyle::of(stderr()))));
    }
    NOT_CONVERGED.into()
}
