//! The observed facts: runs, and how they ended.
//!
//! There is no "restarting", "backing off" or "failed" here. [`crate::plan`] and [`crate::state`] derive those from the facts and
//! the definitions.

use crate::backoff::WatchRestarts;
use crate::event::{Content, ExitStatus, Pid, RunId};
use crate::merge_lookup::MergeLookup;
pub use crate::past::Past;
use crate::plan::{Block, Dirty, is_same};
use crate::reason::Reason;
use crate::schedule::{NextDate, WallDate};
use crate::socket::HeldSockets;
use crate::spec::Spec;
use crate::text::Name;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

/// All facts.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    processes: BTreeMap<Name, ObservedProcess>,
    dirty: Dirty,
    /// The processes that changed since [`Observed::take_unrecorded`].
    unrecorded: Dirty,
    /// The processes that failed last, and have not been healthy for long enough since.
    pub(crate) unproven: BTreeSet<Name>,
    names: BTreeMap<RunId, Name>,
    last_run: u64,
    /// The host keeps the order of execs, see [`Action::Spawn`](crate::event::Action::Spawn).
    pub(crate) orders_execs: bool,
    /// These are the facts of a preview, where a start takes no time.
    pub(crate) is_ideal: bool,
}

/// The facts about one process. Clones share them until one side changes them.
#[derive(Clone, Debug, Default)]
pub struct ObservedProcess(Arc<ProcessFacts>);

/// The facts about one process.
#[derive(Clone, Debug, Default)]
pub struct ProcessFacts {
    /// Its runs that are not gone, oldest first. There are several only while one replaces another that is still in use.
    pub runs: Vec<Run>,
    /// How its last run ended.
    pub past: Option<Past>,
    /// Since when its start delay counts: it is wanted, doesn't run, and its required dependencies hold.
    pub due_since: Option<Time>,
    /// It was started since it was added or enabled.
    pub tried: bool,
    /// Why it will be started, if not for how it ended.
    pub cue: Option<Reason>,
    /// Its newest run, gone or not, that was started to replace another: after a change, by hand, or along with a dependency.
    pub replacement: Option<RunId>,
    /// Since when a new run is tried beside the old one.
    pub replacing_since: Option<Time>,
    /// The content of the files that it watches.
    pub content: Option<Content>,
    /// How often it was started again after it ended by itself, or for its watched files.
    pub restarts: u32,
    /// Its last restarts for watched files.
    pub watch_restarts: WatchRestarts,
    /// The sockets that navigator holds for it, if it was to hold any.
    pub sockets: Option<Box<HeldSockets>>,
    /// The dependency that doesn't come by itself for which its start was reported to wait.
    pub stalled: Option<(Name, Block)>,
    /// The next date of its schedule that no start has served.
    pub next_date: Option<Box<NextDate>>,
    /// The last date that was served.
    pub served_date: Option<WallDate>,
}

impl From<ProcessFacts> for ObservedProcess {
    fn from(facts: ProcessFacts) -> ObservedProcess {
        ObservedProcess(Arc::new(facts))
    }
}

impl Deref for ObservedProcess {
    type Target = ProcessFacts;

    fn deref(&self) -> &ProcessFacts {
        &self.0
    }
}

impl DerefMut for ObservedProcess {
    fn deref_mut(&mut self) -> &mut ProcessFacts {
        Arc::make_mut(&mut self.0)
    }
}

