//! The last output of each process, in memory, for `logs` and `status`.
//!
//! Memory is limited for each process and in total. A reader that is slower than a process misses lines and gets their number;
//! no process waits for a reader.

use super::line_buffer::{Arrival, CopiedLines, LineBuffer};
use super::line_format::Stream;
use super::lines::LineChunk;
use super::tail::{LastLines, Mailbox, Tail};
use crate::handover;
use jiff::Timestamp;
use reconcile::text::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Bytes kept of one process, at most.
const PROCESS_LIMIT: usize = 64 * 1024;
/// Bytes kept of all processes together. Each process has an equal share; beyond 256, it is halved when their number doubles.
const TOTAL_LIMIT: usize = 16 * 1024 * 1024;
/// Characters shown of a line in `status`.
const SHOWN_CHARS: usize = 400;

/// The last lines of every process. Clones share the same state.
#[derive(Clone, Debug, Default)]
pub struct OutputHistory(Arc<HistoryState>);

#[derive(Debug, Default)]
struct HistoryState {
    buffers: Mutex<LineBuffers>,
    /// Bytes that one buffer may hold; 0: there is no buffer yet.
    share: AtomicUsize,
    /// Counts chunks of output, which orders them among processes.
    pieces: AtomicU64,
    /// Nothing more will be written.
    is_over: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct LineBuffers {
    by_name: BTreeMap<Name, Arc<LineBuffer>>,
    /// Processes with discarded output.
    silent: BTreeSet<Name>,
    /// Readers that follow: they get buffers of new processes.
    mailboxes: Vec<Weak<Mailbox>>,
}

/// Where the lines of one process are recorded.
#[derive(Clone, Debug)]
pub(super) struct HistorySlot {
    buffer: Arc<LineBuffer>,
    shared: Arc<HistoryState>,
}

impl HistorySlot {
    pub(super) fn take(&self, stream: Stream, piece: LineChunk<'_>) {
        self.take_at(Timestamp::now(), stream, piece);
    }

    fn take_at(&self, time: Timestamp, stream: Stream, piece: LineChunk<'_>) {
        let order = self.shared.pieces.fetch_add(1, Ordering::Relaxed);
        let at = Arrival { order, time };
        self.buffer.push(stream, piece, at, self.shared.share.load(Ordering::Relaxed));
    }
}

impl OutputHistory {
    /// The slot for the future output of a process.
    pub(super) fn slot_for(&self, name: &Name) -> HistorySlot {
        let mut buffers = self.buffers();
        buffers.silent.remove(name);
        let buffer = buffers.by_name.get(name).cloned().unwrap_or_else(|| {
            let buffer = Arc::new(LineBuffer::new(name.clone()));
            buffers.by_name.insert(name.clone(), Arc::clone(&buffer));
            buffers.announce(&buffer);
            self.divide(&buffers);
            buffer
        });
        drop(buffers);
        HistorySlot { buffer, shared: Arc::clone(&self.0) }
    }

    /// Records that the future output of a process is discarded.
    pub(super) fn mark_silent(&self, name: &Name) {
        self.buffers().silent.insert(name.clone());
    }

    /// Whether a process has no recorded output because it is discarded.
    pub fn is_silent(&self, name: &str) -> bool {
        let buffers = self.buffers();
        buffers.silent.contains(name) && buffers.by_name.get(name).is_none_or(|buffer| buffer.end() == 0)
    }

    /// Drops the output of processes that are gone.
    pub(in crate::runtime) fn retain(&self, is_there: &dyn Fn(&Name) -> bool) {
        let mut buffers = self.buffers();
        buffers.by_name.retain(|name, _| is_there(name));
        buffers.silent.retain(is_there);
        self.divide(&buffers);
    }

