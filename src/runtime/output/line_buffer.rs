//! The last lines of one process, within its share of memory; the oldest line is dropped first.
//!
//! Lines are numbered, so a reader knows how many were dropped before it read them.

use super::line_format::Stream;
use super::lines::LineChunk;
use jiff::Timestamp;
use memchr::{memchr, memchr_iter};
use reconcile::text::Name;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::Notify;

/// The lines of one process. A writer waits only while a reader copies some.
#[derive(Debug)]
pub(super) struct LineBuffer {
    name: Name,
    contents: Mutex<BufferContents>,
}

#[derive(Debug, Default)]
struct BufferContents {
    /// Whole lines, each with its newline.
    bytes: VecDeque<u8>,
    /// Describes `bytes`, in the same order.
    records: VecDeque<BufferedLines>,
    /// How many lines there have ever been.
    end: u64,
    /// Notified of new lines.
    listeners: Vec<Weak<Notify>>,
}

/// Lines that came together.
#[derive(Clone, Copy, Debug)]
struct BufferedLines {
    /// Position among the output of all processes.
    order: u64,
    time: Timestamp,
    /// The number of its first line.
    first: u64,
    /// Bytes ever recorded before it.
    offset: u64,
    length: usize,
    stream: Stream,
    /// Whether its first line continues the line before.
    continued: bool,
}

/// Lines copied out of a buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CopiedLines {
    /// The number of the first one; higher than asked for if lines were dropped.
    pub(super) first: u64,
    /// The number of the line after them.
    pub(super) next: u64,
    pub(super) time: Timestamp,
    pub(super) stream: Stream,
    pub(super) continued: bool,
    /// Each with a newline.
    pub(super) bytes: Vec<u8>,
}

/// When lines came, and their position among those of all processes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) order: u64,
    pub(super) time: Timestamp,
}

/// Memory of a record beside its bytes.
const RECORD: usize = size_of::<BufferedLines>();

impl LineBuffer {
    pub(super) fn new(name: Name) -> LineBuffer {
        LineBuffer { name, contents: Mutex::default() }
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    /// Adds lines and keeps to `share` bytes of memory. Of lines that exceed it, the end is kept.
    pub(super) fn push(&self, stream: Stream, piece: LineChunk<'_>, at: Arrival, share: usize) {
        let mut contents = self.lock();
        let first = contents.end;
        contents.end += memchr_iter(b'\n', piece.bytes).count() as u64 + 1;
        let (bytes, is_cut) = last_lines(piece.bytes, share.saturating_sub(RECORD + 1));
        let continued = if bytes.len() == piece.bytes.len() { piece.continued } else { is_cut };
        let first = if bytes.len() == piece.bytes.len() { first } else { contents.end - line_count(bytes) };
        let length = bytes.len() + 1;
        contents.make_room(length + RECORD, share);
        contents.reserve(length, share);
        contents.bytes.extend(bytes);
        contents.bytes.push_back(b'\n');
        let offset = contents.records.back().map_or(0, |last| last.offset + last.length as u64);
        contents.records.push_back(BufferedLines { order: at.order, time: at.time, first, offset, length, stream, continued });
        contents.listeners.retain(|listener| listener.upgrade().inspect(|listener| listener.notify_one()).is_some());
    }

    /// Reduces memory to `share` bytes.
    pub(super) fn shrink(&self, share: usize) {
        let mut contents = self.lock();
        contents.make_room(0, share);
        contents.bytes.shrink_to_fit();
        contents.records.shrink_to_fit();
    }

    /// Notifies this listener of each new line.
    pub(super) fn add_listener(&self, listener: &Arc<Notify>) {
        self.lock().listeners.push(Arc::downgrade(listener));
    }

    /// How many lines there have ever been.
    pub(super) fn end(&self) -> u64 {
        self.lock().end
    }

    /// The number of the first of the last `lines` lines, or of the oldest.
    pub(super) fn first_of_last(&self, lines: u64) -> u64 {
        let contents = self.lock();
        let oldest = contents.records.front().map_or(contents.end, |oldest| oldest.first);
        contents.end.saturating_sub(lines).max(oldest)
    }

    /// The number of the first line that came at this time or later.
    pub(super) fn first_since(&self, time: Timestamp) -> u64 {
        let contents = self.lock();
        let index = contents.records.partition_point(|record| record.time < time);
        contents.records.get(index).map_or(contents.end, |record| record.first)
    }

    /// The position, among the output of all processes, of the first line with this number or a higher one.
    pub(super) fn order_of(&self, line: u64) -> Option<u64> {
        let contents = self.lock();
        contents.records.get(contents.index_of(line)).map(|record| record.order)
    }

    /// Copies the rest of the chunk that holds the line `from`.
    pub(super) fn copy(&self, from: u64) -> Option<CopiedLines> {
        let contents = self.lock();
        let index = contents.index_of(from);
        let record = *contents.records.get(index)?;
        let next = contents.records.get(index + 1).map_or(contents.end, |next| next.first);
        let mut bytes = contents.bytes_of(&record);
        let skipped = from.saturating_sub(record.first);
        if let Some(last) = usize::try_from(skipped).ok().and_then(|skipped| skipped.checked_sub(1)) {
            let end = memchr_iter(b'\n', &bytes).nth(last).unwrap_or(bytes.len() - 1);
            bytes.drain(..=end);
        }
        let continued = record.continued && skipped == 0;
        Some(CopiedLines { first: record.first + skipped, next, time: record.time, stream: record.stream, continued, bytes })
    }

    /// Changes are complete before the lock is released, so a poisoned lock is safe to use.
    fn lock(&self) -> MutexGuard<'_, BufferContents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of memory in use.
    #[cfg(test)]
    pub(super) fn cost(&self) -> usize {
        let contents = self.lock();
        contents.bytes.capacity() + contents.records.capacity() * RECORD
    }
}

impl BufferContents {
    /// The index of the record that holds this line or, if the line was dropped, the next one.
    fn index_of(&self, line: u64) -> usize {
        let behind = self.records.partition_point(|record| record.first <= line);
        // The last record that begins before it holds it, unless it lies beyond the end.
        if line < self.end { behind.saturating_sub(1) } else { self.records.len() }
    }

