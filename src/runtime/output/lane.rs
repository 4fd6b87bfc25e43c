//! What waits to be written to one destination: whole lines, and a bounded number of them.
//!
//! Where a destination takes less than it is given, the lane fills. For a moment ([`PATIENCE`]) the reader then leaves
//! what comes in its pipe: a disk that merely was busy loses nothing. After that, lines are dropped, counted by where
//! they came from, and a line in their place says how many. So no process is ever held for long, and nothing that was
//! dropped goes unsaid.

use super::bell::Bell;
use super::lines::Piece;
use super::look::{Look, Source};
use super::rotation::Limits;
use super::sink::Sink;
use super::writers::Writers;
use memchr::memchr_iter;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Beyond this many bytes that wait, processes' lines have to wait too. One chunk of the reader's may come on top.
pub(super) const CAPACITY: usize = 4 * 1024 * 1024;
/// So much more may be navigator's own log: a flood of lines costs none of it.
const RESERVE: usize = 1024 * 1024;
/// How long a full lane may take until half of it is written. With half of [`CAPACITY`], it makes 10 MB a second the
/// least that a process can write without being held any longer.
pub(super) const PATIENCE: Duration = Duration::from_millis(200);
/// Lines are gathered up to this many bytes for one write.
pub(super) const BATCH: usize = 256 * 1024;

/// What waits for one destination.
#[derive(Debug)]
pub(super) struct Lane {
    queue: Mutex<Queue>,
    /// Held by the one thread that writes.
    sink: Mutex<Sink>,
    writers: Arc<Writers>,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// Bytes of text in `entries` and in the writer's hand.
    bytes: usize,
    /// Since when there has been no room.
    full_since: Option<Instant>,
    /// Who waits for room.
    waiting: Option<Arc<Bell>>,
    dropped: BTreeMap<Source, Dropped>,
    /// A thread writes, or is going to.
    is_served: bool,
}

#[derive(Debug)]
enum Entry {
    Text(Vec<u8>),
    Open(Limits),
    Reopen,
    Flush(oneshot::Sender<()>),
}

#[derive(Debug)]
struct Dropped {
    look: Look,
    lines: usize,
    bytes: usize,
}

/// A lane with lines that nobody writes yet: somebody is sent when this is dropped.
#[derive(Debug)]
pub(super) struct Due(Arc<Lane>);

impl Drop for Due {
    fn drop(&mut self) {
        self.0.writers.submit(Arc::clone(&self.0));
    }
}

/// What is to be done with lines that come just now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// There is room.
    Take,
    /// There may be room by then, or before: a bell rings.
    Wait(Instant),
    /// There is none, and has not been for too long.
    Drop,
}

impl Lane {
    pub(super) fn new(sink: Sink, writers: &Arc<Writers>) -> Arc<Lane> {
        Arc::new(Lane { queue: Mutex::default(), sink: Mutex::new(sink), writers: Arc::clone(writers) })
    }

    /// What is to be done with lines of a process that could be read now. Once some are dropped, so are the next ones,
    /// until the line that says so has its place.
    pub(super) fn admission(&self, source: &Source, now: Instant, bell: &Arc<Bell>) -> Admission {
        let mut queue = self.lock();
        if queue.dropped.contains_key(source) {
            return Admission::Drop;
        }
        if queue.bytes < CAPACITY {
            return Admission::Take;
        }
        let until = *queue.full_since.get_or_insert(now) + PATIENCE;
        if until <= now {
            return Admission::Drop;
        }
        queue.waiting = Some(Arc::clone(bell));
        Admission::Wait(until)
    }

