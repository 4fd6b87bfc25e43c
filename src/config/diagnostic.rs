//! Diagnostics: errors and warnings with their positions, for people and as JSON. `render` formats them as text.

use serde::Serialize;
use std::path::PathBuf;

/// An error or warning with its position.
///
/// JSON: `{"severity","file","line","column","end_column","message","help","labels"}`. No part contains the value of a
/// variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it makes the configuration invalid.
    pub severity: Severity,
    /// The file, as it was given.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The column after the last character of the span, on the same line.
    pub end_column: usize,
    /// What is wrong: a fragment of a sentence.
    pub message: String,
    /// What to write instead: a sentence; further lines may hold the corrected text.
    pub help: Option<String>,
    /// Related positions.
    pub labels: Vec<Label>,
    /// The source line; `None` if it is empty.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

impl Diagnostic {
    /// `file:line:column`, which editors understand.
    pub fn place(&self) -> String {
        format!("{}:{}:{}", self.file.display(), self.line, self.column)
    }
}

/// Whether a problem makes a configuration invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The configuration is rejected.
    Error,
    /// The configuration is accepted.
    Warning,
}

/// A position related to a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The file, as it was given.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The column after the last character of the span, on the same line.
    pub end_column: usize,
    /// What is at this position.
    pub message: String,
    /// The source line; `None` if it is empty.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// A source line with the values of variables replaced by `…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, cropped around the marked part.
    pub line: String,
    /// Where the marked part begins in `line`, in characters from 0.
    pub start: usize,
    /// Length of the marked part in characters, at least 1.
    pub length: usize,
}
