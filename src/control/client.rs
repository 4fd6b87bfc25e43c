//! The client's end of the socket: asks a running navigator, and waits for its answer.

use super::instance::StateDir;
use super::socket;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::Value;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

/// A connection to a running navigator. Its calls block.
#[derive(Debug)]
pub struct Client {
    tokio: Runtime,
    sender: SendRequest<Full<Bytes>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no navigator runs `{}`", .0.display())]
    NotRunning(PathBuf),
    /// The socket can't be used.
    #[error("failed to reach the running navigator: {0}")]
    System(#[from] io::Error),
    /// The connection broke, or what came isn't an answer.
    #[error("failed to talk to the running navigator: {0}")]
    Broken(String),
}

impl Client {
    /// Reaches the navigator that runs a configuration.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn connect(state: &StateDir, config: &Path) -> Result<Client, ClientError> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stream = socket::connect(&state.of(config)).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning(config.to_owned()),
            _ => ClientError::System(error),
        })?;
        stream.set_nonblocking(true)?;
        let sender = tokio.block_on(async {
            let (sender, connection) = handshake(TokioIo::new(UnixStream::from_std(stream)?)).await.map_err(broken)?;
            // What goes wrong with the connection, those who wait for an answer are told too.
            tokio::spawn(async move { drop(connection.await) });
            Ok::<_, ClientError>(sender)
        })?;
        Ok(Client { tokio, sender })
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

    /// Follows a stream line by line, until it ends, `take` answers `false`, or nobody reads any more what is written to `out`,
    /// which shows at once and not only with the next line.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn follow(&mut self, path: &str, out: impl AsFd, mut take: impl FnMut(&[u8]) -> bool) -> Result<(), ClientError> {
        let request = request(Method::GET, path, Bytes::new())?;
        self.tokio.block_on(async {
            let mut answer = self.sender.send_request(request).await.map_err(broken)?;
            if !answer.status().is_success() {
                let text = answer.into_body().collect().await.map_err(broken)?.to_bytes();
                return Err(ClientError::Broken(String::from_utf8_lossy(&text).into_owned()));
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
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    if !take(&line[..end]) {
                        return Ok(());
                    }
                }
            }
        })
    }

    fn whole(&mut self, method: Method, path: &str, body: Bytes) -> Result<(u16, Value), ClientError> {
        let request = request(method, path, body)?;
        self.tokio.block_on(async {
            let answer: Response<Incoming> = self.sender.send_request(request).await.map_err(broken)?;
            let status = answer.status().as_u16();
            let text = answer.into_body().collect().await.map_err(broken)?.to_bytes();
            Ok((status, serde_json::from_slice(&text).map_err(broken)?))
        })
    }
}

/// Tells once nobody reads any more what is written here: the reading end of a pipe or socket is closed. What has no such end, such as
/// a file, is never left.
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
