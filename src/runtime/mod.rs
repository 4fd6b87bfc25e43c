//! Performs actions on this system and reports what happened. It decides nothing.
//!
//! [`init`] first, before any thread exists; then a [`Printer`], then the [`Runtime`], which takes the core's actions
//! and answers with events:
//!
//! ```text
//!  Action ──► Runtime::perform ──► spawners ──► clone, exec         (two threads: an exec may be slow)
//!                 │                    │ report      │ pipes
//!                 ▼                    ▼             ▼
//!               signals ──► table of runs ◄─ SIGCHLD  reader ──► writers ──► stdout, stderr or a file
//!                              │  (the loop's thread)  (a thread)   (threads)
//!  Event  ◄────────────────────┘
//! ```
//!
//! It is *not* the place of a policy: how long a stop may take, what is restarted and when is all in `reconcile`.

mod environment;
mod launcher;
mod output;
mod proc;
mod reaper;
mod refusal;
mod spawn;
mod spawners;
mod sys;
mod tree;
pub mod utc;

pub use launcher::{InitError, Launcher, abort_on_panic, init};
pub use output::{Destination, Format, Printer};
pub use refusal::words;

use crate::signals;
use environment::Environment;
use output::Outputs;
use reaper::Reaper;
use reconcile::event::{Action, Event, Pid, Refusal, RunId};
use reconcile::spec::{self, Spec};
use spawn::NotSpawned;
use spawners::{Report, Request, Spawners};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Sender, UnboundedReceiver, unbounded_channel};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tree::Marker;

/// How long what is left at the end may take to be gone after it was killed.
const LAST_KILL: Duration = Duration::from_secs(5);
/// How long an exec may take before it's looked at again, where nothing tells of its end.
const ANOTHER_LOOK: Duration = Duration::from_millis(2);
/// How long the last lines may take to be read and written; a terminal may be stuck.
const LAST_LINES: Duration = Duration::from_secs(6);

/// What a runtime needs to begin.
#[derive(Debug)]
pub struct Setup {
    /// What [`init`] found.
    pub launcher: Launcher,
    /// Takes the processes' lines.
    pub printer: Printer,
}

/// Why a runtime can't begin.
#[derive(Debug, Error)]
pub enum StartError {
    /// The end of a child would go unnoticed.
    #[error("failed to listen for the end of child processes: {}", words(.0))]
    Signals(io::Error),
    /// Not enough threads, memory or descriptors.
    #[error("failed to start the threads of the runtime: {}", words(.0))]
    Threads(io::Error),
}

/// Performs actions, and reports what happened.
pub struct Runtime {
    shared: Arc<Shared>,
    spawners: Spawners,
    outputs: Outputs,
    printer: Printer,
    reaping: JoinHandle<()>,
    /// Changes whenever the reaper has looked.
    look: watch::Receiver<()>,
}

struct Shared {
    reaper: Mutex<Reaper>,
    /// There is news that a call of [`Runtime::perform`] made.
    news: Notify,
}

impl Shared {
    /// Never held across an await or a clone, and never contended: all who lock it are on the loop's thread.
    fn lock(&self) -> MutexGuard<'_, Reaper> {
        self.reaper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runtime {
    /// Begins, on a current-thread tokio runtime with its I/O and time drivers. What happens goes to `news`, each fact
    /// once, `Spawned` before `Exited` before `Gone`; when it's full, the runtime waits and nothing is lost.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(setup: Setup, news: Sender<Event>) -> Result<Runtime, StartError> {
        let ended = signal(SignalKind::child()).map_err(StartError::Signals)?;
        let outer = std::env::var(tree::MARK).ok();
        let reaper = Reaper::new(Marker::new(instance(), outer));
        let environment = Environment::inherited(std::env::vars_os());
        let outputs = Outputs::start(setup.printer.clone()).map_err(StartError::Threads)?;
        let (reports, reported) = unbounded_channel();
        let spawners = Spawners::start(setup.launcher, &environment, &outputs, &reports).map_err(StartError::Threads)?;
        let shared = Arc::new(Shared { reaper: Mutex::new(reaper), news: Notify::new() });
        let (looked, look) = watch::channel(());
        let reaping = tokio::spawn(reap(Arc::clone(&shared), ended, reported, news, looked));
        Ok(Runtime { shared, spawners, outputs, printer: setup.printer, reaping, look })
    }

