//! The status of each process, derived from definitions, orders and facts. It is never set.

use crate::begin_step::restart_reason;
use crate::desired::DesiredProcess;
use crate::engine::Engine;
use crate::event::{ExitStatus, Pid};
use crate::merge_lookup::MergeLookup;
use crate::observed::{ObservedProcess, Past, Run};
use crate::orders::Orders;
use crate::plan::{RestingState, is_same, resting_state};
use crate::reason::Reason;
use crate::run_status::RunStatus;
use crate::socket::HoldState;
use crate::spec::{OnChange, ProcessKind, Spec, Tier};
use crate::text::Name;
use crate::time::Time;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// The state of a process, in the same words everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ProcessState {
    /// Waits for order, a dependency, its delay or the first date of its schedule.
    Pending,
    /// Runs, and is not ready yet.
    Starting,
    /// Runs, and is ready.
    Running,
    /// Was told to stop, or ended and has orphans that are being killed.
    Stopping,
    /// Ended by itself, and is started again later.
    Backoff,
    /// Exited with status 0, not to be started again.
    Completed,
    /// Ended by itself or could not be started, and is left alone.
    Failed,
    /// Stopped by hand, or disabled in the file.
    Stopped,
}

impl ProcessState {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            ProcessState::Pending => "pending",
            ProcessState::Starting => "starting",
            ProcessState::Running => "running",
            ProcessState::Stopping => "stopping",
            ProcessState::Backoff => "backoff",
            ProcessState::Completed => "completed",
            ProcessState::Failed => "failed",
            ProcessState::Stopped => "stopped",
        }
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The status of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProcessStatus {
    /// The process.
    pub name: Name,
    /// Its place in the file; `None`: the file no longer has it.
    pub position: Option<usize>,
    /// The list of the file that it is in.
    pub tier: Tier,
    /// Its state.
    pub state: ProcessState,
    /// Whether it is as the file says.
    pub as_wanted: bool,
    /// The pid of its main process.
    pub pid: Option<Pid>,
    /// Whether its run differs from the file, and is kept on purpose.
    pub stale: bool,
    /// Whether it is ready.
    pub ready: bool,
    /// Since when its program runs.
    pub since: Option<Time>,
    /// How often it was started again after it ended by itself.
    pub restarts: u32,
    /// How often in a row it has ended by itself, without healthy running in between.
    pub failures: u32,
    /// Since when it is in this state, if known.
    pub entered: Option<Time>,
    /// How its last run that is gone ended.
    pub last_exit: Option<ExitStatus>,
    /// The generation of the definition that runs or, where nothing runs, of the one in force.
    pub generation: u64,
    /// Why it is in this state.
    pub reason: Reason,
}

