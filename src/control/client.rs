//! The client's end of the socket: asks a running navigator, and waits for its answer.

use super::arrival::{NotReached, STARTING, reach};
use super::instance::StateDir;
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
    /// How long an answer may take; `None`: as long as it takes.
    patience: Option<Duration>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no navigator runs `{}`", .0.display())]
    NotRunning(PathBuf),
    /// Somebody runs it, and has no socket.
    #[error("the navigator with pid {0} runs it, and doesn't open its control socket")]
    Silent(i32),
    /// A user that isn't trusted listens.
    #[error("the control socket belongs to user {0}, and is not asked; `--trust-user {0}` trusts that user")]
    Stranger(u32),
    /// The socket can't be used.
    #[error("failed to reach the running navigator: {0}")]
    System(#[from] io::Error),
    /// It has been reached, and doesn't answer in time.
    #[error(
        "the running navigator doesn't answer within {0:?}; where it is stopped, `kill -CONT` wakes it, and on a busy host, ask again"
    )]
    Late(Duration),
    /// The connection broke, or what came isn't an answer.
    #[error("failed to talk to the running navigator: {0}")]
    Broken(String),
    /// The answer to what was to be followed is a refusal, with its reason in `error`.
    #[error("the running navigator refuses: {}", .0["error"].as_str().unwrap_or("without a reason"))]
    Refused(Value),
}

impl Client {
    /// Reaches the navigator that runs a configuration; one that is only just starting is waited for.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn connect(state: &StateDir, config: &Path) -> Result<Client, ClientError> {
        Client::connect_within(state, config, STARTING)
    }

    /// The same for a caller that has only so much time.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn connect_within(state: &StateDir, config: &Path, patience: Duration) -> Result<Client, ClientError> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stream = reach(state, config, patience).map_err(|unreached| match unreached {
            NotReached::NotRunning => ClientError::NotRunning(config.to_owned()),
            NotReached::Silent(pid) => ClientError::Silent(pid),
            NotReached::Stranger(user) => ClientError::Stranger(user),
            NotReached::System(error) => ClientError::System(error),
        })?;
        stream.set_nonblocking(true)?;
        let sender = tokio.block_on(async {
            let (sender, connection) = handshake(TokioIo::new(UnixStream::from_std(stream)?)).await.map_err(broken)?;
            // What goes wrong with the connection, those who wait for an answer are told too.
            tokio::spawn(async move { drop(connection.await) });
            Ok::<_, ClientError>(sender)
        })?;
        Ok(Client { tokio, sender, patience: None })
    }

    /// Waits for no answer longer than this. For questions that are answered at once; what waits for something takes its time.
    #[must_use]
    pub fn within(self, patience: Duration) -> Client {
        Client { patience: Some(patience), ..self }
    }

    /// Asks a question. Answers with the status of HTTP and the JSON that came.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn get(&mut self, path: &str) -> Result<(u16, Value), ClientError> {
        self.whole(Method::GET, path, Bytes::new())
    }

    /// Gives an order. Answers like [`Client::get`], when it is known what came of it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn post(&mut self, path: &str, body: &Value) -> Result<(u16, Value), ClientError> {
        self.whole(Method::POST, path, Bytes::from(body.to_string()))
    }

    /// Follows a stream of this type line by line, until it ends, `take` answers `false`, or nobody reads any more what is
    /// written to `out`, which shows at once and not only with the next line.
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
            let mut is_left = left(out)?;
            loop {
                let frame = tokio::select! {
                    frame = answer.body_mut().frame() => frame,
                    _ = &mut is_left => None,
                };
                let Some(frame) = frame else { return Ok(()) };
                // Navigator may end in the middle of a line, which is an end like any other.
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

    fn whole(&mut self, method: Method, path: &str, body: Bytes) -> Result<(u16, Value), ClientError> {
        let request = request(method, path, body)?;
        let answered = async {
            let answer: Response<Incoming> = self.sender.send_request(request).await.map_err(broken)?;
            let status = answer.status().as_u16();
            let text = answer.into_body().collect().await.map_err(broken)?.to_bytes();
            Ok((status, serde_json::from_slice(&text).map_err(broken)?))
        };
        self.tokio.block_on(async {
            match self.patience {
                None => answered.await,
                Some(patience) => timeout(patience, answered).await.unwrap_or(Err(ClientError::Late(patience))),
            }
        })
    }
}

/// Tells once nobody reads any more what is written here: the reading end of a pipe or socket is closed. What has no such end,
/// such as a file, is never left.
///
/// The kernel tells of it whatever else is asked for (`POLLERR`, `poll(2)`). A thread asks it, which ends with the program at the
/// latest: nobody waits for it.
fn left(out: impl AsFd) -> io::Result<oneshot::Receiver<()>> {
    let (gone, told) = oneshot::channel();
    let out = out.as_fd().try_clone_to_owned()?;
    thread::spawn(move || {
        let mut descriptors = [PollFd::new(&out, PollFlags::empty())];
        while poll(&mut descriptors, None) == Err(Errno::INTR) {}
        // Who followed has ended by itself: then nobody has to know.
        let _told = gone.send(());
    });
    Ok(told)
}

fn request(method: Method, path: &str, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
    let request =
        Request::builder().method(method).uri(path).header("host", "navigator").header("content-type", "application/json");
    request.body(Full::new(body)).map_err(broken)
}

fn broken(error: impl std::fmt::Display) -> ClientError {
    ClientError::Broken(error.to_string())
}
