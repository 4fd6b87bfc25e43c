//! The one writer of navigator's output: lines of processes, and navigator's own log. Whoever has a line hands it over
//! and goes on; a thread of its own writes, as slowly as the terminal or the disk pleases.
//!
//! What waits to be written is bounded. Beyond that, lines are dropped, counted by where they came from, and a line in
//! their place says how many. So neither a process nor the loop ever waits for a reader of the output, nothing that was
//! dropped goes unsaid, and as all go through here as whole lines, no two ever share one.

use super::format::{Format, Formatter, MARK, Source};
use super::lines::Line;
use super::sink::{Rotation, Sink};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// The most bytes that wait to be written.
const CAPACITY: usize = 8 * 1024 * 1024;
/// Lines are gathered up to this many bytes for one write.
const BATCH: usize = 64 * 1024;

/// Where the output goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Processes' lines to standard output, the log to standard error.
    Standard,
    /// Both to this file, which is appended to.
    File(PathBuf),
}

/// Takes lines from anywhere, and writes them. Clones are the same printer.
#[derive(Clone, Debug)]
pub struct Printer {
    owner: Arc<Owner>,
}

/// Ends the thread, after all that is queued, when nobody has the printer any more.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// There is something to write, or nobody who will bring any.
    news: Condvar,
}

#[derive(Debug)]
struct Queue {
    entries: VecDeque<Entry>,
    /// Bytes of text in `entries` and in the writer's hand.
    bytes: usize,
    capacity: usize,
    dropped: BTreeMap<Origin, Dropped>,
    formatter: Formatter,
    closed: bool,
}

#[derive(Debug)]
enum Entry {
    Text { to: Target, text: Vec<u8> },
    Reopen,
    Redirect(Destination),
    Flush(oneshot::Sender<()>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    Lines,
    Log,
    File(Arc<Rotation>),
}

/// Whose line it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Origin {
    Log,
    Process(Source),
}

#[derive(Debug, Default)]
struct Dropped {
    lines: u64,
    bytes: u64,
}

impl Printer {
    /// Starts the writer.
    ///
    /// # Errors
    /// No thread could be made.
    pub fn start(format: Format, destination: Destination) -> io::Result<Printer> {
        Printer::with(format, CAPACITY, destination)
    }

    fn with(format: Format, capacity: usize, mut destination: Destination) -> io::Result<Printer> {
        let queue = Queue {
            entries: VecDeque::new(),
            bytes: 0,
            capacity,
            dropped: BTreeMap::new(),
            formatter: Formatter::new(format),
            closed: false,
        };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), news: Condvar::new() });
        let printer = Printer { owner: Arc::new(Owner { shared: Arc::clone(&shared) }) };
        let (mut lines, mut log) = sinks(&destination);
        std::thread::Builder::new().name("printer".to_owned()).spawn(move || {
            let mut files = BTreeMap::new();
            while let Some(entry) = shared.next() {
                match entry {
                    Entry::Text { to, text } => {
                        match (to, &mut log) {
                            (Target::File(rotation), _) => file(&mut files, rotation).write(&text),
                            (Target::Log, Some(log)) => log.write(&text),
                            _ => lines.write(&text),
                        }
                        shared.lock().written(text.len());
                    }
                    // A file stays open if it is the same: what others see of it doesn't change.
                    Entry::Redirect(other) if other == destination => {}
                    Entry::Redirect(other) => {
                        (lines, log) = sinks(&other);
                        destination = other;
                    }
                    Entry::Reopen => {
                        lines.reopen();
                        files.values_mut().for_each(Sink::reopen);
                    }
                    // Who asked may have lost patience.
                    Entry::Flush(done) => _ = done.send(()),
                }
            }
        })?;
        Ok(printer)
    }

    /// Takes a line of navigator's own log, or several, each with its newline.
    pub fn log(&self, lines: &[u8]) {
        self.owner.shared.tell(|queue| {
            if queue.admits(&Origin::Log, lines.len()) {
                queue.batch(Target::Log).extend_from_slice(lines);
                queue.bytes += lines.len();
            }
        });
    }

    /// Shows what comes from now on like this, and there.
    pub fn redirect(&self, format: Format, destination: Destination) {
        self.owner.shared.tell(|queue| {
            queue.formatter.set(format);
            queue.entries.push_back(Entry::Redirect(destination));
        });
    }

    /// Makes room for names of this many characters where names are aligned.
    pub fn align(&self, width: usize) {
        self.owner.shared.tell(|queue| queue.formatter.align(width));
    }

    /// Opens every file anew, for what comes from now on: somebody has moved the old ones away.
    pub fn reopen(&self) {
        self.owner.shared.tell(|queue| queue.entries.push_back(Entry::Reopen));
    }

    /// Waits until everything that was handed over before is written: for ever, where the terminal is stuck.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        self.owner.shared.tell(|queue| queue.entries.push_back(Entry::Flush(done)));
        // The thread ends only after its last entry.
        let _always = is_done.await;
    }

    /// Takes a line of a process.
    pub(super) fn line(&self, source: &Source, line: Line<'_>) {
        self.owner.shared.tell(|queue| queue.line(source, line));
    }
}

