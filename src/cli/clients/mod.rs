//! The commands that talk to a running navigator. Each asks, waits and writes; what is done is decided at the other end.

mod account;
mod events;
mod logs;
mod orders;
mod plan;
mod status;
mod table;
mod wait;

pub(super) use events::events;
pub(super) use logs::{LogSelection, logs};
pub(super) use orders::{order, reload, signal};
pub(super) use plan::plan;
pub(super) use status::status;
pub(super) use wait::wait;

use super::console::{INVALID, NOT_RUNNING, fail, print_error};
use crate::control::{Client, ClientError, StateDir};
use crate::terminal::{escape, escape_lines};
use form_urlencoded::Serializer;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;

/// Which navigator a command is about.
#[derive(Debug)]
pub(super) struct Target {
    /// Its configuration.
    pub(super) config: PathBuf,
    /// Where instances keep their state.
    pub(super) state: StateDir,
}

impl Target {
    fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.state, &self.config)
    }
}

/// Ends because there is no answer.
fn unanswered(error: &ClientError) -> ExitCode {
    if let ClientError::Refused(answer) = error {
        return refused(answer);
    }
    let code = if matches!(error, ClientError::NotRunning(_)) { NOT_RUNNING } else { INVALID };
    fail(code, &error.to_string())
}

/// Ends because the answer is a refusal: says why, and every diagnostic that came with it.
fn refused(answer: &Value) -> ExitCode {
    for diagnostic in answer["diagnostics"].as_array().into_iter().flatten() {
        let text = |key: &str| escape(diagnostic[key].as_str().unwrap_or_default());
        let place = |key: &str| diagnostic[key].as_u64().unwrap_or_default();
        print_error(&format!("{}:{}:{}: error: {}\n", text("file"), place("line"), place("column"), text("message")));
        if let Some(help) = diagnostic["help"].as_str() {
            // Further lines are indented, so that no text from outside begins a line.
            print_error(&format!("  help: {}\n", escape_lines(help).replace('\n', "\n        ")));
        }
    }
    fail(INVALID, answer["error"].as_str().unwrap_or("the running navigator refused without a reason"))
}

/// A path with what stands behind its question mark.
fn url<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