    /// All lines, for the next program in this process.
    pub(in crate::runtime) fn hand_over(&self) -> Vec<handover::HandedLines> {
        let buffers: Vec<Arc<LineBuffer>> = self.buffers().by_name.values().cloned().collect();
        let mut all: Vec<(u64, handover::HandedLines)> = Vec::new();
        for buffer in buffers {
            let mut from = buffer.first_of_last(u64::MAX);
            while let (Some(order), Some(copied)) = (buffer.order_of(from), buffer.copy(from)) {
                let CopiedLines { next, time, stream, continued, bytes, .. } = copied;
                from = next;
                let (name, is_error) = (buffer.name().to_string(), stream == Stream::Stderr);
                // Nanoseconds are enough until the year 2262.
                let time = i64::try_from(time.as_nanosecond()).unwrap_or_default();
                all.push((order, handover::HandedLines { name, is_error, time, continued, bytes: bytes.into() }));
            }
        }
        all.sort_by_key(|(order, _)| *order);
        all.into_iter().map(|(_, lines)| lines).collect()
    }

    /// Takes the lines of the former program in this process.
    pub(in crate::runtime) fn take_over(&self, all: Vec<handover::HandedLines>) {
        for handover::HandedLines { name, is_error, time, continued, bytes } in all {
            let (stream, bytes) = (if is_error { Stream::Stderr } else { Stream::Stdout }, Vec::from(bytes));
            let bytes = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
            let time = Timestamp::from_nanosecond(time.into()).unwrap_or_default();
            self.slot_for(&Name::from(name.as_str())).take_at(time, stream, LineChunk { bytes, continued });
        }
    }

    /// Tells followers that no more output comes.
    pub(in crate::runtime) fn finish(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.buffers().mailboxes.iter().filter_map(Weak::upgrade).for_each(|mailbox| mailbox.wake());
    }

    /// The last lines of a process, each cut to `SHOWN_CHARS` characters.
    pub fn last(&self, name: &str, lines: u64) -> Vec<String> {
        let Some(buffer) = self.buffers().by_name.get(name).cloned() else { return Vec::new() };
        let mut from = buffer.first_of_last(lines);
        let mut text = Vec::new();
        while let Some(copied) = buffer.copy(from) {
            from = copied.next;
            text.extend_from_slice(&copied.bytes);
        }
        let text = String::from_utf8_lossy(&text);
        text.lines().map(|line| line.chars().take(SHOWN_CHARS).collect()).collect()
    }

    /// Reads the last lines of each of these processes, or of all if `names` is empty. If it `follows`, later output comes after
    /// them.
    pub fn tail(&self, names: &[Name], last: LastLines, follows: bool) -> Tail {
        let mailbox = Arc::new(Mailbox::new(names));
        let mut buffers = self.buffers();
        let begun = buffers.by_name.values().filter(|buffer| mailbox.wants(buffer));
        let tail =
            Tail::new(&mailbox, begun.map(|buffer| mailbox.begin(buffer, last, follows)).collect(), follows, &self.0.is_over);
        if follows {
            buffers.mailboxes.push(Arc::downgrade(&mailbox));
        }
        tail
    }

    /// Sets the share of each buffer.
    fn divide(&self, buffers: &LineBuffers) {
        let share = PROCESS_LIMIT.min(TOTAL_LIMIT / buffers.by_name.len().next_power_of_two());
        if self.0.share.swap(share, Ordering::Relaxed) > share {
            buffers.by_name.values().for_each(|buffer| buffer.shrink(share));
        }
    }

