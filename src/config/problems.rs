//! Problems as they are found, in any order, until they become diagnostics.
//!
//! Collecting is bounded: whoever checks a file need not count.

use super::diagnostic::{Diagnostic, Label, Severity};
use super::excerpt::excerpt;
use super::redact::MaskedWords;
use super::source_map::{SourceMap, SourceSpan, TextId};
use crate::terminal::escape;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Something that is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    severity: Severity,
    span: SourceSpan,
    message: String,
    help: Option<String>,
    labels: Vec<(SourceSpan, String)>,
}

impl Problem {
    pub(super) fn error(span: SourceSpan, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Error, span, message: message.into(), help: None, labels: Vec::new() }
    }

    pub(super) fn warning(span: SourceSpan, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(span, message) }
    }

    pub(super) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// What to write instead.
    #[must_use]
    pub(super) fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }

    /// What to write instead, where something is known.
    #[must_use]
    pub(super) fn maybe_help(self, help: Option<impl Into<String>>) -> Problem {
        Problem { help: help.map(Into::into), ..self }
    }

    /// Another place that belongs to it.
    #[must_use]
    pub(super) fn label(mut self, span: SourceSpan, message: impl Into<String>) -> Problem {
        self.labels.push((span, message.into()));
        self
    }
}

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    /// Places of those, with hashes of their messages: what stands in `defaults` is read once for every process.
    known: HashSet<(SourceSpan, u64)>,
    dropped: usize,
    /// For what an alias stands for, where the alias is: the first one.
    aliases: BTreeMap<TextPosition, SourceSpan>,
}

/// Where something begins.
type TextPosition = (TextId, u32);

/// As many errors are shown at once.
pub const MAX_SHOWN: usize = 100;

/// So many problems are remembered; of the others only the number.
const MAX_REMEMBERED: usize = 2_000;

impl Problems {
    pub(super) fn add(&mut self, problem: Problem) {
        let mut hasher = DefaultHasher::new();
        problem.message.hash(&mut hasher);
        let key = (problem.span, hasher.finish());
        if self.known.contains(&key) {
            return;
        }
        if self.found.len() < MAX_REMEMBERED {
            self.known.insert(key);
            self.found.push(problem);
        } else if problem.is_error() {
            self.dropped += 1;
        }
    }

    /// Adds what is only put into words if it can be remembered. If it can't, it counts as another problem each time.
    pub(super) fn add_with(&mut self, error: impl FnOnce() -> Problem) {
        if self.found.len() < MAX_REMEMBERED { self.add(error()) } else { self.dropped += 1 }
    }

    pub(super) fn add_all(&mut self, problems: impl IntoIterator<Item = Problem>) {
        problems.into_iter().for_each(|problem| self.add(problem));
    }

    /// Remembers that what stands at `defined` is used by an alias.
    pub(super) fn used_by_alias(&mut self, defined: SourceSpan, alias: SourceSpan) {
        self.aliases.entry((defined.text, defined.start)).or_insert(alias);
    }

    /// Whether more problems will be shown. Of others nobody reads what could have been meant.
    pub(super) fn has_room(&self) -> bool {
        self.found.len() < 4 * MAX_SHOWN
    }

    pub(super) fn has_errors(&self) -> bool {
        self.dropped > 0 || self.found.iter().any(Problem::is_error)
    }

    /// Those that people see: in order of place, each once, at most [`MAX_SHOWN`] errors and as many warnings.
    pub(super) fn shown(self, texts: &SourceMap) -> Shown {
        let mut found = self.found;
        found.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
        let mut counts = [0; 2];
        let mut shown = Shown { problems: Vec::new(), omitted: self.dropped };
        for problem in found {
            let count = &mut counts[usize::from(problem.severity == Severity::Warning)];
            *count += 1;
            if *count <= MAX_SHOWN {
                let alias = self.aliases.get(&(problem.span.text, problem.span.start)).copied();
                shown.problems.push(with_alias(problem, alias, texts));
            } else if problem.is_error() {
                shown.omitted += 1;
            }
        }
        shown
    }
}

/// The problems that people see.
pub(super) struct Shown {
    problems: Vec<Problem>,
    /// How many errors there are beyond those.
    omitted: usize,
}

impl Shown {
    /// The places of which people see a line.
    pub(super) fn places(&self) -> impl Iterator<Item = SourceSpan> {
        self.problems.iter().flat_map(|problem| {
            let labels = problem.labels.iter().map(|&(place, _)| place);
            std::iter::once(problem.span).chain(labels)
        })
    }

    /// How people see them, and how many errors there are beyond.
    pub(super) fn diagnosed(self, texts: &SourceMap) -> (Vec<Diagnostic>, usize) {
        (self.problems.into_iter().map(|problem| diagnosed(problem, texts)).collect(), self.omitted)
    }
}

/// A problem of something that an alias stands for belongs to two places.
fn with_alias(problem: Problem, alias: Option<SourceSpan>, texts: &SourceMap) -> Problem {
    match alias {
        Some(alias) => problem.label(alias, format!("`{}` brings it here", texts.slice(alias))),
        None => problem,
    }
}

fn diagnosed(problem: Problem, texts: &SourceMap) -> Diagnostic {
    let position = texts.position(problem.span);
    let hidden = MaskedWords::near(std::iter::once(problem.span).chain(problem.labels.iter().map(|&(span, _)| span)), texts);
    let told = |message: &str| escape(&hidden.redact(message)).into_owned();
    let label = |(span, message): (SourceSpan, String)| {
        let position = texts.position(span);
        Label {
            file: texts.shown_path(span.text).to_owned(),
            line: position.line,
            column: position.column,
            end_column: texts.end_column(span),
            message: told(&message),
            excerpt: excerpt(span, texts),
        }
    };
    Diagnostic {
        severity: problem.severity,
        file: texts.shown_path(problem.span.text).to_owned(),
        line: position.line,
        column: position.column,
        end_column: texts.end_column(problem.span),
        message: told(&problem.message),
        help: problem.help.map(|help| help.split('\n').map(told).collect::<Vec<_>>().join("\n")),
        labels: problem.labels.into_iter().map(label).collect(),
        excerpt: excerpt(problem.span, texts),
    }
}
