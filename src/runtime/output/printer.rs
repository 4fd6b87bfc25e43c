//! Accepts all output: lines of processes, and navigator's own log. A caller never waits; writers write at the pace of the
//! terminal or disk.
//!
//! It knows the queue and the format of each destination; a full queue drops lines.

use super::line_format::{LineFormat, LineSource, LineStyles, OutputFormat};
use super::rotation::{FileOwner, Limits};
use super::sink::Sink;
use super::sink_queue::{SinkQueue, UnservedQueue};
use super::writers::Writers;
use crate::access::Trust;
use crate::access::identity::Identity;
use reconcile::text::Name;
use rustix::fs::fstat;
use std::cell::{Cell, RefCell};
use std::io;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Where the output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Output of processes to standard output, the log to standard error.
    Standard,
    /// Both to this file, in append mode.
    File(PathBuf),
}

thread_local! {
    /// Queues with log lines of this thread that are not submitted to a writer yet; `None`: lines are submitted at once.
    static DEFERRED: RefCell<Option<Vec<UnservedQueue>>> = const { RefCell::new(None) };
    /// More log lines follow in a moment.
    static IS_MORE_LOG_EXPECTED: Cell<bool> = const { Cell::new(false) };
}

/// While it exists, log lines of this thread wait until [`flush_deferred_log`], at the latest until it is dropped. For the
/// loop, which has more urgent work than waking a writer.
#[derive(Debug)]
pub struct DeferredFlush(PhantomData<*const ()>);

impl DeferredFlush {
    /// Starts on the calling thread.
    #[expect(clippy::new_without_default, reason = "it begins something")]
    pub fn new() -> DeferredFlush {
        DEFERRED.set(Some(Vec::new()));
        DeferredFlush(PhantomData)
    }
}

impl Drop for DeferredFlush {
    fn drop(&mut self) {
        drop(DEFERRED.take());
    }
}

/// Submits the deferred log lines of this thread, unless more are expected.
pub fn flush_deferred_log() {
    if IS_MORE_LOG_EXPECTED.get() {
        return;
    }
    let deferred = DEFERRED.with_borrow_mut(|deferred| deferred.as_mut().map(std::mem::take));
    drop(deferred);
}

/// Sets whether this thread logs more lines in a moment, so that waking a writer for each isn't worth it. The caller must unset
/// it in time.
pub(in crate::runtime) fn set_more_log_expected(is_expected: bool) {
    IS_MORE_LOG_EXPECTED.set(is_expected);
}

/// Takes lines from any thread, and has them written. Clones share one printer.
#[derive(Clone, Debug)]
pub struct Printer {
    shared: Arc<PrinterShared>,
}

/// Ends the writers, after all queued lines, when the last printer is dropped.
#[derive(Debug)]
struct PrinterShared {
    writers: Arc<Writers>,
    routes: Mutex<OutputRoutes>,
    /// Counts changes of format or destination.
    changes: AtomicU64,
}

#[derive(Debug)]
struct OutputRoutes {
    style: LineStyles,
    destination: Destination,
    /// Users that may own directories on the path to a file.
    trust: Trust,
    /// For processes without a file of their own.
    lines: Arc<SinkQueue>,
    /// For the log. The same queue if both go to one destination, so that lines stay in order.
    log: Arc<SinkQueue>,
    /// For files of processes, while a process writes to them.
    files: Vec<(PathBuf, FileOwner, Weak<SinkQueue>)>,
}

/// The queue and format of one source.
#[derive(Clone, Debug)]
pub(super) struct OutputRoute {
    pub(super) queue: Arc<SinkQueue>,
    pub(super) format: LineFormat,
    /// The value of `changes` that it is from; `None`: changes don't affect it.
    change: Option<u64>,
}

impl Printer {
    /// The rules that files are opened by.
    pub(in crate::runtime) fn trust(&self) -> Trust {
        self.routes().trust
    }