/// One execution of a process.
#[derive(Clone, Debug)]
pub struct Run {
    /// Never reused.
    pub id: RunId,
    /// Its definition, with the newest upkeep that was taken over.
    pub spec: Arc<Spec>,
    /// The generation that this definition came with.
    pub generation: u64,
    /// The newest of all runs when it took over this definition.
    pub taken_over: RunId,
    /// The newest of all runs when it was bound to the runs of its dependencies, and when that was: at its start, or when a run that
    /// was to replace it was put back.
    pub bound: (RunId, Time),
    /// Why it was started.
    pub reason: Reason,
    /// The processes that it comes after: its named dependencies, and the one before it in the list.
    pub waits: Vec<Name>,
    /// A run of which the exec must come before its own.
    pub after: Option<RunId>,
    /// When its start was begun.
    pub begun: Time,
    /// The pid of its main process, once its program runs.
    pub pid: Option<Pid>,
    /// Since when its program runs.
    pub up: Option<Time>,
    /// Since when it is ready.
    pub ready: Option<Time>,
    /// The longest time that it was ready without a break, not counting the current one.
    pub was_ready_for: Duration,
    /// Since when it is not ready any more.
    pub lapsed: Option<Time>,
    /// When it was ready for the first time. After that, its readiness deadline no longer counts.
    pub first_ready: Option<Time>,
    /// The last failure of its readiness probe, if the probe has not passed since.
    pub unready: Option<String>,
    /// The failure of its liveness probe, once it failed too often.
    pub unhealthy: Option<String>,
    /// The content of the files that it watches when it last read them.
    pub content: Option<Content>,
    /// For each of its sockets, a process of its tree that keeps it; `None`: not known.
    pub kept_by: Option<Vec<Option<Pid>>>,
    /// Where it listens by sockets of its own, as far as known.
    pub listens_on: Option<Arc<str>>,
    /// How many reloads are not answered yet.
    pub reloads: u32,
    /// Why it is to be replaced although its definition is in force.
    pub unwanted: Option<Unwanted>,
    /// What it is to replace, until it has been ready for long enough.
    pub replaces: Option<Box<Replaced>>,
    /// It was told to stop.
    pub stop: Option<Stopping>,
    /// When those that its main process left behind were told to stop.
    pub rest_stop: Option<Time>,
    /// When its kill was begun.
    pub killed: Option<Time>,
    /// How and when its main process ended. Orphans may be left.
    pub exit: Option<(ExitStatus, Time)>,
    /// Which of its processes may not be killed, and why.
    pub kill_refused: Option<String>,
    /// It was reported to survive being killed.
    pub reported: bool,
    /// Its end doesn't count, because a start of its process was requested after it began to end.
    pub forgiven: bool,
}

/// Why a run is to be replaced although its definition is in force.
#[derive(Clone, Debug)]
pub struct Unwanted {
    /// Why.
    pub why: Reason,
    /// It has to stop before its replacement is started, even if its definition asks for a rolling replacement.
    pub stops_first: bool,
}

/// What a run is to replace.
#[derive(Clone, Debug)]
pub struct Replaced {
    /// The definition of the old run.
    pub spec: Arc<Spec>,
    /// The generation of that definition.
    pub generation: u64,
}

/// The stop of a run.
#[derive(Clone, Debug)]
pub struct Stopping {
    /// When.
    pub since: Time,
    /// Why.
    pub why: Reason,
    /// Until when it may finish its work, if it was told only that so far.
    pub drains_until: Option<Time>,
    /// When it was told to end, and not only to finish its work.
    pub told: Time,
}

impl Past {
    /// Whether it counts more than the stop of another run: it is of a newer run, or of one that ended by itself while the other
    /// was there.
    pub(crate) fn outweighs_stop_of(&self, other: &Run) -> bool {
        self.run > other.id || (self.streak.is_some() && self.at > other.begun)
    }
}

impl ObservedProcess {
    /// Lets its runs that go on come after these processes.
    pub(crate) fn place(&mut self, wanted: &Arc<Spec>, after: &[Name]) {
        let is_misplaced = |run: &Run| run.is_undisturbed() && is_same(run, wanted) && run.waits != after;
        // A process that keeps its place isn't changed, so it stays shared with clones.
        if self.runs.iter().any(is_misplaced) {
            self.runs.iter_mut().filter(|run| is_misplaced(run)).for_each(|run| run.waits = after.to_vec());
        }
    }
}

impl ProcessFacts {
    /// Whether it has no run and no socket.
    pub(crate) fn is_unused(&self) -> bool {
        self.runs.is_empty() && self.sockets.is_none()
    }

    /// Forgets all failures, so that it may be started as if for the first time.
    pub(crate) fn forgive(&mut self) {
        if let Some(past) = &mut self.past {
            past.streak = None;
        }
        for run in self.runs.iter_mut().filter(|run| !run.is_undisturbed()) {
            run.forgiven = true;
        }
        self.cue = None;
    }

    /// Requests a start for this reason, whatever happened before. A run that is neither stopping nor ending goes on.
    pub(crate) fn request_start(&mut self, why: Reason) {
        self.forgive();
        if !self.is_running() {
            self.cue = Some(why);
        }
    }

