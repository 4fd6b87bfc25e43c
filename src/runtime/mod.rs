//! Performs the core's actions on this system and reports what happened. It decides nothing.
//!
//! Call [`init`] first, before any thread exists. Then make a [`Printer`], then the [`Runtime`]. It takes actions and sends events:
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
//! It has no policy: `reconcile` decides how long a stop may take, and what is restarted when.

mod child_maker;
mod commands;
mod environment;
mod errands;
mod former_run;
mod group;
mod handing_over;
mod keeper_status;
mod kept_sockets;
mod launcher;
mod loop_state;
mod mark;
mod orphans;
mod output;
mod parents;
mod pause;
mod pipes;
mod platform;
mod probe;
mod proc;
mod queue;
mod reap_task;
mod reaper;
mod refusal;
mod rehearsal;
mod resources;
mod run_orders;
mod secret_filter;
mod sockets;
mod spawn;
mod spawn_extras;
mod spawners;
mod take_back;
mod take_over;
mod tree;

pub use commands::is_command;
pub use former_run::{FormerRun, TakenOver};
pub use handing_over::{HandedOver, PausedOutput};
pub use keeper_status::KeeperStatus;
pub use launcher::{InitError, Launcher, abort_on_panic, init, receive_signals};
pub use orphans::OrphanRun;
pub use output::{
    DeferredFlush, Destination, LastLines, OutputFormat, OutputHistory, Painter, Printer, Tail, TailFormat, flush_deferred_log,
    log_problem,
};
pub use pause::{CATCH_UP, PAUSE};
pub use platform::{Feature, platform};
pub use rehearsal::rehearse;

use crate::access::Directory;
use crate::error_text::words;
use crate::handover::InheritedDescriptors;
use crate::journal::{Journal, Record};
use crate::signals;
use crate::sys;
use commands::Commands;
use environment::Inherited;
use group::Groups;
use kept_sockets::KeptSockets;
use loop_state::LoopState;
use mark::Marker;
use orphans::Orphans;
use output::Outputs;
use parents::Parents;
use probe::{Notifications, Prober};
use reap_task::{RECHECK_INTERVAL, ReapSignals, RunObservers};
use reaper::Reaper;
use reconcile::event::{Action, Event, Pid, RunId, StopBy};
use reconcile::socket::Listener;
use reconcile::spec::{self, SignalOrCommand, Spec, StopScope};
use reconcile::text::Name;
use run_orders::RunOrders;
use secret_filter::SecretFilter;
use sockets::{SocketTask, Sockets, SocketsRequest};
use spawners::{SpawnRequest, Spawners};
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{Sender, unbounded_channel};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

/// How long [`Runtime::finish`] waits for the children that it killed.
const FINAL_KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How long [`Runtime::finish`] waits until the last lines are read and written; a terminal may be stuck.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(6);

/// What [`Runtime::start`] needs.
#[derive(Debug)]
pub struct Setup {
    /// From [`init`].
    pub launcher: Launcher,
    /// Prints the processes' lines.
    pub printer: Printer,
    /// Keeps the last lines of each process.
    pub history: OutputHistory,
    /// Records what runs.
    pub journal: Journal,
    /// The state directory: for sockets, if the directory for temporary files can't be written.
    pub state: PathBuf,
    /// What earlier navigators recorded in the journal.
    pub former: Record,
    /// What another program in this process has handed over.
    pub handed_over: HandedOver,
    /// The directory of the instance, where its keepers listen; `None`: navigator has no keeper.
    pub keepers: Option<Directory>,
    /// Shows the keeper.
    pub keeper_status: KeeperStatus,
}

/// Why [`Runtime::start`] failed.
#[derive(Debug, Error)]
pub enum StartError {
    /// `SIGCHLD` can't be handled.
    #[error("failed to listen for the end of child processes: {}", words(.0))]
    Signals(io::Error),
    /// Not enough threads, memory or descriptors.
    #[error("failed to start the threads of the runtime: {}", words(.0))]
    Threads(io::Error),
    /// Not enough descriptors.
    #[error("failed to watch for the end of processes that are no children: {}", words(.0))]
    Watch(io::Error),
}

