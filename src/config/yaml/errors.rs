//! Why a text can't become a tree, in the words of somebody who writes a configuration.

use super::syntax_hints::{self, Slip};
use crate::config::problems::Problem;
use crate::config::source_map::{SourceMap, SourceSpan, TextId};
use granit_parser::{ErrorKind, ScanError};
use std::ops::Range;

/// Lists and maps may stand in each other this deep.
pub(super) const MAX_DEPTH: usize = 64;

/// As many values, keys, lists and maps a text may have, with those that its aliases stand for. A list or map counts
/// twice, for its beginning and its end. So this is 11,000 processes with arguments, a variable and a restart policy.
pub(super) const MAX_NODES: usize = 200_000;

/// As many anchors, each of which keeps a copy of what it names; and as many nodes in all that they keep.
pub(super) const MAX_ANCHORS: usize = 10_000;
pub(super) const MAX_KEPT: usize = 100_000;

/// All copies that anchors and aliases make may have as many bytes of text, or a small file could fill the memory.
pub(super) const MAX_COPIED: usize = 16 << 20;

/// Why a text can't become a tree.
#[derive(Debug)]
pub(super) enum ParseRefusal {
    /// It is not YAML, for a reason that the library knows.
    Syntax(ScanError),
    /// It is, but can't be taken.
    Here {
        /// The byte at which this is seen.
        at: usize,
        what: Unacceptable,
    },
}

/// What is YAML, but no tree here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unacceptable {
    /// A second document.
    SecondDocument,
    /// Nested beyond [`MAX_DEPTH`].
    TooDeep,
    /// More than [`MAX_NODES`].
    TooLarge,
    /// There are more than [`MAX_ANCHORS`], or what they and their aliases copy is more than [`MAX_KEPT`], [`MAX_NODES`] or
    /// [`MAX_COPIED`].
    TooManyCopies,
    /// An alias of what it stands in.
    WithinItself,
    /// A merge key with something else than maps.
    NoMap,
    /// A tag that says something which a configuration has no use for.
    Tag,
}

/// What people are told.
pub(super) fn problem(refused: &ParseRefusal, text: TextId, texts: &SourceMap) -> Problem {
    let source = texts.text(text);
    let start = match refused {
        ParseRefusal::Here { at, .. } => *at,
        ParseRefusal::Syntax(error) => {
            let place = error.marker();
            place.byte_offset().unwrap_or_else(|| texts.byte_of_char(text, place.index()))
        }
    };
    let start = source.floor_char_boundary(start.min(source.len()));
    if let Some(Slip { place, message, help, also }) = slip(refused, source, start) {
        let at = |place: Range<usize>| SourceSpan::new(text, place);
        let problem = Problem::error(at(place), message).help(help);
        return also.into_iter().fold(problem, |problem, (place, message)| problem.label(at(place), message));
    }
    let end = source[start..].chars().next().filter(|char| !char.is_control()).map_or(start, |char| start + char.len_utf8());
    let (message, help) = match refused {
        ParseRefusal::Syntax(error) => syntax(error),
        ParseRefusal::Here { what, .. } => unacceptable(*what),
    };
    Problem::error(SourceSpan::new(text, start..end), message).maybe_help(help)
}

/// What was probably typed wrong.
fn slip(refused: &ParseRefusal, source: &str, start: usize) -> Option<Slip> {
    match refused {
        ParseRefusal::Syntax(error) if matches!(error.kind(), ErrorKind::UnknownAnchor) => {
            Some(syntax_hints::unknown_alias(source, start))
        }
        ParseRefusal::Syntax(error) => syntax_hints::slip(source, start, error.kind()),
        ParseRefusal::Here { what: Unacceptable::Tag, .. } => syntax_hints::tag(source, start),
        ParseRefusal::Here { what: Unacceptable::NoMap, .. } => syntax_hints::merge(source, start),
        ParseRefusal::Here { .. } => None,
    }
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
            ("the aliases of this document stand for too much", Some("write out what is meant, without nesting aliases"))
        }
        Unacceptable::WithinItself => ("an alias stands within its own anchor", None),
        Unacceptable::NoMap => ("`<<` takes a map or a list of maps", Some("write `<<: *anchor`, or `<<: [*one, *other]`")),
        Unacceptable::Tag => ("this tag means nothing here", Some("remove it")),
    };
    (message.to_owned(), help)
}

fn too_deep() -> (String, Option<&'static str>) {
    (format!("lists and maps are nested deeper than {MAX_DEPTH}"), None)
}

/// What is wrong and what to write instead where nothing better is known.
fn syntax(error: &ScanError) -> (String, Option<&'static str>) {
    let quote = "put the whole value in quotes";
    let indent = "give every key of a map, and every `-` of a list, the same indentation";
    let (message, help) = match error.kind() {
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
        ErrorKind::RecursionLimitExceeded => return too_deep(),
        _ => return (error.info(), None),
    };
    (message.to_owned(), help)
}
