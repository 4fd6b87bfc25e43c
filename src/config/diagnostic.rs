//! What people and machines are told about a text: the finished form of a problem. How it looks is in `render`.

use serde::Serialize;
use std::path::PathBuf;

/// A problem of a configuration, with its place.
///
/// Serialized, it is `{"severity","file","line","column","end_column","message","help","labels"}`. No part of it holds the
/// value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it keeps the configuration from being used.
    pub severity: Severity,
    /// The file, as it was named.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The column behind the last character of the place, on the same line.
    pub end_column: usize,
    /// What is wrong: a fragment of a sentence.
    pub message: String,
    /// What to write instead: a sentence, in further lines perhaps what it means for this text, written out.
    pub help: Option<String>,
    /// Other places that belong to it.
    pub labels: Vec<Label>,
    /// The source line; `None` where there is none to show.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// Whether a problem keeps a configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does.
    Error,
    /// It doesn't.
    Warning,
}

/// Another place that belongs to a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The file, as it was named.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The column behind the last character of the place, on the same line.
    pub end_column: usize,
    /// What is there.
    pub message: String,
    /// The source line.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// A source line as it may be shown, values of variables replaced by `…`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, cropped around the place.
    pub line: String,
    /// How many characters of `line` stand before the place.
    pub start: usize,
    /// How many characters the place has, at least 1.
    pub length: usize,
}
