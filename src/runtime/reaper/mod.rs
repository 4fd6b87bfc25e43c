//! The one owner of every wait, and the table of what runs: routes each child that has ended to its run, reaps it, and
//! tells the news, each fact once, `Spawned` before `Exited` before `Gone`.
//!
//! Everything in here happens on the loop's thread, from [`super::Runtime::perform`] or from the reaper's task, so no
//! child is reaped while its number is in use. A start is entered into the table *before* its clone, with the slot that
//! the kernel writes its number to; so a child that ends at once is known, whoever comes first: its `SIGCHLD`, or the
//! report of the spawner. What is neither a leader nor a start is an orphan that was handed to us.

mod exit_watch;
mod members;
mod spawn_order;
mod starts;
mod stops;
mod wait;

use super::group::{Groups, Leaf};
use super::mark::Marker;
use super::proc::{self, Lineage};
use super::spawners::{FinishedRuns, SpawnReport};
use super::tree::{self, ProcessHandle, TreeMembers, send, send_all};
use crate::journal::{Journal, JournalEntry};
use crate::signals;
use crate::sys::slot::Slot;
use crate::sys::{self, How};
use exit_watch::ExitWatch;
use reconcile::event::{Event, ExitStatus, Pid, Refusal, RunId};
use reconcile::spec::Spec;
use reconcile::text::Name;
use rustix::fd::OwnedFd;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;

/// How long an orphan may have no legible environment until it counts as nobody's: one that makes it so on purpose must
/// not keep a tree from being gone.
pub(super) const LONGEST_EXEC: Duration = Duration::from_secs(5);
/// So much to tidy up isn't put off for a start, which may take long. Of each run that is gone there is its end to write down, and
/// perhaps its control group to remove.
const MUCH_TO_TIDY: usize = 16;
/// How many may remove control groups at the same moment: the kernel lets one after the other do it, and the next one is to be there
/// when the first is through.
const REMOVALS: usize = 2;

/// What runs, and what of it is news.
pub(super) struct Reaper {
    marker: Marker,
    journal: Journal,
    /// Where each run gets a control group of its own, if it can.
    groups: Option<Groups>,
    /// Becomes readable when a control group becomes empty that is waited for.
    emptied: Arc<AsyncFd<OwnedFd>>,
    /// Boxed, because a table has more places than values.
    runs: HashMap<RunId, Box<TrackedRun>>,
    /// Those whose program doesn't run yet.
    unborn: BTreeSet<RunId>,
    /// When it is time to look for starts that are overdue.
    starts_due: Option<Instant>,
    /// Of each start that was killed because it was overdue: why it has failed.
    overdue: HashMap<RunId, Refusal>,
    /// Outcomes that may not be told before another start's.
    early: Vec<SpawnReport>,
    /// Those whose leader is reaped.
    leaderless: BTreeSet<RunId>,
    /// Leaders that are not reaped, by their number.
    leaders: HashMap<u32, RunId>,
    /// Runs by the session that their leader made. A number stays in use as long as a session has it.
    sessions: HashMap<u32, RunId>,
    /// What tells of the end of those.
    ends: ExitWatch,
    /// What is left of runs that are gone.
    spent: FinishedRuns,
    /// How many times others have been given such, and aren't through.
    being_removed: usize,
    /// Many end together: their descriptors are closed beside the loop.
    are_many_ending: bool,
    /// Runs that are gone, which is yet to be written down. Should this navigator be killed before, the next one finds it out.
    unwritten: Vec<RunId>,
    /// Orphans that are not reaped, as far as it is known whose they are.
    orphans: HashMap<u32, RunId>,
    /// Since when there is an orphan of which it can't be said yet.
    undecided_since: Option<Instant>,
    news: VecDeque<Event>,
}

struct TrackedRun {
    name: Name,
    leader: MainProcess,
    /// The run whose start has to be over before its own.
    after: Option<RunId>,
    /// The session that its leader made.
    session: Option<u32>,
    /// Who was told to stop.
    told: TreeMembers,
    /// Who was killed.
    killed: TreeMembers,
    /// Asked for before the start's outcome was known.
    wish: Option<SignalWish>,
    /// Everything found from now on is killed.
    killing: bool,
    /// Its control group, which may not exist.
    leaf: Option<Leaf>,
    /// Its `cgroup.events`, once nobody else tells when the last of it has ended.
    emptying: Option<OwnedFd>,
    /// It was reported that the group can't be watched.
    is_unwatched: bool,
}