/// Performs actions and reports what happened.
pub struct Runtime {
    shared: Arc<LoopState>,
    spawners: Arc<Spawners>,
    sockets: Sockets,
    observers: RunObservers,
    orders: RunOrders,
    outputs: Outputs,
    printer: Printer,
    history: OutputHistory,
    inherited: Arc<InheritedDescriptors>,
    reap_task: JoinHandle<()>,
    orphan_task: JoinHandle<()>,
    path_task: JoinHandle<()>,
    /// Changes after each pass of the reaper.
    reap_passes: watch::Receiver<()>,
}

impl Runtime {
    /// Starts on a current-thread tokio runtime with I/O and time drivers. Each event is sent to `news` once, `Spawned` before
    /// `Exited` before `Gone`. While the channel is full, the runtime waits; nothing is lost.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn start(setup: Setup, news: Sender<Event>) -> Result<Runtime, StartError> {
        sys::record_ended_children().map_err(StartError::Signals)?;
        let child_signal = signal(SignalKind::child()).map_err(StartError::Signals)?;
        let marker = Marker::new(&setup.journal, std::env::var(mark::MARK).ok());
        if proc::stat(std::process::id()).is_none() {
            tracing::warn!(target: "navigator", "Found no `/proc`: only main processes are known");
        }
        let groups = Groups::make(setup.journal.author()).inspect_err(|error| {
            tracing::debug!(target: "navigator", %error, "Running processes without control groups");
        });
        if let Some(directory) = groups.as_ref().ok().and_then(Groups::for_journal) {
            setup.journal.record_groups(directory);
        }
        let orphans = Orphans::new(setup.journal.clone(), marker.clone(), setup.former).map_err(StartError::Watch)?;
        let held = KeptSockets::default();
        let mut parents = Parents::new(setup.keepers, held.clone(), setup.keeper_status).map_err(StartError::Watch)?;
        let HandedOver { mut inherited, output } = setup.handed_over;
        if let Some(held) = parents.take_held() {
            inherited.get_or_insert_default().add(held);
        }
        let (kept_ends, place) = (parents.ends(), parents.place());
        let mut reaper = Reaper::new(parents, marker, setup.journal.clone(), groups.ok()).map_err(StartError::Watch)?;
        setup.history.take_over(output.last_lines);
        if inherited.is_some() {
            reaper.keep_unclaimed_ends();
        }
        let inherited = inherited.unwrap_or_default();
        let environment = Inherited::of(std::env::vars_os());
        let outputs =
            Outputs::start(setup.printer.clone(), setup.history.clone(), output.unfinished).map_err(StartError::Threads)?;
        let (report, outcomes) = unbounded_channel();
        let sockets = Sockets::new(setup.printer.trust(), Arc::clone(&inherited), held.clone());
        let spawners = Spawners::start(setup.launcher, &environment, &outputs, &setup.journal, &sockets, place, &report)
            .map_err(StartError::Threads)?;
        let spawners = Arc::new(spawners);
        // Only now, so that the threads made before have it blocked and are not woken by it.
        sys::unblock_child_signal().map_err(StartError::Signals)?;
        let (orphan_exits, main_exits, emptied_groups) = (orphans.ends(), reaper.main_exits(), reaper.emptied_groups());
        let shared = Arc::new(LoopState { reaper: Mutex::new(reaper), orphans: Mutex::new(orphans), news: Notify::new() });
        let commands = Commands::new(Arc::clone(&shared), Arc::clone(&spawners), SecretFilter::of(std::env::vars_os()));
        let orders = RunOrders::new(Arc::clone(&shared), commands.clone(), news.clone());
        let notifications = Notifications::new(setup.state, setup.journal.author().clone(), Arc::clone(&inherited), held);
        let prober = Prober::new(commands.clone(), news.clone(), notifications);
        let observers = RunObservers { commands, prober, spawners: Arc::clone(&spawners) };
        let (pass_done, reap_passes) = watch::channel(());
        let signals = ReapSignals { child_signal, kept_ends, main_exits, emptied_groups, outcomes };
        let reap =
            reap_task::reap(Arc::clone(&shared), observers.clone(), Arc::clone(&spawners), signals, news.clone(), pass_done);
        let reap_task = tokio::spawn(reap);
        let orphan_task = tokio::spawn(reap_task::watch_orphans(Arc::clone(&shared), orphan_exits, news));
        let restorer = Arc::clone(&spawners);
        let path_task = tokio::spawn(sockets.clone().watch_paths(move || restorer.submit_sockets(SocketTask::PutBack)));
        Ok(Runtime {
            shared,
            spawners,
            sockets,
            observers,
            orders,
            outputs,
            printer: setup.printer,
            history: setup.history,
            inherited,
            reap_task,
            orphan_task,
            path_task,
            reap_passes,
        })
    }

    /// Begins these actions in order, and returns at once; each result is an [`Event`]. An action on a run that is gone has no
    /// effect.
    pub fn perform(&self, actions: impl IntoIterator<Item = Action>) {
        let mut stops = Vec::new();
        let mut are_starts = true;
        for action in actions {
            are_starts &= matches!(action, Action::Spawn { .. });
            match action {
                Action::Stop { run, by, scope } => {
                    stops.extend(self.stop(run, by, scope));
                    continue;
                }
                Action::StopRest { run, signal } => {
                    stops.push((run, signals::number(signal)));
                    continue;
                }
                _ => {}
            }
            self.shared.lock().stop(&mem::take(&mut stops));
            match action {
                Action::Spawn { run, spec, after } => self.spawn(run, spec, after),
                Action::Update { run, spec } => self.observers.prober.update(run, spec),
                Action::Reload { run, by } => {
                    if let Some(context) = self.observers.prober.context(run) {
                        self.orders.reload(context, by);
                    }
                }
                Action::Kill { run } => self.kill(run),
                Action::Hold { name, listeners } => {
                    self.sockets.want(&name, &listeners);
                    self.sockets.expect_hold();
                    self.spawners.submit_sockets(SocketTask::Hold(self.request_sockets(&name, listeners)));
                }
                Action::Drain { run, by } => self.drain(run, by),
                Action::Stop { .. } | Action::StopRest { .. } => {}
            }
        }
        self.shared.lock().stop(&stops);
        // A start needs no wake-up: its spawner reports the outcome.
        if !are_starts || self.shared.lock().has_events() {
            self.shared.news.notify_one();
        }
    }

    fn spawn(&self, run: RunId, spec: Arc<Spec>, after: Option<RunId>) {
        let (mark, slot, leaf) = self.shared.lock().register_start(run, &spec);
        let after = after.map(|after| self.shared.lock().follow(run, after)).unwrap_or_default();
        if let Some(pids) = self.shared.orphans().survivors(&spec.name) {
            let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
            let error = format!("processes left by a killed navigator do not end: pids {}", pids.join(" "));
            return self.shared.refuse(run, "starting", error);
        }
        let mut extras = match self.observers.prober.prepare(run, &spec) {
            Ok(extras) => extras,
            Err((stage, error)) => return self.shared.refuse(run, stage, words(&error)),
        };
        extras.announce_sockets(&spec.exec.sockets);
        let has_sockets = !spec.exec.sockets.is_empty();
        let sockets = has_sockets.then(|| Box::new(self.request_sockets(&spec.name, spec.exec.sockets.clone())));
        self.spawners.submit(SpawnRequest { run, spec, mark, slot, leaf, extras, sockets, after });
    }

    fn request_sockets(&self, name: &Name, listeners: Vec<Listener>) -> SocketsRequest {
        let main_pids = if listeners.is_empty() { Vec::new() } else { self.shared.lock().main_pids(name) };
        SocketsRequest { name: name.clone(), listeners, main_pids }
    }

    /// Stops a run by a command, or by a signal to its main process. If the whole tree gets a signal, returns that for the caller to
    /// send.
    fn stop(&self, run: RunId, by: StopBy, scope: StopScope) -> Option<(RunId, i32)> {
        let number = signals::number(match by {
            StopBy::Signal(signal) | StopBy::Command(_, signal) => signal,
        });
        if self.shared.orphans().stop(run, number) {
            return None;
        }
        self.observers.prober.end(run);
        let context = self.observers.prober.context(run).filter(|context| context.main_pid.is_some());
        match (by, context) {
            (StopBy::Command(command, signal), Some(context)) => {
                self.orders.stop(context, &command, signal);
                None
            }
            (StopBy::Signal(_), Some(_)) if scope == StopScope::Main => {
                self.shared.lock().stop_main(run, number);
                None
            }
            // The others need a main process that has started.
            _ => Some((run, number)),
        }
    }

    fn drain(&self, run: RunId, by: SignalOrCommand) {
        self.observers.prober.end(run);
        match self.observers.prober.context(run).filter(|context| context.main_pid.is_some()) {
            Some(context) => self.orders.drain(context, by),
            None => self.orders.report_not_drained(run, "its program has not started".to_owned()),
        }
    }

    fn kill(&self, run: RunId) {
        if self.shared.orphans().kill(run) {
            return;
        }
        self.observers.prober.end(run);
        self.observers.commands.kill_for_run(run);
        self.shared.lock().kill(run);
    }

    /// Sends a signal to a run's main process only.
    ///
    /// # Errors
    /// It has ended, or navigator has no permission.
    pub fn signal(&self, run: RunId, signal: spec::Signal) -> io::Result<()> {
        self.shared.lock().signal_main(run, signals::number(signal))
    }

    /// The living processes of a run's tree, the main process first.
    pub fn pids(&self, run: RunId) -> Vec<Pid> {
        let of_orphans = self.shared.orphans().pids(run);
        of_orphans.unwrap_or_else(|| self.shared.lock().pids(run))
    }

    /// Finds the orphans of earlier navigators of this instance.
    pub async fn find_orphans(&self) -> Vec<OrphanRun> {
        let until = Instant::now() + tree::LONGEST_EXEC;
        while self.shared.orphans().find() && Instant::now() < until {
            sleep_until(Instant::now() + RECHECK_INTERVAL).await;
        }
        self.shared.orphans().finish_search()
    }

    /// Makes the orphans of a process the tree of this run, which then ends with an [`Event::Gone`]. Returns the pid of one of
    /// them, or `None` if all have ended.
    pub fn bind_orphans(&self, run: RunId, name: &Name) -> Option<Pid> {
        self.shared.orphans().bind(run, name)
    }

    /// Ends what [`Runtime::bind_orphans`] did. As long as orphans of a process live, it is not started.
    pub fn release_orphans(&self) {
        self.shared.orphans().unbind();
        self.shared.lock().forget_unclaimed_ends();
    }

    /// The last lines that a process wrote, for display.
    pub fn last_lines(&self, name: &Name, lines: u64) -> Vec<String> {
        self.history.last(name.as_str(), lines)
    }

    /// Drops the lines of processes for which `is_there` is false.
    pub fn retain_lines(&self, is_there: &dyn Fn(&Name) -> bool) {
        self.history.retain(is_there);
    }

    /// Ends the runtime, after the last run is gone: kills every remaining child, then waits until all output is read and
    /// printed. Returns the processes that survived.
    pub async fn finish(mut self) -> Vec<Pid> {
        self.observers.prober.finish();
        let survivors = self.kill_everything().await;
        self.close_sockets().await;
        self.shared.lock().parents().end();
        self.shared.lock().remove_groups();
        self.release_orphans();
        self.reap_task.abort();
        self.orphan_task.abort();
        self.path_task.abort();
        let last_lines = async {
            self.outputs.finish().await;
            self.history.finish();
            self.printer.flush().await;
        };
        if timeout(FLUSH_TIMEOUT, last_lines).await.is_err() {
            tracing::warn!(target: "managed_processes", "Dropped the last lines: the output is stuck");
        }
        survivors
    }

    async fn close_sockets(&self) {
        if !self.sockets.are_used() {
            return;
        }
        let (sockets, (closed, is_closed)) = (self.sockets.clone(), oneshot::channel());
        let closing = move || {
            sockets.close();
            let _timed_out = closed.send(());
        };
        // A thread that the end of navigator doesn't wait for.
        if let Err(error) = std::thread::Builder::new().name("sockets".to_owned()).spawn(closing) {
            tracing::warn!(target: "managed_processes", %error, "Left the paths of sockets");
        } else if timeout(FLUSH_TIMEOUT, is_closed).await.is_err() {
            tracing::warn!(target: "managed_processes", "Left the paths of sockets: their file system does not answer");
        }
    }

    async fn kill_everything(&mut self) -> Vec<Pid> {
        let until = Instant::now() + FINAL_KILL_TIMEOUT;
        loop {
            self.reap_passes.mark_unchanged();
            let remaining = self.shared.lock().kill_every_child();
            if remaining.is_empty() && !self.shared.lock().is_any_starting() {
                return remaining;
            }
            if !matches!(timeout_at(until, self.reap_passes.changed()).await, Ok(Ok(()))) {
                return remaining;
            }
        }
    }
}

/// Identifies this boot and pid namespace, for the journal; `None` if `/proc` doesn't say.
pub fn boot() -> Option<String> {
    proc::boot()
}