    /// Takes the lines of a process that `feed` tells, or counts them. Whoever holds the answer for a moment has more lines
    /// written at once.
    pub(super) fn take(
        self: &Arc<Self>,
        source: &Source,
        look: &Look,
        drops: bool,
        feed: impl FnOnce(&mut dyn FnMut(Piece<'_>)),
    ) -> Option<Due> {
        self.change(|queue| {
            feed(&mut |piece| {
                if drops { queue.drop(source, look, piece) } else { queue.add(&self.writers, |text| look.write(piece, text)) }
            });
        })
    }

    /// Takes whole lines of navigator's own log, or counts them. They may be written as soon as what this answers with is dropped.
    pub(super) fn log(self: &Arc<Self>, look: &Look, lines: &[u8]) -> Option<Due> {
        let piece = Piece { bytes: lines.strip_suffix(b"\n").unwrap_or(lines), continued: false };
        self.change(|queue| {
            if queue.bytes < CAPACITY + RESERVE && !queue.dropped.contains_key(&Source::Log) {
                queue.add(&self.writers, |text| look.write(piece, text));
            } else {
                queue.drop(&Source::Log, look, piece);
            }
        })
    }

    /// Opens its file, before there is anything to write, so that what is wrong with it shows at once; and rotates it by
    /// these limits from now on.
    pub(super) fn open(self: &Arc<Self>, limits: Limits) {
        self.change(|queue| queue.entries.push_back(Entry::Open(limits)));
    }

    /// Opens its file anew for what comes from now on: somebody has moved the old one away.
    pub(super) fn reopen(self: &Arc<Self>) {
        self.change(|queue| queue.entries.push_back(Entry::Reopen));
    }

    /// Answers when everything is written that came before.
    pub(super) fn flush(self: &Arc<Self>) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        self.change(|queue| queue.entries.push_back(Entry::Flush(done)));
        is_done
    }

    /// Writes until nothing waits, for as long as that takes. One thread does it at a time.
    pub(super) fn serve(&self) {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(entry) = self.next() {
            match entry {
                Entry::Text(text) => {
                    sink.write(&text);
                    self.lock().written(text.len(), &self.writers);
                    self.writers.take_back(text);
                }
                Entry::Open(limits) => sink.open(limits),
                Entry::Reopen => sink.reopen(),
                // Who asked may have lost patience.
                Entry::Flush(done) => _ = done.send(()),
            }
        }
    }

    fn next(&self) -> Option<Entry> {
        let mut queue = self.lock();
        let entry = queue.entries.pop_front();
        queue.is_served = entry.is_some();
        entry
    }

    /// Changes the queue. Answers whether somebody has to be sent who writes what is new in it.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut Queue)) -> Option<Due> {
        let mut queue = self.lock();
        change(&mut queue);
        let wants_service = !queue.entries.is_empty() && !queue.is_served;
        queue.is_served |= wants_service;
        wants_service.then(|| Due(Arc::clone(self)))
    }

    /// A panic elsewhere leaves the queue as whole as it was: every change of it is complete before the next begins.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes that wait.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl Queue {
    /// Adds what `write` appends to the text that is gathered behind all that is queued.
    fn add(&mut self, writers: &Writers, write: impl FnOnce(&mut Vec<u8>)) {
        let fits = matches!(self.entries.back(), Some(Entry::Text(text)) if text.len() < BATCH);
        if !fits {
            self.entries.push_back(Entry::Text(writers.empty()));
        }
        if let Some(Entry::Text(text)) = self.entries.back_mut() {
            let before = text.len();
            write(text);
            self.bytes += text.len() - before;
        }
    }

    fn drop(&mut self, source: &Source, look: &Look, piece: Piece<'_>) {
        let new = || Dropped { look: look.clone(), lines: 0, bytes: 0 };
        let dropped = self.dropped.entry(source.clone()).or_insert_with(new);
        dropped.lines += memchr_iter(b'\n', piece.bytes).count() + 1;
        dropped.bytes += piece.bytes.len() + 1;
    }

    /// Takes note of room. What was dropped is said when half of it is free, or it would be said for every line.
    fn written(&mut self, bytes: usize, writers: &Writers) {
        self.bytes -= bytes;
        if self.bytes > CAPACITY / 2 {
            return;
        }
        self.full_since = None;
        for Dropped { look, lines, bytes } in std::mem::take(&mut self.dropped).into_values() {
            self.add(writers, |text| look.remark(&format!("dropped {lines} lines ({bytes} bytes)"), text));
        }
        if let Some(bell) = self.waiting.take() {
            bell.ring();
        }
    }
}
