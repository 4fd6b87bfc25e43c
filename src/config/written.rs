//! Maps parts of a single value to their places in the source.
//!
//! A value and its source differ by quotes, escapes, indentation and folding, but none of these adds or removes a `$`. So the `$`
//! that a part begins with is found by counting. If the counts differ all the same (`"\x24"`), the place is that of the whole
//! value.

use super::source_map::{SourceMap, SourceSpan};
use super::tree::{Node, Scalar};
use std::cell::OnceCell;
use std::ops::Range;

/// A single value and its source.
pub(super) struct Written<'v> {
    /// The value.
    pub(super) text: &'v str,
    pub(super) is_secret: bool,
    span: SourceSpan,
    source: &'v str,
    /// The offsets of each `$` in value and source, if their counts agree. Computed on first use.
    dollars: OnceCell<Option<Vec<(usize, usize)>>>,
}

impl<'v> Written<'v> {
    pub(super) fn new(node: &Node, scalar: &'v Scalar, texts: &'v SourceMap) -> Written<'v> {
        Written {
            text: &scalar.text,
            is_secret: scalar.is_secret,
            span: node.span,
            source: texts.slice(node.span),
            dollars: OnceCell::new(),
        }
    }

    /// The place of the whole value.
    pub(super) fn span(&self) -> SourceSpan {
        self.span
    }

    /// The place of a part that begins with a `$`.
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
