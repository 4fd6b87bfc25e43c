//! What the check of a file found, before it is written in any format.

use crate::config::Diagnostic;
use std::path::PathBuf;

/// What the check of one file found.
pub(in super::super) struct CheckedFile {
    /// The file, as it was given.
    pub(in super::super) path: PathBuf,
    pub(in super::super) outcome: CheckOutcome,
    pub(in super::super) diagnostics: Vec<Diagnostic>,
    /// How many errors `diagnostics` leaves out.
    pub(in super::super) omitted: usize,
}

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum CheckOutcome {
    Valid,
    Invalid,
    Unreadable,
}

/// What is wrong, and what to write instead, as one text.
pub(super) fn sentence(diagnostic: &Diagnostic) -> String {
    match &diagnostic.help {
        Some(help) => format!("{}\nhelp: {help}", diagnostic.message),
        None => diagnostic.message.clone(),
    }
}
