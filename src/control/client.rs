//! The client of the control socket: sends requests to a running navigator, and waits for the answers.

use super::arrival::{NotReached, STARTUP_TIMEOUT, reach};
use super::known::KnownInstance;
use super::state_dir::StateDir;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use memchr::memchr;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::Value;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// A connection to a running navigator. Its calls block.
#[derive(Debug)]
pub struct Client {
    tokio: Runtime,
    sender: SendRequest<Full<Bytes>>,
    /// How long an answer may take; `None`: without limit.
    timeout: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No navigator runs the configuration.
    #[error("no navigator runs `{}`", .0.display())]
    NotRunning(PathBuf),
    /// The same, but the keeper of one that was killed holds its processes.
    #[error(
        "no navigator runs; its keeper (pid {pid}) holds {processes} process{}; start `navigator {}` to take over",
        if *processes == 1 { "" } else { "es" }, config.display()
    )]
    OnlyKeeper {
        /// The configuration.
        config: PathBuf,
        /// The pid of the keeper.
        pid: u32,
        /// How many processes run.
        processes: usize,
    },
    /// No configuration is named, and no navigator runs.
    #[error("no navigator runs")]
    NoneRunning,
    /// No configuration is named, and several navigators run.
    #[error("several navigators run; name one with `--config`: {}", listed(.0))]
    SeveralRunning(Vec<PathBuf>),
    /// A navigator runs it, and opens no socket.
    #[error("the navigator with pid {0} has not opened its control socket")]
    NoSocket(i32),
    /// The socket belongs to a user that isn't trusted.
    #[error("the control socket belongs to user {0}, which is not trusted; use `--trust-user {0}` to trust it")]
    UntrustedUser(u32),
    /// The socket can't be used.
    #[error("failed to reach the running navigator: {0}")]
    System(#[from] io::Error),
    /// No answer came in time.
    #[error(
        "no answer from the running navigator within {0:?}; if it is stopped, continue it with `kill -CONT`; on a busy host, try again"
    )]
    TimedOut(Duration),
    /// The connection broke, or the answer is malformed.
    #[error("failed to talk to the running navigator: {0}")]
    Broken(String),
    /// The request for a stream was refused, with the reason in `error`.
    #[error("the running navigator refuses: {}", .0["error"].as_str().unwrap_or("without a reason"))]
    Refused(Value),
}

/// Paths in backticks.
fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("`{}`", path.display())).collect::<Vec<_>>().join(", ")
}

impl StateDir {
    /// The running instance of a configuration; without one, the only instance that runs.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn select(&self, config: Option<&Path>) -> Result<KnownInstance, ClientError> {
        let Some(config) = config else {
            let mut running = self.running()?;
            if running.len() > 1 {
                return Err(ClientError::SeveralRunning(running.into_iter().map(|known| known.config).collect()));
            }
            return running.pop().ok_or(ClientError::NoneRunning);
        };
        self.find(config)?.ok_or_else(|| match self.keeper_of(config) {
            Some((pid, processes)) => ClientError::OnlyKeeper { config: config.to_owned(), pid, processes },
            None => ClientError::NotRunning(config.to_owned()),
        })
    }
}

