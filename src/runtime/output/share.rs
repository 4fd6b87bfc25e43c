//! The share that one source has of a queue: what it has queued, since when it waits for room, and what it has lost.

use super::line_format::LineFormat;
use super::lines::LineChunk;
use super::waker::PollWaker;
use memchr::memchr_iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a source waits until half of what it has queued is written. A destination that writes a whole queue in this time,
/// 20 MB a second, is always fast enough to lose nothing; for a single source a quarter of that is enough.
pub(super) const MAX_WAIT: Duration = Duration::from_millis(200);

/// What is to be done with lines that come just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// There is room. The next read should not add more bytes than this, so that it leaves room for other sources.
    Take(usize),
    /// There may be room at this time. If there is before, a waker rings.
    Wait(Instant),
    /// There is none, and has not been for too long.
    Drop,
}

/// What a queue knows of one source.
#[derive(Debug, Default)]
pub(super) struct StreamShare {
    /// Bytes of its text in the queue.
    pub(super) bytes: usize,
    /// Set when it has used up its share, until half of that is written.
    full: Option<FullQueue>,
    /// Lines that it has lost, and that are not reported yet.
    dropped: Option<Dropped>,
}

#[derive(Debug)]
struct FullQueue {
    since: Instant,
    /// What it had in the queue then.
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
    /// What is to be done with its next lines, with this many bytes free in the queue.
    pub(super) fn admission(&mut self, free: usize, now: Instant, waker: &Arc<PollWaker>) -> Admission {
        if self.is_dropping() {
            return Admission::Drop;
        }
        if !self.has_room(free) {
            let bytes = self.bytes;
            self.full.get_or_insert_with(|| FullQueue { since: now, bytes, waker: Arc::clone(waker) });
        }
        // Until half of it is written it waits even if there is some room: filled up again and again, it would never get there.
        match &self.full {
            Some(full) if now < full.since + MAX_WAIT => Admission::Wait(full.since + MAX_WAIT),
            Some(_) if !self.has_room(free) => Admission::Drop,
            _ => Admission::Take(free / 2),
        }
    }

    /// Counts lines that are dropped.
    pub(super) fn count_dropped(&mut self, format: &LineFormat, piece: LineChunk<'_>) {
        let dropped = self.dropped.get_or_insert_with(|| Dropped { format: format.clone(), lines: 0, bytes: 0 });
        dropped.lines += memchr_iter(b'\n', piece.bytes).count() + 1;
        dropped.bytes += piece.bytes.len() + 1;
    }

    pub(super) fn is_dropping(&self) -> bool {
        self.dropped.is_some()
    }

    /// If it has room again: wakes the reader, and returns what it has lost.
    ///
    /// That is when half of what it had queued is written. With less, each written line would wake the reader, and dropped
    /// lines would be reported one by one.
    pub(super) fn recover(&mut self, free: usize) -> Option<Dropped> {
        let is_half_written = self.full.as_ref().is_none_or(|full| self.bytes <= full.bytes / 2);
        if !is_half_written || !self.has_room(free) {
            return None;
        }
        if let Some(full) = self.full.take() {
            full.waker.wake();
        }
        self.dropped.take()
    }

    /// Whether there is nothing to know of it.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0 && self.full.is_none() && self.dropped.is_none()
    }

    fn has_room(&self, free: usize) -> bool {
        self.bytes < free
    }
}

impl Dropped {
    /// Appends the line that says so.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        self.format.write_notice(&format!("dropped {} lines ({} bytes)", self.lines, self.bytes), out);
    }
}
