//! Bytes into lines, with a bound: a line longer than [`LONGEST`] goes on in further pieces. Bytes stay as they are.

/// The most bytes of one piece, the newline not counted.
pub(super) const LONGEST: usize = 64 * 1024;

/// A line without its newline, or a piece of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// Its bytes.
    pub(super) bytes: &'a [u8],
    /// Whether it goes on with the line of the piece before.
    pub(super) continued: bool,
}

/// What has come of a line whose end is still to come. Never holds more than [`LONGEST`] bytes.
#[derive(Debug, Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    continued: bool,
}

impl Lines {
    /// Takes bytes, and tells each line that they end.
    pub(super) fn feed(&mut self, bytes: &[u8], each: &mut impl FnMut(Line<'_>)) {
        let mut parts = bytes.split(|&byte| byte == b'\n');
        // What stands behind the last newline is not yet a line.
        let rest = parts.next_back().unwrap_or_default();
        for part in parts {
            self.take(part, each);
            self.end(each);
        }
        self.take(rest, each);
    }

    /// Tells what is left: a last line that has no newline.
    pub(super) fn finish(&mut self, each: &mut impl FnMut(Line<'_>)) {
        if !self.partial.is_empty() {
            self.end(each);
        }
        self.partial = Vec::new();
    }

    fn take(&mut self, mut part: &[u8], each: &mut impl FnMut(Line<'_>)) {
        while self.partial.len() + part.len() > LONGEST {
            let (now, later) = part.split_at(LONGEST - self.partial.len());
            self.partial.extend_from_slice(now);
            self.end(each);
            self.continued = true;
            part = later;
        }
        self.partial.extend_from_slice(part);
    }

    fn end(&mut self, each: &mut impl FnMut(Line<'_>)) {
        each(Line { bytes: &self.partial, continued: self.continued });
        self.partial.clear();
        self.continued = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds chunks, finishes, and gives back the pieces with their `continued`.
    fn lines(chunks: &[&[u8]]) -> Vec<(Vec<u8>, bool)> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        let mut each = |line: Line<'_>| found.push((line.bytes.to_vec(), line.continued));
        for chunk in chunks {
            lines.feed(chunk, &mut each);
        }
        lines.finish(&mut each);
        found
    }

    #[test]
    fn chunks_do_not_show() {
        let whole = [(b"one".to_vec(), false), (b"".to_vec(), false), (b"two\r".to_vec(), false), (b"last".to_vec(), false)];
        assert_eq!(lines(&[b"one\n\ntwo\r\nlast"]), whole);
        assert_eq!(lines(&[b"o", b"ne", b"\n", b"\ntwo", b"\r\nla", b"", b"st"]), whole);
        assert_eq!(lines(&[]), []);
        assert_eq!(lines(&[b"one\n"]), [(b"one".to_vec(), false)]);
    }

    #[test]
    fn every_byte_stays_as_it_is() {
        let all: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
        assert_eq!(lines(&[&all, b"\n"]), [(all, false)]);
    }

    #[test]
    fn a_line_of_just_the_longest_is_whole_and_one_more_byte_goes_on() {
        let longest = vec![b'x'; LONGEST];
        assert_eq!(lines(&[&longest, b"\nnext\n"]), [(longest.clone(), false), (b"next".to_vec(), false)]);
        assert_eq!(lines(&[&longest, b"y\nnext\n"]), [(longest, false), (b"y".to_vec(), true), (b"next".to_vec(), false)]);
    }

    #[test]
    fn ten_million_bytes_without_a_newline_stay_within_bounds() {
        let (mut lines, mut total, chunk) = (Lines::default(), 0, vec![b'x'; 100_000]);
        for _ in 0..100 {
            lines.feed(&chunk, &mut |line| total += line.bytes.len());
            assert!(lines.partial.capacity() <= 2 * LONGEST);
        }
        lines.finish(&mut |line| total += line.bytes.len());
        assert_eq!(total, 10_000_000);
    }
}
