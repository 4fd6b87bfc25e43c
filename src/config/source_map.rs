//! The texts of a configuration, and places in them.
//!
//! A [`SourceSpan`] is a range of bytes of one text. Line, column and excerpt are computed only for problems that are shown.
//! Ranges that must not be shown are *masked*. This module doesn't know what a text means.

use std::cell::OnceCell;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The index of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TextId(u32);

/// A range of bytes in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SourceSpan {
    pub(super) text: TextId,
    // Half the size of `usize`: there are very many of these.
    pub(super) start: u32,
    pub(super) end: u32,
}

/// An offset in a text. Files are limited to far less than 4 GiB.
pub(super) fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

impl SourceSpan {
    /// A range of a text.
    pub(super) fn new(text: TextId, range: Range<usize>) -> SourceSpan {
        SourceSpan { text, start: offset(range.start), end: offset(range.end) }
    }

    /// The first byte.
    pub(super) fn start(self) -> usize {
        self.start as usize
    }

    /// The end, exclusive.
    pub(super) fn end(self) -> usize {
        self.end as usize
    }

    /// The range of bytes.
    pub(super) fn range(self) -> Range<usize> {
        self.start()..self.end()
    }

    /// The beginning of a text, for problems without a better place.
    pub(super) fn beginning(text: TextId) -> SourceSpan {
        SourceSpan { text, start: 0, end: 0 }
    }

    /// The part from `start` to `end`, counted from the beginning of this range.
    pub(super) fn part(self, start: usize, end: usize) -> SourceSpan {
        SourceSpan::new(self.text, self.start() + start..self.start() + end)
    }
}

/// All texts, in order of reading.
#[derive(Debug, Default)]
pub(super) struct SourceMap(Vec<TextEntry>);

#[derive(Debug)]
struct TextEntry {
    path: PathBuf,
    /// The path to show: the real one may hold a secret.
    shown: PathBuf,
    text: Rc<String>,
    /// Where each line begins. Computed on first use, which a valid configuration never needs.
    lines: OnceCell<Vec<u32>>,
    /// Sorted and disjoint.
    masked: Vec<Range<usize>>,
}

/// The position to show: line and column from 1, the column in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl TextEntry {
    fn lines(&self) -> &[u32] {
        self.lines.get_or_init(|| {
            let text = self.text.as_bytes();
            // Counted first: if every byte is a line break, a growing vector would take twice the memory.
            let mut lines = Vec::with_capacity(1 + memchr::memchr_iter(b'\n', text).count());
            lines.push(0);
            lines.extend(text.iter().zip(1..).filter(|&(&byte, _)| byte == b'\n').map(|(_, next): (_, u32)| next));
            lines
        })
    }
}

impl SourceMap {
    fn entry(&self, text: TextId) -> &TextEntry {
        &self.0[text.0 as usize]
    }

    fn entry_mut(&mut self, text: TextId) -> &mut TextEntry {
        &mut self.0[text.0 as usize]
    }

    /// Adds a text.
    pub(super) fn add(&mut self, path: &Path, text: String) -> TextId {
        let (id, text) = (TextId(offset(self.0.len())), Rc::new(text));
        self.0.push(TextEntry {
            path: path.to_owned(),
            shown: path.to_owned(),
            text,
            lines: OnceCell::new(),
            masked: Vec::new(),
        });
        id
    }

    /// Shows another path instead of the real one.
    pub(super) fn show_as(&mut self, text: TextId, shown: &Path) {
        shown.clone_into(&mut self.entry_mut(text).shown);
    }

    /// The path to show.
    pub(super) fn shown_path(&self, text: TextId) -> &Path {
        &self.entry(text).shown
    }

    pub(super) fn path(&self, text: TextId) -> &Path {
        &self.entry(text).path
    }

    pub(super) fn text(&self, text: TextId) -> &str {
        &self.entry(text).text
    }

    /// A text, to be shared by its parts.
    pub(super) fn shared(&self, text: TextId) -> &Rc<String> {
        &self.entry(text).text
    }

    /// The characters of a range.
    pub(super) fn slice(&self, span: SourceSpan) -> &str {
        self.text(span.text).get(span.range()).unwrap_or_default()
    }

    /// Masks ranges in excerpts and messages.
    pub(super) fn mask(&mut self, text: TextId, ranges: impl IntoIterator<Item = Range<usize>>) {
        let masked = &mut self.entry_mut(text).masked;
        masked.extend(ranges);
        masked.sort_by_key(|range| range.start);
        masked.dedup_by(|later, earlier| {
            let touching = later.start <= earlier.end;
            if touching {
                earlier.end = earlier.end.max(later.end);
            }
            touching
        });
    }

    /// The masked parts of a range.
    pub(super) fn masked(&self, text: TextId, within: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let masked = &self.entry(text).masked;
        let first = masked.partition_point(|range| range.end <= within.start);
        masked[first..]
            .iter()
            .take_while(move |range| range.start < within.end)
            .map(move |range| range.start.max(within.start)..range.end.min(within.end))
            .filter(|range| !range.is_empty())
    }

    /// The line where a range begins, from 1. Unlike its position, this is found in no time even on a very long line.
    pub(super) fn line_number(&self, span: SourceSpan) -> usize {
        self.entry(span.text).lines().partition_point(|&start| start <= span.start)
    }

    /// The position where a range begins.
    pub(super) fn position(&self, span: SourceSpan) -> Position {
        let entry = self.entry(span.text);
        let line = self.line_number(span);
        let before = entry.text.get(entry.lines()[line - 1] as usize..span.start()).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }

    /// The column after the last character of a range or of its first line. It is greater than the first column.
    pub(super) fn end_column(&self, span: SourceSpan) -> usize {
        let Position { line, column } = self.position(span);
        let end = span.end().min(self.line(span.text, line).end);
        let length = self.text(span.text).get(span.start()..end).map_or(0, |text| text.chars().count());
        column + length.max(1)
    }

    /// The bytes of a line (from 1), without its line break.
    pub(super) fn line(&self, text: TextId, line: usize) -> Range<usize> {
        let entry = self.entry(text);
        let start = entry.lines()[line - 1] as usize;
        let end = entry.lines().get(line).map_or(entry.text.len(), |&next| next as usize - 1);
        let end = if entry.text[start..end].ends_with('\r') { end - 1 } else { end };
        start..end
    }

    /// The end of the line that a range begins on.
    pub(super) fn line_end(&self, span: SourceSpan) -> usize {
        self.line(span.text, self.position(span).line).end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters() {
        let mut texts = SourceMap::default();
        let text = texts.add(Path::new("a.yml"), "é: 1\r\nb: ü!\n".to_owned());
        let at = |start| texts.position(SourceSpan::new(text, start..start));
        assert_eq!(at(0), Position { line: 1, column: 1 });
        assert_eq!(at(2), Position { line: 1, column: 2 });
        assert_eq!(at(12), Position { line: 2, column: 5 });
        assert_eq!(texts.line(text, 1), 0..5);
        assert_eq!(texts.line(text, 3), 14..14);
    }

    #[test]
    fn masked_ranges_are_joined() {
        let mut texts = SourceMap::default();
        let text = texts.add(Path::new("a.yml"), "0123456789".to_owned());
        texts.mask(text, [6..8, 1..3]);
        texts.mask(text, std::iter::once(2..4));
        assert_eq!(texts.masked(text, 3..7).collect::<Vec<_>>(), [3..4, 6..7]);
        assert_eq!(texts.masked(text, 4..6).count(), 0);
        assert_eq!(texts.masked(text, 2..2).count(), 0);
    }
}
