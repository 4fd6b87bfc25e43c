//! Programs that one part of navigator asks another to run: only the runtime starts programs and waits for their end.

use std::time::Duration;
use tokio::sync::oneshot;

/// A program to be run, with an environment of its own.
#[derive(Debug)]
pub struct Errand {
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its variables.
    pub variables: Vec<(&'static str, String)>,
    /// The variables that it inherits.
    pub inherited: &'static [&'static str],
    /// After this time it is killed.
    pub within: Duration,
    /// Receives the outcome.
    pub reply: oneshot::Sender<ErrandOutcome>,
}

/// How a program ended that was asked for.
#[derive(Clone, Debug)]
pub struct ErrandOutcome {
    /// Why it failed, in words.
    pub end: Result<(), String>,
    /// What it wrote to standard output, at most [`MAX_OUTPUT`] bytes.
    pub output: Vec<u8>,
    /// The same of standard error: a program that succeeds may write there, too.
    pub errors: Vec<u8>,
}

/// How much of a program's output is kept, in bytes.
pub const MAX_OUTPUT: u64 = 4 << 20;