    /// Whether it has one run, which is up to date and ready, and needs no attention.
    pub(crate) fn is_settled(&self, wanted: &Arc<Spec>) -> bool {
        matches!(&self.runs[..], [run] if run.is_settled(wanted))
    }

    /// Whether it has a run that is neither stopping nor ending.
    pub fn is_running(&self) -> bool {
        self.runs.iter().any(Run::is_undisturbed)
    }
}

impl Run {
    /// A run with a start that begins now.
    pub(crate) fn begun(id: RunId, spec: Arc<Spec>, reason: Reason, now: Time) -> Run {
        Run {
            id,
            spec,
            generation: 0,
            taken_over: id,
            bound: (id, now),
            reason,
            waits: Vec::new(),
            after: None,
            begun: now,
            pid: None,
            up: None,
            ready: None,
            was_ready_for: Duration::ZERO,
            lapsed: None,
            first_ready: None,
            unready: None,
            unhealthy: None,
            content: None,
            kept_by: None,
            listens_on: None,
            reloads: 0,
            unwanted: None,
            replaces: None,
            stop: None,
            rest_stop: None,
            killed: None,
            exit: None,
            kill_refused: None,
            reported: false,
            forgiven: false,
        }
    }

    /// Whether it is to stop before its replacement starts, even where its definition asks for a rolling replacement.
    pub(crate) fn stops_first(&self) -> bool {
        self.unwanted.as_ref().is_some_and(|unwanted| unwanted.stops_first)
    }

    /// Whether it is neither stopping nor ending.
    pub fn is_undisturbed(&self) -> bool {
        self.stop.is_none() && self.killed.is_none() && self.exit.is_none()
    }

    /// Whether it has yet to take the place of another run.
    pub(crate) fn is_new(&self) -> bool {
        self.replaces.is_some() && self.is_undisturbed()
    }

    /// Whether its program doesn't run yet.
    pub(crate) fn is_under_way(&self) -> bool {
        self.up.is_none() && self.exit.is_none()
    }

    fn is_settled(&self, wanted: &Arc<Spec>) -> bool {
        let is_well = self.up.is_some() && self.ready.is_some() && self.unhealthy.is_none() && self.is_undisturbed();
        is_well && Arc::ptr_eq(&self.spec, wanted) && self.content.is_none() && self.unwanted.is_none() && self.replaces.is_none()
    }

    /// Whether it was neither stopping nor ending at this moment.
    pub fn was_undisturbed(&self, at: Time) -> bool {
        let stop = self.stop.as_ref().map(|stop| stop.since);
        let exit = self.exit.as_ref().map(|(_, at)| *at);
        [stop, self.killed, exit].into_iter().flatten().all(|since| since > at)
    }

    /// Whether its definition asks for a restart along with this dependency.
    pub(crate) fn follows(&self, dependency: &Name) -> bool {
        self.spec.depends_on.as_ref().and_then(|needs| needs.get(dependency)).is_some_and(|need| need.restart)
    }

    /// Records that it is ready from now on.
    pub(crate) fn become_ready(&mut self, now: Time) {
        self.ready.get_or_insert(now);
        self.first_ready.get_or_insert(now);
        (self.unready, self.lapsed) = (None, None);
    }

    /// Records that it is no longer ready.
    pub(crate) fn lapse(&mut self, now: Time) {
        self.was_ready_for = self.longest_ready(now);
        self.ready = None;
        self.lapsed = Some(now);
    }

    /// The longest time that it was ready without a break, until this moment or until it was told to stop.
    pub(crate) fn longest_ready(&self, at: Time) -> Duration {
        let end = self.stop.as_ref().map_or(at, |stop| stop.since.min(at));
        self.ready.map_or(self.was_ready_for, |ready| self.was_ready_for.max(end.since(ready)))
    }

    /// When it has been healthy for long enough to be proven, if it stays ready; `None`: it isn't ready.
    pub(crate) fn healthy_at(&self) -> Option<Time> {
        let needed = self.spec.backoff.reset_after;
        if self.was_ready_for >= needed { self.first_ready } else { self.ready.map(|ready| ready + needed) }
    }

    /// Whether it ended by itself or is stopped for a failure, and isn't forgiven.
    pub fn ends_by_itself(&self) -> bool {
        !self.forgiven && self.stop.as_ref().map_or(self.exit.is_some(), |stop| stop.why.is_failure())
    }
}

