//! Checks whether runs are ready and alive, from start to end: by probes ([`check`]), or by announcements of the process
//! ([`notify`], [`pipe`], [`log_matcher`]).
//!
//! It reports changes only, so nothing is planned on a host where nothing changes. Deadlines and their consequences are decided
//! in `reconcile`.
//!
//! Each run has at most three tasks on the loop's thread: readiness, liveness, and the receiver of notifications. A changed
//! definition restarts the tasks that it affects; a ready run stays ready.

mod check;
mod exec;
mod http;
mod liveness;
mod log_matcher;
mod net;
mod notify;
mod pipe;
mod probe_state;
mod readiness;
mod thresholds;
mod watchdog;

pub(super) use log_matcher::{LogMatcher, PartialLine};

use super::commands::{CommandContext, Commands};
use super::former_run::FormerRun;
use super::pipes;
use super::spawn_extras::SpawnExtras;
use crate::error_text::words;
use crate::journal::Started;
use check::Checks;
pub(super) use notify::Notifications;
use probe_state::ProbeState;
use reconcile::event::{Event, Pid, RunId};
use reconcile::spec::{Announce, Liveness, OnChange, Probe, ReadyTiming, Spec};
use rustix::fd::OwnedFd;
use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};
use watchdog::Watchdog;

/// How long after its exec a program without readiness is looked at, to see whether it keeps its sockets. The kernel reports
/// neither that a program has closed a descriptor nor that it never will. Programs and wrappers that close what they don't know do
/// so at their start. What is found is only shown, so one that takes longer loses a hint.
const TIME_TO_CLOSE: Duration = Duration::from_secs(1);

/// Probes runs. Clones share the same state.
#[derive(Clone)]
pub(super) struct Prober {
    checks: Checks,
    events: Sender<Event>,
    notifications: Arc<Notifications>,
    runs: Arc<Mutex<HashMap<RunId, Box<ProbedRun>>>>,
}

/// A run that is probed.
struct ProbedRun {
    context: CommandContext,
    state: Arc<ProbeState>,
    matcher: Option<Arc<LogMatcher>>,
    watchdog: Option<Arc<Watchdog>>,
    /// Its socket and pipe, until their tasks start.
    announcements: Announcements,
    /// It is stopping or has ended: no probe may start.
    is_ending: bool,
    /// Lives as long as a process of the run, which may send until its end.
    receiver: Task,
    readiness: Task,
    liveness: Task,
    /// Looks at its sockets.
    keepers: Task,
}

/// The socket and pipe on which a run announces its state.
#[derive(Default)]
struct Announcements {
    socket: Option<notify::Socket>,
    pipe: Option<OwnedFd>,
}

/// A task that is aborted when it is dropped.
#[derive(Default)]
struct Task(Option<JoinHandle<()>>);

