//! Reads the output pipes of all processes, on one thread. It never blocks: while the queue of a stream is full, the stream is
//! paused.
//!
//! The end of a stream and the end of a process are independent: a grandchild may keep the pipe open after its parent ended,
//! and a process may close its output and go on.

use super::history::{HistorySlot, OutputHistory};
use super::line_format::{LineFormat, LineSource, Stream};
use super::lines::{LineChunk, LineSplitter};
use super::printer::{OutputRoute, Printer};
use super::reader_pause::{Pause, PausedReader};
use super::rotation::Limits;
use super::share::Admission;
use super::sink_queue::UnservedQueue;
use super::waker::PollWaker;
use crate::access::identity::Identity;
use crate::handover::BegunLine;
use crate::runtime::probe::{LogMatcher, PartialLine};
use crate::sys;
use reconcile::spec::Output;
use reconcile::text::Name;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::fs::fstat;
use rustix::io::Errno;
use rustix::pipe::fcntl_setpipe_size;
use std::collections::HashMap;
use std::io;
use std::mem;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// Maximum of one read for unchanged lines: the content of a large pipe.
const MAX_READ: usize = LARGE_PIPE;
/// Maximum of one read for formatted lines, which may become a hundred times longer.
const MAX_FORMATTED_READ: usize = 64 * 1024;
/// Minimum of one read while a queue is nearly full: shorter reads cost more than they save.
const MIN_READ: usize = 8 * 1024;
/// A read of this size means that the pipe was nearly full: pipes hold 64 KiB, or less with small writes.
const NEARLY_FULL: usize = 32 * 1024;
/// The new size of such a pipe, so its process waits less often. A user other than root has 256 of them by the default
/// `pipe-user-pages-soft`; after that, new pipes are small (`pipe(7)`).
const LARGE_PIPE: usize = 256 * 1024;
/// Bytes that are read before a writer is called.
const SUBMIT_BYTES: usize = 256 * 1024;
/// How often a stream is read that the kernel can't watch.
const RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How long the final read lasts if another program goes on writing.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

/// Passes streams to the reader. Clones share one reader.
#[derive(Clone)]
pub(in crate::runtime) struct Outputs {
    printer: Printer,
    history: OutputHistory,
    shared: Arc<ReaderState>,
    /// The beginnings of lines that the former program in this process has read, by pipe.
    unfinished: Arc<Mutex<HashMap<u64, BegunLine>>>,
}

struct ReaderState {
    requests: Mutex<Requests>,
    /// The reader waits here for the waker and the streams.
    poll: OwnedFd,
    /// Signals a request without a stream event, or room in a queue.
    waker: Arc<PollWaker>,
}

/// Requests to the reader. A watched stream wakes nothing: the reader takes it with its first event.
struct Requests {
    /// The token of the next stream; none is used twice.
    next_token: u64,
    streams: Vec<(u64, Box<OpenStream>)>,
    /// Streams that the poll refused.
    unwatched: Vec<u64>,
    finish: Option<oneshot::Sender<()>>,
    pause: Option<Pause>,
}

/// A stream that is read.
struct OpenStream {
    source: LineSource,
    stream: Stream,
    pipe: OwnedFd,
    lines: LineSplitter,
    /// Matches its lines, for readiness by log.
    matcher_line: Option<PartialLine>,
    /// Where its lines are recorded; `None`: they are discarded, and only matched.
    slot: Option<HistorySlot>,
    route: OutputRoute,
    has_large_pipe: bool,
    /// The poll refused it, which was logged.
    is_unwatched: bool,
}

