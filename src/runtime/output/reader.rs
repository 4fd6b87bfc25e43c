//! Reads what processes write, on a thread of its own: one pipe for each standard output and error. It never waits for
//! whoever writes the lines; a stream whose queue is full is left alone for a moment, and comes back.
//!
//! The end of a stream and the end of a process are two facts that have nothing to do with one another: a grandchild may
//! hold the pipe after its parent's end, and a process may close its output and go on.

use super::history::{HistorySlot, OutputHistory};
use super::line_format::{LineFormat, Source, Stream};
use super::lines::{LineChunk, LineSplitter};
use super::printer::{OutputRoute, Printer};
use super::rotation::Limits;
use super::share::Admission;
use super::sink_queue::UnservedQueue;
use super::waker::PollWaker;
use crate::access::identity::Identity;
use crate::runtime::probe::{LogMatcher, PartialLine};
use crate::sys;
use reconcile::spec::Output;
use reconcile::text::Name;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;
use std::collections::HashMap;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What one read takes at most, of lines that stay as they are: what is in a large pipe.
const MAX_READ: usize = LARGE_PIPE;
/// The same of lines that get something around them, which may be a hundred times a short line.
const MAX_FORMATTED_READ: usize = 64 * 1024;
/// What one read takes at least where a queue is nearly full: shorter reads would cost more calls than they keep free.
const MIN_READ: usize = 8 * 1024;
/// As much in a pipe means that it was about to be full: by itself it has room for 64 KiB, and for less where writes are small.
const NEARLY_FULL: usize = 32 * 1024;
/// What such a pipe is given: its process has to wait less often. Whoever isn't root has 256 of them, by the kernel's usual
/// `pipe-user-pages-soft`; then all of the user's new pipes are small.
const LARGE_PIPE: usize = 256 * 1024;
/// So many bytes are read at most before somebody is sent to write them.
const SUBMIT_BYTES: usize = 256 * 1024;
/// When a stream is looked at again that the kernel has no event for.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How long finishing goes on reading where somebody outside goes on writing.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Hands streams to the reader. Clones are the same reader.
#[derive(Clone)]
pub(in crate::runtime) struct Outputs {
    printer: Printer,
    history: OutputHistory,
    shared: Arc<ReaderState>,
}

struct ReaderState {
    requests: Mutex<Requests>,
    /// What the reader waits at: the waker, and the streams.
    poll: OwnedFd,
    /// There is something to ask that no event of a stream tells of, or room in a queue.
    waker: Arc<PollWaker>,
}

/// What the reader doesn't know yet. A stream that is in the poll wakes nobody: the reader hears of it with its first event.
struct Requests {
    /// The number of the next stream; none is used twice.
    next_token: u64,
    streams: Vec<(u64, Box<OpenStream>)>,
    /// Those of them that the poll has not taken.
    unwatched: Vec<u64>,
    finish: Option<oneshot::Sender<()>>,
}

/// A stream that is read.
struct OpenStream {
    source: Source,
    stream: Stream,
    pipe: OwnedFd,
    lines: LineSplitter,
    /// Somebody may listen for a line.
    matcher_line: Option<PartialLine>,
    /// Where its lines are kept; `None`: they are thrown away, and it is read for whoever listens alone.
    slot: Option<HistorySlot>,
    route: OutputRoute,
    has_large_pipe: bool,
    /// The poll doesn't take it.
    is_unwatched: bool,
}

