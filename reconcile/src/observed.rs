//! What happened: runs and how they ended. Facts only; never what should be.
//!
//! There is no "restarting", "backing off" or "failed" in here. Those are answers, derived from these facts and from what
//! is wanted, by [`crate::plan`] and [`crate::state`].

use crate::backoff::Streak;
use crate::event::{Content, Pid, RunId, Status};
use crate::reason::Reason;
use crate::spec::Spec;
use crate::stirred::Stirred;
use crate::text::Name;
use crate::time::Time;
use crate::walk::Walk;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::{Deref, DerefMut};
use core::time::Duration;

/// Everything that is known to have happened.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    processes: BTreeMap<Name, Process>,
    /// Of those, whom a plan has to look at.
    stirred: Stirred,
    names: BTreeMap<RunId, Name>,
    last_run: u64,
    /// The host can have the exec of one start wait for another's, see [`Action::Spawn`](crate::event::Action::Spawn).
    pub(crate) orders_execs: bool,
    /// It is the world of a preview, in which no start takes any time.
    pub(crate) is_ideal: bool,
}

/// What is known of one process. A copy costs nothing: it shares all of it until either is changed.
#[derive(Clone, Debug, Default)]
pub struct Process(Arc<Facts>);

/// The facts about one process.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Its runs that are not gone, oldest first; more than one only while one replaces another that still serves.
    pub runs: Vec<Run>,
    /// How its last run ended.
    pub past: Option<Past>,
    /// Since when it has been wanted with its named dependencies holding, without running.
    pub due_since: Option<Time>,
    /// It has been started since it was added or enabled.
    pub tried: bool,
    /// Why it will be started, where that is not how it ended.
    pub cue: Option<Reason>,
    /// The newest of its runs, gone or not, that was started in place of another: changed, or restarted by hand or along.
    pub replacement: Option<RunId>,
    /// What the files that it watches contain.
    pub content: Option<Content>,
    /// How often it was started again after it ended by itself.
    pub restarts: u32,
}

impl From<Facts> for Process {
    fn from(facts: Facts) -> Process {
        Process(Arc::new(facts))
    }
}

impl Deref for Process {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0
    }
}

impl DerefMut for Process {
    fn deref_mut(&mut self) -> &mut Facts {
        Arc::make_mut(&mut self.0)
    }
}

/// One execution of a process.
#[derive(Clone, Debug)]
pub struct Run {
    /// Never reused.
    pub id: RunId,
    /// The definition it runs; its upkeep is the newest that was taken over.
    pub spec: Arc<Spec>,
    /// The generation that brought this definition.
    pub generation: u64,
    /// The newest of all runs when it took over this definition. What came later was started under it.
    pub taken_over: RunId,
    /// Why it was started.
    pub reason: Reason,
    /// The processes it was placed after: named dependencies and the one before it in the list.
    pub waits: Vec<Name>,
    /// The run whose exec its own may not come before.
    pub after: Option<RunId>,
    /// When its start was asked for.
    pub begun: Time,
    /// The number of its leader, once its program runs.
    pub pid: Option<Pid>,
    /// Since when its program runs.
    pub up: Option<Time>,
    /// Since when it is ready.
    pub ready: Option<Time>,
    /// The longest that it was ready before it ceased to be.
    pub was_ready_for: Duration,
    /// When it was ready for the first time, which is what its deadline is about.
    pub first_ready: Option<Time>,
    /// What its probe met with last, where it didn't pass.
    pub unready: Option<String>,
    /// What its liveness probe met with, once it has failed too often.
    pub unhealthy: Option<String>,
    /// What the files that it watches contained when it last read them.
    pub content: Option<Content>,
    /// How many times it was told to read its files again without an answer whether it could be.
    pub reloads: u32,
    /// An operator asked for another run in place of this one.
    pub unwanted_by_hand: bool,
    /// It was told to stop.
    pub stop: Option<Stopping>,
    /// When it was told to be killed.
    pub killed: Option<Time>,
    /// Its leader has ended; processes that it started may be left.
    pub exit: Option<(Status, Time)>,
    /// It was reported to survive being killed.
    pub reported: bool,
    /// However it ends, that counts for nothing: since it began to end, its process was wanted anew.
    pub forgiven: bool,
}