enum MainProcess {
    /// Being started. It may have ended already, before its spawner could report.
    Starting {
        slot: Arc<Slot>,
        spec: Arc<Spec>,
        /// When the start that it follows had an outcome.
        turn: Option<Instant>,
        ended: Option<EarlyEnd>,
    },
    /// Killed while it was being started, which its spawner can't tell from an exec. Its end will.
    Doubtful(u32),
    /// Not started; the child that failed is yet to be reaped.
    Refused { slot: Arc<Slot>, why: Refusal },
    /// Runs, or has ended and is not reaped.
    Up(u32),
    /// Reaped; the rest of its tree is left.
    Ended,
}

/// The end of a child that nobody had reported yet.
#[derive(Clone)]
struct EarlyEnd {
    status: ExitStatus,
    has_executed: bool,
}

#[derive(Clone, Copy)]
enum SignalWish {
    Stop(i32),
    Kill,
    /// The child was there, and was killed, before anybody could say whether it had executed its program.
    Killed,
}

impl Reaper {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(marker: Marker, journal: Journal, groups: Option<Groups>) -> io::Result<Reaper> {
        Ok(Reaper {
            marker,
            journal,
            groups,
            emptied: sys::epoll_set()?,
            runs: HashMap::new(),
            unborn: BTreeSet::new(),
            starts_due: None,
            overdue: HashMap::new(),
            early: Vec::new(),
            leaderless: BTreeSet::new(),
            leaders: HashMap::new(),
            ends: ExitWatch::new()?,
            sessions: HashMap::new(),
            spent: FinishedRuns::default(),
            being_removed: 0,
            are_many_ending: false,
            unwritten: Vec::new(),
            orphans: HashMap::new(),
            undecided_since: None,
            news: VecDeque::new(),
        })
    }

    /// What becomes readable when it is worth a look whether a run is gone, though no child has ended.
    pub(super) fn emptied(&self) -> Arc<AsyncFd<OwnedFd>> {
        Arc::clone(&self.emptied)
    }

    /// What becomes readable when a leader has ended.
    pub(super) fn ends(&self) -> Arc<AsyncFd<OwnedFd>> {
        self.ends.readable()
    }

    /// Notes what has become of a run's leader.
    fn lead(&mut self, id: RunId, leader: MainProcess) -> Option<&mut TrackedRun> {
        if let MainProcess::Up(_) | MainProcess::Ended = leader {
            self.is_over(id);
        }
        let run = self.runs.get_mut(&id)?;
        if let MainProcess::Ended = leader {
            self.leaderless.insert(id);
        }
        run.leader = leader;
        Some(run)
    }

    /// Sends a signal to the run's leader alone.
    ///
    /// # Errors
    /// There is none, or it may not be signalled.
    pub(super) fn signal_leader(&self, id: RunId, signal: i32) -> io::Result<()> {
        match self.runs.get(&id).map(|run| &run.leader) {
            // Never its group, which is what a leader's number may stand for.
            Some(MainProcess::Up(pid)) => self.hold_leader(*pid, ProcessHandle::of_child).signal(signal),
            _ => Err(io::Error::other("its program has ended")),
        }
    }

    /// Kills everything in the run's tree, and whatever of it turns up later.
    pub(super) fn kill(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if let MainProcess::Starting { slot, ended: None, .. } = &run.leader {
            // First of all: a child that has no number yet sees it before it executes its program, and might hang there.
            slot.cancel();
            // It may hang in its exec; and as only this table reaps it, its number is its own.
            let child = slot.pid();
            run.wish = Some(if child.is_some() { SignalWish::Killed } else { SignalWish::Kill });
            if let Some(pid) = child {
                send(pid, &ProcessHandle::of_child(pid), libc::SIGKILL);
            }
            return;
        }
        run.killing = true;
        self.kill_found(id);
        self.settle();
    }