impl Client {
    /// Connects to the navigator that runs a configuration, or without one to the only navigator that runs. Waits for one that is
    /// starting.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn connect(state: &StateDir, config: Option<&Path>) -> Result<Client, ClientError> {
        Client::connect_within(state, config, STARTUP_TIMEOUT)
    }

    /// The same, but waits at most this long for a navigator that is starting.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn connect_within(state: &StateDir, config: Option<&Path>, timeout: Duration) -> Result<Client, ClientError> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let instance = state.select(config)?;
        let stream = reach(&instance, timeout).map_err(|reason| match reason {
            NotReached::NotRunning => ClientError::NotRunning(config.unwrap_or(instance.config()).to_owned()),
            NotReached::NoSocket(pid) => ClientError::NoSocket(pid),
            NotReached::UntrustedUser(user) => ClientError::UntrustedUser(user),
            NotReached::System(error) => ClientError::System(error),
        })?;
        stream.set_nonblocking(true)?;
        let sender = tokio.block_on(async {
            let (sender, connection) = handshake(TokioIo::new(UnixStream::from_std(stream)?)).await.map_err(broken)?;
            // Requests that wait for an answer get the error too.
            tokio::spawn(async move { drop(connection.await) });
            Ok::<_, ClientError>(sender)
        })?;
        Ok(Client { tokio, sender, timeout: None })
    }

    /// Limits the time for each answer. For requests that are answered at once.
    #[must_use]
    pub fn within(self, timeout: Duration) -> Client {
        Client { timeout: Some(timeout), ..self }
    }

    /// Sends a `GET` request. Returns the HTTP status and the JSON body.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get(&mut self, path: &str) -> Result<(u16, Value), ClientError> {
        self.exchange(Method::GET, path, Bytes::new())
    }

    /// Sends a `POST` request. Returns like [`Client::get`], once the outcome is known.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn post(&mut self, path: &str, body: &Value) -> Result<(u16, Value), ClientError> {
        self.exchange(Method::POST, path, Bytes::from(body.to_string()))
    }

    /// Reads a stream of this type line by line. Ends with the stream, when `take` returns false, or at once when the reading end
    /// of `out` is closed.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn follow(
        &mut self,
        path: &str,
        accept: &'static str,
        out: impl AsFd,
        mut take: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), ClientError> {
        let mut request = request(Method::GET, path, Bytes::new())?;
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(accept));
        self.tokio.block_on(async {
            let mut answer = self.sender.send_request(request).await.map_err(broken)?;
            if !answer.status().is_success() {
                let text = answer.into_body().collect().await.map_err(broken)?.to_bytes();
                return Err(ClientError::Refused(serde_json::from_slice(&text).map_err(broken)?));
            }
            let mut rest = Vec::new();
            let mut is_closed = closed(out)?;
            loop {
                let frame = tokio::select! {
                    frame = answer.body_mut().frame() => frame,
                    _ = &mut is_closed => None,
                };
                let Some(frame) = frame else { return Ok(()) };
                // Navigator may end in the middle of a line. That is no error.
                let Ok(frame) = frame else { return Ok(()) };
                rest.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
                let mut begin = 0;
                while let Some(length) = memchr(b'\n', &rest[begin..]) {
                    if !take(&rest[begin..begin + length]) {
                        return Ok(());
                    }
                    begin += length + 1;
                }
                rest.drain(..begin);
            }
        })
    }

    fn exchange(&mut self, method: Method, path: &str, body: Bytes) -> Result<(u16, Value), ClientError> {
        let request = request(method, path, body)?;
        let answered = async {
            let answer: Response<Incoming> = self.sender.send_request(request).await.map_err(broken)?;
            let status = answer.status().as_u16();
            let text = answer.into_body().collect().await.map_err(broken)?.to_bytes();
            Ok((status, serde_json::from_slice(&text).map_err(broken)?))
        };
        self.tokio.block_on(async {
            match self.timeout {
                None => answered.await,
                Some(limit) => timeout(limit, answered).await.unwrap_or(Err(ClientError::TimedOut(limit))),
            }
        })
    }
}

/// Completes when the reading end of a pipe or socket is closed; never for a file.
///
/// The kernel always reports that (`POLLERR`, `poll(2)`). A thread waits for it, until the program ends at the latest.
fn closed(out: impl AsFd) -> io::Result<oneshot::Receiver<()>> {
    let (sender, closed) = oneshot::channel();
    let out = out.as_fd().try_clone_to_owned()?;
    thread::spawn(move || {
        let mut descriptors = [PollFd::new(&out, PollFlags::empty())];
        while poll(&mut descriptors, None) == Err(Errno::INTR) {}
        // Sending fails if the stream has ended meanwhile.
        let _is_received = sender.send(());
    });
    Ok(closed)
}

fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
    let request =
        Request::builder().method(method).uri(path).header("host", "navigator").header("content-type", "application/json");
    request.body(Full::new(body)).map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}