/// A run was told to stop.
#[derive(Clone, Debug)]
pub struct Stopping {
    /// When.
    pub since: Time,
    /// Why.
    pub why: Reason,
}

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Past {
    /// The run.
    pub run: RunId,
    /// The definition it ran.
    pub spec: Arc<Spec>,
    /// How its leader ended.
    pub status: Status,
    /// When its leader ended.
    pub at: Time,
    /// Why it ended.
    pub why: Reason,
    /// Ends in a row, if it ended by itself and that still counts against it.
    pub streak: Option<Streak>,
    /// What the files that it watches contained when it last read them.
    pub content: Option<Content>,
}

impl Past {
    /// Whether it says more of the process than that another run was stopped: it is of a newer one, or of one that ended by
    /// itself while the other was there.
    pub(crate) fn tells_more_than(&self, other: &Run) -> bool {
        self.run > other.id || (self.streak.is_some() && self.at > other.begun)
    }

    /// Whether it did what it was to do, and wasn't stopped for a failure.
    pub fn succeeded(&self) -> bool {
        self.status.is_success() && !self.why.is_failure()
    }
}

impl Facts {
    /// Lets nothing that happened count against it: it may be started as if for the first time.
    pub(crate) fn forgive(&mut self) {
        if let Some(past) = &mut self.past {
            past.streak = None;
        }
        for run in self.runs.iter_mut().filter(|run| !run.is_undisturbed()) {
            run.forgiven = true;
        }
        self.cue = None;
    }

    /// Wants it anew, for this reason, whatever it did before. What runs undisturbed goes on running.
    pub(crate) fn want_anew(&mut self, why: Reason) {
        self.forgive();
        if !self.is_running() {
            self.cue = Some(why);
        }
    }

    /// Whether all that runs of it is one run, which is what is wanted and ready, and of which nothing else is known.
    pub(crate) fn is_settled(&self, wanted: &Arc<Spec>) -> bool {
        matches!(&self.runs[..], [run] if run.is_settled(wanted))
    }

    /// Whether a run of it is neither stopping nor at its end.
    pub fn is_running(&self) -> bool {
        self.runs.iter().any(Run::is_undisturbed)
    }
}

impl Run {
    /// Whether it is neither stopping nor at its end.
    pub fn is_undisturbed(&self) -> bool {
        self.stop.is_none() && self.killed.is_none() && self.exit.is_none()
    }

    /// Whether its exec is still to come.
    pub(crate) fn is_under_way(&self) -> bool {
        self.up.is_none() && self.exit.is_none()
    }

    fn is_settled(&self, wanted: &Arc<Spec>) -> bool {
        let is_well = self.up.is_some() && self.ready.is_some() && self.unhealthy.is_none() && self.is_undisturbed();
        is_well && Arc::ptr_eq(&self.spec, wanted) && self.content.is_none() && !self.unwanted_by_hand
    }

    /// Whether it is neither stopping nor at its end, or wasn't at this moment.
    pub fn was_undisturbed(&self, at: Time) -> bool {
        let stop = self.stop.as_ref().map(|stop| stop.since);
        let exit = self.exit.as_ref().map(|(_, at)| *at);
        [stop, self.killed, exit].into_iter().flatten().all(|since| since > at)
    }

    /// Whether the definition that it runs asks for a restart along with that dependency.
    pub(crate) fn follows(&self, dependency: &Name) -> bool {
        self.spec.depends_on.as_ref().and_then(|needs| needs.get(dependency)).is_some_and(|need| need.restart)
    }

    /// It is ready from now on.
    pub(crate) fn become_ready(&mut self, now: Time) {
        self.ready.get_or_insert(now);
        self.first_ready.get_or_insert(now);
        self.unready = None;
    }

