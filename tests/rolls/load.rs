//! Sixteen clients that ask without a pause, and what became of their requests.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How many clients there are.
pub(crate) const CLIENTS: u64 = 16;

/// A request that takes longer has failed; on a loaded machine a working server is far below it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the server listens.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Tcp(u16),
    Unix(PathBuf),
}

impl fmt::Display for Target {
    /// As `listen` takes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Tcp(port) => write!(f, "127.0.0.1:{port}"),
            Target::Unix(path) => path.display().fmt(f),
        }
    }
}

/// A stream of either kind.
trait Stream: Read + Write + Send {}
impl Stream for TcpStream {}
impl Stream for UnixStream {}

impl Target {
    fn connect(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Target::Tcp(port) => {
                let stream = TcpStream::connect(("127.0.0.1", *port))?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
            Target::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                Ok(Box::new(stream))
            }
        }
    }

    /// The answer to one request on a connection of its own: the body without the newline.
    pub(crate) fn ask(&self) -> Result<String, String> {
        let mut stream = self.connect().map_err(|error| format!("connecting: {error}"))?;
        send(&mut *stream, false).map_err(|error| format!("sending: {error}"))?;
        let answer = receive(&mut *stream).map_err(|error| format!("receiving: {error}"))?;
        Ok(answer.body)
    }
}

fn send(stream: &mut dyn Stream, keep_alive: bool) -> io::Result<()> {
    let connection = if keep_alive { "keep-alive" } else { "close" };
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: {connection}\r\n\r\n").as_bytes())
}

/// An answer that came to its end.
struct Answer {
    body: String,
    /// The server ends the connection after it.
    is_last: bool,
}

/// Reads one answer. It must have status 200 and a length.
fn receive(stream: &mut dyn Stream) -> io::Result<Answer> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    let wrong = |bytes: &[u8]| io::Error::other(format!("a wrong answer: {:?}", String::from_utf8_lossy(bytes)));
    loop {
        let head_end = bytes.windows(4).position(|end| end == b"\r\n\r\n");
        if let Some(end) = head_end {
            let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
            let length = length.filter(|_| head.starts_with("http/1.1 200 ")).ok_or_else(|| wrong(&bytes))?;
            if bytes.len() >= end + 4 + length {
                let body = String::from_utf8_lossy(&bytes[end + 4..end + 4 + length]).trim_end().to_owned();
                return Ok(Answer { body, is_last: head.contains("connection: close") });
            }
        }
        match stream.read(&mut buffer)? {
            0 if bytes.is_empty() => return Err(io::ErrorKind::UnexpectedEof.into()),
            0 => return Err(wrong(&bytes)),
            length => bytes.extend(&buffer[..length]),
        }
    }
}

/// What became of requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) answered: u64,
    /// Each kind of failure, and how often there was one.
    pub(crate) failed: BTreeMap<String, u64>,
    /// Idle connections that the server had closed, found when they were to be used again. A client asks again on a new one.
    pub(crate) closed: u64,
    pub(crate) over_a_second: u64,
    pub(crate) longest: Duration,
}

impl Figures {
    fn add(&mut self, other: Figures) {
        self.answered += other.answered;
        self.closed += other.closed;
        self.over_a_second += other.over_a_second;
        self.longest = self.longest.max(other.longest);
        for (kind, count) in other.failed {
            *self.failed.entry(kind).or_default() += count;
        }
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failed.values().sum()
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [failures, milliseconds] = [u128::from(self.failures()), self.longest.as_millis()];
        write!(f, "{} answered, {failures} failed, longest {milliseconds} ms", self.answered)?;
        write!(f, ", {} over 1 s, {} idle connections closed", self.over_a_second, self.closed)?;
        if self.failed.is_empty() { Ok(()) } else { write!(f, " {:?}", self.failed) }
    }
}

/// The newest version, and how often it has answered.
#[derive(Debug)]
struct Newest {
    version: AtomicU32,
    answers: Mutex<u64>,
    grown: Condvar,
}