impl Outputs {
    /// Starts the reader.
    ///
    /// # Errors
    /// No descriptor or no thread is left.
    pub(in crate::runtime) fn start(printer: Printer, history: OutputHistory, unfinished: Vec<BegunLine>) -> io::Result<Outputs> {
        let waker = Arc::new(PollWaker::new()?);
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&poll, &waker, epoll::EventData::new_u64(WAKER), epoll::EventFlags::IN)?;
        let requests =
            Mutex::new(Requests { next_token: WAKER + 1, streams: Vec::new(), unwatched: Vec::new(), finish: None, pause: None });
        let shared = Arc::new(ReaderState { requests, poll, waker });
        let unfinished = unfinished.into_iter().map(|line| (line.pipe, line)).collect();
        let unfinished = Arc::new(Mutex::new(unfinished));
        let outputs = Outputs { printer: printer.clone(), history, shared: Arc::clone(&shared), unfinished };
        let (streams, paused, unwritten) = (HashMap::new(), HashMap::new(), Unwritten::default());
        let reader = StreamReader { shared, printer, streams, paused, unwritten, finishing: None, pausing: None };
        let work = move || {
            // Otherwise the end of each stream would preempt the loop.
            sys::schedule_as_batch();
            reader.run();
        };
        std::thread::Builder::new().name("reader".to_owned()).spawn(work)?;
        Ok(outputs)
    }

    /// Reads standard output and error of a process until both end, and passes them to the matcher. An output file is opened
    /// with the rights of `identity`. The pipes must be non-blocking.
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
            let source = LineSource::Process(name.clone(), stream);
            let file = match output {
                Output::Files(files) => {
                    let path = if stream == Stream::Stdout { &files.stdout } else { &files.stderr };
                    path.as_ref().map(|path| (path, Limits::new(files.max_size, files.keep)))
                }
                Output::Log | Output::Null => None,
            };
            let route = match file {
                Some((path, limits)) => self.printer.route_to_file(Path::new(path.value()), path.shown(), limits, identity),
                None => self.printer.route(&source),
            };
            let mut matcher_line = matcher.map(|matcher| PartialLine::new(Arc::clone(matcher), stream == Stream::Stderr));
            let BegunLine { bytes, continued, .. } = self.unfinished_line(&pipe);
            let bytes = Vec::from(bytes);
            if let Some(matcher_line) = matcher_line.as_mut().filter(|_| !bytes.is_empty()) {
                matcher_line.feed(&bytes);
            }
            let (slot, lines) = (slot.clone(), LineSplitter::within_line(bytes, continued));
            let (has_large_pipe, is_unwatched) = (false, false);
            Box::new(OpenStream { source, stream, pipe, lines, matcher_line, slot, route, has_large_pipe, is_unwatched })
        };
        let [stdout, stderr] = pipes;
        let streams = [open(Stream::Stdout, stdout), open(Stream::Stderr, stderr)];
        // The reader waits for this lock if an event comes before its stream is entered.
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

    /// The line in a pipe that the former program in this process has begun to read.
    fn unfinished_line(&self, pipe: &OwnedFd) -> BegunLine {
        let mut unfinished = self.unfinished.lock().unwrap_or_else(PoisonError::into_inner);
        let line = if unfinished.is_empty() { None } else { fstat(pipe).ok().and_then(|stat| unfinished.remove(&stat.st_ino)) };
        line.unwrap_or_default()
    }

    /// Passes on everything that was read, and reads no more until what is returned is dropped. Also returns the lines of which only
    /// a part was read.
    pub(in crate::runtime) async fn pause(&self) -> (PausedReader, Vec<BegunLine>) {
        let (pause, paused, begun) = Pause::new();
        self.shared.requests().pause = Some(pause);
        self.shared.waker.wake();
        // The answer is missing only if the reader has ended; then there is nothing to pass on.
        (paused, begun.await.unwrap_or_default())
    }

    /// Records that the output of a process is discarded.
    pub(in crate::runtime) fn mark_silent(&self, name: &Name) {
        self.history.mark_silent(name);
    }

    /// Reads what the pipes hold, and ends. Call it when no process runs: then the pipes hold all output, and an open pipe
    /// belongs to another program.
    pub(in crate::runtime) async fn finish(&self) {
        let (done, is_done) = oneshot::channel();
        self.shared.requests().finish = Some(done);
        self.shared.waker.wake();
        // The answer is missing only if a second call replaced this one.
        let _either_way = is_done.await;
    }
}

impl ReaderState {
    /// Changes are complete before the lock is released, so a poisoned lock is safe to use.
    fn requests(&self) -> MutexGuard<'_, Requests> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a stream to the poll.
    fn watch(&self, token: u64, stream: &OpenStream) -> Result<(), Errno> {
        epoll::add(&self.poll, &stream.pipe, epoll::EventData::new_u64(token), epoll::EventFlags::IN)
    }
}

/// The token of the waker in the poll; streams have higher ones.
const WAKER: u64 = 0;

struct StreamReader {
    shared: Arc<ReaderState>,
    printer: Printer,
    /// Boxed, because the table has more slots than values.
    streams: HashMap<u64, Box<OpenStream>>,
    /// Streams outside the poll, each with the time of its next read.
    paused: HashMap<u64, Instant>,
    unwritten: Unwritten,
    finishing: Option<Finishing>,
    pausing: Option<Pause>,
}