    /// The lines of one of the records.
    fn bytes_of(&self, record: &BufferedLines) -> Vec<u8> {
        let offset = self.records.front().map_or(0, |oldest| record.offset - oldest.offset);
        // The offset lies within `bytes`, so it fits.
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        let (head, rest) = self.bytes.as_slices();
        let part = |at: usize| (at.min(head.len()), at.saturating_sub(head.len()));
        let ((head_from, rest_from), (head_to, rest_to)) = (part(offset), part(offset + record.length));
        [&head[head_from..head_to], &rest[rest_from..rest_to]].concat()
    }

    /// Drops the oldest lines until `more` bytes fit.
    fn make_room(&mut self, more: usize, share: usize) {
        loop {
            let used = self.bytes.len() + self.records.len() * RECORD;
            let Some(over) = (used + more).checked_sub(share).filter(|&over| over > 0) else { return };
            let Some(oldest) = self.records.front_mut() else { return };
            let length = oldest.length;
            if over + RECORD >= length {
                self.records.pop_front();
                self.bytes.drain(..length);
                continue;
            }
            // Drop whole lines only.
            let mut lines = 0;
            let mut cut = 0;
            while cut < over {
                let rest = self.bytes.range(cut..length);
                cut += rest.take_while(|byte| **byte != b'\n').count() + 1;
                lines += 1;
            }
            self.bytes.drain(..cut);
            oldest.first += lines;
            oldest.offset += cut as u64;
            oldest.length -= cut;
            oldest.continued = false;
            if oldest.length == 0 {
                self.records.pop_front();
            }
        }
    }