/// What processes' lines are written to and, where that is something else, the log.
fn sinks(destination: &Destination) -> (Sink, Option<Sink>) {
    match destination {
        Destination::Standard => (Sink::stdout(), Some(Sink::stderr())),
        Destination::File(path) => (Sink::file(path.clone()), None),
    }
}

/// The sink of a process's own file. Those that nobody writes to any more are closed when another one is opened.
fn file(files: &mut BTreeMap<Arc<Rotation>, Sink>, rotation: Arc<Rotation>) -> &mut Sink {
    if !files.contains_key(&rotation) {
        files.retain(|_, sink| sink.is_wanted());
    }
    files.entry(rotation).or_insert_with_key(|rotation| Sink::rotated(Arc::clone(rotation)))
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.tell(|queue| queue.closed = true);
    }
}

impl Shared {
    /// A panic elsewhere leaves the queue as whole as it was: every change of it is complete before the next begins.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Queue)) {
        change(&mut self.lock());
        self.news.notify_one();
    }

    /// The next entry, waiting for it; `None` when there will never be one.
    fn next(&self) -> Option<Entry> {
        let idle = |queue: &mut Queue| queue.entries.is_empty() && !queue.closed;
        let mut queue = self.news.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
        queue.entries.pop_front()
    }
}

impl Queue {
    fn line(&mut self, source: &Source, line: Line<'_>) {
        if !self.admits(&Origin::Process(source.clone()), line.bytes.len() + 1) {
            return;
        }
        self.format(source, line);
    }

    fn format(&mut self, source: &Source, line: Line<'_>) {
        let mut text = Vec::new();
        self.formatter.write(source, line, &mut text);
        self.bytes += text.len();
        let target = source.file.as_ref().map_or(Target::Lines, |file| Target::File(Arc::clone(file)));
        self.batch(target).append(&mut text);
    }

    /// Whether there is room; if not, counts it as dropped. Once one line of an origin is dropped, so are its next ones,
    /// until the mark that says so has its place.
    fn admits(&mut self, origin: &Origin, bytes: usize) -> bool {
        if self.bytes + bytes <= self.capacity && !self.dropped.contains_key(origin) {
            return true;
        }
        let dropped = self.dropped.entry(origin.clone()).or_default();
        dropped.lines += 1;
        dropped.bytes += bytes as u64;
        false
    }

    /// The text that is gathered for a target, behind all that is queued.
    fn batch(&mut self, target: Target) -> &mut Vec<u8> {
        let fits = matches!(self.entries.back(), Some(Entry::Text { to, text }) if *to == target && text.len() < BATCH);
        if !fits {
            self.entries.push_back(Entry::Text { to: target, text: Vec::new() });
        }
        match self.entries.back_mut() {
            Some(Entry::Text { text, .. }) => text,
            _ => unreachable!("a text was pushed above"),
        }
    }