impl Outputs {
    /// Starts the reader.
    ///
    /// # Errors
    /// No descriptor or no thread.
    pub(in crate::runtime) fn start(printer: Printer, history: OutputHistory) -> io::Result<Outputs> {
        let waker = Arc::new(PollWaker::new()?);
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&poll, &waker, epoll::EventData::new_u64(WAKER), epoll::EventFlags::IN)?;
        let requests = Mutex::new(Requests { next_token: WAKER + 1, streams: Vec::new(), unwatched: Vec::new(), finish: None });
        let shared = Arc::new(ReaderState { requests, poll, waker });
        let outputs = Outputs { printer: printer.clone(), history, shared: Arc::clone(&shared) };
        let (streams, paused) = (HashMap::new(), HashMap::new());
        let reader = StreamReader { shared, printer, streams, paused, unwritten: Unwritten::default(), finishing: None };
        let work = move || {
            // Else each end of a process would be interrupted twice, by the end of each of its streams.
            sys::schedule_as_batch();
            reader.run();
        };
        std::thread::Builder::new().name("reader".to_owned()).spawn(work)?;
        Ok(outputs)
    }

    /// Reads what a process writes to its standard output and error, until both have ended. The ear hears it, too. Its own file
    /// is opened on behalf of this identity. Our ends must not block.
    pub(in crate::runtime) fn read(
        &self,
        name: &Name,
        output: &Output,
        matcher: Option<&Arc<LogMatcher>>,
        identity: &Identity,
        pipes: [OwnedFd; 2],
    ) {
        let slot = if *output == Output::Null {
            self.history.mark_silent(name);
            None
        } else {
            Some(self.history.slot_for(name))
        };
        let open = |stream, pipe| {
            let source = Source::Process(name.clone(), stream);
            let route = match output {
                Output::File { path, max_size, keep } => {
                    let limits = Limits { max_size: *max_size, keep: *keep };
                    self.printer.route_to_file(Path::new(path.value()), path.shown(), limits, identity)
                }
                Output::Log | Output::Null => self.printer.route(&source),
            };
            let matcher_line = matcher.map(|matcher| PartialLine::new(Arc::clone(matcher)));
            let (slot, lines) = (slot.clone(), LineSplitter::default());
            let (has_large_pipe, is_unwatched) = (false, false);
            Box::new(OpenStream { source, stream, pipe, lines, matcher_line, slot, route, has_large_pipe, is_unwatched })
        };
        let [stdout, stderr] = pipes;
        let streams = [open(Stream::Stdout, stdout), open(Stream::Stderr, stderr)];
        // The reader that finds an event of a stream before it knows it waits here until it is entered.
        let mut requests = self.shared.requests();
        for stream in streams {
            let token = requests.next_token;
            requests.next_token += 1;
            if self.shared.watch(token, &stream).is_err() {
                requests.unwatched.push(token);
            }
            requests.streams.push((token, stream));
        }
        if !requests.unwatched.is_empty() {
            self.shared.waker.wake();
        }
    }

    /// Takes note that nothing is read of a process.
    pub(in crate::runtime) fn mark_silent(&self, name: &Name) {
        self.history.mark_silent(name);
    }

    /// Reads what is there, and ends. For when no process is left: then all that they wrote is in the pipes already, and
    /// a pipe that isn't at its end is held by somebody who is not ours.
    pub(in crate::runtime) async fn finish(&self) {
        let (done, is_done) = oneshot::channel();
        self.shared.requests().finish = Some(done);
        self.shared.waker.wake();
        // It only goes away without an answer by answering another who asked the same.
        let _either_way = is_done.await;
    }
}

impl ReaderState {
    /// A panic elsewhere leaves them as whole as they were.
    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a stream into the poll.
    fn watch(&self, token: u64, stream: &OpenStream) -> Result<(), Errno> {
        epoll::add(&self.poll, &stream.pipe, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
    }
}

/// What the waker is called in the poll; streams have numbers above it.
const WAKER: u64 = 0;

struct StreamReader {
    shared: Arc<ReaderState>,
    printer: Printer,
    /// Boxed, because a table has more places than values.
    streams: HashMap<u64, Box<OpenStream>>,
    /// Streams that are not in the poll, with the time to look at them again.
    paused: HashMap<u64, Instant>,
    unwritten: Unwritten,
    finishing: Option<Finishing>,
}

/// What was read since somebody was last sent to write. To send somebody costs more than a small piece itself does, so they are
/// sent when there is enough for them, or nothing more to read.
#[derive(Default)]
struct Unwritten {
    queues: Vec<UnservedQueue>,
    bytes: usize,
}

impl Unwritten {
    fn add(&mut self, queue: Option<UnservedQueue>, bytes: usize) {
        self.queues.extend(queue);
        self.bytes += bytes;
        if self.bytes >= SUBMIT_BYTES {
            self.submit();
        }
    }