    /// Starts the first writer. Files are opened by rules of `trust`.
    ///
    /// # Errors
    /// The thread can't be created.
    pub fn start(format: OutputFormat, destination: Destination, trust: Trust) -> io::Result<Printer> {
        let writers = Writers::start()?;
        let (lines, log) = queues(&destination, trust, &writers);
        let routes = OutputRoutes { style: LineStyles::new(format), destination, trust, lines, log, files: Vec::new() };
        Ok(Printer { shared: Arc::new(PrinterShared { writers, routes: Mutex::new(routes), changes: AtomicU64::new(0) }) })
    }

    /// Takes lines of navigator's own log, each with a newline.
    pub fn log(&self, lines: &[u8]) {
        let mut routes = self.routes();
        let format = routes.style.format_of(&LineSource::Log);
        let due = routes.log.log(&format, lines);
        DEFERRED.with_borrow_mut(|deferred| match deferred {
            Some(deferred) => deferred.extend(due),
            None => drop(due),
        });
    }

    /// Uses this format and destination from now on.
    pub fn redirect(&self, format: OutputFormat, destination: Destination) {
        self.change(|routes, writers| {
            routes.style.set(format);
            // An unchanged file stays open.
            if routes.destination != destination {
                (routes.lines, routes.log) = queues(&destination, routes.trust, writers);
                routes.destination = destination;
            }
        });
    }

    /// The name of a process as it stands before its lines on a terminal.
    pub fn name_prefix(&self, name: &str, colour: bool) -> String {
        self.routes().style.name(&Name::from(name), colour)
    }

    /// Aligns names to this many characters.
    pub fn align(&self, width: usize) {
        self.change(|routes, _| routes.style.align(width));
    }

    /// Opens every file again, for output from now on: log rotation has moved the old ones.
    pub fn reopen(&self) {
        self.routes().queues().iter().for_each(SinkQueue::reopen);
    }

    /// Waits until all output so far is written: without limit if a terminal is stuck.
    pub async fn flush(&self) {
        let flushes: Vec<_> = self.routes().queues().iter().map(SinkQueue::flush).collect();
        for is_done in flushes {
            // Writers end only after the last entry of each queue.
            let _always = is_done.await;
        }
    }

    /// The route of a source to the common destination.
    pub(super) fn route(&self, source: &LineSource) -> OutputRoute {
        let change = self.shared.changes.load(Ordering::Acquire);
        let mut routes = self.routes();
        OutputRoute { queue: Arc::clone(&routes.lines), format: routes.style.format_of(source), change: Some(change) }
    }

    /// The route to a file of a process. Processes of one user that write to one file share its queue.
    pub(super) fn route_to_file(&self, path: &Path, shown: &str, limits: Limits, identity: &Identity) -> OutputRoute {
        let mut routes = self.routes();
        let owner = FileOwner { trust: routes.trust, identity: Some(identity.clone()) };
        routes.files.retain(|(.., queue)| queue.strong_count() > 0);
        let existing = routes.files.iter().find(|(known, of, _)| known == path && *of == owner);
        let queue = existing.and_then(|(.., queue)| queue.upgrade()).unwrap_or_else(|| {
            let sink = Sink::process_file(path.to_owned(), owner.clone(), shown.to_owned(), limits);
            let queue = SinkQueue::new(sink, &self.shared.writers);
            routes.files.push((path.to_owned(), owner, Arc::downgrade(&queue)));
            queue
        });
        queue.open(limits);
        OutputRoute { queue, format: LineFormat::Plain, change: None }
    }

    /// Whether the route is still valid.
    pub(super) fn is_current(&self, route: &OutputRoute) -> bool {
        route.change.is_none_or(|change| change == self.shared.changes.load(Ordering::Acquire))
    }

    fn change(&self, change: impl FnOnce(&mut OutputRoutes, &Arc<Writers>)) {
        change(&mut self.routes(), &self.shared.writers);
        self.shared.changes.fetch_add(1, Ordering::Release);
    }

