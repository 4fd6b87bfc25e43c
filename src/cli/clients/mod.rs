//! The commands for a running navigator. Each sends a request, waits and prints the answer.

mod apply;
mod compare;
mod events;
mod explain;
mod following;
mod logs;
mod orders;
mod plan;
mod source;
mod status;
mod table;
mod upgrade;
mod wait;

pub(super) use apply::apply;
pub(super) use compare::compare;
pub(super) use events::events;
pub(super) use following::{history, order_source, show, source, suspend};
pub(super) use logs::{LineNotation, LogSelection, logs};
pub(super) use orders::{order, reload, restart, signal};
pub(super) use plan::{PlanView, plan};
pub(super) use status::status;
pub(super) use upgrade::upgrade;
pub(super) use wait::wait;

use super::console::{FAILURE, NOT_RUNNING, USAGE, fail, print_error};
use super::locate::NoConfiguration;
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

/// The timeout of requests that are answered at once.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The navigator that a command is for.
#[derive(Debug)]
pub(super) struct InstanceTarget {
    /// Its configuration; `None`: the only navigator that runs.
    pub(super) config: Option<PathBuf>,
    /// The state directory.
    pub(super) state: StateDir,
    /// The options that name them, for a command line to be shown.
    pub(super) options: String,
}

impl InstanceTarget {
    fn connect(&self) -> Result<Client, ClientError> {
        Client::connect(&self.state, self.config.as_deref())
    }
}

/// Prints why there is no answer. Returns the exit code.
fn unanswered(error: &ClientError) -> ExitCode {
    if let ClientError::Refused(answer) = error {
        return refused(answer);
    }
    let code = match error {
        ClientError::NotRunning(_) | ClientError::OnlyKeeper { .. } => NOT_RUNNING,
        ClientError::NoneRunning => return fail(NOT_RUNNING, &format!("no navigator runs, and there is {NoConfiguration}")),
        ClientError::SeveralRunning(_) => USAGE,
        _ => FAILURE,
    };
    fail(code, &error.to_string())
}

/// Prints why a request was refused, with all diagnostics. Returns the exit code.
fn refused(answer: &Value) -> ExitCode {
    print_problems(&problems(answer));
    fail(FAILURE, answer["error"].as_str().unwrap_or("the running navigator refused without a reason"))
}

/// The diagnostics of an answer.
fn problems(answer: &Value) -> Vec<ConfigProblem> {
    let problems = answer["diagnostics"].as_array().into_iter().flatten();
    problems.filter_map(|problem| ConfigProblem::deserialize(problem).ok()).collect()
}

fn print_problems(problems: &[ConfigProblem]) {
    print_error(&guard(&rendered(problems, Severity::Error, TerminalStyle::of(stderr()))));
}

/// Problems in the format of `navigator check`, with their source lines.
fn rendered(problems: &[ConfigProblem], severity: Severity, style: TerminalStyle) -> String {
    let diagnostic = |problem: &ConfigProblem| {
        let ConfigProblem { file, line, column, message, help, excerpt } = problem.clone();
        let excerpt = excerpt.map(|snapshot::ProblemExcerpt { text, start, length }| Excerpt { line: text, start, length });
        let end_column = column + excerpt.as_ref().map_or(1, |excerpt| excerpt.length);
        Diagnostic { severity, file, line, column, end_column, message, help, labels: Vec::new(), excerpt }
    };
    render_all(&problems.iter().map(diagnostic).collect::<Vec<_>>(), 0, style)
}

/// A path with a query.
fn url<'a>(path: &str, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let query = Serializer::new(String::new()).extend_pairs(pairs).finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