    fn submit(&mut self) {
        self.queues.clear();
        self.bytes = 0;
    }
}

struct Finishing {
    done: oneshot::Sender<()>,
    until: Instant,
}

impl StreamReader {
    fn run(mut self) {
        let mut events = Vec::with_capacity(256);
        let mut chunk = vec![0; MAX_READ];
        loop {
            events.clear();
            let waited = epoll::wait(&self.shared.poll, spare_capacity(&mut events), self.poll_timeout().as_ref());
            assert!(matches!(waited, Ok(_) | Err(Errno::INTR)), "a poll of ours can be waited for: {waited:?}");
            for event in &events {
                match event.data.u64() {
                    WAKER => self.handle_wake(),
                    stream => {
                        if !self.streams.contains_key(&stream) {
                            self.take_requests();
                        }
                        self.read(stream, &mut chunk);
                    }
                }
            }
            if events.is_empty() {
                self.unwritten.submit();
            }
            self.resume(&mut chunk);
            let is_over =
                |finishing: &Finishing| (events.is_empty() && self.paused.is_empty()) || Instant::now() >= finishing.until;
            if self.finishing.as_ref().is_some_and(is_over) {
                return self.end();
            }
        }
    }

    /// How long nothing may happen until there is something to do: for ever, mostly.
    fn poll_timeout(&self) -> Option<Timespec> {
        if !self.unwritten.queues.is_empty() {
            return Some(Timespec::default());
        }
        let next = self.paused.values().min();
        let wait = match (next, &self.finishing) {
            (Some(next), _) => next.saturating_duration_since(Instant::now()),
            (None, Some(_)) => Duration::ZERO,
            (None, None) => return None,
        };
        Timespec::try_from(wait).ok()
    }

    fn handle_wake(&mut self) {
        self.shared.waker.clear();
        self.take_requests();
        // Perhaps it was a queue that has room again; those that find none wait on as before.
        let now = Instant::now();
        self.paused.values_mut().for_each(|until| *until = now);
    }

    fn take_requests(&mut self) {
        let mut requests = self.shared.requests();
        self.streams.extend(mem::take(&mut requests.streams));
        // Looked at at once, though the kernel has no event for it.
        self.paused.extend(requests.unwatched.drain(..).map(|token| (token, Instant::now())));
        if let Some(done) = requests.finish.take() {
            self.finishing = Some(Finishing { done, until: Instant::now() + FINISH_TIMEOUT });
        }
    }

