//! A single value as it is written, and where each of its parts stands in the source.
//!
//! Quotes, escapes, indentation and folding lie between a value and its source, but none of them adds or removes a `$`. So
//! the `$` that a part begins with is found by counting. Where the numbers differ all the same (`"\x24"`), the whole value is
//! meant.

use super::source_map::{SourceMap, SourceSpan};
use super::tree::{Node, Scalar};
use std::cell::OnceCell;
use std::ops::Range;

/// A single value and its source.
pub(super) struct Written<'v> {
    /// What the source stands for.
    pub(super) text: &'v str,
    span: SourceSpan,
    source: &'v str,
    /// Where each `$` is in the text and in the source, if there are as many; worked out when first needed.
    dollars: OnceCell<Option<Vec<(usize, usize)>>>,
}

impl<'v> Written<'v> {
    pub(super) fn new(node: &Node, scalar: &'v Scalar, texts: &'v SourceMap) -> Written<'v> {
        Written { text: &scalar.text, span: node.span, source: texts.slice(node.span), dollars: OnceCell::new() }
    }

    /// Where all of it stands.
    pub(super) fn whole(&self) -> SourceSpan {
        self.span
    }

    /// Where a part of the text that begins with a `$` stands.
    pub(super) fn place(&self, part: Range<usize>) -> SourceSpan {
        let dollars = self.dollars.get_or_init(|| {
            let text: Vec<usize> = self.text.match_indices('$').map(|(at, _)| at).collect();
            let source: Vec<usize> = self.source.match_indices('$').map(|(at, _)| at).collect();
            (text.len() == source.len()).then(|| text.into_iter().zip(source).collect())
        });
        let found = dollars.as_ref().and_then(|dollars| {
            let index = dollars.binary_search_by_key(&part.start, |&(in_text, _)| in_text).ok()?;
            Some(dollars[index].1)
        });
        let Some(start) = found else { return self.span };
        let length = self.source[start..].bytes().zip(self.text[part].bytes()).take_while(|(a, b)| a == b).count();
        self.span.part(start, start + length)
    }
}