    /// Changes are complete before the lock is released, so a poisoned lock is safe to use.
    fn buffers(&self) -> MutexGuard<'_, LineBuffers> {
        self.0.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LineBuffers {
    /// Offers a new buffer to followers.
    fn announce(&mut self, buffer: &Arc<LineBuffer>) {
        self.mailboxes.retain(|mailbox| {
            let Some(mailbox) = mailbox.upgrade() else { return false };
            mailbox.offer(buffer);
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::tail::TailFormat;
    use super::*;

    fn write(history: &OutputHistory, name: &str, lines: &str) {
        history.slot_for(&name.into()).take(Stream::Stdout, LineChunk { bytes: lines.as_bytes(), continued: false });
    }

    fn last(count: u64) -> LastLines {
        LastLines { count, since: None }
    }

    const PLAIN: TailFormat = TailFormat::Text { named: false, timed: false };
    const NAMED: TailFormat = TailFormat::Text { named: true, timed: false };

    /// Everything that can be read now.
    fn read(tail: &mut Tail, format: TailFormat) -> String {
        let mut text = Vec::new();
        loop {
            let items = tail.take();
            if items.is_empty() {
                return String::from_utf8(text).unwrap();
            }
            for item in items {
                item.write(format, &mut text);
            }
        }
    }

    #[test]
    fn lines_of_several_processes_keep_their_order() {
        let history = OutputHistory::default();
        for (name, lines) in [("a", "1"), ("b", "2\n3"), ("a", "4"), ("c", "5"), ("b", "6")] {
            write(&history, name, lines);
        }
        let all = history.tail(&[], last(10), false);
        assert!(!all.goes_on());
        assert_eq!(read(&mut { all }, PLAIN), "1\n2\n3\n4\n5\n6\n");
        let mut some = history.tail(&["b".into(), "a".into()], last(1), true);
        assert_eq!(read(&mut some, NAMED), "[a.stdout] 4\n[b.stdout] 6\n");
        write(&history, "c", "not of interest");
        write(&history, "b", "7");
        assert_eq!(read(&mut some, PLAIN), "7\n");
        assert_eq!(history.last("b", 2), ["6", "7"]);
        history.finish();
        assert!(!some.goes_on());
    }

    #[test]
    fn lines_are_read_since_a_time_and_with_their_times() {
        let history = OutputHistory::default();
        let slot = history.slot_for(&"web".into());
        for (second, line) in [(1, "one"), (2, "two"), (3, "three")] {
            let at = Arrival { order: second, time: Timestamp::constant(i64::try_from(second).unwrap(), 0) };
            slot.buffer.push(Stream::Stderr, LineChunk { bytes: line.as_bytes(), continued: false }, at, PROCESS_LIMIT);
        }
        let since = |second: i64, named: bool, timed: bool| {
            let last = LastLines { count: 10, since: Some(Timestamp::constant(second, 0)) };
            read(&mut history.tail(&[], last, false), TailFormat::Text { named, timed })
        };
        assert_eq!(since(2, false, false), "two\nthree\n");
        assert_eq!(since(3, false, true), "1970-01-01T00:00:03.000Z three\n");
        assert_eq!(since(3, true, true), "1970-01-01T00:00:03.000Z [web.stderr] three\n");
        assert_eq!(since(4, true, true), "");
    }

    #[test]
    fn only_lines_dropped_after_the_start_of_a_tail_count_as_missed() {
        let history = OutputHistory::default();
        (0..10_000).for_each(|number| write(&history, "web", &format!("{number}")));
        let mut late = history.tail(&[], last(100_000), true);
        assert!(!read(&mut late, PLAIN).contains("missed"));
        (0..10_000).for_each(|number| write(&history, "web", &format!("{number}")));
        let text = read(&mut late, PLAIN);
        let (notice, lines) = text.split_once('\n').unwrap();
        assert_eq!(notice, format!("… missed {} lines", 10_000 - lines.lines().count()));
    }

    #[test]
    fn total_memory_is_limited_and_removed_processes_are_dropped() {
        let history = OutputHistory::default();
        let line = "x".repeat(999);
        for number in 0..1_000 {
            let name = format!("process-{number}");
            (0..100).for_each(|_| write(&history, &name, &line));
        }
        let cost: usize = history.buffers().by_name.values().map(|buffer| buffer.cost()).sum();
        assert!(cost > TOTAL_LIMIT / 2 && cost <= TOTAL_LIMIT + TOTAL_LIMIT / 4, "{cost} bytes");
        history.retain(&|name| name.as_str() == "process-7");
        assert_eq!(history.buffers().by_name.len(), 1);
        assert!(!history.last("process-7", 1).is_empty());
    }
}
