//! The queue of one destination: whole lines, in order and bounded.
//!
//! Each source (a stream of a process) has a share by *dynamic thresholds*: it may queue as much as is free. One flooding
//! source takes half of the queue, two take a third each, and so on, so another source always finds room.
//!
//! A source that has used up its share waits for up to [`MAX_WAIT`](super::share::MAX_WAIT): its output stays in the pipe, so a
//! disk that is busy for a short time loses nothing. After that, lines of this source are dropped and counted, and a notice in
//! their place reports the number. Other sources are not affected.

use super::line_format::{LineFormat, LineSource};
use super::lines::LineChunk;
use super::rotation::Limits;
use super::share::{Admission, StreamShare};
use super::sink::{Sink, WriteProgress, wait_for_room};
use super::waker::PollWaker;
use super::writers::{SinkGroup, Writers};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::oneshot;

/// Bytes that the sources share, or fewer while all queues together hold much ([`super::budget`]). One read may exceed it.
pub(super) const CAPACITY: usize = 4 * 1024 * 1024;
/// Extra bytes for navigator's own log, so that a flood of output drops no log line.
const LOG_RESERVE: usize = 1024 * 1024;
/// Entries that are written before a thread turns to other queues.
const ENTRIES_PER_TURN: usize = 4;
/// Bytes that are gathered for one write.
pub(super) const BATCH: usize = 256 * 1024;

/// The queue of one destination.
#[derive(Debug)]
pub(super) struct SinkQueue {
    state: Mutex<SinkQueueState>,
    /// Locked by the one thread that writes.
    sink: Mutex<Sink>,
    writers: Arc<Writers>,
}

#[derive(Debug)]
struct SinkQueueState {
    entries: VecDeque<QueueEntry>,
    /// Bytes in `entries`, and in the text being written.
    bytes: usize,
    /// Sources that have queued text, wait, or have dropped lines.
    shares: BTreeMap<LineSource, StreamShare>,
    /// A thread serves it, or will; or the watch has it served when its destination takes more.
    is_served: bool,
    /// As last reported by the sink.
    group: SinkGroup,
}

#[derive(Debug)]
enum QueueEntry {
    Text(QueuedText),
    Open(Limits),
    Reopen,
    Flush(oneshot::Sender<()>),
}

/// Lines for one write.
#[derive(Debug)]
struct QueuedText {
    bytes: Vec<u8>,
    /// Bytes that are already written.
    written: usize,
    /// Bytes of each source; usually one or two.
    by_source: BTreeMap<LineSource, usize>,
}

/// A queue with lines but no writer: dropping this value submits it.
#[derive(Debug)]
pub(super) struct UnservedQueue(Arc<SinkQueue>);

impl Drop for UnservedQueue {
    fn drop(&mut self) {
        self.0.writers.submit(Arc::clone(&self.0));
    }
}

impl SinkQueue {
    pub(super) fn new(sink: Sink, writers: &Arc<Writers>) -> Arc<SinkQueue> {
        let group = sink.group();
        let state = SinkQueueState { entries: VecDeque::new(), bytes: 0, shares: BTreeMap::new(), is_served: false, group };
        Arc::new(SinkQueue { state: Mutex::new(state), sink: Mutex::new(sink), writers: Arc::clone(writers) })
    }

    /// What to do with new lines of a source. Once lines are dropped, so are the next ones, until the notice has room.
    pub(super) fn admission(&self, source: &LineSource, now: Instant, waker: &Arc<PollWaker>) -> Admission {
        let mut state = self.lock();
        let free = state.free(&self.writers);
        state.share(source).admission(free, now, waker)
    }