    /// Performs an action, and returns at once; what comes of it is an [`Event`]. An action on a run that is gone is late,
    /// and of no effect.
    pub fn perform(&self, action: Action) {
        match action {
            Action::Spawn { run, spec } => self.spawn(run, spec),
            Action::Stop { run, signal } => self.stop(run, signal),
            Action::Kill { run } => self.shared.lock().kill(run),
        }
        self.shared.news.notify_one();
    }

    fn spawn(&self, run: RunId, spec: Arc<Spec>) {
        let (mark, slot) = self.shared.lock().expect(run, &spec.name);
        if self.spawners.submit(Request { run, spec, mark, slot }).is_err() {
            let error = "the threads that start programs have ended".to_owned();
            let why = Refusal::Failed { stage: "starting".to_owned(), error };
            self.shared.lock().reported(Report { run, outcome: Err(NotSpawned { had_child: false, why }) });
        }
    }

    fn stop(&self, run: RunId, signal: spec::Signal) {
        self.shared.lock().stop(run, signals::number(signal));
    }

    /// The living processes of a run's tree, its leader first.
    pub fn pids(&self, run: RunId) -> Vec<Pid> {
        self.shared.lock().pids(run)
    }

    /// Ends, after the last run is gone: kills whatever child is left, whoever it belonged to, then sees that every line
    /// that was written is read and printed. Returns what even that has not ended.
    pub async fn finish(mut self) -> Vec<Pid> {
        let survivors = self.kill_everything().await;
        self.reaping.abort();
        let last_lines = async {
            self.outputs.finish().await;
            self.printer.flush().await;
        };
        if timeout(LAST_LINES, last_lines).await.is_err() {
            tracing::warn!(target: "managed_processes", "The output is stuck; its last lines are lost");
        }
        survivors
    }

    async fn kill_everything(&mut self) -> Vec<Pid> {
        let until = Instant::now() + LAST_KILL;
        loop {
            self.look.mark_unchanged();
            let left = reaper::kill_every_child();
            if left.is_empty() && !self.shared.lock().is_any_starting() {
                return left;
            }
            if !matches!(timeout_at(until, self.look.changed()).await, Ok(Ok(()))) {
                return left;
            }
        }
    }
}

/// The reaper's task: looks after every `SIGCHLD` and every outcome of a start, and tells the news.
async fn reap(
    shared: Arc<Shared>,
    mut ended: Signal,
    mut reported: UnboundedReceiver<Report>,
    news: Sender<Event>,
    looked: watch::Sender<()>,
) {
    let mut has_failed = false;
    loop {
        let wants_another_look = has_failed || shared.lock().wants_another_look();
        let report = tokio::select! {
            _ = ended.recv() => None,
            report = reported.recv() => report,
            () = shared.news.notified() => None,
            () = sleep_until(Instant::now() + ANOTHER_LOOK), if wants_another_look => None,
        };
        if let Some(report) = report {
            shared.lock().reported(report);
        }
        let reaped = shared.lock().reap();
        shared.lock().settle();
        if let Err(error) = &reaped
            && !has_failed
        {
            tracing::error!(target: "managed_processes", %error, "Child processes can't be waited for");
        }
        has_failed = reaped.is_err();
        loop {
            let Some(event) = shared.lock().next_news() else { break };
            // Whoever listens has gone; then what happens is nobody's news, and children are reaped all the same.
            let _unheard = news.send(event).await;
        }
        looked.send_replace(());
    }
}

/// Sixteen random hexadecimal digits. The keys of the standard library's hash maps are the operating system's random
/// numbers, and the hash of nothing under them is as random.
fn instance() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}