    /// Kills until two passes in a row find nothing that hasn't been killed: a process that is told can't fork any more,
    /// so each pass leaves fewer that can. What even this misses is met at the next `SIGCHLD`.
    fn kill_found(&mut self, id: RunId) {
        /// A bound for a tree that grows faster than it's killed; the loop must go on.
        const PASSES: usize = 32;
        if let Some(leaf) = self.runs.get(&id).and_then(|run| run.leaf.as_ref()) {
            // Where the kernel can't, each is killed one by one, as is whoever has left the group.
            let _one_by_one = leaf.kill();
        }
        let mut quiet = 0;
        for _ in 0..PASSES {
            let look = self.look();
            let found = self.find(&look, id);
            let Some(run) = self.runs.get_mut(&id) else { return };
            let new: Vec<_> = found.into_iter().filter(|(pid, _)| !run.killed.holds(*pid)).collect();
            send_all(&new, libc::SIGKILL);
            quiet = if new.is_empty() { quiet + 1 } else { 0 };
            run.killed.add(new);
            if quiet == 2 {
                return;
            }
        }
    }

    /// The living members of a run's tree.
    pub(super) fn pids(&mut self, id: RunId) -> Vec<Pid> {
        let look = self.look();
        self.find(&look, id).into_iter().map(|(pid, _)| Pid(pid)).collect()
    }

    /// Whether a tree may be empty and it can't be said yet, because an orphan is in the middle of an exec, or whether a leader may
    /// have ended that nobody tells of any more. Nothing wakes us for either, so it takes another look, soon.
    pub(super) fn wants_another_look(&self) -> bool {
        (self.is_undecided() && !self.leaderless.is_empty()) || self.ends.want_a_look()
    }

    /// Routes one child that has ended.
    fn ended(&mut self, pid: u32, status: &ExitStatus) {
        if let Some(id) = self.leaders.remove(&pid) {
            let pidfd = self.ends.forget(pid);
            if self.are_many_ending {
                self.spent.pidfds.extend(pidfd);
            }
            if let Some(run) = self.lead(id, MainProcess::Ended) {
                run.forget(pid);
            }
            self.news.push_back(Event::Exited { run: id, status: status.clone() });
        } else if let Some(id) = self.starting(pid) {
            // Without `/proc` it's taken for a program: nearly every child becomes one.
            let has_executed = proc::stat(pid).is_none_or(|stat| stat.has_executed);
            let end = EarlyEnd { status: status.clone(), has_executed };
            match self.runs.get_mut(&id).map(|run| &mut run.leader) {
                Some(MainProcess::Starting { ended, .. }) => *ended = Some(end),
                Some(MainProcess::Doubtful(_)) => self.has_been(id, pid, end),
                Some(MainProcess::Refused { why, .. }) => {
                    let why = why.clone();
                    self.refused(id, why);
                }
                _ => {}
            }
        } else if let Some(run) = self.orphans.remove(&pid).and_then(|id| self.runs.get_mut(&id)) {
            run.forget(pid);
        }
    }

    /// For each run whose leader is reaped: says that it is gone, or goes on killing what is left.
    pub(super) fn settle(&mut self) {
        self.tell_of_starts();
        if self.leaderless.is_empty() {
            return;
        }
        let lineage = Lineage::now();
        let orphans = self.orphans(&lineage);
        let is_undecided = self.is_undecided();
        // Whoever is left of any run has one above him that was handed to us; the group knows no more than that.
        let is_nobody_left = orphans.is_empty() && lineage.is_exact();
        for id in self.leaderless.clone() {
            if orphans.iter().any(|&(_, run)| run == Some(id)) {
                if self.runs[&id].killing {
                    self.kill_found(id);
                }
            } else if !is_undecided && (is_nobody_left || !self.is_populated(id)) {
                self.gone(id);
            }
        }
    }

    fn is_undecided(&self) -> bool {
        self.undecided_since.is_some_and(|since| since.elapsed() < LONGEST_EXEC)
    }

    /// Whether somebody is in a run's control group of whom nothing else tells whose he is, or whose end the kernel hasn't
    /// counted yet. From now on it tells when the last of them has gone.
    fn is_populated(&mut self, id: RunId) -> bool {
        let Some(run) = self.runs.get_mut(&id) else { return false };
        // If nobody is in it, it is removed by the same question.
        drop(run.leaf.take_if(|leaf| leaf.remove_if_empty()));
        let Some(leaf) = &run.leaf else { return false };
        if run.emptying.is_none() {
            // Asked again whenever anything happens: what frees a descriptor is mostly an end, which is told.
            match leaf.watch(self.emptied.get_ref()) {
                Ok(watched) => run.emptying = Some(watched),
                Err(error) => {
                    if !mem::replace(&mut run.is_unwatched, true) {
                        let name = run.name.as_str();
                        tracing::warn!(target: "managed_processes", name, %error, "Control group can't be watched yet");
                    }
                }
            }
        }
        let (is_killing, is_populated) = (run.killing, leaf.is_populated());
        if is_killing && is_populated {
            self.kill_found(id);
        }
        is_populated
    }