    /// Reserves memory for `more` bytes, but never beyond the share, as doubling would.
    fn reserve(&mut self, more: usize, share: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let wanted = (2 * self.bytes.capacity()).clamp(needed, share.max(needed));
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
    }
}

fn line_count(bytes: &[u8]) -> u64 {
    memchr_iter(b'\n', bytes).count() as u64 + 1
}

/// The last whole lines that fit; if not even one does, the end of the last line, and `true`.
fn last_lines(bytes: &[u8], room: usize) -> (&[u8], bool) {
    let Some(surplus) = bytes.len().checked_sub(room).filter(|&surplus| surplus > 0) else { return (bytes, false) };
    // A line that begins exactly at the limit is whole.
    match memchr(b'\n', &bytes[surplus - 1..]) {
        Some(end) => (&bytes[surplus + end..], false),
        None => (&bytes[surplus..], true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHARE: usize = 1_000;

    fn push(buffer: &LineBuffer, order: u64, lines: &str) {
        let at = Arrival { order, time: Timestamp::UNIX_EPOCH };
        buffer.push(Stream::Stdout, LineChunk { bytes: lines.as_bytes(), continued: false }, at, SHARE);
    }

    /// The lines from this number on, and how many of them were dropped.
    fn read(buffer: &LineBuffer, mut from: u64) -> (u64, Vec<String>) {
        let (mut lost, mut lines) = (0, Vec::new());
        while let Some(copied) = buffer.copy(from) {
            lost += copied.first - from;
            lines.extend(String::from_utf8(copied.bytes).unwrap().lines().map(str::to_owned));
            from = copied.next;
        }
        (lost, lines)
    }

    #[test]
    fn lines_are_read_from_any_number_on() {
        let buffer = LineBuffer::new("web".into());
        for (order, lines) in ["a\nb", "", "c\n", "d"].into_iter().enumerate() {
            push(&buffer, order as u64, lines);
        }
        let all = ["a", "b", "", "c", "", "d"];
        assert_eq!(buffer.end(), all.len() as u64);
        for from in 0..=all.len() {
            assert_eq!(
                read(&buffer, from as u64),
                (0, all[from..].iter().map(|line| (*line).to_owned()).collect()),
                "from {from}"
            );
        }
        assert_eq!([0, 1, 2, 3, 5, 6].map(|line| buffer.order_of(line)), [Some(0), Some(0), Some(1), Some(2), Some(3), None]);
    }

    /// Compares with a list of all lines, for chunks of every size.
    #[test]
    fn the_oldest_lines_are_dropped_first_and_counted() {
        let (buffer, mut all, mut seed) = (LineBuffer::new("web".into()), Vec::new(), 1_u64);
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap() % below
        };
        for order in 0..5_000 {
            let lines: Vec<String> = (0..=random(9)).map(|_| format!("{order}").repeat(1 + random(30))).collect();
            push(&buffer, order, &lines.join("\n"));
            all.extend(lines);
            assert!(buffer.cost() <= 2 * SHARE, "{} bytes", buffer.cost());
            let from = random(all.len() + 1) as u64;
            let (lost, read) = read(&buffer, from);
            let there = &all[usize::try_from(from + lost).unwrap()..];
            let cut = there.len() - read.len();
            assert_eq!(read, there[cut..], "from {from} at {order}");
            assert_eq!(cut, 0, "missing lines are not counted");
            let held: usize = read.iter().map(|line| line.len() + 1).sum();
            assert!(lost == 0 || held > SHARE / 4, "only {held} bytes are kept");
        }
    }

    #[test]
    fn the_end_of_an_oversized_line_is_kept() {
        let buffer = LineBuffer::new("web".into());
        push(&buffer, 0, "before");
        push(&buffer, 1, &("x".repeat(5_000) + "end"));
        let copied = buffer.copy(0).unwrap();
        assert!(copied.continued && copied.bytes.ends_with(b"end\n") && copied.bytes.len() < SHARE);
        assert_eq!((copied.first, copied.next), (1, 2));
        push(&buffer, 2, &("y".repeat(5_000) + "\nwhole"));
        assert_eq!(read(&buffer, 0), (3, vec!["whole".to_owned()]));
    }

    #[test]
    fn a_smaller_share_applies_at_once() {
        let buffer = LineBuffer::new("web".into());
        (0..100).for_each(|order| push(&buffer, order, &order.to_string()));
        buffer.shrink(200);
        assert!(buffer.cost() <= 200, "{} bytes", buffer.cost());
        let (lost, lines) = read(&buffer, 0);
        assert_eq!((lost + lines.len() as u64, lines.last().map(String::as_str)), (100, Some("99")));
    }
}