impl Engine {
    /// The status of every process, by name: those of the file, and removed ones that still run.
    pub fn statuses(&self) -> Vec<ProcessStatus> {
        let (mut processes, mut wanted) = (MergeLookup::over(self.observed.processes()), MergeLookup::over(self.desired.specs()));
        let of_entry = |entry: &DesiredProcess| self.status_of(&entry.spec.name, Some(entry), processes.to(&entry.spec.name));
        let mut all: Vec<ProcessStatus> = self.desired.entries().iter().map(of_entry).collect();
        let others = self.observed.processes().iter().filter(|(name, _)| wanted.to(name).is_none());
        all.extend(others.map(|(name, process)| self.status_of(name, None, Some(process))));
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// The status of a process that is in the file, or was removed and still runs.
    pub fn status(&self, name: &Name) -> Option<ProcessStatus> {
        let (entry, process) = (self.desired.get(name), self.observed.processes().get(name));
        let is_known = entry.is_some() || process.is_some_and(|process| !process.runs.is_empty());
        is_known.then(|| self.status_of(name, entry, process))
    }

    /// Whether every process is as the file says: running, completed, or stopped on purpose.
    ///
    /// A task that still runs doesn't count as such; a process that is kept stale does. One that failed last counts once it has
    /// been healthy for `reset_after`.
    pub fn is_converged(&self) -> bool {
        !self.is_rolled_back() && self.all_as_wanted()
    }

    /// Whether every process is as the configuration in force says.
    pub(crate) fn all_as_wanted(&self) -> bool {
        self.statuses().iter().all(|status| status.as_wanted)
    }

    /// The same of one process.
    pub fn is_as_wanted(&self, name: &Name) -> bool {
        self.status(name).is_none_or(|status| status.as_wanted)
    }

    /// Why a run goes on although the file has another definition: a new run was put back, or a socket can't be had.
    fn not_in_force(&self, process: &ObservedProcess, wanted: &Arc<Spec>, run: &Run) -> Option<Reason> {
        if !run.is_undisturbed() {
            return None;
        }
        if let Some(why) = self.put_back(&run.spec.name) {
            return Some(why.clone());
        }
        match &process.sockets.as_deref()?.state {
            HoldState::Refused { why, .. } if !is_same(run, wanted) => Some(Reason::Ended(ExitStatus::NotStarted(why.clone()))),
            _ => None,
        }
    }

    fn status_of(&self, name: &Name, entry: Option<&DesiredProcess>, process: Option<&ObservedProcess>) -> ProcessStatus {
        let wanted = entry.map(|entry| &entry.spec);
        let run = process.and_then(|process| shown_run(&process.runs));
        let shown = run.map(RunStatus::of);
        let (state, reason) = match &shown {
            Some(shown) => (shown.state, shown.reason.clone()),
            None => state_without_run(process, &self.orders, name, wanted),
        };
        let not_in_force = process.and_then(|process| self.not_in_force(process, wanted?, run?));
        let is_kept = |run: &Run| run.is_undisturbed() && wanted.is_some_and(|wanted| is_kept(run, wanted));
        let is_stale = not_in_force.is_some() || run.is_some_and(is_kept);
        let as_wanted = match state {
            ProcessState::Running => run.zip(wanted).is_some_and(|(run, wanted)| {
                let is_right = run.unwanted.is_none() && not_in_force.is_none() && (is_stale || run.spec == *wanted);
                let is_newer = past_of(process).is_some_and(|past| past.run < run.id);
                let is_proven = !is_newer || !self.observed.unproven.contains(name);
                // An old run may still answer.
                let is_alone =
                    process.is_none_or(|process| process.runs.iter().all(|other| other.id == run.id || other.reported));
                wanted.exec.kind != ProcessKind::Task && is_right && is_alone && is_proven && self.orders.let_run(wanted)
            }),
            ProcessState::Completed | ProcessState::Stopped => true,
            ProcessState::Pending => wanted.is_some_and(|wanted| resting_state(process, wanted) == RestingState::Dated),
            ProcessState::Starting | ProcessState::Stopping | ProcessState::Backoff | ProcessState::Failed => false,
        };
        ProcessStatus {
            name: name.clone(),
            position: entry.map(|entry| entry.position),
            tier: wanted.or(run.map(|run| &run.spec)).map(|spec| spec.tier).unwrap_or_default(),
            state,
            as_wanted,
            pid: shown.as_ref().and_then(|shown| shown.pid),
            stale: is_stale,
            ready: shown.as_ref().is_some_and(|shown| shown.ready),
            since: shown.as_ref().and_then(|shown| shown.since),
            restarts: process.map_or(0, |process| process.restarts),
            failures: past_of(process).and_then(|past| past.streak).map_or(0, |streak| streak.length),
            entered: run.map_or_else(|| past_of(process).map(|past| past.at), |run| Some(entered(run))),
            last_exit: past_of(process).map(|past| past.status.clone()),
            generation: shown.map_or_else(|| self.generation_of(name), |shown| shown.generation),
            reason: not_in_force.unwrap_or(reason),
        }
    }
}

/// The run that a process is judged by: the newest, unless it has yet to take the place of one that serves, or failed to.
fn shown_run(runs: &[Run]) -> Option<&Run> {
    let newest = runs.last()?;
    let serves = |run: &&Run| run.id != newest.id && run.is_undisturbed() && run.first_ready.is_some();
    let serving = runs.iter().rev().find(serves).filter(|_| newest.replaces.is_some());
    Some(serving.unwrap_or(newest))
}

/// Whether a run differs from the file and is kept. A run that only waits for its replacement isn't.
fn is_kept(run: &Run, wanted: &Arc<Spec>) -> bool {
    wanted.on_change == OnChange::Keep && !is_same(run, wanted)
}

fn past_of(process: Option<&ObservedProcess>) -> Option<&Past> {
    process?.past.as_ref()
}

/// Since when a run is in the state that [`state_of_run`] returns.
fn entered(run: &Run) -> Time {
    let stopping = run.stop.as_ref().map(|stop| stop.since).or(run.exit.as_ref().map(|(_, at)| *at));
    stopping.or(run.ready).or(run.up).unwrap_or(run.begun)
}

pub(crate) fn state_of_run(run: &Run) -> (ProcessState, Reason) {
    if let Some(stop) = &run.stop {
        return (ProcessState::Stopping, stop.why.clone());
    }
    if let Some((status, _)) = &run.exit {
        return (ProcessState::Stopping, Reason::Ended(status.clone()));
    }
    (if run.ready.is_some() { ProcessState::Running } else { ProcessState::Starting }, run.reason.clone())
}

fn state_without_run(
    process: Option<&ObservedProcess>,
    orders: &Orders,
    name: &Name,
    wanted: Option<&Arc<Spec>>,
) -> (ProcessState, Reason) {
    let past = past_of(process);
    let Some(spec) = wanted else { return (ProcessState::Stopped, Reason::Removed) };
    if orders.closing().is_some() {
        return (ProcessState::Stopped, Reason::Shutdown);
    }
    if !orders.enable(spec) {
        return (ProcessState::Stopped, Reason::Disabled);
    }
    if orders.is_stopped(name) {
        return (ProcessState::Stopped, Reason::StoppedByHand);
    }
    let ended = past.map_or(Reason::Added, |past| past.why.clone());
    match resting_state(process, spec) {
        RestingState::Fresh => {
            (ProcessState::Pending, process.and_then(|process| pending_reason(process, spec)).unwrap_or(ended))
        }
        RestingState::Dated => (ProcessState::Pending, process.and_then(|process| process.cue.clone()).unwrap_or(ended)),
        RestingState::Completed => (ProcessState::Completed, ended),
        RestingState::Failed => (ProcessState::Failed, ended),
        RestingState::Again(_) => (ProcessState::Backoff, ended),
    }
}

/// Why a process is to be started, if the reason is not how it ended.
fn pending_reason(process: &ObservedProcess, spec: &Arc<Spec>) -> Option<Reason> {
    process.cue.clone().or_else(|| restart_reason(process, spec))
}
