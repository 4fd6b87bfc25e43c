//! Performs actions on this system and reports what happened. It decides nothing.
//!
//! [`init`] first, before any thread exists; then a [`Printer`], then the [`Runtime`], which takes the core's actions
//! and answers with events:
//!
//! ```text
//!  Action ──► Runtime::perform ──► spawners ──► clone, exec      (threads: an exec may be slow)
//!                 │                    │ report      │ pipes
//!                 ▼                    ▼             ▼
//!               signals ──► table of runs ◄─ SIGCHLD  reader ──► writers ──► stdout, stderr or a file
//!                              │  (the loop's thread)  (a thread)   (threads)
//!  Event  ◄────────────────────┘
//! ```
//!
//! It is *not* the place of a policy: how long a stop may take, what is restarted and when is all in `reconcile`.

mod commands;
mod environment;
mod group;
mod launcher;
mod loop_state;
mod mark;
mod orphans;
mod output;
mod platform;
mod probe;
mod proc;
mod queue;
mod reap_task;
mod reaper;
mod refusal;
mod run_orders;
mod spawn;
mod spawn_extras;
mod spawners;
mod tree;

pub use launcher::{InitError, Launcher, abort_on_panic, init};
pub use output::{
    DeferredFlush, Destination, OutputFormat, OutputHistory, Painter, Printer, Tail, TailFormat, flush_deferred_log, log_problem,
    output_problem,
};
pub use platform::{Feature, platform};

use crate::error_text::words;
use crate::journal::{Journal, Record};
use crate::signals;
use crate::sys;
use commands::Commands;
use environment::Inherited;
use group::Groups;
use loop_state::LoopState;
use mark::Marker;
use orphans::Orphans;
use output::Outputs;
use probe::Prober;
use reap_task::{ANOTHER_LOOK, ReapSignals, RunObservers};
use reaper::Reaper;
use reconcile::event::{Action, Event, Pid, Refusal, RunId, StopBy};
use reconcile::spec::{self, Exec, Spec};
use reconcile::text::Name;
use run_orders::RunOrders;
use spawn::{SpawnContext, SpawnSlot};
use spawners::{SpawnRequest, Spawners};
use std::io;
use std::mem;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Sender, unbounded_channel};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// How long what is left at the end may take to be gone after it was killed.
const LAST_KILL: Duration = Duration::from_secs(5);
/// How long the last lines may take to be read and written; a terminal may be stuck.
const LAST_LINES: Duration = Duration::from_secs(6);

/// What a runtime needs to begin.
#[derive(Debug)]
pub struct Setup {
    /// What [`init`] found.
    pub launcher: Launcher,
    /// Takes the processes' lines.
    pub printer: Printer,
    /// Keeps the last of them.
    pub kept: OutputHistory,
    /// Where it is noted what runs.
    pub journal: Journal,
    /// What former navigators noted there.
    pub former: Record,
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
    /// Not enough descriptors.
    #[error("failed to watch for the end of processes that are no children: {}", words(.0))]
    Watch(io::Error),
}

/// Performs actions, and reports what happened.
pub struct Runtime {
    shared: Arc<LoopState>,
    spawners: Arc<Spawners>,
    companions: RunObservers,
    orders: RunOrders,
    outputs: Outputs,
    printer: Printer,
    kept: OutputHistory,
    reaping: JoinHandle<()>,
    watching: JoinHandle<()>,
    /// Changes whenever the reaper has looked.
    look: watch::Receiver<()>,
}