    /// Changes are complete before the lock is released, so a poisoned lock is safe to use.
    fn routes(&self) -> MutexGuard<'_, OutputRoutes> {
        self.shared.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for PrinterShared {
    fn drop(&mut self) {
        self.writers.close();
    }
}

impl OutputRoutes {
    /// All queues.
    fn queues(&self) -> Vec<Arc<SinkQueue>> {
        let files = self.files.iter().filter_map(|(.., queue)| queue.upgrade());
        [&self.lines, &self.log].into_iter().cloned().chain(files).collect()
    }
}

/// The queues for output of processes, and for the log.
fn queues(destination: &Destination, trust: Trust, writers: &Arc<Writers>) -> (Arc<SinkQueue>, Arc<SinkQueue>) {
    let shared = match destination {
        Destination::Standard if are_streams_one() => Sink::stdout(),
        Destination::Standard => {
            return (SinkQueue::new(Sink::stdout(), writers), SinkQueue::new(Sink::stderr(), writers));
        }
        Destination::File(path) => Sink::log_file(path.clone(), trust),
    };
    let queue = SinkQueue::new(shared, writers);
    (Arc::clone(&queue), queue)
}

/// Whether standard output and standard error are the same terminal, pipe or file.
fn are_streams_one() -> bool {
    let [out, err] = [rustix::stdio::stdout(), rustix::stdio::stderr()].map(|stream| fstat(stream).ok());
    out.zip(err).is_some_and(|(out, err)| (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino))
}

#[cfg(test)]
mod tests {
    use super::super::line_format::Stream;
    use super::super::lines::LineChunk;
    use super::super::share::{Admission, MAX_WAIT};
    use super::super::sink_queue::CAPACITY;
    use super::super::waker::PollWaker;
    use super::*;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::fd::{AsRawFd, OwnedFd};
    use std::fs::{self, File};
    use std::io::Read;
    use std::time::Instant;

    /// A directory for a test, removed afterwards.
    struct LogDirectory(PathBuf);

