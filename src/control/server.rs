//! The socket of a running navigator: takes connections of its own user, and gives each request to the routes.
//!
//! Clients can't slow supervision down: each connection is a task of its own that waits for nobody else, their number is
//! bounded, and when it is reached the oldest goes that never asked for anything or, if all have, the oldest.

use super::routes::{self, Loop};
use super::socket;
use crate::access::Directory;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::geteuid;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

/// How many connections there may be.
const CONNECTIONS: usize = 256;

/// How long a connection may take to send a request's head, and how long it may be idle before.
const HEAD: Duration = Duration::from_secs(10);

/// How long after a client could not be let in it is tried again; nothing tells when there is room.
const AGAIN: Duration = Duration::from_millis(100);

/// How long the rest of the answers may take when navigator ends.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// The open socket of an instance.
#[derive(Debug)]
pub struct Server {
    directory: Directory,
    accepting: JoinHandle<()>,
    /// Tells every connection to end, and knows whether one is left.
    closing: watch::Sender<()>,
}

impl Server {
    /// Opens the socket in an instance's directory, whose lock the caller holds, within a tokio runtime.
    ///
    /// # Errors
    /// The socket can't be made.
    pub fn open(directory: &Directory, to: Loop) -> io::Result<Server> {
        let listener = UnixListener::from_std(socket::bind(directory)?)?;
        let (closing, is_closing) = watch::channel(());
        let accepting = tokio::spawn(accept(listener, to, is_closing));
        Ok(Server { directory: directory.clone(), accepting, closing })
    }

    /// Takes no more connections, removes the socket, and sends the rest of the answers that are under way. The loop has
    /// ended, so there is a rest; who doesn't read it in time doesn't get it.
    pub async fn close(self) {
        self.accepting.abort();
        socket::remove(&self.directory);
        self.closing.send_replace(());
        if timeout(LAST_ANSWERS, self.closing.closed()).await.is_err() {
            debug!(target: "navigator", "A client doesn't read the rest of its answer");
        }
    }
}

/// A client that was let in.
struct Connection {
    task: AbortHandle,
    /// It has sent a request, or at least the head of one.
    has_asked: Arc<AtomicBool>,
}

async fn accept(listener: UnixListener, to: Loop, is_closing: watch::Receiver<()>) {
    let mut open: VecDeque<Connection> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|connection| !connection.task.is_finished());
                if open.len() == CONNECTIONS {
                    let least = open.iter().position(|connection| !connection.has_asked.load(Ordering::Relaxed)).unwrap_or(0);
                    open.remove(least).iter().for_each(|connection| connection.task.abort());
                }
                let has_asked = Arc::new(AtomicBool::new(false));
                let task = tokio::spawn(serve(stream, to.clone(), Arc::clone(&has_asked), is_closing.clone())).abort_handle();
                open.push_back(Connection { task, has_asked });
            }
            Err(error) => {
                warn!(target: "navigator", %error, "A client could not be let in");
                // Descriptors or memory are used up: some connections are let go, so that there is something to wait for.
                open.drain(..open.len() / 2).for_each(|connection| connection.task.abort());
                sleep_until(Instant::now() + AGAIN).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, to: Loop, has_asked: Arc<AtomicBool>, mut is_closing: watch::Receiver<()>) {
    let is_allowed = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw());
    let service = service_fn(move |request| {
        has_asked.store(true, Ordering::Relaxed);
        let to = to.clone();
        async move {
            let answer = if is_allowed { routes::answer(request, &to).await } else { routes::forbidden() };
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = is_closing.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        debug!(target: "navigator", %error, "A client's connection broke");
    }
}