impl Task {
    fn new(future: impl Future<Output = ()> + Send + 'static) -> Task {
        Task(Some(tokio::spawn(future)))
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

impl Prober {
    pub(super) fn new(commands: Commands, events: Sender<Event>, notifications: Notifications) -> Prober {
        let notifications = Arc::new(notifications);
        Prober { checks: Checks::new(commands), events, notifications, runs: Arc::default() }
    }

    /// Prepares a run before its start; returns what its process inherits.
    ///
    /// # Errors
    /// Its socket or pipe can't be created: the step, and the error.
    pub(super) fn prepare(&self, run: RunId, spec: &Arc<Spec>) -> Result<SpawnExtras, (&'static str, io::Error)> {
        let (mut passed, mut announcements) = (SpawnExtras::default(), Announcements::default());
        if let Some(Announce::Fd(number)) = spec.exec.announce {
            let (ours, theirs) = pipes::lasting().map_err(|error| ("making the pipe of `ready.fd`", error.into()))?;
            announcements.pipe = Some(ours);
            passed.descriptor = Some((theirs, number));
        }
        let watchdog = watchdog_of(spec).map(|liveness| Arc::new(Watchdog::new(liveness)));
        if spec.exec.announce == Some(Announce::Notify) || watchdog.is_some() {
            let socket = self.notifications.open(run).map_err(|error| ("making its notification socket", error))?;
            passed.variables.push(("NOTIFY_SOCKET", socket.path().display().to_string()));
            passed.socket = Some(socket.path().to_owned());
            announcements.socket = Some(socket);
        }
        if let Some(watchdog) = &watchdog {
            passed.variables.push(("WATCHDOG_USEC", watchdog.limit().as_micros().to_string()));
            passed.pid_variables.push("WATCHDOG_PID");
        }
        let matcher = LogMatcher::for_output(&spec.exec.output, matches!(spec.ready, Some(Probe::Log(_))));
        if let (Some(matcher), Some(Probe::Log(pattern))) = (&matcher, &spec.ready) {
            matcher.search_for(pattern);
        }
        passed.log_matcher.clone_from(&matcher);
        let probed = ProbedRun {
            context: CommandContext { run, spec: Arc::clone(spec), main_pid: None },
            state: Arc::new(ProbeState::new(run, self.events.clone())),
            matcher,
            watchdog,
            announcements,
            is_ending: false,
            receiver: Task::default(),
            readiness: Task::default(),
            liveness: Task::default(),
            keepers: Task::default(),
        };
        self.lock().insert(run, Box::new(probed));
        Ok(passed)
    }

    /// Enters a run that was taken over, and starts its tasks. Returns what matches its lines, and why its readiness can't be known
    /// any more.
    pub(super) fn take_over(&self, former: &FormerRun, main: &Started) -> (Option<Arc<LogMatcher>>, Option<String>) {
        let FormerRun { run, spec, is_ready, is_ending, .. } = former;
        let (mut announcements, mut problem) = (Announcements::default(), None);
        if let Some(path) = &main.notify {
            match self.notifications.reopen(Path::new(path), main.uid.unwrap_or_default()) {
                Ok(socket) => announcements.socket = Some(socket),
                Err(error) => problem = Some(format!("its notification socket can't be opened: {}", words(&error))),
            }
        }
        if matches!(spec.exec.announce, Some(Announce::Fd(_))) && !is_ready {
            problem = Some("it was to announce by a descriptor that it is ready".to_owned());
        }
        let awaits_line = !is_ready && matches!(spec.ready, Some(Probe::Log(_)));
        let matcher = LogMatcher::for_output(&spec.exec.output, awaits_line);
        let state = Arc::new(ProbeState::new(*run, self.events.clone()));
        if *is_ready {
            state.assume_ready();
        }
        let probed = ProbedRun {
            context: CommandContext { run: *run, spec: Arc::clone(spec), main_pid: Some(Pid(main.pid)) },
            state,
            matcher: matcher.clone(),
            watchdog: watchdog_of(spec)
                .filter(|_| announcements.socket.is_some())
                .map(|liveness| Arc::new(Watchdog::new(liveness))),
            announcements,
            is_ending: *is_ending,
            receiver: Task::default(),
            readiness: Task::default(),
            liveness: Task::default(),
            keepers: Task::default(),
        };
        self.lock().insert(*run, Box::new(probed));
        self.start(*run, Pid(main.pid));
        (matcher, problem)
    }

    /// Whether a run has written that it is ready, which is not reported yet.
    pub(super) fn has_unreported(&self) -> bool {
        let has_matched = |run: &ProbedRun| run.matcher.as_ref().is_some_and(|matcher| matcher.has_matched());
        self.lock().values().any(|run| !run.state.is_ready() && !run.state.is_over() && has_matched(run))
    }

    /// Starts the tasks of a run after its start was reported.
    pub(super) fn start(&self, run: RunId, leader: Pid) {
        if let Some(probed) = self.lock().get_mut(&run) {
            probed.context.main_pid = Some(leader);
            probed.start_receiver(&self.checks.commands);
            if probed.is_ending {
                return;
            }
            probed.start_readiness(&self.checks);
            probed.start_liveness(&self.checks);
            probed.start_keepers(&self.checks.commands);
        }
    }

    /// Records another main process of a run, for its commands.
    pub(super) fn main_changed(&self, run: RunId, pid: Pid) {
        if let Some(probed) = self.lock().get_mut(&run) {
            probed.context.main_pid = Some(pid);
        }
    }

    /// Applies another definition, which doesn't require a restart.
    pub(super) fn update(&self, run: RunId, spec: Arc<Spec>) {
        let mut runs = self.lock();
        let Some(probed) = runs.get_mut(&run) else { return };
        let old = std::mem::replace(&mut probed.context.spec, spec);
        let spec = &probed.context.spec;
        let (readiness_changed, liveness_changed) = (readiness_of(&old) != readiness_of(spec), old.liveness != spec.liveness);
        let is_rolling_now = old.on_change != spec.on_change && spec.on_change == OnChange::Rolling;
        if probed.context.main_pid.is_none() || probed.is_ending {
            return;
        }
        if readiness_changed {
            probed.start_readiness(&self.checks);
        }
        if liveness_changed {
            probed.start_liveness(&self.checks);
        }
        if is_rolling_now {
            probed.start_keepers(&self.checks.commands);
        }
    }

    /// Ends the probes of a run that is stopping or has ended.
    pub(super) fn end(&self, run: RunId) {
        if let Some(probed) = self.lock().get_mut(&run) {
            probed.end();
        }
    }

    /// Removes a run of which no process is left.
    pub(super) fn forget(&self, run: RunId) {
        self.lock().remove(&run);
    }

    /// Ends the tasks of all runs.
    pub(super) fn finish(&self) {
        self.lock().clear();
        self.notifications.finish();
    }

    /// The context for commands of a run.
    pub(super) fn context(&self, run: RunId) -> Option<CommandContext> {
        self.lock().get(&run).map(|probed| probed.context.clone())
    }

    /// Whether a run was passed sockets.
    pub(super) fn has_sockets(&self, run: RunId) -> bool {
        self.lock().get(&run).is_some_and(|probed| !probed.context.spec.exec.sockets.is_empty())
    }

    /// Never held across an await; only the loop's thread locks it.
    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Box<ProbedRun>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ProbedRun {
    /// Receives its notifications from the first one on.
    fn start_receiver(&mut self, commands: &Commands) {
        let Some(socket) = self.announcements.socket.take() else { return };
        let handlers = notify::NotificationHandlers {
            context: self.context.clone(),
            commands: commands.clone(),
            state: Arc::clone(&self.state),
            watchdog: self.watchdog.clone(),
        };
        self.receiver = Task::new(notify::receive(socket, handlers));
    }

    fn start_readiness(&mut self, checks: &Checks) {
        let spec = Arc::clone(&self.context.spec);
        self.readiness = Task::default();
        self.state.reset_reported();
        if let Some(matcher) = self.matcher.as_ref().filter(|_| !matches!(spec.ready, Some(Probe::Log(_)))) {
            matcher.reset();
        }
        let state = Arc::clone(&self.state);
        self.readiness = match (&spec.ready, spec.exec.announce) {
            (None, None) => {
                state.assume_ready();
                Task::default()
            }
            (Some(Probe::Log(pattern)), _) => {
                let matcher = self.matcher.clone();
                if let Some(matcher) = matcher.as_ref().filter(|_| !state.is_ready()) {
                    matcher.search_for(pattern);
                }
                Task::new(readiness::by_log(state, matcher, pattern.shown().to_owned()))
            }
            (Some(probe), _) => {
                let (checks, context) = (checks.clone(), self.context.clone());
                Task::new(readiness::by_checks(state, checks, context, probe.clone(), spec.ready_timing))
            }
            (None, Some(Announce::Fd(number))) => match self.announcements.pipe.take() {
                Some(pipe) => Task::new(readiness::by_descriptor(state, pipe, number)),
                None => Task::default(),
            },
            // The receiver reports it.
            (None, Some(Announce::Notify)) => Task::new(readiness::by_notification(state)),
        };
    }

    fn start_liveness(&mut self, checks: &Checks) {
        self.liveness = Task::default();
        let Some(liveness) = self.context.spec.liveness.clone() else { return };
        let state = Arc::clone(&self.state);
        self.liveness = match (liveness.probe.clone(), self.watchdog.clone()) {
            (Some(probe), _) => Task::new(liveness::by_checks(state, checks.clone(), self.context.clone(), probe, liveness)),
            (None, Some(watchdog)) => Task::new(liveness::by_watchdog(state, watchdog)),
            // It was started without a watchdog, so it sends no keep-alives.
            (None, None) => Task::default(),
        };
    }

    /// Looks once which processes keep its sockets and, if another run may have to run beside it, which ones they have bound
    /// themselves.
    fn start_keepers(&mut self, commands: &Commands) {
        let spec = &self.context.spec;
        let (has_sockets, is_rolling) = (!spec.exec.sockets.is_empty(), spec.on_change == OnChange::Rolling);
        if !has_sockets && !is_rolling {
            return;
        }
        let has_readiness = spec.has_readiness();
        let (state, context, commands) = (Arc::clone(&self.state), self.context.clone(), commands.clone());
        self.keepers = Task::new(async move {
            if has_readiness {
                state.until_ready().await;
            } else {
                sleep_until(Instant::now() + TIME_TO_CLOSE).await;
            }
            if has_sockets {
                commands.find_keepers(&context);
            }
            if is_rolling {
                commands.find_own_sockets(&context);
            }
        });
    }

    fn end(&mut self) {
        self.is_ending = true;
        self.state.end();
        (self.readiness, self.liveness) = (Task::default(), Task::default());
        self.keepers = Task::default();
        if let Some(matcher) = &self.matcher {
            matcher.reset();
        }
    }
}

/// The settings of readiness, without the deadline, which `reconcile` applies.
fn readiness_of(spec: &Spec) -> (Option<&Probe>, ReadyTiming) {
    (spec.ready.as_ref(), ReadyTiming { deadline: ReadyTiming::default().deadline, ..spec.ready_timing })
}

/// The liveness by `sd_notify` watchdog.
fn watchdog_of(spec: &Spec) -> Option<&Liveness> {
    spec.liveness.as_ref().filter(|liveness| liveness.probe.is_none())
}