    /// Takes the lines that `feed` passes on, or counts them as dropped. To batch more lines into one write, keep the result
    /// for a moment.
    pub(super) fn take(
        self: &Arc<Self>,
        source: &LineSource,
        format: &LineFormat,
        drops: bool,
        feed: impl FnOnce(&mut dyn FnMut(LineChunk<'_>)),
    ) -> Option<UnservedQueue> {
        self.change(|state| {
            feed(&mut |piece| {
                if drops {
                    state.share(source).count_dropped(format, piece);
                } else {
                    state.add(source, &self.writers, |text| format.write(piece, text));
                }
            });
            if drops {
                // The writer may have made room since the admission, and may have nothing left to write.
                state.recover_shares(&self.writers);
            }
        })
    }

    /// Takes whole lines of navigator's own log, or counts them as dropped. They are written once the result is dropped.
    pub(super) fn log(self: &Arc<Self>, format: &LineFormat, lines: &[u8]) -> Option<UnservedQueue> {
        let piece = LineChunk { bytes: lines.strip_suffix(b"\n").unwrap_or(lines), continued: false };
        self.change(|state| {
            if state.bytes < CAPACITY + LOG_RESERVE && !state.share(&LineSource::Log).is_dropping() {
                state.add(&LineSource::Log, &self.writers, |text| format.write(piece, text));
            } else {
                state.share(&LineSource::Log).count_dropped(format, piece);
            }
        })
    }

    /// Opens its file before the first line, so that errors show at once, and sets its limits.
    pub(super) fn open(self: &Arc<Self>, limits: Limits) {
        self.change(|state| state.entries.push_back(QueueEntry::Open(limits)));
    }

    /// Opens its file again, for lines from now on.
    pub(super) fn reopen(self: &Arc<Self>) {
        self.change(|state| state.entries.push_back(QueueEntry::Reopen));
    }

    /// Answers when everything queued so far is written, and all lines dropped so far are reported.
    pub(super) fn flush(self: &Arc<Self>) -> oneshot::Receiver<()> {
        let (done, is_done) = oneshot::channel();
        self.change(|state| {
            state.report_dropped(&self.writers);
            state.entries.push_back(QueueEntry::Flush(done));
        });
        is_done
    }

    /// Writes queued entries for one turn; returns whether more are left. If a pipe or terminal is full, the watch has the
    /// queue served again. Only one thread does this at a time.
    pub(super) fn serve(self: &Arc<Self>) -> bool {
        let mut sink = self.sink.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..ENTRIES_PER_TURN {
            let Some(entry) = self.next(&sink) else { return false };
            match entry {
                QueueEntry::Text(mut text) => match sink.write(&text.bytes, text.written) {
                    WriteProgress::Done => {
                        self.lock().written(&text, &self.writers);
                        self.writers.recycle(text.bytes);
                    }
                    WriteProgress::Full(written) => {
                        text.written = written;
                        self.lock().entries.push_front(QueueEntry::Text(text));
                        let Some(descriptor) = sink.descriptor() else { continue };
                        if self.writers.watch().add(descriptor, self, &self.writers).is_ok() {
                            return false;
                        }
                        // Without a watch, this thread blocks.
                        wait_for_room(descriptor);
                    }
                },
                QueueEntry::Open(limits) => sink.open(limits),
                QueueEntry::Reopen => sink.reopen(),
                // The caller may have stopped waiting.
                QueueEntry::Flush(done) => _ = done.send(()),
            }
        }
        true
    }

    /// The group that it may block together with.
    pub(super) fn group(&self) -> SinkGroup {
        self.lock().group
    }

    fn next(&self, sink: &Sink) -> Option<QueueEntry> {
        let mut state = self.lock();
        state.group = sink.group();
        let entry = state.entries.pop_front();
        state.is_served = entry.is_some();
        entry
    }

    /// Changes the queue. Returns it if it needs a writer.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut SinkQueueState)) -> Option<UnservedQueue> {
        let mut state = self.lock();
        change(&mut state);
        let wants_service = !state.entries.is_empty() && !state.is_served;
        state.is_served |= wants_service;
        wants_service.then(|| UnservedQueue(Arc::clone(self)))
    }

    /// Changes are complete before the lock is released, so a poisoned lock is safe to use.
    fn lock(&self) -> MutexGuard<'_, SinkQueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queued bytes.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }
}

impl Drop for SinkQueue {
    /// A writer closes the file, because that may block on a disk too.
    fn drop(&mut self) {
        let sink = self.sink.get_mut().unwrap_or_else(PoisonError::into_inner);
        if sink.descriptor().is_some() {
            let queue = SinkQueue::new(std::mem::replace(sink, Sink::stdout()), &self.writers);
            queue.reopen();
        }
    }
}

impl SinkQueueState {
    fn free(&self, writers: &Writers) -> usize {
        CAPACITY.saturating_sub(self.bytes).min(writers.budget().room(self.bytes))
    }

