//! The commands that talk to a running navigator. Each asks, waits and writes; what is done is decided at the other end.

mod events;
mod explain;
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
use crate::config::{Diagnostic, Excerpt, Severity, render_all};
use crate::control::{Client, ClientError, StateDir};
use crate::snapshot::{self, ConfigProblem};
use crate::terminal::{TerminalStyle, guard};
use form_urlencoded::Serializer;
use serde::Deserialize;
use serde_json::Value;
use std::io::stderr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How long an answer may take that waits for nothing: more than a busy host needs, and less than a person's patience.
const SOON: Duration = Duration::from_secs(10);

/// Which navigator a command is about.
#[derive(Debug)]
pub(super) struct InstanceTarget {
    /// Its configuration.
    pub(super) config: PathBuf,
    /// Where instances keep their state.
    pub(super) state: StateDir,
}

impl InstanceTarget {
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
    let problems = answer["diagnostics"].as_array().into_iter().flatten();
    let problems: Vec<ConfigProblem> = problems.filter_map(|problem| ConfigProblem::deserialize(problem).ok()).collect();
    print_error(&guard(&rendered(&problems, Severity::Error, TerminalStyle::of(stderr()))));
    fail(INVALID, answer["error"].as_str().unwrap_or("the running navigator refused without a reason"))
}

/// Problems as `navigator check` shows them, with the lines that they are about.
fn rendered(problems: &[ConfigProblem], severity: Severity, look: TerminalStyle) -> String {
    let diagnostic = |problem: &ConfigProblem| {
        let ConfigProblem { file, line, column, message, help, excerpt } = problem.clone();
        let excerpt = excerpt.map(|snapshot::ProblemExcerpt { text, start, length }| Excerpt { line: text, start, length });
        let end_column = column + excerpt.as_ref().map_or(1, |excerpt| excerpt.length);
        Diagnostic { severity, file, line, column, end_column, message, help, labels: Vec::new(), excerpt }
    };
    render_all(&problems.iter().map(diagnostic).collect::<Vec<_>>(), 0, look)
}

/// A path with what stands behind its question mark.
fn url<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
