//! YAML text → tree, and values → YAML text. This module and those below it are the only ones that know YAML libraries.
//!
//! One library reads syntax and says where each part stands. What the parts make is put together by `compose`, with the copies
//! that aliases ask for by `anchors`. Every scalar keeps the characters it is written with: what YAML would make of `1.10` or
//! `0777` is of no interest here. Another library writes (`write`).

mod anchors;
mod compose;
mod errors;
mod slips;
#[cfg(test)]
mod tests;
mod write;

pub(super) use write::{Value, write};

use super::problems::{Problem, Problems};
use super::texts::{TextId, Texts};
use super::tree::Node;
use compose::Composer;

/// Lists and maps may stand in each other this deep.
const MAX_DEPTH: usize = 64;

/// As many values, keys, lists and maps a text may have, with those that its aliases stand for. A list or map counts
/// twice, for its beginning and its end. So this is 11,000 processes with arguments, a variable and a restart policy.
const MAX_NODES: usize = 200_000;

/// As many anchors, each of which keeps a copy of what it names; and as many nodes in all that they keep.
const MAX_ANCHORS: usize = 10_000;
const MAX_KEPT: usize = 100_000;

/// All copies that anchors and aliases make may have as many bytes of text, or a small file could fill the memory.
const MAX_COPIED: usize = 16 << 20;

/// Parses a text. Keys that are no single values are reported to `problems`.
///
/// # Errors
/// What keeps the text from being YAML, or from being read in bounded time and memory.
pub(super) fn parse(text: TextId, texts: &Texts, problems: &mut Problems) -> Result<Node, Problem> {
    let composer = Composer::new(text, texts.shared(text), problems);
    composer.document().map_err(|refused| errors::problem(&refused, text, texts))
}

/// Why a text can't become a tree.
#[derive(Debug)]
enum Refused {
    /// It is not YAML, for a reason that the library knows.
    Syntax(granit_parser::ScanError),
    /// It is, but can't be taken.
    Here {
        /// The byte at which this is seen.
        at: usize,
        what: Unacceptable,
    },
}

/// What is YAML, but no tree here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unacceptable {
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
