//! Problems as they are found, in any order, until they become diagnostics.
//!
//! Collecting is bounded: whoever checks a file need not count.

use super::MAX_SHOWN;
use super::diagnostic::{Diagnostic, Label, Severity, printable};
use super::excerpt::excerpt;
use super::texts::{Span, Texts};
use std::collections::HashSet;

/// Something that is wrong at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    severity: Severity,
    span: Span,
    message: String,
    help: Option<String>,
    labels: Vec<(Span, String)>,
}

impl Problem {
    pub(super) fn error(span: Span, message: impl Into<String>) -> Problem {
        Problem { severity: Severity::Error, span, message: message.into(), help: None, labels: Vec::new() }
    }

    pub(super) fn warning(span: Span, message: impl Into<String>) -> Problem {
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
    pub(super) fn label(mut self, span: Span, message: impl Into<String>) -> Problem {
        self.labels.push((span, message.into()));
        self
    }
}

/// Everything found so far.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: Vec<Problem>,
    /// Places and messages of those: what stands in `defaults` is read once for every process.
    known: HashSet<(Span, String)>,
    dropped: usize,
}

/// So many problems are remembered; of the others only the number.
const MAX_REMEMBERED: usize = 20_000;

impl Problems {
    pub(super) fn add(&mut self, problem: Problem) {
        if self.known.contains(&(problem.span, problem.message.clone())) {
            return;
        }
        if self.found.len() < MAX_REMEMBERED {
            self.known.insert((problem.span, problem.message.clone()));
            self.found.push(problem);
        } else if problem.is_error() {
            self.dropped += 1;
        }
    }

    pub(super) fn has_errors(&self) -> bool {
        self.dropped > 0 || self.found.iter().any(Problem::is_error)
    }

    /// The problems as people see them: in order of place, each once, at most [`MAX_SHOWN`] errors and as many warnings;
    /// and how many errors there are beyond those.
    pub(super) fn finish(self, texts: &Texts) -> (Vec<Diagnostic>, usize) {
        let mut found = self.found;
        found.sort_by(|a, b| (a.span, &a.message).cmp(&(b.span, &b.message)));
        let (mut shown, mut omitted) = ([0; 2], self.dropped);
        let mut diagnostics = Vec::new();
        for problem in found {
            let count = &mut shown[usize::from(problem.severity == Severity::Warning)];
            *count += 1;
            if *count <= MAX_SHOWN {
                diagnostics.push(diagnosed(problem, texts));
            } else if problem.is_error() {
                omitted += 1;
            }
        }
        (diagnostics, omitted)
    }
}

fn diagnosed(problem: Problem, texts: &Texts) -> Diagnostic {
    let position = texts.position(problem.span);
    let label = |(span, message): (Span, String)| {
        let position = texts.position(span);
        Label {
            file: texts.path(span.text).to_owned(),
            line: position.line,
            column: position.column,
            message: printable(&message),
            excerpt: excerpt(span, texts),
        }
    };
    Diagnostic {
        severity: problem.severity,
        file: texts.path(problem.span.text).to_owned(),
        line: position.line,
        column: position.column,
        message: printable(&problem.message),
        help: problem.help.as_deref().map(printable),
        labels: problem.labels.into_iter().map(label).collect(),
        excerpt: excerpt(problem.span, texts),
    }
}