    fn share(&mut self, source: &LineSource) -> &mut StreamShare {
        self.shares.entry(source.clone()).or_default()
    }

    /// Adds what `write` appends to the last text of the queue.
    fn add(&mut self, source: &LineSource, writers: &Writers, write: impl FnOnce(&mut Vec<u8>)) {
        let fits = matches!(self.entries.back(), Some(QueueEntry::Text(text)) if text.bytes.len() < BATCH);
        if !fits {
            self.entries.push_back(QueueEntry::Text(QueuedText {
                bytes: writers.empty_buffer(),
                written: 0,
                by_source: BTreeMap::new(),
            }));
        }
        if let Some(QueueEntry::Text(text)) = self.entries.back_mut() {
            let before = text.bytes.len();
            write(&mut text.bytes);
            let added = text.bytes.len() - before;
            *text.by_source.entry(source.clone()).or_default() += added;
            self.share(source).bytes += added;
            self.bytes += added;
            writers.budget().add(added);
        }
    }

    /// Removes a written text from the accounts.
    fn written(&mut self, text: &QueuedText, writers: &Writers) {
        self.bytes -= text.bytes.len();
        writers.budget().remove(text.bytes.len());
        for (source, bytes) in &text.by_source {
            self.share(source).bytes -= bytes;
        }
        self.recover_shares(writers);
    }

    /// Wakes the reader for sources that have room again, and queues their reports of dropped lines.
    fn recover_shares(&mut self, writers: &Writers) {
        let (free, mut recovered) = (self.free(writers), Vec::new());
        self.shares.retain(|source, share| {
            recovered.extend(share.recover(free).map(|dropped| (source.clone(), dropped)));
            !share.is_empty()
        });
        for (source, dropped) in recovered {
            self.add(&source, writers, |text| dropped.write(text));
        }
    }