    impl LogDirectory {
        fn new(name: &str) -> LogDirectory {
            let path = std::env::temp_dir().join(format!("navigator-printer-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            LogDirectory(path)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for LogDirectory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    /// Offers a line as the reader does, and drops it where the reader would wait.
    fn offer(printer: &Printer, name: &str, line: &[u8]) {
        let source = LineSource::Process(name.into(), Stream::Stdout);
        let (route, waker) = (printer.route(&source), Arc::new(PollWaker::new().unwrap()));
        let drops = !matches!(route.queue.admission(&source, Instant::now(), &waker), Admission::Take(_));
        route.queue.take(&source, &route.format, drops, |each| each(LineChunk { bytes: line, continued: false }));
    }

    fn flush(printer: &Printer) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(printer.flush());
    }

    #[test]
    fn lines_and_log_go_to_one_file_in_order() {
        let directory = LogDirectory::new("order");
        let path = directory.file("log");
        let printer = Printer::start(OutputFormat::Text, Destination::File(path.clone()), Trust::everybody()).unwrap();
        offer(&printer, "web", b"one");
        printer.log(b"Starting process\n");
        offer(&printer, "web", b"two");
        flush(&printer);
        assert_eq!(fs::read_to_string(path).unwrap(), "[web.stdout] one\nStarting process\n[web.stdout] two\n");
    }

    #[test]
    fn lines_are_batched_until_their_queue_is_submitted() {
        let directory = LogDirectory::new("due");
        let path = directory.file("log");
        let printer = Printer::start(OutputFormat::Text, Destination::File(path.clone()), Trust::everybody()).unwrap();
        let source = LineSource::Process("web".into(), Stream::Stdout);
        let route = printer.route(&source);
        let take = |line: &[u8]| {
            route.queue.take(&source, &route.format, false, |each| each(LineChunk { bytes: line, continued: false }))
        };
        let (first, second) = (take(b"one"), take(b"two"));
        assert!(first.is_some() && second.is_none(), "a writer is called once");
        printer.log(b"Starting process\n");
        assert_eq!(route.queue.bytes(), "[web.stdout] one\n[web.stdout] two\nStarting process\n".len());
        drop(first);
        flush(&printer);
        assert_eq!(fs::read_to_string(path).unwrap(), "[web.stdout] one\n[web.stdout] two\nStarting process\n");
    }

    #[test]
    fn all_bytes_are_written_unchanged() {
        let directory = LogDirectory::new("bytes");
        let path = directory.file("log");
        let printer = Printer::start(OutputFormat::Text, Destination::File(path.clone()), Trust::everybody()).unwrap();
        let all: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
        offer(&printer, "web", &all);
        flush(&printer);
        assert_eq!(fs::read(path).unwrap(), [b"[web.stdout] ", &all[..], b"\n"].concat());
    }

    #[test]
    fn a_file_that_was_moved_is_opened_again() {
        let directory = LogDirectory::new("reopen");
        let (path, moved) = (directory.file("log"), directory.file("log.1"));
        let printer = Printer::start(OutputFormat::Text, Destination::File(path.clone()), Trust::everybody()).unwrap();
        printer.log(b"before\n");
        flush(&printer);
        fs::rename(&path, &moved).unwrap();
        // As if a process still watched it: the same file under both names.
        fs::hard_link(&moved, &path).unwrap();
        printer.log(b"between\n");
        flush(&printer);
        fs::remove_file(&path).unwrap();
        printer.reopen();
        printer.log(b"after\n");
        flush(&printer);
        assert_eq!(fs::read_to_string(moved).unwrap(), "before\nbetween\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "after\n");
    }

    #[test]
    fn lines_lost_to_an_unwritable_file_are_reported_once_it_is_writable() {
        let directory = LogDirectory::new("obstacle");
        fs::write(directory.file("logs"), "").unwrap();
        let path = directory.file("logs/log");
        let printer = Printer::start(OutputFormat::Text, Destination::File(path.clone()), Trust::everybody()).unwrap();
        printer.log(b"one\n");
        flush(&printer);
        printer.log(b"two\nthree\n");
        flush(&printer);
        fs::remove_file(directory.file("logs")).unwrap();
        printer.log(b"four\n");
        flush(&printer);
        let expected = "… lost 3 lines (14 bytes): not a directory\nfour\n";
        assert_eq!(fs::read_to_string(path).unwrap(), expected);
    }

    /// A destination that takes nothing: a pipe that is not read, as a paused terminal. Its path, the end to read, and a writer to
    /// keep: without any, a reader is at the end before the printer has opened the path.
    fn stuck_pipe(_: &LogDirectory) -> (PathBuf, OwnedFd, OwnedFd) {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        (format!("/proc/self/fd/{}", reader.as_raw_fd()).into(), reader, writer)
    }

    /// Reads everything.
    fn drain(reader: OwnedFd) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut text = String::new();
            File::from(reader).read_to_string(&mut text).unwrap();
            text
        })
    }

    #[test]
    fn a_stuck_destination_blocks_no_source_and_dropped_lines_are_counted() {
        const LINES: usize = 500_000;
        let directory = LogDirectory::new("stuck");
        let (path, reader, writer) = stuck_pipe(&directory);
        let printer = Printer::start(OutputFormat::Text, Destination::File(path), Trust::everybody()).unwrap();
        for number in 0..LINES {
            offer(&printer, if number % 2 == 0 { "even" } else { "odd" }, format!("{number:010}").as_bytes());
        }
        let waiting = printer.routes().lines.bytes();
        // A third for each source, and a third stays free. The pipe may take its part late.
        let (two_thirds, pipe) = (CAPACITY / 3 * 2, 64 * 1024);
        assert!((two_thirds..two_thirds + pipe).contains(&waiting), "{waiting} bytes wait");
        let text = drain(reader);
        flush(&printer);
        drop((printer, writer));
        let text = text.join().unwrap();
        let (mut arrived, mut dropped, mut latest) = (0, 0, None);
        for line in text.lines() {
            let (_, line) = line.split_once("] ").expect(line);
            if let Some(mark) = line.strip_prefix("… dropped ") {
                dropped += mark.split(' ').next().unwrap().parse::<usize>().unwrap();
            } else {
                let number: u64 = line.parse().expect("a whole line");
                assert!(latest < Some(number), "out of order");
                (arrived, latest) = (arrived + 1, Some(number));
            }
        }
        assert!(dropped > 0 && arrived > 0);
        assert_eq!(arrived + dropped, LINES);
    }

