//! The socket of a running navigator: takes connections of its own user, and gives each request to the routes.
//!
//! Clients can't slow supervision down: they are answered on another thread than the loop's, where each connection is a task of its
//! own that waits for no other; their number is bounded, and when it is reached the oldest goes that never asked for anything or, if all have, the oldest.

use super::answers::sent;
use super::routes::{self, LoopAccess};
use super::socket;
use crate::access::Directory;
use crate::supervisor::LoopView;
use crate::sys;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::geteuid;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
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

/// How many connections there may be.
const CONNECTIONS: usize = 256;

/// How long a connection may take to send a request's head, and how long it may be idle before.
const HEAD: Duration = Duration::from_secs(10);

/// How long after a client could not be let in it is tried again; nothing tells when there is room.
const AGAIN: Duration = Duration::from_millis(100);

/// How long clients that read nothing are waited for when navigator ends.
const DEAF: Duration = Duration::from_millis(500);

/// How long clients are waited for in all that read the rest of their answers.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// The open socket of an instance.
#[derive(Debug)]
pub struct Server {
    directory: Directory,
    /// Dropped, it has the thread send the last answers and end.
    close: oneshot::Sender<()>,
    /// Fails once it has.
    closed: oneshot::Receiver<()>,
}

impl Server {
    /// Opens the socket in an instance's directory, whose lock the caller holds, and answers clients on a thread of its own. There
    /// views of the past are dropped, too.
    ///
    /// # Errors
    /// The socket can't be made, or there is no thread for it.
    pub fn open(directory: &Directory, to: LoopAccess, retired: UnboundedReceiver<Arc<LoopView>>) -> io::Result<Server> {
        let socket = socket::bind(directory)?;
        let (close, is_closing) = oneshot::channel();
        let (done, closed) = oneshot::channel();
        let (opened, is_open) = std::sync::mpsc::channel();
        thread::Builder::new().name("control".to_owned()).spawn(move || {
            // What is done for readers interrupts nothing that is done for processes.
            sys::schedule_as_batch();
            let _until_the_end = done;
            let tokio = match tokio::runtime::Builder::new_current_thread().enable_all().on_thread_start(come_last).build() {
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
            // A plan that is still being made is of no use to anything.
            tokio.shutdown_background();
        })?;
        is_open.recv().unwrap_or_else(|_| Err(io::Error::other("its thread ended")))?;
        Ok(Server { directory: directory.clone(), close, closed })
    }

    /// Takes no more connections, removes the socket, and sends the rest of the answers that are under way. The loop has
    /// ended, so there is a rest; a client that doesn't read it in time doesn't get it.
    pub async fn close(self) {
        socket::remove(&self.directory);
        drop(self.close);
        // It ends by being dropped.
        drop(self.closed.await);
    }
}

/// How much less of a busy processor those threads get that derive what is shown (`setpriority(2)`).
const NICE: i32 = 10;

/// For threads that make what takes long: also where processors are scarce, supervision hardly notices them.
fn come_last() {
    sys::schedule_as_batch();
    // Where it is refused, everything is as it was.
    let _as_before = rustix::process::nice(NICE);
}

/// Answers clients until the server is to close, and then sends what is under way.
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
    let until = Instant::now() + LAST_ANSWERS;
    loop {
        let before = sent();
        if timeout(DEAF, closing.closed()).await.is_ok() {
            return;
        }
        if sent() == before || Instant::now() >= until {
            debug!(target: "navigator", "A client doesn't read the rest of its answer");
            return;
        }
    }
}

/// A client that was let in.
struct Connection {
    task: AbortHandle,
    /// It has sent a request, or at least the head of one.
    has_asked: Arc<AtomicBool>,
}

async fn accept(listener: UnixListener, to: LoopAccess, is_closing: watch::Receiver<()>) {
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

async fn serve(stream: UnixStream, to: LoopAccess, has_asked: Arc<AtomicBool>, mut is_closing: watch::Receiver<()>) {
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