/// Lines read since the last call of a writer. Calling a writer costs more than a small chunk, so it happens for
/// [`SUBMIT_BYTES`] or when there is nothing more to read.
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
            if let Some(pause) = self.pausing.take() {
                self.wait(pause);
            }
            let is_over =
                |finishing: &Finishing| (events.is_empty() && self.paused.is_empty()) || Instant::now() >= finishing.until;
            if self.finishing.as_ref().is_some_and(is_over) {
                return self.end();
            }
        }
    }

    /// Passes on everything that was read, and waits for the end of the pause.
    fn wait(&mut self, pause: Pause) {
        self.unwritten.submit();
        pause.wait(self.streams.values().filter_map(|stream| stream.unfinished()).collect());
    }

    /// The timeout of the poll; usually none.
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
        // A queue may have room again; streams without room are paused again.
        let now = Instant::now();
        self.paused.values_mut().for_each(|until| *until = now);
    }

    fn take_requests(&mut self) {
        let mut requests = self.shared.requests();
        self.streams.extend(mem::take(&mut requests.streams));
        // Read at once, because the kernel reports no events for them.
        self.paused.extend(requests.unwatched.drain(..).map(|token| (token, Instant::now())));
        self.pausing = requests.pause.take().or(self.pausing.take());
        if let Some(done) = requests.finish.take() {
            self.finishing = Some(Finishing { done, until: Instant::now() + FINISH_TIMEOUT });
        }
    }

    /// Reads one chunk of a stream; the rest comes after the other streams.
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
                // It would be reported for as long as the keeper has a descriptor of it.
                let _absent = epoll::delete(&self.shared.poll, &stream.pipe);
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
            // Closing the pipe would end its process, so the read is retried.
            Err(_) => self.pause(token, Instant::now() + RETRY_INTERVAL),
        }
    }

    /// Removes a stream from the poll until this time.
    fn pause(&mut self, token: u64, until: Instant) {
        if let Some(stream) = self.streams.get(&token) {
            // It may have been absent already.
            let _out = epoll::delete(&self.shared.poll, &stream.pipe);
            self.paused.insert(token, until);
        }
    }

    /// Adds paused streams to the poll when their time has come.
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

    /// Passes on incomplete last lines, and answers.
    fn end(mut self) {
        for stream in self.streams.values_mut() {
            let drops = !matches!(stream.admission(&self.shared.waker), Admission::Take(_));
            let queue = stream.finish(drops);
            self.unwritten.add(queue, 0);
        }
        self.streams.clear();
        self.unwritten.submit();
        if let Some(finishing) = self.finishing {
            // The caller may have stopped waiting.
            let _closed = finishing.done.send(());
        }
    }
}

impl OpenStream {
    /// Whether its queue has room.
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

    /// Passes on a last line without newline.
    fn finish(&mut self, drops: bool) -> Option<UnservedQueue> {
        if let Some(matcher_line) = &mut self.matcher_line {
            matcher_line.finish();
        }
        let slot = self.slot.as_ref()?;
        let OutputRoute { queue, format, .. } = &self.route;
        queue.take(&self.source, format, drops, |each| self.lines.finish(&mut record_and_forward(slot, self.stream, each)))
    }

    /// The line of which only a part was read.
    fn unfinished(&self) -> Option<BegunLine> {
        let (bytes, continued) = (self.lines.unfinished().to_vec(), self.lines.is_continued());
        let pipe = fstat(&self.pipe).ok()?.st_ino;
        (continued || !bytes.is_empty()).then(|| BegunLine { pipe, bytes: bytes.into(), continued })
    }

    /// Enlarges a pipe that was nearly full.
    fn enlarge(&mut self) {
        if !mem::replace(&mut self.has_large_pipe, true) {
            // Without more pages for pipes, the size stays.
            let _best_effort = fcntl_setpipe_size(&self.pipe, LARGE_PIPE);
        }
    }

    /// Logs once that the kernel can't watch it.
    fn warn(&mut self, error: Errno) {
        if !mem::replace(&mut self.is_unwatched, true) {
            let name = self.source.name();
            tracing::warn!(target: "managed_processes", name, %error, "Output can't be watched; polling it instead");
        }
    }
}

/// Records lines, and passes them on.
fn record_and_forward(slot: &HistorySlot, stream: Stream, each: &mut dyn FnMut(LineChunk<'_>)) -> impl FnMut(LineChunk<'_>) {
    move |piece| {
        slot.take(stream, piece);
        each(piece);
    }
}
