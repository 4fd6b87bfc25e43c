//! Splits bytes into lines. A line longer than [`LONGEST`] continues in further chunks. Bytes are not changed.

use memchr::{memchr, memrchr};

/// The maximum of one line or part of a line in bytes, without newline.
pub(in crate::runtime) const LONGEST: usize = 64 * 1024;
/// Bytes of memory kept for the next partial line.
const RETAINED: usize = 4 * 1024;

/// Lines that came together, or a part of one that is too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct LineChunk<'a> {
    /// Whole lines, without the newline of the last one.
    pub(in crate::runtime) bytes: &'a [u8],
    /// Whether the first line continues the chunk before.
    pub(in crate::runtime) continued: bool,
}

/// Holds a line until its end arrives, at most [`LONGEST`] bytes.
#[derive(Debug, Default)]
pub(in crate::runtime) struct LineSplitter {
    partial: Vec<u8>,
    continued: bool,
}

impl LineSplitter {
    /// One that goes on in the middle of a line. `continued`: an earlier part of it was passed on.
    pub(in crate::runtime) fn within_line(partial: Vec<u8>, continued: bool) -> LineSplitter {
        LineSplitter { partial, continued }
    }

    /// Whether an earlier part of the unfinished line was passed on.
    pub(in crate::runtime) fn is_continued(&self) -> bool {
        self.continued
    }

    /// Takes bytes, and calls `each` with the lines that they complete.
    pub(in crate::runtime) fn feed(&mut self, mut bytes: &[u8], each: &mut dyn FnMut(LineChunk<'_>)) {
        while !bytes.is_empty() {
            let taken = if self.partial.is_empty() && !self.continued {
                self.take_lines(bytes, each)
            } else {
                self.continue_line(bytes, each)
            };
            bytes = &bytes[taken..];
        }
    }

    /// The line that has not ended yet; of a long one, its last part.
    pub(in crate::runtime) fn unfinished(&self) -> &[u8] {
        &self.partial
    }

    /// Passes on a last line without newline.
    pub(in crate::runtime) fn finish(&mut self, each: &mut dyn FnMut(LineChunk<'_>)) {
        if !self.partial.is_empty() {
            self.end(each);
        }
        self.partial = Vec::new();
    }

    /// At the start of a line: takes all complete lines up to one that is too long.
    fn take_lines(&mut self, bytes: &[u8], each: &mut dyn FnMut(LineChunk<'_>)) -> usize {
        let mut end_of_lines = 0;
        while let Some(end) = last_newline(&bytes[end_of_lines..]) {
            end_of_lines += end + 1;
        }
        if let Some(end) = end_of_lines.checked_sub(1) {
            each(LineChunk { bytes: &bytes[..end], continued: false });
            return end_of_lines;
        }
        let taken = bytes.len().min(LONGEST);
        if bytes.len() <= LONGEST {
            self.partial.extend_from_slice(bytes);
        } else {
            each(LineChunk { bytes: &bytes[..LONGEST], continued: false });
            self.continued = true;
        }
        taken
    }

    /// Within a line: takes its rest, or as much as fits.
    fn continue_line(&mut self, bytes: &[u8], each: &mut dyn FnMut(LineChunk<'_>)) -> usize {
        let room = LONGEST - self.partial.len();
        let end = memchr(b'\n', &bytes[..bytes.len().min(room + 1)]);
        let taken = end.unwrap_or(bytes.len().min(room));
        self.partial.extend_from_slice(&bytes[..taken]);
        if end.is_some() {
            self.end(each);
            self.partial.shrink_to(RETAINED);
            return taken + 1;
        }
        if taken < bytes.len() {
            self.end(each);
            self.continued = true;
        }
        taken
    }

    fn end(&mut self, each: &mut dyn FnMut(LineChunk<'_>)) {
        each(LineChunk { bytes: &self.partial, continued: self.continued });
        self.partial.clear();
        self.continued = false;
    }
}

/// The last newline within the longest allowed line: no line before it is too long.
fn last_newline(bytes: &[u8]) -> Option<usize> {
    memrchr(b'\n', &bytes[..bytes.len().min(LONGEST + 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds chunks, finishes, and returns each line with its `continued`.
    fn lines(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut lines, mut found) = (LineSplitter::default(), Vec::new());
        let mut each = |piece: LineChunk<'_>| {
            let mut continued = piece.continued;
            for line in piece.bytes.split(|&byte| byte == b'\n') {
                found.push((line.to_vec(), continued));
                continued = false;
            }
        };
        for chunk in chunks {
            lines.feed(chunk, &mut each);
        }
        lines.finish(&mut each);
        found
    }

    #[test]
    fn lines_do_not_depend_on_chunks() {
        let expected = [(b"one".to_vec(), false), (b"".to_vec(), false), (b"two\r".to_vec(), false), (b"last".to_vec(), false)];
        assert_eq!(lines(&[b"one\n\ntwo\r\nlast"]), expected);
        assert_eq!(lines(&[b"o", b"ne", b"\n", b"\ntwo", b"\r\nla", b"", b"st"]), expected);
        assert_eq!(lines(&[]), []);
        assert_eq!(lines(&[b"one\n"]), [(b"one".to_vec(), false)]);
    }

    #[test]
    fn bytes_are_not_changed() {
        let all: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
        assert_eq!(lines(&[&all, b"\n"]), [(all, false)]);
    }

    #[test]
    fn a_line_of_the_maximum_length_is_whole_and_one_more_byte_continues() {
        let longest = vec![b'x'; LONGEST];
        assert_eq!(lines(&[&longest, b"\nnext\n"]), [(longest.clone(), false), (b"next".to_vec(), false)]);
        assert_eq!(lines(&[&longest, b"y\nnext\n"]), [(longest, false), (b"y".to_vec(), true), (b"next".to_vec(), false)]);
    }

    #[test]
    fn lines_that_come_together_are_one_chunk_up_to_one_that_is_too_long() {
        let short = ("x".repeat(99) + "\n").repeat(3000).into_bytes();
        let long = ("y".repeat(LONGEST + 1) + "\n").into_bytes();
        let (mut lines, mut lengths) = (LineSplitter::default(), Vec::new());
        let text = [&short[..], &long, &short, b"rest"].concat();
        lines.feed(&text, &mut |piece| lengths.push((piece.bytes.len(), piece.continued)));
        lines.finish(&mut |piece| lengths.push((piece.bytes.len(), piece.continued)));
        assert_eq!(lengths, [(short.len() - 1, false), (LONGEST, false), (1, true), (short.len() - 1, false), (4, false)]);
        let little_by_little: Vec<&[u8]> = text.chunks(1000).collect();
        assert_eq!(self::lines(&[&text]), self::lines(&little_by_little));
    }

    #[test]
    fn ten_million_bytes_without_a_newline_use_bounded_memory() {
        let (mut lines, mut total, chunk) = (LineSplitter::default(), 0, vec![b'x'; 100_000]);
        for _ in 0..100 {
            lines.feed(&chunk, &mut |piece| total += piece.bytes.len());
            assert!(lines.partial.capacity() <= 2 * LONGEST);
        }
        lines.finish(&mut |piece| total += piece.bytes.len());
        assert_eq!(total, 10_000_000);
    }
}