impl Runtime {
    /// Begins, on a current-thread tokio runtime with its I/O and time drivers. What happens goes to `news`, each fact
    /// once, `Spawned` before `Exited` before `Gone`; when it's full, the runtime waits and nothing is lost.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(setup: Setup, news: Sender<Event>) -> Result<Runtime, StartError> {
        sys::note_ended_children().map_err(StartError::Signals)?;
        let ended = signal(SignalKind::child()).map_err(StartError::Signals)?;
        let marker = Marker::new(&setup.journal, std::env::var(mark::MARK).ok());
        if proc::stat(std::process::id()).is_none() {
            tracing::warn!(target: "navigator", "`/proc` is not there: of each tree only the leader is known");
        }
        let groups = Groups::make(setup.journal.author()).inspect_err(|error| {
            tracing::debug!(target: "navigator", %error, "Processes get no control groups of their own");
        });
        if let Some(noted) = groups.as_ref().ok().and_then(Groups::noted) {
            setup.journal.note_groups(noted);
        }
        let left = Orphans::new(setup.journal.clone(), marker.clone(), setup.former).map_err(StartError::Watch)?;
        let reaper = Reaper::new(marker, setup.journal.clone(), groups.ok()).map_err(StartError::Watch)?;
        let environment = Inherited::of(std::env::vars_os());
        let outputs = Outputs::start(setup.printer.clone(), setup.kept.clone()).map_err(StartError::Threads)?;
        let (tell, done) = unbounded_channel();
        let spawners =
            Spawners::start(setup.launcher, &environment, &outputs, &setup.journal, &tell).map_err(StartError::Threads)?;
        let spawners = Arc::new(spawners);
        // The threads are there, and stay asleep.
        sys::unblock_child_signal().map_err(StartError::Signals)?;
        let (left_ends, ends, emptied) = (left.ends(), reaper.ends(), reaper.emptied());
        let shared = Arc::new(LoopState { reaper: Mutex::new(reaper), left: Mutex::new(left), news: Notify::new() });
        let commands = Commands::new(Arc::clone(&shared), Arc::clone(&spawners));
        let orders = RunOrders::new(Arc::clone(&shared), commands.clone(), news.clone());
        let companions = RunObservers { prober: Prober::new(commands.clone(), news.clone()), commands };
        let (looked, look) = watch::channel(());
        let signals = ReapSignals { ended, ends, emptied, done };
        let reap = reap_task::reap(Arc::clone(&shared), companions.clone(), Arc::clone(&spawners), signals, news.clone(), looked);
        let reaping = tokio::spawn(reap);
        let watching = tokio::spawn(reap_task::watch_left(Arc::clone(&shared), left_ends, news));
        Ok(Runtime {
            shared,
            spawners,
            companions,
            orders,
            outputs,
            printer: setup.printer,
            kept: setup.kept,
            reaping,
            watching,
            look,
        })
    }

    /// Performs actions in this order, and returns at once; what comes of each is an [`Event`]. An action on a run that is gone is
    /// late, and of no effect.
    pub fn perform(&self, actions: impl IntoIterator<Item = Action>) {
        let mut stops = Vec::new();
        let mut are_starts = true;
        for action in actions {
            are_starts &= matches!(action, Action::Spawn { .. });
            if let Action::Stop { run, by } = action {
                stops.extend(self.stop(run, by));
                continue;
            }
            self.shared.lock().stop(&mem::take(&mut stops));
            match action {
                Action::Spawn { run, spec, after } => self.spawn(run, spec, after),
                Action::Update { run, spec } => self.companions.prober.update(run, spec),
                Action::Reload { run, by } => {
                    if let Some(principal) = self.companions.prober.context(run) {
                        self.orders.reload(principal, by);
                    }
                }
                Action::Kill { run } => self.kill(run),
                Action::Stop { .. } => {}
            }
        }
        self.shared.lock().stop(&stops);
        // Of a start that is being made, whoever makes it tells.
        if !are_starts || self.shared.lock().has_news() {
            self.shared.news.notify_one();
        }
    }

    fn spawn(&self, run: RunId, spec: Arc<Spec>, after: Option<RunId>) {
        let (mark, slot, leaf) = self.shared.lock().expect(run, &spec);
        let after = after.map(|after| self.shared.lock().follow(run, after)).unwrap_or_default();
        if let Some(pids) = self.shared.left().survivors(&spec.name) {
            let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
            let error = format!("what a killed navigator left of it can't be ended: {}", pids.join(" "));
            return self.shared.refuse(run, "starting", error);
        }
        let passed = match self.companions.prober.prepare(run, &spec) {
            Ok(passed) => passed,
            Err((stage, error)) => return self.shared.refuse(run, stage, words(&error)),
        };
        self.spawners.submit(SpawnRequest { run, spec, mark, slot, leaf, passed, after });
    }

    /// Stops a run, unless that takes no more than a signal: then it answers with that.
    fn stop(&self, run: RunId, by: StopBy) -> Option<(RunId, i32)> {
        let number = signals::number(match by {
            StopBy::Signal(signal) | StopBy::Command(_, signal) => signal,
        });
        if self.shared.left().stop(run, number) {
            return None;
        }
        self.companions.prober.end(run);
        let principal = self.companions.prober.context(run).filter(|principal| principal.leader.is_some());
        match (by, principal) {
            (StopBy::Command(command, signal), Some(principal)) => {
                self.orders.stop(principal, &command, signal);
                None
            }
            // What hasn't been started yet can't be stopped by a command.
            _ => Some((run, number)),
        }
    }

    fn kill(&self, run: RunId) {
        if self.shared.left().kill(run) {
            return;
        }
        self.companions.prober.end(run);
        self.companions.commands.kill_beside(run);
        self.shared.lock().kill(run);
    }

    /// Sends a signal to a run's leader, and to it alone.
    ///
    /// # Errors
    /// That it has ended, or that navigator may not.
    pub fn signal(&self, run: RunId, signal: spec::Signal) -> io::Result<()> {
        self.shared.lock().signal_leader(run, signals::number(signal))
    }

    /// The living processes of a run's tree, its leader first.
    pub fn pids(&self, run: RunId) -> Vec<Pid> {
        let of_left = self.shared.left().pids(run);
        of_left.unwrap_or_else(|| self.shared.lock().pids(run))
    }

    /// Looks for what former navigators of this instance left behind: the names of their processes, and who lives of each.
    pub async fn find_left(&self) -> Vec<(Name, Vec<Pid>)> {
        let until = Instant::now() + reaper::LONGEST_EXEC;
        while self.shared.left().find() && Instant::now() < until {
            sleep_until(Instant::now() + ANOTHER_LOOK).await;
        }
        self.shared.left().settle()
    }

    /// Takes what is left of a process for this run, whose end is an [`Event::Gone`] then. Answers with the number of one
    /// of its processes, or with nothing if it has ended.
    pub fn take_over(&self, run: RunId, name: &Name) -> Option<Pid> {
        self.shared.left().bind(run, name)
    }

    /// Takes nothing for those runs any more. What couldn't be ended keeps its process from being started.
    pub fn let_go(&self) {
        self.shared.left().unbind();
    }

    /// The last lines that a process wrote, for people.
    pub fn last_lines(&self, name: &Name, lines: u64) -> Vec<String> {
        self.kept.last(name.as_str(), lines)
    }

    /// Forgets what processes wrote that aren't there any more.
    pub fn retain_lines(&self, is_there: &dyn Fn(&Name) -> bool) {
        self.kept.retain(is_there);
    }

    /// Ends, after the last run is gone: kills whatever child is left, whoever it belonged to, then sees that every line
    /// that was written is read and printed. Returns what even that has not ended.
    pub async fn finish(mut self) -> Vec<Pid> {
        self.companions.prober.finish();
        let survivors = self.kill_everything().await;
        self.shared.lock().remove_groups();
        self.reaping.abort();
        self.watching.abort();
        let last_lines = async {
            self.outputs.finish().await;
            self.kept.finish();
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

/// Names this boot and this numbering of processes, for the journal; `None` if nobody can tell.
pub fn boot() -> Option<String> {
    proc::boot()
}

/// Finds out what would keep programs from being started, by doing all of a start but the last step. For a process that
/// runs nothing and reaps nobody else.
///
/// # Errors
/// No memory for the stack of a child.
pub fn rehearse<'a>(launcher: &Launcher, execs: impl IntoIterator<Item = &'a Exec>) -> io::Result<Vec<Option<Refusal>>> {
    let environment = Inherited::of(std::env::vars_os());
    let ground = SpawnContext { launcher, environment: &environment };
    let mut cradle = SpawnSlot::new()?;
    Ok(execs.into_iter().map(|exec| spawn::rehearse(exec, &ground, &mut cradle).err()).collect())
}
