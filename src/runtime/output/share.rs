//! The share of one source in a queue: its queued bytes, how long it waits for room, and its dropped lines.

use super::line_format::LineFormat;
use super::lines::LineChunk;
use super::waker::PollWaker;
use memchr::memchr_iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a source waits until half of its queued bytes are written. A destination that writes a whole queue in this time (20
/// MB/s) never loses lines; for a single source a quarter of that is enough.
pub(super) const MAX_WAIT: Duration = Duration::from_millis(200);

/// What to do with new lines of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// There is room. Read at most this many bytes next, to leave room for other sources.
    Take(usize),
    /// Wait until this time, or until the waker signals room.
    Wait(Instant),
    /// Drop them: there has been no room for too long.
    Drop,
}

/// The state of one source in a queue.
#[derive(Debug, Default)]
pub(super) struct StreamShare {
    /// Its queued bytes.
    pub(super) bytes: usize,
    /// Set when its share is used up, until half of that is written.
    full: Option<FullQueue>,
    /// Dropped lines that are not reported yet.
    dropped: Option<Dropped>,
}

#[derive(Debug)]
struct FullQueue {
    since: Instant,
    /// Its queued bytes then.
    bytes: usize,
    /// Wakes the reader.
    waker: Arc<PollWaker>,
}

/// Lines that were dropped.
#[derive(Debug)]
pub(super) struct Dropped {
    format: LineFormat,
    lines: usize,
    bytes: usize,
}

impl StreamShare {
    /// What to do with its next lines, with this many bytes free in the queue.
    pub(super) fn admission(&mut self, free: usize, now: Instant, waker: &Arc<PollWaker>) -> Admission {
        if self.is_dropping() {
            return Admission::Drop;
        }
        if !self.has_room(free) {
            let bytes = self.bytes;
            self.full.get_or_insert_with(|| FullQueue { since: now, bytes, waker: Arc::clone(waker) });
        }
        // Even with some room it waits until half is written. Otherwise it would be refilled again and again, and never get
        // there.
        match &self.full {
            Some(full) if now < full.since + MAX_WAIT => Admission::Wait(full.since + MAX_WAIT),
            Some(_) if !self.has_room(free) => Admission::Drop,
            _ => Admission::Take(free / 2),
        }
    }

    /// Counts dropped lines.
    pub(super) fn count_dropped(&mut self, format: &LineFormat, piece: LineChunk<'_>) {
        let dropped = self.dropped.get_or_insert_with(|| Dropped { format: format.clone(), lines: 0, bytes: 0 });
        dropped.lines += memchr_iter(b'\n', piece.bytes).count() + 1;
        dropped.bytes += piece.bytes.len() + 1;
    }

    pub(super) fn is_dropping(&self) -> bool {
        self.dropped.is_some()
    }

    /// If it has room again: wakes the reader, and returns its dropped lines for the report.
    ///
    /// It has room when half of its queued bytes are written. A lower limit would wake the reader for each written line, and
    /// report dropped lines one by one.
    pub(super) fn recover(&mut self, free: usize) -> Option<Dropped> {
        let is_half_written = self.full.as_ref().is_none_or(|full| self.bytes <= full.bytes / 2);
        if !is_half_written || !self.has_room(free) {
            return None;
        }
        if let Some(full) = self.full.take() {
            full.waker.wake();
        }
        self.take_dropped()
    }

    /// Its dropped lines, for a report.
    pub(super) fn take_dropped(&mut self) -> Option<Dropped> {
        self.dropped.take()
    }

    /// Whether it can be removed.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.full.is_none() && self.dropped.is_none()
    }

    fn has_room(&self, free: usize) -> bool {
        self.bytes < free
    }
}

impl Dropped {
    /// Appends the notice `dropped N lines`.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.format.write_notice(&format!("dropped {} lines ({} bytes)", self.lines, self.bytes), out);
    }
}
