//! What the YAML library refuses, in the words of somebody who writes a configuration.

use super::MAX_DEPTH;
use super::slips::{self, Slip};
use crate::config::problems::Problem;
use crate::config::texts::{Span, TextId, Texts};
use serde_yaml::Error;
use serde_yaml::budget::BudgetBreach;
use serde_yaml::granit_parser::ErrorKind;
use serde_yaml::localizer::ExternalMessageSource;
use std::ops::Range;

/// A problem from what the library refuses.
pub(super) fn refused(error: &Error, text: TextId, texts: &Texts) -> Problem {
    let start = error.location().map_or(0, |location| {
        let span = location.span();
        match span.byte_offset().and_then(|offset| usize::try_from(offset).ok()) {
            Some(offset) => offset,
            None => texts.byte_of_char(text, usize::try_from(span.offset()).unwrap_or(usize::MAX)),
        }
    });
    let source = texts.text(text);
    let start = source.floor_char_boundary(start.min(source.len()));
    if let Some(Slip { place, message, help, also }) = slip(error, source, start) {
        let at = |place: Range<usize>| Span { text, start: place.start, end: place.end };
        let problem = Problem::error(at(place), message).help(help);
        return also.into_iter().fold(problem, |problem, (place, message)| problem.label(at(place), message));
    }
    let end = source[start..].chars().next().filter(|char| !char.is_control()).map_or(start, |char| start + char.len_utf8());
    let (message, help) = explained(error);
    Problem::error(Span { text, start, end }, message).maybe_help(help)
}

/// What was probably typed wrong.
fn slip(error: &Error, source: &str, start: usize) -> Option<Slip> {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => slip(error, source, start),
        Error::UnsupportedTag { .. } => slips::tag(source, start),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => slips::merge(source, start),
        Error::UnknownAnchor { .. } => Some(slips::unknown_alias(source, start)),
        Error::ExternalMessage { source: cause, .. } => match &**cause {
            ExternalMessageSource::Parser(scan) => slips::slip(source, start, scan.kind()),
            _ => None,
        },
        _ => None,
    }
}

/// What is wrong and what to write instead, in the words of somebody who writes a configuration.
fn explained(error: &Error) -> (String, Option<&'static str>) {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => explained(error),
        Error::ExternalMessage { source, msg, .. } => match &**source {
            ExternalMessageSource::Parser(scan) => explained_syntax(scan.kind(), msg),
            _ => (msg.clone(), None),
        },
        Error::MultipleDocuments { .. } => {
            ("a second YAML document begins here".to_owned(), Some("a configuration is one document: remove the `---`"))
        }
        Error::UnknownAnchor { .. } => (
            "this alias names no anchor".to_owned(),
            Some("a value that begins with `*` is an alias: put it in quotes if it is text"),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => ("an alias stands within its own anchor".to_owned(), None),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            ("`<<` takes a map or a list of maps".to_owned(), Some("write `<<: *anchor`, or `<<: [*one, *other]`"))
        }
        Error::Budget { breach, .. } => explained_budget(breach),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            "the aliases of this document stand for too much".to_owned(),
            Some("write out what is meant, without nesting aliases"),
        ),
        other => (without_place(&other.to_string()), None),
    }
}

fn explained_budget(breach: &BudgetBreach) -> (String, Option<&'static str>) {
    match breach {
        BudgetBreach::Depth { .. } => (format!("lists and maps are nested deeper than {MAX_DEPTH}"), None),
        BudgetBreach::Documents { .. } => {
            ("a second YAML document begins here".to_owned(), Some("a configuration is one document: remove the `---`"))
        }
        BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => (
            "the aliases of this document stand for too much".to_owned(),
            Some("write out what is meant, without nesting aliases"),
        ),
        _ => ("this document is too large".to_owned(), Some("split it with `include`")),
    }
}

fn explained_syntax(kind: &ErrorKind, message: &str) -> (String, Option<&'static str>) {
    let quote = "put the whole value in quotes";
    let indent = "give every key of a map, and every `-` of a list, the same indentation";
    let (message, help) = match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a `:` is not allowed here", Some("put a value that holds `: ` in quotes, or mend the indentation of this line"))
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::InvalidBlockEntryWhitespace
        | ErrorKind::InvalidMappingValueWhitespace => ("a tab is not allowed here", Some("indent with spaces")),
        ErrorKind::UnclosedQuotedScalar => ("this quote is never closed", None),
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => ("this bracket is never closed", None),
        ErrorKind::MisplacedFlowCollectionEnd | ErrorKind::MismatchedFlowCollectionEnd { .. } => {
            ("this bracket closes none that is open", None)
        }
        ErrorKind::UnexpectedCharacter { character } => {
            return (format!("a value can't begin with `{character}`"), Some(quote));
        }
        ErrorKind::ExpectedBlockMappingKey => ("a key is expected here", Some(indent)),
        ErrorKind::ExpectedBlockSequenceEntry => ("a `-` is expected here", Some(indent)),
        ErrorKind::BlockSequenceEntryNotAllowed => ("a list can't begin here", Some("begin it on a line of its own")),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => ("a `:` is missing behind this key", None),
        ErrorKind::InvalidIndentation => ("the indentation fits nothing above", Some(indent)),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("nothing may follow the closing quote", Some(quote))
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            ("a backslash in this value begins no known escape", Some("write `\\\\` for a backslash, or use single quotes"))
        }
        ErrorKind::RecursionLimitExceeded => return (format!("lists and maps are nested deeper than {MAX_DEPTH}"), None),
        _ => return (message.to_owned(), None),
    };
    (message.to_owned(), help)
}

/// The library adds the place to some messages; it stands in front of ours already.
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}
