//! Parses YAML into trees, and writes values as YAML. Only this module and those below it know YAML libraries.
//!
//! One library parses syntax; `compose` builds the tree from its events, and `anchors` copies what aliases refer to. Every scalar
//! keeps its characters as written, so `1.10` and `0777` stay as they are. Another library writes (`write`).

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

/// Parses a text. Keys that are lists or maps are reported to `problems`.
///
/// # Errors
/// The text is not YAML, or can't be read in bounded time and memory.
pub(super) fn parse(text: TextId, texts: &SourceMap, problems: &mut Problems) -> Result<Node, Problem> {
    let composer = Composer::new(text, texts.shared(text), problems);
    composer.document().map_err(|refusal| errors::problem(&refusal, text, texts))
}