    /// Queues the reports of all dropped lines, without waiting for room: after this, there may be no writing anymore.
    fn report_dropped(&mut self, writers: &Writers) {
        let unreported: Vec<_> =
            self.shares.iter_mut().filter_map(|(source, share)| Some((source.clone(), share.take_dropped()?))).collect();
        for (source, dropped) in unreported {
            self.add(&source, writers, |text| dropped.write(text));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::line_format::Stream;
    use super::super::share::MAX_WAIT;
    use super::*;
    use crate::access::Trust;

    /// A line of these tests, without newline.
    const LINE: [u8; 999] = [b'x'; 999];
    /// Bytes of one write of such lines.
    const BATCH_OF_LINES: usize = BATCH.div_ceil(1_000) * 1_000;

    /// A queue that is only written by the test.
    struct Stuck {
        queue: Arc<SinkQueue>,
        waker: Arc<PollWaker>,
        now: Instant,
    }

    impl Stuck {
        fn new() -> Stuck {
            let queue = SinkQueue::new(Sink::log_file("/dev/null".into(), Trust::everybody()), &Writers::start().unwrap());
            // As if a thread were blocked in a write, so no other is called.
            queue.lock().is_served = true;
            Stuck { queue, waker: Arc::new(PollWaker::new().unwrap()), now: Instant::now() }
        }

        /// Offers one line as the reader does; returns whether there was room.
        fn offer_at(&self, source: &LineSource, now: Instant) -> bool {
            let drops = match self.queue.admission(source, now, &self.waker) {
                Admission::Take(_) => false,
                Admission::Wait(_) => return false,
                Admission::Drop => true,
            };
            let due =
                self.queue.take(source, &LineFormat::Plain, drops, |each| each(LineChunk { bytes: &LINE, continued: false }));
            assert!(due.is_none());
            !drops
        }

        fn offer(&self, source: &LineSource) -> bool {
            self.offer_at(source, self.now)
        }

        /// Fills the share of a source; returns its queued bytes.
        fn flood(&self, source: &LineSource) -> usize {
            while self.offer(source) {}
            self.queue.lock().share(source).bytes
        }

        /// Removes this many texts, as if they were written.
        fn write(&self, texts: usize) {
            for _ in 0..texts {
                let Some(QueueEntry::Text(text)) = self.queue.lock().entries.pop_front() else { panic!("nothing is queued") };
                self.queue.lock().written(&text, &self.queue.writers);
            }
        }

        fn is_woken(&self) -> bool {
            let mut count = [0; 8];
            rustix::io::read(&self.waker, &mut count).is_ok()
        }
    }

    fn source(name: &str) -> LineSource {
        LineSource::Process(name.into(), Stream::Stdout)
    }

    #[test]
    fn a_flood_takes_half_and_a_third_source_loses_nothing() {
        let stuck = Stuck::new();
        let (flood, neighbour, modest) = (source("flood"), source("neighbour"), source("modest"));
        assert_eq!(stuck.flood(&flood).div_ceil(1_000), CAPACITY.div_ceil(2_000));
        // A second source takes half of the rest.
        assert_eq!(stuck.flood(&neighbour).div_ceil(1_000), CAPACITY.div_ceil(4_000));
        let late = stuck.now + MAX_WAIT;
        for _ in 0..500 {
            assert!(stuck.offer_at(&modest, late));
            assert!(!stuck.offer_at(&flood, late) && !stuck.offer_at(&neighbour, late));
        }
        assert!(stuck.queue.bytes() < CAPACITY);
        assert!(!stuck.queue.lock().share(&modest).is_dropping());
    }

    #[test]
    fn a_thread_yields_to_other_queues_after_a_turn() {
        let stuck = Stuck::new();
        let mut flushes: Vec<_> = (0..=ENTRIES_PER_TURN).map(|_| stuck.queue.flush()).collect();
        let mut is_last_done = || flushes[ENTRIES_PER_TURN].try_recv().is_ok();
        assert!(stuck.queue.serve() && !is_last_done());
        assert!(!stuck.queue.serve() && is_last_done());
    }

    #[test]
    fn one_more_source_has_room_among_any_number_of_floods() {
        let stuck = Stuck::new();
        for round in 0..200 {
            // A flooding source takes at most half of the free space.
            stuck.flood(&source(&format!("flood-{round}")));
            assert!(stuck.queue.bytes() < CAPACITY + LINE.len() + 1);
            stuck.write(1);
            assert!(stuck.offer(&source("modest")), "round {round}");
        }
    }

    #[test]
    fn one_read_leaves_half_of_the_free_space_to_others() {
        let stuck = Stuck::new();
        let admission = |name: &str| stuck.queue.admission(&source(name), stuck.now, &stuck.waker);
        assert_eq!(admission("one"), Admission::Take(CAPACITY / 2));
        let one = stuck.flood(&source("one"));
        assert_eq!(admission("two"), Admission::Take((CAPACITY - one) / 2));
    }

    #[test]
    fn each_source_waits_and_is_woken_independently() {
        let stuck = Stuck::new();
        let (first, second) = (source("first"), source("second"));
        let waits =
            |source: &LineSource, now| stuck.queue.admission(source, now, &stuck.waker) == Admission::Wait(now + MAX_WAIT);
        let all = stuck.flood(&first);
        assert!(waits(&first, stuck.now));
        // Another source starts to wait when its own share is used up.
        let later = stuck.now + MAX_WAIT / 2;
        while stuck.offer_at(&second, later) {}
        assert!(waits(&second, later));
        assert_eq!(stuck.queue.admission(&first, stuck.now + MAX_WAIT, &stuck.waker), Admission::Drop);
        assert_eq!(stuck.queue.admission(&second, stuck.now + MAX_WAIT, &stuck.waker), Admission::Wait(later + MAX_WAIT));
        // Text of the first source is written first, so only that source has room when half of it is written.
        let mut texts = 0;
        while !stuck.is_woken() {
            stuck.write(1);
            texts += 1;
        }
        assert_eq!(texts, (all / 2).div_ceil(BATCH_OF_LINES));
        assert!(matches!(stuck.queue.admission(&first, stuck.now + MAX_WAIT, &stuck.waker), Admission::Take(_)));
        while !stuck.is_woken() {
            stuck.write(1);
        }
        let state = stuck.queue.lock();
        assert!(!state.shares.contains_key(&first) && state.bytes < all / 2, "{state:?}");
    }

    #[test]
    fn a_waiting_source_is_not_admitted_before_half_is_written() {
        let stuck = Stuck::new();
        let flood = source("flood");
        let all = stuck.flood(&flood);
        for _ in 1..(all / 2).div_ceil(BATCH_OF_LINES) {
            stuck.write(1);
            assert!(!stuck.offer(&flood) && !stuck.is_woken());
        }
        // After [`MAX_WAIT`] it uses the room that there is.
        let late = stuck.now + MAX_WAIT;
        while stuck.offer_at(&flood, late) {}
        assert_eq!(stuck.queue.bytes().div_ceil(1_000), CAPACITY.div_ceil(2_000));
        assert!(stuck.queue.lock().share(&flood).is_dropping());
    }

    #[test]
    fn dropped_lines_are_reported_when_half_of_the_share_is_written() {
        let stuck = Stuck::new();
        let flood = source("flood");
        let all = stuck.flood(&flood);
        let drop_line = || stuck.offer_at(&flood, stuck.now + MAX_WAIT);
        assert!(!drop_line() && !drop_line());
        let texts = (all / 2).div_ceil(BATCH_OF_LINES);
        stuck.write(texts - 1);
        assert!(!drop_line(), "it has room, but its loss is not reported yet");
        stuck.write(1);
        let state = stuck.queue.lock();
        let Some(QueueEntry::Text(last)) = state.entries.back() else { panic!("nothing is queued") };
        assert!(last.bytes.ends_with("… dropped 3 lines (3000 bytes)\n".as_bytes()));
        drop(state);
        assert!(drop_line(), "it has room again");
    }

    #[test]
    fn dropped_lines_are_reported_before_a_flush_is_done() {
        let stuck = Stuck::new();
        let flood = source("flood");
        stuck.flood(&flood);
        assert!(!stuck.offer_at(&flood, stuck.now + MAX_WAIT));
        let _is_done = stuck.queue.flush();
        let state = stuck.queue.lock();
        let mut last = state.entries.iter().rev();
        assert!(matches!(last.next(), Some(QueueEntry::Flush(_))));
        let Some(QueueEntry::Text(text)) = last.next() else { panic!("no report before the flush") };
        assert!(text.bytes.ends_with("… dropped 1 lines (1000 bytes)\n".as_bytes()));
        assert!(!state.shares[&flood].is_dropping());
    }

    #[test]
    fn room_that_came_while_lines_were_dropped_is_used_at_once() {
        let stuck = Stuck::new();
        let flood = source("flood");
        stuck.flood(&flood);
        assert_eq!(stuck.queue.admission(&flood, stuck.now + MAX_WAIT, &stuck.waker), Admission::Drop);
        // Everything is written between admission and take.
        while !stuck.queue.lock().entries.is_empty() {
            stuck.write(1);
        }
        stuck.queue.take(&flood, &LineFormat::Plain, true, |each| each(LineChunk { bytes: &LINE, continued: false }));
        assert!(stuck.offer(&flood));
        stuck.write(1);
        assert!(stuck.queue.lock().shares.is_empty(), "a source without queued text has no share");
    }
}