    /// Takes one chunk of a stream; if there is more, it comes round again, after the others.
    fn read(&mut self, token: u64, chunk: &mut [u8]) {
        let Some(stream) = self.streams.get_mut(&token) else { return };
        if !self.printer.is_current(&stream.route) {
            stream.route = self.printer.route(&stream.source);
        }
        let (drops, most) = match stream.admission(&self.shared.waker) {
            Admission::Take(room) => (false, room / stream.route.format.growth()),
            Admission::Drop => (true, MAX_READ),
            Admission::Wait(until) => return self.pause(token, until),
        };
        let usual = if stream.route.format == LineFormat::Plain { MAX_READ } else { MAX_FORMATTED_READ };
        let chunk = &mut chunk[..most.clamp(MIN_READ, usual)];
        match rustix::io::read(&stream.pipe, &mut *chunk) {
            Ok(0) => {
                let queue = stream.finish(drops);
                self.unwritten.add(queue, 0);
                // Closing the pipe takes it out of the poll as well: nobody else has this end.
                self.streams.remove(&token);
            }
            Ok(count) => {
                if count >= NEARLY_FULL {
                    stream.enlarge();
                }
                let queue = stream.take(&chunk[..count], drops);
                self.unwritten.add(queue, count);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            // Its process must not be ended by the loss of its reader, so it's tried again.
            Err(_) => self.pause(token, Instant::now() + RETRY_INTERVAL),
        }
    }

    /// Leaves a stream alone for a while.
    fn pause(&mut self, token: u64, until: Instant) {
        if let Some(stream) = self.streams.get(&token) {
            // If it wasn't in there, it isn't now either.
            let _out = epoll::delete(&self.shared.poll, &stream.pipe);
            self.paused.insert(token, until);
        }
    }

    /// Puts the streams back into the poll whose time has come.
    fn resume(&mut self, chunk: &mut [u8]) {
        if self.paused.is_empty() {
            return;
        }
        let now = Instant::now();
        let due: Vec<u64> = self.paused.iter().filter(|&(_, &until)| until <= now).map(|(&token, _)| token).collect();
        for token in due {
            self.paused.remove(&token);
            let Some(stream) = self.streams.get_mut(&token) else { continue };
            if let Admission::Wait(until) = stream.admission(&self.shared.waker) {
                self.paused.insert(token, until);
                continue;
            }
            match self.shared.watch(token, stream) {
                Ok(()) => stream.is_unwatched = false,
                Err(error) => {
                    stream.warn(error);
                    self.paused.insert(token, now + RETRY_INTERVAL);
                    self.read(token, chunk);
                }
            }
        }
    }

    /// Tells the lines whose end will not come, and answers.
    fn end(mut self) {
        for stream in self.streams.values_mut() {
            let drops = !matches!(stream.admission(&self.shared.waker), Admission::Take(_));
            let queue = stream.finish(drops);
            self.unwritten.add(queue, 0);
        }
        self.streams.clear();
        self.unwritten.submit();
        if let Some(finishing) = self.finishing {
            // Who asked may have lost patience.
            let _unheard = finishing.done.send(());
        }
    }
}

impl OpenStream {
    /// Whether there is room for its lines.
    fn admission(&self, waker: &Arc<PollWaker>) -> Admission {
        if self.slot.is_none() {
            Admission::Take(usize::MAX)
        } else {
            self.route.queue.admission(&self.source, Instant::now(), waker)
        }
    }

    fn take(&mut self, bytes: &[u8], drops: bool) -> Option<UnservedQueue> {
        if let Some(matcher_line) = &mut self.matcher_line {
            matcher_line.feed(bytes);
        }
        let slot = self.slot.as_ref()?;
        let OutputRoute { queue, format, .. } = &self.route;
        queue.take(&self.source, format, drops, |each| self.lines.feed(bytes, &mut record_and_forward(slot, self.stream, each)))
    }

    /// Tells a last line that has no newline.
    fn finish(&mut self, drops: bool) -> Option<UnservedQueue> {
        if let Some(matcher_line) = &mut self.matcher_line {
            matcher_line.finish();
        }
        let slot = self.slot.as_ref()?;
        let OutputRoute { queue, format, .. } = &self.route;
        queue.take(&self.source, format, drops, |each| self.lines.finish(&mut record_and_forward(slot, self.stream, each)))
    }

    /// Makes room in a pipe that was found nearly full.
    fn enlarge(&mut self) {
        if !mem::replace(&mut self.has_large_pipe, true) {
            // Where the user has no more pages for pipes, it stays as it is.
            let _best_effort = fcntl_setpipe_size(&self.pipe, LARGE_PIPE);
        }
    }

    /// Says once that the kernel has no events for it.
    fn warn(&mut self, error: Errno) {
        if !mem::replace(&mut self.is_unwatched, true) {
            let name = self.source.name();
            tracing::warn!(target: "managed_processes", name, %error, "Output can't be watched; it is looked at now and then");
        }
    }
}

/// Keeps lines, and passes them on.
fn record_and_forward(slot: &HistorySlot, stream: Stream, each: &mut dyn FnMut(LineChunk<'_>)) -> impl FnMut(LineChunk<'_>) {
    move |piece| {
        slot.take(stream, piece);
        each(piece);
    }
}