    /// It is not ready any more.
    pub(crate) fn lapse(&mut self, now: Time) {
        self.was_ready_for = self.longest_ready(now);
        self.ready = None;
    }

    /// The longest that it has been ready without a break until this moment, or until it was told to stop.
    pub(crate) fn longest_ready(&self, at: Time) -> Duration {
        let end = self.stop.as_ref().map_or(at, |stop| stop.since.min(at));
        self.ready.map_or(self.was_ready_for, |ready| self.was_ready_for.max(end.since(ready)))
    }

    /// Whether it ended by itself, or is stopped for a failure, and that counts.
    pub fn ends_by_itself(&self) -> bool {
        !self.forgiven && self.stop.as_ref().map_or(self.exit.is_some(), |stop| stop.why.is_failure())
    }
}

impl Observed {
    /// What is known, by name.
    pub fn processes(&self) -> &BTreeMap<Name, Process> {
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

    /// Whether nothing runs, apart from what was reported to survive being killed.
    pub fn is_quiet(&self) -> bool {
        self.processes.values().flat_map(|process| &process.runs).all(|run| run.reported)
    }

    /// Those who have to be looked at, sorted by name: everybody who was touched since there was nothing to do about him.
    pub(crate) fn stirred(&self) -> &[Name] {
        self.stirred.names()
    }

    /// There is nothing to do about those; sorted by name.
    pub(crate) fn let_rest<'a>(&mut self, quiet: impl Iterator<Item = &'a Name>) {
        self.stirred.let_rest(quiet);
    }

    /// Everybody has to be looked at.
    pub(crate) fn stir_all(&mut self) {
        self.stirred.note_all(self.processes.keys());
    }

    pub(crate) fn process_mut(&mut self, name: &Name) -> Option<&mut Process> {
        self.processes.get_mut(name).inspect(|_| self.stirred.note(name))
    }

    /// A process, of which nothing may be known so far.
    pub(crate) fn process_or_new(&mut self, name: &Name) -> &mut Process {
        self.stirred.note(name);
        self.processes.entry(name.clone()).or_default()
    }

    pub(crate) fn processes_mut(&mut self) -> impl Iterator<Item = (&Name, &mut Process)> {
        self.stir_all();
        self.processes.iter_mut()
    }

    /// Makes room for processes of which nothing is known so far.
    pub(crate) fn know<'a>(&mut self, names: impl Iterator<Item = &'a Name>) {
        let mut known = Walk::over(&self.processes);
        let unknown: Vec<&Name> = names.filter(|name| known.to(name).is_none()).collect();
        self.processes.extend(unknown.into_iter().map(|name| (name.clone(), Process::default())));
        self.stir_all();
    }

    /// Forgets processes; sorted by name.
    pub(crate) fn forget(&mut self, names: &[Name]) {
        for name in names {
            self.processes.remove(name);
        }
        self.stirred.let_rest(names.iter());
    }

    pub(crate) fn run_mut(&mut self, id: RunId) -> Option<&mut Run> {
        let name = self.names.get(&id)?.clone();
        self.process_mut(&name)?.runs.iter_mut().find(|run| run.id == id)
    }

    /// The newest of all runs, gone or not.
    pub(crate) fn last_run(&self) -> RunId {
        RunId(self.last_run)
    }

    pub(crate) fn next_run(&mut self) -> RunId {
        self.last_run += 1;
        RunId(self.last_run)
    }

    pub(crate) fn add(&mut self, run: Run) {
        self.names.insert(run.id, run.spec.name.clone());
        let runs = &mut self.process_or_new(&run.spec.name).runs;
        // Hardly any process has a second one, and a list would make room for four.
        runs.reserve_exact(1);
        runs.push(run);
    }

    /// Takes out a run that is gone.
    pub(crate) fn remove(&mut self, id: RunId) -> Option<Run> {
        let name = self.names.remove(&id)?;
        let runs = &mut self.process_mut(&name)?.runs;
        let place = runs.iter().position(|run| run.id == id)?;
        Some(runs.remove(place))
    }
}
