//! Reads what processes write, on a thread of its own: one pipe for each standard output and error. Bytes become lines
//! ([`super::lines`]), and the [`Printer`] takes them without ever making this thread wait; so no process is ever held
//! by a full pipe for longer than it takes to come round.
//!
//! The end of a stream and the end of a process are two facts that have nothing to do with one another: a grandchild may
//! hold the pipe after its parent's end, and a process may close its output and go on.

use super::format::{Source, Stream};
use super::lines::Lines;
use super::printer::Printer;
use super::probe::{Ear, Hearing};
use super::sink::Rotation;
use reconcile::spec::Output;
use reconcile::text::Name;
use rustix::buffer::spare_capacity;
use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// What one read takes at most: the size of a pipe.
const CHUNK: usize = 64 * 1024;
/// How long finishing goes on reading where somebody outside goes on writing.
const LAST_READS: Duration = Duration::from_secs(5);

/// Hands streams to the reader. Clones are the same reader.
#[derive(Clone)]
pub(super) struct Outputs {
    shared: Arc<Shared>,
}

struct Shared {
    requests: Mutex<Vec<Request>>,
    /// Becomes readable when there are requests.
    wake: OwnedFd,
}

enum Request {
    Read(Open),
    Finish(oneshot::Sender<()>),
}

impl Outputs {
    /// Starts the reader.
    ///
    /// # Errors
    /// No descriptor or no thread.
    pub(super) fn start(printer: Printer) -> io::Result<Outputs> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        epoll::add(&poll, &wake, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        let shared = Arc::new(Shared { requests: Mutex::default(), wake });
        let outputs = Outputs { shared: Arc::clone(&shared) };
        let reader = Reader { shared, poll, printer, streams: HashMap::new(), next: WAKE + 1, finishing: None };
        std::thread::Builder::new().name("reader".to_owned()).spawn(move || reader.run())?;
        Ok(outputs)
    }

    /// Reads what a process writes to its standard output and error, until both have ended. The ear hears it, too.
    pub(super) fn read(&self, name: &Name, output: &Output, ear: Option<&Arc<Ear>>, [stdout, stderr]: [OwnedFd; 2]) {
        let file = match output {
            Output::File { path, max_size, keep } => {
                let shown = path.shown().to_owned();
                Some(Arc::new(Rotation { path: path.value().into(), shown, max_size: *max_size, keep: *keep }))
            }
            Output::Log | Output::Null => None,
        };
        let read = |stream, pipe| {
            let source = Source { name: name.clone(), stream, file: file.clone() };
            let hearing = ear.map(|ear| Hearing::new(Arc::clone(ear)));
            Request::Read(Open { source, pipe, lines: Lines::default(), hearing, is_unprinted: *output == Output::Null })
        };
        self.ask([read(Stream::Stdout, stdout), read(Stream::Stderr, stderr)]);
    }

    /// Reads what is there, and ends. For when no process is left: then all that they wrote is in the pipes already, and
    /// a pipe that isn't at its end is held by somebody who is not ours.
    pub(super) async fn finish(&self) {
        let (done, is_done) = oneshot::channel();
        self.ask([Request::Finish(done)]);
        // It only goes away without an answer by answering another who asked the same.
        let _either_way = is_done.await;
    }

    fn ask(&self, requests: impl IntoIterator<Item = Request>) {
        self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner).extend(requests);
        // The only failure is a counter that stands at its limit, and that wakes just as well.
        let _awake = rustix::io::write(&self.shared.wake, &1_u64.to_ne_bytes());
    }
}

/// What [`Shared::wake`] is called in the poll; streams have numbers above it, and none is used twice.
const WAKE: u64 = 0;

struct Reader {
    shared: Arc<Shared>,
    poll: OwnedFd,
    printer: Printer,
    streams: HashMap<u64, Open>,
    next: u64,
    finishing: Option<Finishing>,
}

struct Open {
    source: Source,
    pipe: OwnedFd,
    lines: Lines,
    /// Somebody may listen for a line.
    hearing: Option<Hearing>,
    /// It is read for that alone.
    is_unprinted: bool,
}

struct Finishing {
    done: oneshot::Sender<()>,
    until: Instant,
}

impl Reader {
    fn run(mut self) {
        let mut events = Vec::with_capacity(256);
        let mut chunk = vec![0; CHUNK];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        loop {
            events.clear();
            let patience = self.finishing.is_some().then_some(&at_once);
            let waited = epoll::wait(&self.poll, spare_capacity(&mut events), patience);
            if let Err(error) = waited
                && error != Errno::INTR
            {
                tracing::error!(target: "managed_processes", %error, "Output of processes can't be read any more");
                return;
            }
            for event in &events {
                match event.data.u64() {
                    WAKE => self.take_requests(),
                    stream => self.read(stream, &mut chunk),
                }
            }
            let is_over = |finishing: &Finishing| events.is_empty() || Instant::now() >= finishing.until;
            if self.finishing.as_ref().is_some_and(is_over) {
                return self.end();
            }
        }
    }

    fn take_requests(&mut self) {
        // Reset first, then taken: what comes in between wakes once more, for nothing.
        let mut count = [0; 8];
        let _reset = rustix::io::read(&self.shared.wake, &mut count);
        let requests = std::mem::take(&mut *self.shared.requests.lock().unwrap_or_else(PoisonError::into_inner));
        for request in requests {
            match request {
                Request::Read(stream) => self.open(stream),
                Request::Finish(done) => self.finishing = Some(Finishing { done, until: Instant::now() + LAST_READS }),
            }
        }
    }

    fn open(&mut self, stream: Open) {
        let token = self.next;
        self.next += 1;
        // Our end alone: the process's own goes on blocking, as programs expect of their output.
        let added = rustix::fs::fcntl_setfl(&stream.pipe, OFlags::NONBLOCK)
            .and_then(|()| epoll::add(&self.poll, &stream.pipe, epoll::EventData::new_u64(token), epoll::EventFlags::IN));
        if let Err(error) = added {
            let name = stream.source.name.as_str();
            tracing::error!(target: "managed_processes", name, %error, "Output of a process can't be read");
            return;
        }
        self.streams.insert(token, stream);
    }

    /// Takes one chunk of a stream; if there is more, it comes round again, after the others.
    fn read(&mut self, token: u64, chunk: &mut [u8]) {
        let Some(Open { source, pipe, lines, hearing, is_unprinted }) = self.streams.get_mut(&token) else { return };
        let printer = &self.printer;
        let mut each = |line: super::lines::Line<'_>| printer.line(source, line);
        match rustix::io::read(&*pipe, &mut *chunk) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            // An error is an end too: nothing more can come.
            Ok(0) | Err(_) => {
                hearing.iter_mut().for_each(Hearing::end);
                lines.finish(&mut each);
                // Closing the pipe takes it out of the poll as well: nobody else has this end.
                self.streams.remove(&token);
            }
            Ok(count) => {
                if let Some(hearing) = hearing {
                    hearing.hear(&chunk[..count]);
                }
                if !*is_unprinted {
                    lines.feed(&chunk[..count], &mut each);
                }
            }
        }
    }

    /// Tells the lines whose end will not come, and answers.
    fn end(mut self) {
        for Open { source, lines, .. } in self.streams.values_mut() {
            lines.finish(&mut |line| self.printer.line(source, line));
        }
        self.streams.clear();
        if let Some(finishing) = self.finishing {
            // Who asked may have lost patience.
            let _unheard = finishing.done.send(());
        }
    }
}
