//! Receives the signals to navigator.

use crate::error_text::words;
use crate::runtime::{self, Launcher};
use crate::signals;
use crate::supervisor::{self, INBOX, NavigatorSignal, News};
use std::io;
use std::os::unix::net::UnixStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::warn;

/// Receives signals from the start, before threads exist. So a signal during the first reading of the configuration is handled
/// afterwards, instead of killing navigator.
pub(super) struct SignalListener {
    pub(super) tokio: tokio::runtime::Runtime,
    pub(super) news: mpsc::Sender<News>,
    pub(super) news_inbox: mpsc::Receiver<News>,
}

impl SignalListener {
    /// # Errors
    /// Out of descriptors, or of memory.
    pub(super) fn open(launcher: Launcher) -> io::Result<SignalListener> {
        // Tokio makes one too, and panics on an error.
        drop(UnixStream::pair()?);
        let tokio =
            tokio::runtime::Builder::new_current_thread().enable_all().on_thread_park(runtime::flush_deferred_log).build()?;
        let (news, news_inbox) = mpsc::channel(INBOX);
        let context = tokio.enter();
        listen(launcher, &news)?;
        if let Err(error) = supervisor::watch_clock(news.clone()) {
            warn!(target: "navigator", error = words(&error), "Failed to watch the clock, which only schedules need");
        }
        drop(context);
        runtime::receive_signals()?;
        Ok(SignalListener { tokio, news, news_inbox })
    }
}

/// Sends the signals to navigator to the loop.
fn listen(launcher: Launcher, news: &mpsc::Sender<News>) -> io::Result<()> {
    // Writes to a closed pipe or beyond `ulimit -f` fail instead.
    let handled = signals::deadly().filter(|number| ![libc::SIGPIPE, libc::SIGXFSZ].contains(number));
    for number in handled {
        let (mut stream, news) = (signal(SignalKind::from_raw(number))?, news.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() && news.send(News::Signal(meaning(launcher, number))).await.is_ok() {}
        });
    }
    Ok(())
}

/// What a signal means that has just arrived.
fn meaning(launcher: Launcher, number: i32) -> NavigatorSignal {
    match number {
        libc::SIGTERM => NavigatorSignal::Terminate,
        libc::SIGINT => NavigatorSignal::Interrupt,
        libc::SIGQUIT => NavigatorSignal::Quit,
        libc::SIGHUP if launcher.has_lost_terminal() => NavigatorSignal::TerminalClosed,
        libc::SIGHUP => NavigatorSignal::Hangup,
        libc::SIGUSR2 => NavigatorSignal::Reopen,
        other => NavigatorSignal::Other(signals::name(other)),
    }
}
