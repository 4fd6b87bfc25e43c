//! Collects problems, in any order and bounded in number, and turns them into sorted diagnostics.

use super::diagnostic::{Diagnostic, Label, Severity};
use super::excerpt::excerpt;
use super::redact::{IsKey, MaskedWords};
use super::source_map::{SourceMap, SourceSpan, TextId};
use super::subject::Subject;
use crate::terminal::escape;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

/// An error or warning at a span. Its message may name what is being read by [`KEY`] and [`OWNER`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    severity: Severity,
    span: SourceSpan,
    message: String,
    help: Option<String>,
    labels: Vec<(SourceSpan, String)>,
    /// The name of the process that the message names.
    owner: Option<String>,
}

impl Problem {
    pub(super) fn error(span: SourceSpan, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Error, span, message: message.into(), help: None, labels: Vec::new(), owner: None }
    }

    pub(super) fn warning(span: SourceSpan, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Warning, ..Problem::error(span, message) }
    }

    /// Turns an error into a warning.
    #[must_use]
    pub(super) fn into_warning(self) -> Problem {
        Problem { severity: Severity::Warning, ..self }
    }

    pub(super) fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Sets what to write instead.
    #[must_use]
    pub(super) fn help(self, help: impl Into<String>) -> Problem {
        Problem { help: Some(help.into()), ..self }
    }

    /// Sets what to write instead, if there is a suggestion.
    #[must_use]
    pub(super) fn maybe_help(self, help: Option<impl Into<String>>) -> Problem {
        Problem { help: help.map(Into::into), ..self }
    }

    /// Adds a related span.
    #[must_use]
    pub(super) fn label(mut self, span: SourceSpan, message: impl Into<String>) -> Problem {
        self.labels.push((span, message.into()));
        self
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    /// Spans of `found` with hashes of their messages: `defaults` are decoded for each process, and must not repeat a problem.
    seen: HashSet<(SourceSpan, u64)>,
    /// Number of errors beyond [`MAX_REMEMBERED`].
    dropped: usize,
    /// What is being read.
    pub(super) subject: Subject,
    /// The first alias of each anchored node, by the position of that node.
    aliases: BTreeMap<TextPosition, SourceSpan>,
}

/// Start of a node: text and byte offset.
type TextPosition = (TextId, u32);

/// Number of errors, and of warnings, that are shown.
pub const MAX_SHOWN: usize = 100;

/// Number of problems that are stored; further errors are only counted.
const MAX_REMEMBERED: usize = 2_000;

impl Problems {
    /// Adds a problem, unless the same one was added before.
    pub(super) fn add(&mut self, mut problem: Problem) {
        let mut hasher = DefaultHasher::new();
        problem.message.hash(&mut hasher);
        let key = (problem.span, hasher.finish());
        if self.seen.contains(&key) {
            return;
        }
        if self.found.len() < MAX_REMEMBERED {
            self.seen.insert(key);
            problem.message = self.subject.fill_in(&problem.message);
            problem.owner = self.subject.owner_name().map(str::to_owned);
            self.found.push(problem);
        } else if problem.is_error() {
            self.dropped += 1;
        }
    }

    /// Adds an error; formats it only if it will be stored. Otherwise repeated errors are counted each time.
    pub(super) fn add_with(&mut self, error: impl FnOnce() -> Problem) {
        if self.found.len() < MAX_REMEMBERED { self.add(error()) } else { self.dropped += 1 }
    }

    pub(super) fn add_all(&mut self, problems: impl IntoIterator<Item = Problem>) {
        problems.into_iter().for_each(|problem| self.add(problem));
    }

    /// Records that an alias refers to the node at `defined`.
    pub(super) fn used_by_alias(&mut self, defined: SourceSpan, alias: SourceSpan) {
        self.aliases.entry((defined.text, defined.start)).or_insert(alias);
    }

    /// Whether a new problem may be shown. If not, suggestions for it are not worth computing.
    pub(super) fn has_room(&self) -> bool {
        self.found.len() < 4 * MAX_SHOWN
    }

    pub(super) fn has_errors(&self) -> bool {
        self.dropped > 0 || self.found.iter().any(Problem::is_error)
    }

    /// Selects the problems to show, in order of position: at most [`MAX_SHOWN`] errors and as many warnings.
    pub(super) fn into_shown(self, texts: &SourceMap) -> ShownProblems {
        let mut found = self.found;
        found.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
        let mut counts = [0; 2];
        let mut shown = ShownProblems { problems: Vec::new(), omitted: self.dropped };
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

/// The problems to show.
pub(super) struct ShownProblems {
    problems: Vec<Problem>,
    /// Number of errors that are left out.
    omitted: usize,
}

impl ShownProblems {
    /// The spans that are shown with an excerpt.
    pub(super) fn places(&self) -> impl Iterator<Item = SourceSpan> {
        self.problems.iter().flat_map(|problem| {
            let labels = problem.labels.iter().map(|&(place, _)| place);
            std::iter::once(problem.span).chain(labels)
        })
    }

    /// The diagnostics, and the number of errors that are left out.
    pub(super) fn into_diagnostics(self, texts: &SourceMap, is_key: IsKey) -> (Vec<Diagnostic>, usize) {
        (self.problems.into_iter().map(|problem| to_diagnostic(problem, texts, is_key)).collect(), self.omitted)
    }
}

/// Labels a problem of an anchored node with the alias that uses it.
fn with_alias(problem: Problem, alias: Option<SourceSpan>, texts: &SourceMap) -> Problem {
    match alias {
        Some(alias) => problem.label(alias, format!("used here by `{}`", texts.slice(alias))),
        None => problem,
    }
}

fn to_diagnostic(problem: Problem, texts: &SourceMap, is_key: IsKey) -> Diagnostic {
    let position = texts.position(problem.span);
    let hidden =
        MaskedWords::near(std::iter::once(problem.span).chain(problem.labels.iter().map(|&(span, _)| span)), texts, is_key);
    let owner = problem.owner;
    let sanitize = |message: &str| escape(&hidden.redact(message, owner.as_deref())).into_owned();
    let label = |(span, message): (SourceSpan, String)| {
        let position = texts.position(span);
        Label {
            file: texts.shown_path(span.text).to_owned(),
            line: position.line,
            column: position.column,
            end_column: texts.end_column(span),
            message: sanitize(&message),
            excerpt: excerpt(span, texts),
        }
    };
    Diagnostic {
        severity: problem.severity,
        file: texts.shown_path(problem.span.text).to_owned(),
        line: position.line,
        column: position.column,
        end_column: texts.end_column(problem.span),
        message: sanitize(&problem.message),
        help: problem.help.map(|help| help.split('\n').map(sanitize).collect::<Vec<_>>().join("\n")),
        labels: problem.labels.into_iter().map(label).collect(),
        excerpt: excerpt(problem.span, texts),
    }
}