    /// Takes a run out of the table, and its control group from the system.
    fn forget(&mut self, id: RunId) {
        self.is_over(id);
        self.overdue.remove(&id);
        self.leaderless.remove(&id);
        let Some(run) = self.runs.remove(&id) else { return };
        if let Some(session) = run.session.filter(|session| self.sessions.get(session) == Some(&id)) {
            self.sessions.remove(&session);
        }
        self.spent.leaves.extend(run.leaf);
    }

    /// Writes down which runs are gone, and removes their control groups, for which nobody is to wait. Returns what is too much for
    /// that here.
    pub(super) fn tidy(&mut self) -> Option<FinishedRuns> {
        self.write_down();
        if self.are_enough_removing() {
            return None;
        }
        if self.spent.leaves.len() >= MUCH_TO_TIDY {
            self.being_removed += 1;
            return Some(mem::take(&mut self.spent));
        }
        self.spent.remove();
        None
    }

    fn are_enough_removing(&self) -> bool {
        self.being_removed == REMOVALS
    }

    fn write_down(&mut self) {
        self.journal.note_all(self.unwritten.drain(..).map(|id| JournalEntry::Gone { key: self.journal.key(id.0) }).collect());
    }

    /// What was returned is removed by now, but for these control groups.
    pub(super) fn removed(&mut self, but: Vec<Leaf>) {
        self.being_removed -= 1;
        self.spent.leaves.extend(but);
    }

    /// Whether it is time to tidy up: a start comes first, unless there becomes much to do meanwhile.
    pub(super) fn is_untidy(&self) -> bool {
        let to_remove = if self.are_enough_removing() { 0 } else { self.spent.leaves.len() + self.spent.pidfds.len() };
        let to_do = self.unwritten.len() + to_remove;
        to_do > 0 && (self.under_way() == 0 || to_do >= MUCH_TO_TIDY)
    }

    /// Removes every control group that is left and empty, at the end. It does no harm if others are still at it.
    pub(super) fn remove_groups(&mut self) {
        self.write_down();
        self.groups.iter().for_each(Groups::remove);
    }

    fn gone(&mut self, id: RunId) {
        self.forget(id);
        self.unwritten.push(id);
        self.news.push_back(Event::Gone { run: id });
    }

    /// Whether there is a fact that nobody has been told yet.
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    /// The next fact that nobody has been told yet.
    pub(super) fn next_news(&mut self) -> Option<Event> {
        self.news.pop_front()
    }

    /// Whether the outcome of a start is still to come.
    pub(super) fn is_any_starting(&self) -> bool {
        self.under_way() > 0
    }

    /// How many starts have no outcome.
    pub(super) fn under_way(&self) -> usize {
        let is_under_way = |run: &TrackedRun| matches!(run.leader, MainProcess::Starting { .. } | MainProcess::Doubtful(_));
        self.unborn.iter().filter(|id| self.runs.get(id).is_some_and(|run| is_under_way(run))).count()
    }
}

impl TrackedRun {
    /// Lets go of a process that is reaped.
    fn forget(&mut self, pid: u32) {
        self.told.forget(pid);
        self.killed.forget(pid);
    }
}

/// Kills every child that is left and everything below it, whose ever it is; returns their numbers. To be called on the
/// loop's thread, where no child is reaped meanwhile.
pub(super) fn kill_every_child() -> Vec<Pid> {
    let lineage = Lineage::now();
    let roots = lineage.children(std::process::id()).into_iter().map(|pid| (pid, ProcessHandle::of_child(pid))).collect();
    let found = tree::descend(&lineage, roots);
    send_all(&found, libc::SIGKILL);
    found.into_iter().map(|(pid, _)| Pid(pid)).collect()
}

fn status(how: How) -> ExitStatus {
    match how {
        How::Code(code) => ExitStatus::Code(code),
        How::Signal(number) => ExitStatus::Signal(signals::name(number)),
    }
}
