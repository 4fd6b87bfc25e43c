//! The server of the control socket: accepts connections of its own user and of root, and routes their requests.
//!
//! Clients can't slow down the loop: they are answered on another thread, with a task for each connection. The number of connections
//! is limited. At the limit, the oldest without a request is dropped; if each has sent one, the oldest.

use super::answers::pieces_sent;
use super::loop_access::LoopAccess;
use super::routes;
use super::socket;
use crate::access::Directory;
use crate::handover::InheritedDescriptors;
use crate::supervisor::LoopView;
use crate::sys;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::geteuid;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

/// How many connections may be open.
const MAX_CONNECTIONS: usize = 256;

/// How long a connection may be idle, or take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a connection could not be accepted. The kernel doesn't report when there is room again.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// At the end: how long to wait for clients that read nothing.
const STALL_TIMEOUT: Duration = Duration::from_millis(500);

/// At the end: how long to wait for all last answers.
const LAST_ANSWERS_TIMEOUT: Duration = Duration::from_secs(5);

/// The running server of an instance.
#[derive(Debug)]
pub struct Server {
    directory: Directory,
    /// Dropping it makes the thread send the last answers and end.
    close: oneshot::Sender<()>,
    /// Fails once the thread has ended.
    closed: oneshot::Receiver<()>,
}

impl Server {
    /// The socket of an instance, if the former program in this process has left it open. Clients wait in it.
    pub(crate) fn inherited_socket(directory: &Directory, inherited: &InheritedDescriptors) -> Option<OwnedFd> {
        inherited.listener(|listener| socket::is_of(listener, directory))
    }

    /// Opens the socket in an instance's directory, unless it is `inherited`, and answers clients on a thread of its own, which also drops the `retired`
    /// views. The caller holds the instance's lock.
    ///
    /// # Errors
    /// The socket can't be made, or the thread can't be started.
    pub fn open(
        directory: &Directory,
        inherited: Option<OwnedFd>,
        to: LoopAccess,
        retired: UnboundedReceiver<Arc<LoopView>>,
    ) -> io::Result<Server> {
        let socket = inherited.map_or_else(|| socket::bind(directory), |socket| Ok(socket.into()))?;
        let (close, is_closing) = oneshot::channel();
        let (done, closed) = oneshot::channel();
        let (opened, is_open) = std::sync::mpsc::channel();
        thread::Builder::new().name("control".to_owned()).spawn(move || {
            // Clients must not preempt what is done for processes.
            sys::schedule_as_batch();
            let _until_the_end = done;
            let tokio = match tokio::runtime::Builder::new_current_thread().enable_all().on_thread_start(lower_priority).build() {
                Ok(tokio) => tokio,
                Err(error) => return drop(opened.send(Err(error))),
            };
            tokio.block_on(async {
                match UnixListener::from_std(socket) {
                    Ok(listener) => {
                        drop(opened.send(Ok(())));
                        answer(listener, to, retired, is_closing).await;
                    }
                    Err(error) => drop(opened.send(Err(error))),
                }
            });
            // A plan in progress is of no use any more.
            tokio.shutdown_background();
        })?;
        is_open.recv().unwrap_or_else(|_| Err(io::Error::other("the control thread ended")))?;
        Ok(Server { directory: directory.clone(), close, closed })
    }

    /// Stops accepting, removes the socket, and sends the rest of the answers in progress. A client that doesn't read it in time
    /// loses it. Call it after the loop has ended.
    pub async fn close(self) {
        socket::remove(&self.directory);
        drop(self.close);
        // The other end is dropped when the thread ends.
        drop(self.closed.await);
    }
}

/// The niceness of threads that make snapshots and plans (`setpriority(2)`).
const NICE: i32 = 10;

/// For threads with long computations, so that they don't slow down the loop on a busy host.
fn lower_priority() {
    sys::schedule_as_batch();
    // Without permission, the priority stays as it is.
    let _unchanged = rustix::process::nice(NICE);
}

/// Answers clients until the server is closed. Then sends the answers in progress.
async fn answer(
    listener: UnixListener,
    to: LoopAccess,
    mut retired: UnboundedReceiver<Arc<LoopView>>,
    is_to_close: oneshot::Receiver<()>,
) {
    tokio::spawn(async move { while retired.recv().await.is_some() {} });
    let (closing, is_closing) = watch::channel(());
    tokio::select! {
        () = accept(listener, to, is_closing) => {}
        _ = is_to_close => {}
    }
    closing.send_replace(());
    let until = Instant::now() + LAST_ANSWERS_TIMEOUT;
    loop {
        let before = pieces_sent();
        if timeout(STALL_TIMEOUT, closing.closed()).await.is_ok() {
            return;
        }
        if pieces_sent() == before || Instant::now() >= until {
            debug!(target: "navigator", "Dropped a client that does not read its answer");
            return;
        }
    }
}

/// A client's connection.
struct Connection {
    task: AbortHandle,
    /// It has sent the head of a request.
    has_asked: Arc<AtomicBool>,
}

async fn accept(listener: UnixListener, to: LoopAccess, is_closing: watch::Receiver<()>) {
    let mut open: VecDeque<Connection> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                open.retain(|connection| !connection.task.is_finished());
                if open.len() == MAX_CONNECTIONS {
                    let victim = open.iter().position(|connection| !connection.has_asked.load(Ordering::Relaxed)).unwrap_or(0);
                    open.remove(victim).iter().for_each(|connection| connection.task.abort());
                }
                let has_asked = Arc::new(AtomicBool::new(false));
                let task = tokio::spawn(serve(stream, to.clone(), Arc::clone(&has_asked), is_closing.clone())).abort_handle();
                open.push_back(Connection { task, has_asked });
            }
            Err(error) => {
                warn!(target: "navigator", %error, "Failed to accept a client");
                // Descriptors or memory are used up: closing connections frees some.
                open.drain(..open.len() / 2).for_each(|connection| connection.task.abort());
                sleep_until(Instant::now() + ACCEPT_RETRY).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, to: LoopAccess, has_asked: Arc<AtomicBool>, mut is_closing: watch::Receiver<()>) {
    let is_allowed = stream.peer_cred().is_ok_and(|peer| peer.uid() == 0 || peer.uid() == geteuid().as_raw());
    let client = stream.as_raw_fd();
    let service = service_fn(move |request| {
        has_asked.store(true, Ordering::Relaxed);
        let to = to.clone();
        async move {
            let answer = if is_allowed { routes::answer(request, &to, client).await } else { routes::forbidden() };
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
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
        debug!(target: "navigator", %error, "Lost the connection of a client");
    }
}
