//! Turns parser errors and refusals of a text into problems that say what to write instead.

use super::repair::{Edit, Repairs};
use super::syntax_hints::{self, SyntaxHint};
use crate::config::problems::Problem;
use crate::config::source_map::{SourceSpan, TextId};
use crate::config::subject::KEY;
use granit_parser::{ErrorKind, ScanError};
use std::ops::Range;

/// How deep lists and maps may be nested.
pub(super) const MAX_DEPTH: usize = 64;

/// The most values, keys, lists and maps in a text, including copies by aliases. A list or map counts twice, for its beginning
/// and its end. So this allows 11,000 processes with arguments, a variable and a restart policy.
pub(super) const MAX_NODES: usize = 200_000;

/// The most anchors, and the most nodes that they store.
pub(super) const MAX_ANCHORS: usize = 10_000;
pub(super) const MAX_KEPT: usize = 100_000;

/// The most bytes of text in all copies that anchors and aliases make; otherwise a small file could fill the memory.
pub(super) const MAX_COPIED: usize = 16 << 20;

/// Why a text can't become a tree.
#[derive(Debug)]
pub(super) enum ParseRefusal {
    /// The library's reason why it is not YAML.
    Syntax(ScanError),
    /// It is YAML, but not acceptable here.
    Here {
        /// The byte at which this was found.
        at: usize,
        what: Unacceptable,
    },
}

/// What is valid YAML, but not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unacceptable {
    /// A second document.
    SecondDocument,
    /// Nested deeper than [`MAX_DEPTH`].
    TooDeep,
    /// More than [`MAX_NODES`].
    TooLarge,
    /// More than [`MAX_ANCHORS`], or copies of more than [`MAX_KEPT`], [`MAX_NODES`] or [`MAX_COPIED`].
    TooManyCopies,
    /// An alias within the node that it refers to.
    RecursiveAlias,
    /// A merge key with something other than maps.
    MergeOfNonMap,
    /// A tag without a meaning for a configuration.
    Tag,
}

/// The problems to report for a refusal of `source`, and the edits with which the rest may be YAML. `repairs` led to that source.
pub(super) fn problems(refusal: &ParseRefusal, text: TextId, source: &str, repairs: &Repairs) -> (Vec<Problem>, Vec<Edit>) {
    let start = match refusal {
        ParseRefusal::Here { at, .. } => *at,
        ParseRefusal::Syntax(error) => {
            let place = error.marker();
            let by_index = || source.char_indices().nth(place.index()).map_or(source.len(), |(at, _)| at);
            place.byte_offset().unwrap_or_else(by_index)
        }
    };
    let start = source.floor_char_boundary(start.min(source.len()));
    let at = |place: &Range<usize>| SourceSpan::new(text, repairs.original(place));
    let hints = hints(refusal, source, start);
    if !hints.is_empty() {
        let repair = if let [SyntaxHint { repair, .. }] = &*hints { repair.clone() } else { Vec::new() };
        let problem = |SyntaxHint { place, message, help, also, .. }: SyntaxHint| {
            let message = syntax_hints::fill_in(&message, source, place.start);
            let problem = Problem::error(at(&place), message).help(help);
            also.into_iter().fold(problem, |problem, (place, message)| problem.label(at(&place), message))
        };
        return (hints.into_iter().map(problem).collect(), repair);
    }
    let end = source[start..].chars().next().filter(|char| !char.is_control()).map_or(start, |char| start + char.len_utf8());
    let (message, help) = match refusal {
        ParseRefusal::Syntax(error) => syntax(error),
        ParseRefusal::Here { what, .. } => unacceptable(*what),
    };
    let message = message.replace("{}", KEY);
    let message = syntax_hints::fill_in(&message, source, start);
    (vec![Problem::error(at(&(start..end)), message).maybe_help(help)], Vec::new())
}

