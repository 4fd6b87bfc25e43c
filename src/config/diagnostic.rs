//! What people and machines are told about a text: the finished form of a problem, and its rendering.

use serde::Serialize;
use std::path::{Path, PathBuf};
use unicode_width::UnicodeWidthChar;

/// A problem of a configuration, with its place.
///
/// Serialized, it is `{"file","line","column","message","help"}`. No part of it holds the value of a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether it keeps the configuration from being used.
    #[serde(skip)]
    pub severity: Severity,
    /// The file, as it was named.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong: a fragment of a sentence.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Other places that belong to it.
    #[serde(skip)]
    pub labels: Vec<Label>,
    /// The source line; `None` where there is none to show.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// Whether a problem keeps a configuration from being used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It does.
    Error,
    /// It doesn't.
    Warning,
}

/// Another place that belongs to a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The file, as it was named.
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is there.
    pub message: String,
    /// The source line.
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

const ERROR: &str = "1;31";
const WARNING: &str = "1;33";
const NOTE: &str = "1;34";
const HELP: &str = "1;36";

/// The text of a diagnostic for people, ending in a line break.
pub fn render(diagnostic: &Diagnostic, color: bool) -> String {
    let (word, style) = match diagnostic.severity {
        Severity::Error => ("error:", ERROR),
        Severity::Warning => ("warning:", WARNING),
    };
    let Diagnostic { file, line, column, message, .. } = diagnostic;
    let mut lines = vec![format!("{}:{line}:{column}: {} {message}", shown_path(file), painted(word, style, color))];
    lines.extend(excerpt_lines(*line, diagnostic.excerpt.as_ref(), style, color));
    for Label { file, line, column, message, excerpt } in &diagnostic.labels {
        lines.push(format!("{}:{line}:{column}: {} {message}", shown_path(file), painted("note:", NOTE, color)));
        lines.extend(excerpt_lines(*line, excerpt.as_ref(), NOTE, color));
    }
    lines.extend(diagnostic.help.iter().map(|help| format!("  {} {help}", painted("help:", HELP, color))));
    lines.push(String::new());
    lines.join("\n")
}

/// All diagnostics, and how many errors were left out.
pub fn render_all(diagnostics: &[Diagnostic], omitted: usize, color: bool) -> String {
    let mut out: String = diagnostics.iter().map(|diagnostic| render(diagnostic, color)).collect();
    if omitted > 0 {
        out.extend(["and ", &omitted.to_string(), " more\n"]);
    }
    out
}

/// The source line, and below it a caret under every character of the place.
fn excerpt_lines(line: usize, excerpt: Option<&Excerpt>, style: &str, color: bool) -> Vec<String> {
    let Some(Excerpt { line: shown, start, length }) = excerpt else { return Vec::new() };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    // A tab stays a tab, so that the caret stands right however wide a terminal makes it.
    let blank = |char: char| if char == '\t' { "\t".to_owned() } else { " ".repeat(char.width().unwrap_or(0)) };
    let before: String = shown.chars().take(*start).map(blank).collect();
    let width = shown.chars().skip(*start).take(*length).filter_map(UnicodeWidthChar::width).sum::<usize>().max(1);
    vec![format!("  {number} | {shown}"), format!("  {margin} | {before}{}", painted(&"^".repeat(width), style, color))]
}

/// A path without characters that would move a terminal's cursor.
fn shown_path(path: &Path) -> String {
    printable(&path.to_string_lossy())
}

/// A text in which characters that would move a terminal's cursor, or worse, are written out.
pub(super) fn printable(text: &str) -> String {
    text.chars().flat_map(|char| if char.is_control() { char.escape_default().collect::<Vec<_>>() } else { vec![char] }).collect()
}

fn painted(text: &str, style: &str, color: bool) -> String {
    if color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
}
