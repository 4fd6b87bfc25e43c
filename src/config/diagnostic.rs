//! What people and machines are told about a text: the finished form of a problem, and its rendering.

use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

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

/// The text of a diagnostic for people, ending in a line break.
pub fn render(diagnostic: &Diagnostic, color: bool) -> String {
    let (word, style) = match diagnostic.severity {
        Severity::Error => ("error", "\x1b[1;31m"),
        Severity::Warning => ("warning", "\x1b[1;33m"),
    };
    let paint = Paint { color };
    let mut out = String::new();
    let place = Place { file: &diagnostic.file, line: diagnostic.line, column: diagnostic.column };
    place.write(&mut out, &paint.with(style, &format!("{word}:")), &paint.with("\x1b[1m", &diagnostic.message));
    write_excerpt(&mut out, diagnostic.line, diagnostic.excerpt.as_ref(), style, paint);
    for label in &diagnostic.labels {
        let place = Place { file: &label.file, line: label.line, column: label.column };
        place.write(&mut out, &paint.with("\x1b[1;34m", "note:"), &label.message);
        write_excerpt(&mut out, label.line, label.excerpt.as_ref(), "\x1b[1;34m", paint);
    }
    if let Some(help) = &diagnostic.help {
        out += &format!("  {} {help}\n", paint.with("\x1b[1;36m", "help:"));
    }
    out
}

/// All diagnostics, and how many errors were left out.
pub fn render_all(diagnostics: &[Diagnostic], omitted: usize, color: bool) -> String {
    let mut out: String = diagnostics.iter().map(|diagnostic| render(diagnostic, color)).collect();
    if omitted > 0 {
        writeln!(out, "and {omitted} more").unwrap_or_default();
    }
    out
}

struct Place<'a> {
    file: &'a Path,
    line: usize,
    column: usize,
}

impl Place<'_> {
    fn write(&self, out: &mut String, kind: &str, message: &str) {
        writeln!(out, "{}:{}:{}: {kind} {message}", self.file.display(), self.line, self.column).unwrap_or_default();
    }
}

#[derive(Clone, Copy)]
struct Paint {
    color: bool,
}

impl Paint {
    fn with(self, style: &str, text: &str) -> String {
        if self.color { format!("{style}{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn write_excerpt(out: &mut String, line: usize, excerpt: Option<&Excerpt>, style: &str, paint: Paint) {
    let Some(excerpt) = excerpt else { return };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    // Tabs are kept, so that the caret stands right however wide a terminal makes them.
    let before: String = excerpt.line.chars().take(excerpt.start).map(|char| if char == '\t' { '\t' } else { ' ' }).collect();
    let caret = paint.with(style, &"^".repeat(excerpt.length));
    writeln!(out, "  {number} | {}", excerpt.line).unwrap_or_default();
    writeln!(out, "  {margin} | {before}{caret}").unwrap_or_default();
}