    /// Takes note of room. Marks for what was dropped wait until half of it is free, or there would be one per line.
    fn written(&mut self, bytes: usize) {
        self.bytes -= bytes;
        if self.bytes > self.capacity / 2 {
            return;
        }
        for (origin, Dropped { lines, bytes }) in std::mem::take(&mut self.dropped) {
            let message = format!("{MARK}dropped {lines} lines ({bytes} bytes)");
            match origin {
                Origin::Process(source) => self.format(&source, Line { bytes: message.as_bytes(), continued: false }),
                Origin::Log => {
                    let text = format!("navigator: {message}\n");
                    self.batch(Target::Log).extend_from_slice(text.as_bytes());
                    self.bytes += text.len();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::format::Stream;
    use super::*;
    use rustix::fs::{CWD, Mode, OFlags};
    use std::fs::{self, File};
    use std::io::Read;
    use std::sync::mpsc;
    use std::time::Duration;

    /// A place for the files of a test, removed with it.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = std::env::temp_dir().join(format!("navigator-printer-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Directory(path)
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn source(name: &str) -> Source {
        Source { name: name.into(), stream: Stream::Stdout, file: None }
    }

    fn line(bytes: &[u8]) -> Line<'_> {
        Line { bytes, continued: false }
    }

    fn flush(printer: &Printer) {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(printer.flush());
    }

    #[test]
    fn lines_and_log_go_to_one_file_in_order() {
        let directory = Directory::new("order");
        let path = directory.file("log");
        let printer = Printer::start(Format::Text, Destination::File(path.clone())).unwrap();
        printer.line(&source("web"), line(b"one"));
        printer.log(b"Starting process\n");
        printer.line(&source("web"), line(b"two"));
        flush(&printer);
        assert_eq!(fs::read_to_string(path).unwrap(), "[web.stdout] one\nStarting process\n[web.stdout] two\n");
    }

    #[test]
    fn every_byte_arrives() {
        let directory = Directory::new("bytes");
        let path = directory.file("log");
        let printer = Printer::start(Format::Text, Destination::File(path.clone())).unwrap();
        let all: Vec<u8> = (0..=255).filter(|&byte| byte != b'\n').collect();
        printer.line(&source("web"), line(&all));
        flush(&printer);
        assert_eq!(fs::read(path).unwrap(), [b"[web.stdout] ", &all[..], b"\n"].concat());
    }

    #[test]
    fn a_file_that_was_moved_away_is_opened_anew() {
        let directory = Directory::new("reopen");
        let (path, moved) = (directory.file("log"), directory.file("log.1"));
        let printer = Printer::start(Format::Text, Destination::File(path.clone())).unwrap();
        printer.log(b"before\n");
        flush(&printer);
        fs::rename(&path, &moved).unwrap();
        printer.log(b"between\n");
        printer.reopen();
        printer.log(b"after\n");
        flush(&printer);
        assert_eq!(fs::read_to_string(moved).unwrap(), "before\nbetween\n");
        assert_eq!(fs::read_to_string(path).unwrap(), "after\n");
    }

    #[test]
    fn what_a_missing_directory_costs_is_told_when_it_is_back() {
        let directory = Directory::new("missing");
        let path = directory.file("logs/log");
        let printer = Printer::start(Format::Text, Destination::File(path.clone())).unwrap();
        printer.log(b"one\n");
        flush(&printer);
        printer.log(b"two\nthree\n");
        flush(&printer);
        fs::create_dir(directory.file("logs")).unwrap();
        printer.log(b"four\n");
        flush(&printer);
        let expected = "… lost 3 lines (14 bytes): no such file or directory\nfour\n";
        assert_eq!(fs::read_to_string(path).unwrap(), expected);
    }

    #[test]
    fn a_stuck_reader_holds_nobody_and_what_it_misses_is_counted() {
        const LINES: u64 = 200_000;
        let directory = Directory::new("stuck");
        let path = directory.file("fifo");
        rustix::fs::mkfifoat(CWD, &path, Mode::RWXU).unwrap();
        // Open, and not read: a terminal that was stopped.
        let reader = rustix::fs::open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).unwrap();
        let printer = Printer::with(Format::Text, 1 << 20, Destination::File(path)).unwrap();
        let (said, all_said) = mpsc::channel();
        let writer = printer.clone();
        std::thread::spawn(move || {
            for number in 0..LINES {
                writer.line(&source(if number % 2 == 0 { "even" } else { "odd" }), line(format!("{number:010}").as_bytes()));
            }
            said.send(()).unwrap();
        });
        all_said.recv_timeout(Duration::from_mins(1)).expect("the stuck reader holds the writer");
        assert!(printer.owner.shared.lock().bytes <= 1 << 20);
        rustix::fs::fcntl_setfl(&reader, OFlags::empty()).unwrap();
        let text = std::thread::spawn(move || {
            let mut text = String::new();
            File::from(reader).read_to_string(&mut text).unwrap();
            text
        });
        flush(&printer);
        drop(printer);
        let text = text.join().unwrap();
        let (mut arrived, mut dropped, mut latest) = (0, 0, None);
        for said in text.lines() {
            let (_, said) = said.split_once("] ").expect(said);
            if let Some(mark) = said.strip_prefix("… dropped ") {
                dropped += mark.split(' ').next().unwrap().parse::<u64>().unwrap();
            } else {
                let number: u64 = said.parse().expect("a whole line");
                assert!(latest < Some(number), "out of order");
                (arrived, latest) = (arrived + 1, Some(number));
            }
        }
        assert!(dropped > 0 && arrived > 0);
        assert_eq!(arrived + dropped, LINES);
    }

    #[test]
    fn a_full_disk_is_survived() {
        let printer = Printer::with(Format::Text, CAPACITY, Destination::File("/dev/full".into())).unwrap();
        for _ in 0..100 {
            printer.log(b"into the void\n");
        }
        flush(&printer);
        assert_eq!(printer.owner.shared.lock().bytes, 0);
    }
}