/// Guesses at the mistake; several where one kind of mistake is on several lines.
fn hints(refusal: &ParseRefusal, source: &str, start: usize) -> Vec<SyntaxHint> {
    let hint = match refusal {
        ParseRefusal::Syntax(error) if matches!(error.kind(), ErrorKind::UnknownAnchor) => {
            Some(syntax_hints::unknown_alias(source, start))
        }
        ParseRefusal::Syntax(error) => return syntax_hints::hints(source, start, error.kind()),
        ParseRefusal::Here { what: Unacceptable::Tag, .. } => syntax_hints::tag(source, start),
        ParseRefusal::Here { what: Unacceptable::MergeOfNonMap, .. } => syntax_hints::merge(source, start),
        ParseRefusal::Here { .. } => None,
    };
    hint.into_iter().collect()
}

fn unacceptable(what: Unacceptable) -> (String, Option<&'static str>) {
    let (message, help) = match what {
        Unacceptable::SecondDocument => {
            ("a second YAML document begins here", Some("a configuration is one document: remove the `---`"))
        }
        Unacceptable::TooDeep => return too_deep(),
        Unacceptable::TooLarge => {
            return (
                format!("this document is too large: it has more than {MAX_NODES} values, keys, lists and maps"),
                Some("split it with `include`"),
            );
        }
        Unacceptable::TooManyCopies => {
            ("the aliases of this document expand to too many values", Some("write the values out instead of nesting aliases"))
        }
        Unacceptable::RecursiveAlias => ("the alias in {} is inside its own anchor", Some("write the value out")),
        Unacceptable::MergeOfNonMap => {
            ("`<<` takes a map or a list of maps", Some("write `<<: *anchor`, or `<<: [*one, *other]`"))
        }
        Unacceptable::Tag => ("the YAML tag in {} is not supported", Some("remove it")),
    };
    (message.to_owned(), help)
}

fn too_deep() -> (String, Option<&'static str>) {
    (format!("lists and maps are nested deeper than {MAX_DEPTH}"), None)
}

/// The message and help where there is no better guess.
fn syntax(error: &ScanError) -> (String, Option<&'static str>) {
    let quote = "put the whole value in quotes";
    let indent = "give every key of a map, and every `-` of a list, the same indentation";
    let (message, help) = match error.kind() {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a `:` is not allowed in {}", Some("put a value with `: ` in quotes, or fix the indentation of this line"))
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::InvalidBlockEntryWhitespace
        | ErrorKind::InvalidMappingValueWhitespace => ("a tab is not allowed in {}", Some("indent with spaces")),
        ErrorKind::UnclosedQuotedScalar => {
            ("the quote in {} is never closed", Some("write the same quote at the end of the value"))
        }
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => {
            ("the bracket in {} is never closed", Some("write the closing bracket at the end of the value"))
        }
        ErrorKind::MisplacedFlowCollectionEnd | ErrorKind::MismatchedFlowCollectionEnd { .. } => {
            ("the bracket in {} closes no open bracket", Some("remove it, or put the value in quotes"))
        }
        ErrorKind::UnexpectedCharacter { character } => {
            return (format!("{KEY} can't begin with `{character}`"), Some(quote));
        }
        ErrorKind::ExpectedBlockMappingKey => ("a key is expected after {}", Some(indent)),
        ErrorKind::ExpectedBlockSequenceEntry => ("a `-` is expected before {}", Some(indent)),
        ErrorKind::BlockSequenceEntryNotAllowed => ("a list can't begin in {}", Some("begin it on its own line")),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => {
            ("a `:` is missing after {}", Some("write a `:` and a space after each key"))
        }
        ErrorKind::InvalidIndentation => ("the indentation of {} matches no line above", Some(indent)),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("text follows the closing quote of {}", Some(quote))
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            ("a backslash in {} begins no YAML escape", Some("write `\\\\` for a backslash, or use single quotes"))
        }
        ErrorKind::RecursionLimitExceeded => return too_deep(),
        _ => return (error.info(), None),
    };
    (message.to_owned(), help)
}
