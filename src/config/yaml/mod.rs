//! Parses YAML into trees, and writes values as YAML. Only this module and those below it know YAML libraries.
//!
//! One library parses syntax; `compose` builds the tree from its events, and `anchors` copies what aliases refer to. Every scalar
//! keeps its characters as written, so `1.10` and `0777` stay as they are. Another library writes (`write`).

mod anchors;
mod compose;
mod errors;
mod read;
mod repair;
mod syntax_hints;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use read::{Loose, LooseKind, read};
pub(crate) use write::{Value, write};

use super::problems::{Problem, Problems};
use super::source_map::{SourceMap, TextId};
use super::tree::Node;
use compose::Composer;
use repair::Repairs;
use std::rc::Rc;

/// The most mistakes that are repaired to find those after them, and the longest text in which they are.
const MAX_REPAIRS: usize = 20;
const MAX_REPAIRED: usize = 256 << 10;

/// Parses a text. Keys that are lists or maps are reported to `problems`.
///
/// # Errors
/// The text is not YAML, or can't be read in bounded time and memory. A mistake that can be guessed with confidence is repaired
/// in a copy, which is parsed again to find the mistakes after it.
pub(super) fn parse(text: TextId, texts: &SourceMap, problems: &mut Problems) -> Result<Node, Vec<Problem>> {
    let mut source = Rc::clone(texts.shared(text));
    let refusal = match Composer::new(text, &source, problems).document() {
        Ok(node) => return Ok(node),
        Err(refusal) => refusal,
    };
    let mut repairs = Repairs::default();
    let mut found = Vec::new();
    let mut next = Some(refusal);
    while let Some(refusal) = next.take() {
        let (mistakes, edits) = errors::problems(&refusal, text, &source, &repairs);
        found.extend(mistakes);
        if edits.is_empty() || found.len() >= MAX_REPAIRS || source.len() > MAX_REPAIRED {
            break;
        }
        source = Rc::new(repairs.apply(&source, &edits));
        next = Composer::new(text, &source, &mut Problems::default()).document().err();
    }
    Err(found)
}
