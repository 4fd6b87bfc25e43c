//! YAML text → tree, and values → YAML text. This module and those below it are the only ones that know YAML libraries.
//!
//! One library reads syntax and says where each part stands. What the parts make is put together by `compose`, with the copies
//! that aliases ask for by `anchors`. Every scalar keeps the characters it is written with: what YAML would make of `1.10` or
//! `0777` is of no interest here. Another library writes (`write`).

mod anchors;
mod compose;
mod errors;
mod syntax_hints;
#[cfg(test)]
mod tests;
mod write;

pub(super) use write::{Value, write};

use super::problems::{Problem, Problems};
use super::source_map::{SourceMap, TextId};
use super::tree::Node;
use compose::Composer;

/// Parses a text. Keys that are no single values are reported to `problems`.
///
/// # Errors
/// What keeps the text from being YAML, or from being read in bounded time and memory.
pub(super) fn parse(text: TextId, texts: &SourceMap, problems: &mut Problems) -> Result<Node, Problem> {
    let composer = Composer::new(text, texts.shared(text), problems);
    composer.document().map_err(|refused| errors::problem(&refused, text, texts))
}