    #[test]
    fn a_busy_destination_loses_nothing() {
        let directory = LogDirectory::new("busy");
        let (path, reader, writer) = stuck_pipe(&directory);
        let printer = Printer::start(OutputFormat::Text, Destination::File(path), Trust::everybody()).unwrap();
        let (source, waker) = (LineSource::Process("web".into(), Stream::Stdout), Arc::new(PollWaker::new().unwrap()));
        let (route, now) = (printer.route(&source), Instant::now());
        let mut lines = 0;
        while matches!(route.queue.admission(&source, now, &waker), Admission::Take(_)) {
            offer(&printer, "web", &[b'x'; 1000]);
            lines += 1;
        }
        assert_eq!(route.queue.admission(&source, now, &waker), Admission::Wait(now + MAX_WAIT));
        assert_eq!(route.queue.admission(&source, now + MAX_WAIT, &waker), Admission::Drop);
        let text = drain(reader);
        let a_minute = Timespec { tv_sec: 60, tv_nsec: 0 };
        assert_eq!(
            poll(&mut [PollFd::new(&waker, PollFlags::IN)], Some(&a_minute)),
            Ok(1),
            "there is room, but the reader is not woken"
        );
        // A source that waited finds room, however late it is.
        assert!(matches!(route.queue.admission(&source, now + MAX_WAIT, &waker), Admission::Take(_)));
        flush(&printer);
        drop((route, printer, writer));
        assert_eq!(text.join().unwrap().lines().count(), lines);
    }

    #[test]
    fn a_flood_of_lines_drops_no_log_line() {
        let directory = LogDirectory::new("flood");
        let (path, reader, writer) = stuck_pipe(&directory);
        let printer = Printer::start(OutputFormat::Text, Destination::File(path), Trust::everybody()).unwrap();
        let line = [b'x'; 1000];
        for _ in 0..10_000 {
            offer(&printer, "flood", &line);
        }
        printer.log(b"Process crashed\n");
        let text = drain(reader);
        flush(&printer);
        drop((printer, writer));
        let text = text.join().unwrap();
        assert!(text.contains("\nProcess crashed\n") && text.contains("… dropped "), "{} bytes", text.len());
    }

    #[test]
    fn a_stuck_destination_blocks_no_other() {
        let directory = LogDirectory::new("others");
        let (path, reader, writer) = stuck_pipe(&directory);
        let printer = Printer::start(OutputFormat::Text, Destination::File(path), Trust::everybody()).unwrap();
        let to_file = |name: &str| {
            let limits = Limits::new(1_000_000, 1);
            printer.route_to_file(&directory.file(name), name, limits, &Identity::default())
        };
        // More than its pipe takes, so the writer blocks.
        printer.log(&b"\n".repeat(200_000));
        let routes = ["one", "two"].map(to_file);
        for route in &routes {
            let source = LineSource::Process("any".into(), Stream::Stdout);
            route.queue.take(&source, &route.format, false, |each| each(LineChunk { bytes: b"line", continued: false }));
            route.queue.flush().blocking_recv().unwrap();
        }
        assert_eq!(["one", "two"].map(|name| fs::read_to_string(directory.file(name)).unwrap()), ["line\n", "line\n"]);
        let text = drain(reader);
        drop((routes, printer, writer));
        assert_eq!(text.join().unwrap().len(), 200_000);
    }

    #[test]
    fn a_full_disk_empties_the_queue() {
        let printer = Printer::start(OutputFormat::Text, Destination::File("/dev/full".into()), Trust::everybody()).unwrap();
        for _ in 0..100 {
            printer.log(b"into the void\n");
        }
        flush(&printer);
        assert_eq!(printer.routes().log.bytes(), 0);
    }
}