impl Observed {
    /// The processes, by name.
    pub fn processes(&self) -> &BTreeMap<Name, ObservedProcess> {
        &self.processes
    }

    /// A run that is not gone.
    pub fn run(&self, id: RunId) -> Option<&Run> {
        self.processes.get(self.names.get(&id)?)?.runs.iter().find(|run| run.id == id)
    }

    /// How many runs are not gone.
    pub(crate) fn runs(&self) -> usize {
        self.names.len()
    }

    /// Whether every remaining run was reported to survive being killed.
    pub fn is_quiet(&self) -> bool {
        self.processes.values().flat_map(|process| &process.runs).all(|run| run.reported)
    }

    /// The processes that are dirty, sorted.
    pub(crate) fn dirty(&self) -> &[Name] {
        self.dirty.names()
    }

    /// The processes that changed since the last call, or were forgotten.
    pub(crate) fn take_unrecorded(&mut self) -> Vec<Name> {
        core::mem::take(&mut self.unrecorded).into_names()
    }

    /// Records that these processes are quiescent; `names` is sorted.
    pub(crate) fn clear_dirty<'a>(&mut self, names: impl Iterator<Item = &'a Name>) {
        self.dirty.clear(names);
    }

    pub(crate) fn mark_all_dirty(&mut self) {
        self.dirty.mark_all(self.processes.keys());
        self.unrecorded.extend(self.processes.keys());
    }

    pub(crate) fn process_mut(&mut self, name: &Name) -> Option<&mut ObservedProcess> {
        let process = self.processes.get_mut(name)?;
        self.dirty.mark(name);
        self.unrecorded.mark(name);
        Some(process)
    }

    /// A process, which is added if it is unknown.
    pub(crate) fn process_or_new(&mut self, name: &Name) -> &mut ObservedProcess {
        self.dirty.mark(name);
        self.unrecorded.mark(name);
        self.processes.entry(name.clone()).or_default()
    }

    pub(crate) fn processes_mut(&mut self) -> impl Iterator<Item = (&Name, &mut ObservedProcess)> {
        self.mark_all_dirty();
        self.processes.iter_mut()
    }

    /// Adds the processes that are missing; `names` is sorted.
    pub(crate) fn add_missing<'a>(&mut self, names: impl Iterator<Item = &'a Name>) {
        let mut present = MergeLookup::over(&self.processes);
        let missing: Vec<&Name> = names.filter(|name| present.to(name).is_none()).collect();
        self.processes.extend(missing.into_iter().map(|name| (name.clone(), ObservedProcess::default())));
        self.mark_all_dirty();
    }

    /// Forgets these processes; `names` is sorted.
    pub(crate) fn forget(&mut self, names: &[Name]) {
        for name in names {
            self.processes.remove(name);
            self.unrecorded.mark(name);
        }
        self.dirty.clear(names.iter());
    }

    pub(crate) fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        let name = self.names.get(&id)?.clone();
        self.process_mut(&name)?.runs.iter_mut().find(|run| run.id == id)
    }

    /// The newest of all runs, gone or not.
    pub fn last_run(&self) -> RunId {
        RunId(self.last_run)
    }

    pub(crate) fn next_run(&mut self) -> RunId {
        self.last_run += 1;
        RunId(self.last_run)
    }

    pub(crate) fn add(&mut self, run: Run) {
        self.names.insert(run.id, run.spec.name.clone());
        let runs = &mut self.process_or_new(&run.spec.name).runs;
        // Hardly any process has a second run, and a vector would reserve space for four.
        runs.reserve_exact(1);
        runs.push(run);
    }

    /// Adds a process of a former life of navigator, with its runs.
    pub(crate) fn take_over(&mut self, name: Name, facts: ObservedProcess) {
        self.names.extend(facts.runs.iter().map(|run| (run.id, name.clone())));
        self.dirty.mark(&name);
        self.processes.insert(name, facts);
    }

    /// Numbers further runs behind this one.
    pub(crate) fn number_from(&mut self, last: RunId) {
        self.last_run = self.last_run.max(last.0);
    }

    /// Removes a run that is gone.
    pub(crate) fn remove(&mut self, id: RunId) -> Option<Run> {
        let name = self.names.remove(&id)?;
        let runs = &mut self.process_mut(&name)?.runs;
        let place = runs.iter().position(|run| run.id == id)?;
        Some(runs.remove(place))
    }
}
