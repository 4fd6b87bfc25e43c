//! Performs actions on this system and reports what happened. It decides nothing.
//!
//! [`init`] first, before any thread exists; then a [`Printer`], then the [`Runtime`], which takes the core's actions
//! and answers with events:
//!
//! ```text
//!  Action ──► Runtime::perform ──► spawners ──► clone, exec         (two threads: an exec may be slow)
//!                 │                    │ report      │ pipes
//!                 ▼                    ▼             ▼
//!               signals ──► table of runs ◄─ SIGCHLD  reader ──► printer ──► stdout, stderr or a file
//!                              │  (the loop's thread)  (one thread each)
//!  Event  ◄────────────────────┘
//! ```
//!
//! It is *not* the place of a policy: how long a stop may take, what is restarted and when is all in `reconcile`.

mod commands;
mod environment;
mod format;
mod launcher;
mod lines;
mod orders;
mod output;
mod passed;
mod printer;
mod probe;
mod proc;
mod reaper;
mod refusal;
mod sink;
mod spawn;
mod spawners;
mod sys;
mod tree;
pub mod utc;

pub use format::Format;
pub use launcher::{InitError, Launcher, init};
pub use printer::{Destination, Printer};

use crate::signals;
use commands::Commands;
use environment::Environment;
use orders::Orders;
use output::Outputs;
use probe::Prober;
use reaper::Reaper;
use reconcile::event::{Action, Event, Pid, Refusal, RunId, StopBy};
use reconcile::spec::Spec;
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
    #[error("failed to listen for the end of child processes: {0}")]
    Signals(io::Error),
    /// Not enough threads, memory or descriptors.
    #[error("failed to start the threads of the runtime: {0}")]
    Threads(io::Error),
}

/// Performs actions, and reports what happened.
pub struct Runtime {
    shared: Arc<Shared>,
    spawners: Arc<Spawners>,
    companions: Companions,
    orders: Orders,
    outputs: Outputs,
    printer: Printer,
    reaping: JoinHandle<()>,
    /// Changes whenever the reaper has looked.
    look: watch::Receiver<()>,
}

/// What accompanies runs, and hears of what happens to them before anybody else does.
#[derive(Clone)]
struct Companions {
    commands: Commands,
    prober: Prober,
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

    /// Reports a start that can't even be attempted.
    fn refuse(&self, run: RunId, stage: &str, error: String) {
        let why = Refusal::Failed { stage: stage.to_owned(), error };
        self.lock().reported(Report { run, outcome: Err(NotSpawned { had_child: false, why }) });
    }

    /// Has a program started.
    fn start(&self, request: Request, spawners: &Spawners) {
        let run = request.run;
        if spawners.submit(request).is_err() {
            self.refuse(run, "starting", "the threads that start programs have ended".to_owned());
        }
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
        let spawners = Arc::new(spawners);
        let shared = Arc::new(Shared { reaper: Mutex::new(reaper), news: Notify::new() });
        let commands = Commands::new(Arc::clone(&shared), Arc::clone(&spawners));
        let orders = Orders::new(Arc::clone(&shared), commands.clone(), news.clone());
        let companions = Companions { prober: Prober::new(commands.clone(), news.clone()), commands };
        let (looked, look) = watch::channel(());
        let reaping = tokio::spawn(reap(Arc::clone(&shared), companions.clone(), ended, reported, news, looked));
        Ok(Runtime { shared, spawners, companions, orders, outputs, printer: setup.printer, reaping, look })
    }

    /// Performs an action, and returns at once; what comes of it is an [`Event`]. An action on a run that is gone is late,
    /// and of no effect.
    pub fn perform(&self, action: Action) {
        match action {
            Action::Spawn { run, spec } => self.spawn(run, spec),
            Action::Stop { run, by } => self.stop(run, by),
            Action::Update { run, spec } => self.companions.prober.update(run, spec),
            Action::Reload { run, by } => {
                if let Some(principal) = self.companions.prober.principal(run) {
                    self.orders.reload(principal, by);
                }
            }
            Action::Kill { run } => {
                self.companions.prober.end(run);
                self.companions.commands.kill_beside(run);
                self.shared.lock().kill(run);
            }
        }
        self.shared.news.notify_one();
    }

    fn spawn(&self, run: RunId, spec: Arc<Spec>) {
        let (mark, slot) = self.shared.lock().expect(run, &spec.name);
        let passed = match self.companions.prober.expect(run, &spec) {
            Ok(passed) => passed,
            Err((stage, error)) => return self.shared.refuse(run, stage, refusal::words(&error)),
        };
        self.shared.start(Request { run, spec, mark, slot, passed }, &self.spawners);
    }

    fn stop(&self, run: RunId, by: StopBy) {
        self.companions.prober.end(run);
        let principal = self.companions.prober.principal(run).filter(|principal| principal.leader.is_some());
        match (by, principal) {
            (StopBy::Command(command, signal), Some(principal)) => self.orders.stop(principal, &command, signal),
            // What hasn't been started yet can't be stopped by a command.
            (StopBy::Signal(signal) | StopBy::Command(_, signal), _) => self.shared.lock().stop(run, signals::number(signal)),
        }
    }

    /// The living processes of a run's tree, its leader first.
    pub fn pids(&self, run: RunId) -> Vec<Pid> {
        self.shared.lock().pids(run)
    }

    /// Ends, after the last run is gone: kills whatever child is left, whoever it belonged to, then sees that every line
    /// that was written is read and printed. Returns what even that has not ended.
    pub async fn finish(mut self) -> Vec<Pid> {
        self.companions.prober.finish();
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
    companions: Companions,
    mut ended: Signal,
    mut reported: UnboundedReceiver<Report>,
    news: Sender<Event>,
    looked: watch::Sender<()>,
) {
    loop {
        let wants_another_look = shared.lock().wants_another_look();
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
        if let Err(error) = reaped {
            tracing::error!(target: "managed_processes", %error, "Child processes can't be waited for");
        }
        loop {
            let Some(event) = shared.lock().next_news() else { break };
            companions.tell(event, &news).await;
        }
        looked.send_replace(());
    }
}

impl Companions {
    /// Takes news in, and passes on what isn't theirs alone.
    async fn tell(&self, event: Event, news: &Sender<Event>) {
        let Some(event) = self.commands.route(event) else { return };
        match &event {
            Event::Exited { run, .. } => self.prober.end(*run),
            Event::Gone { run } | Event::NotSpawned { run, .. } => self.prober.forget(*run),
            _ => {}
        }
        let spawned = if let Event::Spawned { run, pid } = &event { Some((*run, *pid)) } else { None };
        // Whoever listens has gone; then what happens is nobody's news, and children are reaped all the same.
        let _unheard = news.send(event).await;
        // Only now, so that nothing is said of a run before that it runs.
        if let Some((run, pid)) = spawned {
            self.prober.begin(run, pid);
        }
    }
}

/// Sixteen random hexadecimal digits. The keys of the standard library's hash maps are the operating system's random
/// numbers, and the hash of nothing under them is as random.
fn instance() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}