impl Newest {
    fn answers(&self) -> MutexGuard<'_, u64> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The clients while they ask.
#[derive(Debug)]
pub(crate) struct Load {
    newest: Arc<Newest>,
    over: Arc<AtomicBool>,
    clients: Vec<JoinHandle<Figures>>,
}

impl Load {
    /// Begins; `version 1` serves.
    pub(crate) fn start(target: &Target, keep_alive: bool) -> Load {
        let newest = Newest { version: AtomicU32::new(1), answers: Mutex::new(0), grown: Condvar::new() };
        let (newest, over) = (Arc::new(newest), Arc::new(AtomicBool::new(false)));
        let client = |_| {
            let client = Client {
                target: target.clone(),
                newest: Arc::clone(&newest),
                keep_alive,
                connection: None,
                figures: Figures::default(),
            };
            let over = Arc::clone(&over);
            std::thread::spawn(move || client.ask_until(&over))
        };
        let clients = (0..CLIENTS).map(client).collect();
        Load { newest: Arc::clone(&newest), over: Arc::clone(&over), clients }
    }

    /// From now on answers of this version are right too.
    pub(crate) fn expect(&self, version: u32) {
        *self.newest.answers() = 0;
        self.newest.version.store(version, Ordering::SeqCst);
    }

    /// Waits until the newest version has answered the clients so often; whether it has, before their patience ends.
    pub(crate) fn has_answered(&self, times: u64) -> bool {
        let answers = self.newest.answers();
        let waited = self.newest.grown.wait_timeout_while(answers, PATIENCE, |answers| *answers < times);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Ends, and adds up.
    pub(crate) fn end(self) -> Figures {
        self.over.store(true, Ordering::SeqCst);
        let mut sum = Figures::default();
        for client in self.clients {
            sum.add(client.join().expect("a client doesn't panic"));
        }
        sum
    }
}

struct Client {
    target: Target,
    newest: Arc<Newest>,
    keep_alive: bool,
    connection: Option<Box<dyn Stream>>,
    figures: Figures,
}

impl Client {
    fn ask_until(mut self, over: &AtomicBool) -> Figures {
        while !over.load(Ordering::SeqCst) {
            let begun = Instant::now();
            let outcome = self.ask();
            let took = begun.elapsed();
            self.figures.longest = self.figures.longest.max(took);
            self.figures.over_a_second += u64::from(took > Duration::from_secs(1));
            match outcome {
                Ok(()) => self.figures.answered += 1,
                Err(kind) => *self.figures.failed.entry(kind).or_default() += 1,
            }
        }
        self.figures
    }

    fn ask(&mut self) -> Result<(), String> {
        if let Some(mut stream) = self.connection.take() {
            match send(&mut *stream, true).and_then(|()| receive(&mut *stream)) {
                Ok(answer) => return self.accept(stream, &answer),
                Err(error) if is_end(&error) => self.figures.closed += 1,
                Err(error) => return Err(format!("on a used connection: {error}")),
            }
        }
        let mut stream = self.target.connect().map_err(|error| format!("connecting: {error}"))?;
        send(&mut *stream, self.keep_alive).map_err(|error| format!("sending: {error}"))?;
        let answer = receive(&mut *stream).map_err(|error| format!("receiving: {error}"))?;
        self.accept(stream, &answer)
    }

    fn accept(&mut self, mut stream: Box<dyn Stream>, answer: &Answer) -> Result<(), String> {
        if self.keep_alive && !answer.is_last {
            self.connection = Some(stream);
        } else if !self.keep_alive {
            // The server closes first, so that its side remembers the connection. How it does is no matter any more.
            let _closed = stream.read(&mut [0; 16]);
        }
        let version = answer.body.strip_prefix("version ").and_then(|version| version.split(' ').next()?.parse::<u32>().ok());
        let newest = self.newest.version.load(Ordering::SeqCst);
        if version == Some(newest) {
            *self.newest.answers() += 1;
            self.newest.grown.notify_one();
        }
        let is_known = version.is_some_and(|version| (1..=newest).contains(&version));
        if is_known { Ok(()) } else { Err(format!("a wrong body: {:?}", answer.body)) }
    }
}

/// The other end has closed the connection before it answered.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}
