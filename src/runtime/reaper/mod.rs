//! The table of runs, and the only reaper: assigns each child that has ended to its run, reaps it, and makes the events.
//!
//! Each event is made once, `Spawned` before `Exited` before `Gone`.
//!
//! Everything here happens on the loop's thread, from [`super::Runtime::perform`] or from the reaper's task. So no child is
//! reaped while its pid is in use. A start is entered *before* its clone, with the slot to which the kernel writes the child's
//! pid. So a child that ends at once is recognized, even if its `SIGCHLD` comes before the spawner's report. A child that is
//! neither a main process nor a start is an orphan that was handed to us.

mod exit_watch;
mod former_tree;
mod main_change;
mod members;
mod spawn_order;
mod starts;
mod stop_sent;
mod stops;
mod taken_over;
mod unclaimed;
mod wait;

use super::group::{Groups, Leaf};
use super::mark::Marker;
use super::parents::Parents;
use super::proc;
use super::spawners::{FinishedRuns, SpawnReport};
use super::tree::{LONGEST_EXEC, ProcessHandle, TreeMembers, send, send_all};
use crate::error_text::words;
use crate::journal::{Journal, JournalEntry, RunKey};
use crate::signals;
use crate::sys::slot::Slot;
use crate::sys::{self, ExitKind};
use exit_watch::ExitWatch;
use former_tree::{FormerMembers, FormerTree};
use reconcile::event::{Event, ExitStatus, Pid, Refusal, RunId};
use reconcile::spec::Spec;
use reconcile::text::Name;
use rustix::fd::OwnedFd;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io;
use std::mem;
use std::sync::Arc;
use std::time::Instant;
use stop_sent::StopSent;
use tokio::io::unix::AsyncFd;
use unclaimed::UnclaimedEnds;

/// With this much to clean up, it is done even while a start is in progress. Each run that is gone has an end to record, and
/// perhaps a control group to remove.
const CLEANUP_BATCH: usize = 16;
/// How many spawners may remove control groups at once. The kernel serializes removals; a second one waits to go on at once.
const MAX_REMOVALS: usize = 2;

/// The table of runs, and the events to send.
pub(super) struct Reaper {
    parents: Parents,
    marker: Marker,
    journal: Journal,
    /// Where each run gets its control group; `None` if control groups can't be used.
    groups: Option<Groups>,
    /// Becomes readable when a watched control group becomes empty.
    emptied_groups: Arc<AsyncFd<OwnedFd>>,
    /// Boxed, because the table also has empty buckets.
    runs: HashMap<RunId, Box<TrackedRun>>,
    /// Runs without an outcome of their start.
    unstarted: BTreeSet<RunId>,
    /// When to look for overdue starts next.
    starts_due: Option<Instant>,
    /// Why each start that was killed as overdue has failed.
    overdue: HashMap<RunId, Refusal>,
    /// Outcomes that have to wait for the outcome of another start.
    early_reports: Vec<SpawnReport>,
    /// Runs with a reaped main process.
    without_main: BTreeSet<RunId>,
    /// Unreaped main processes, by pid.
    main_pids: HashMap<u32, RunId>,
    /// Unreaped children that were main processes, by pid.
    former_mains: HashMap<u32, RunId>,
    /// Runs by the session of their main process. A pid is not reused as long as a session has it.
    sessions: HashMap<u32, RunId>,
    /// Reports the end of main processes.
    exits: ExitWatch,
    /// Resources of runs that are gone.
    finished: FinishedRuns,
    /// How many spawners are releasing such resources.
    removals: usize,
    /// Many processes end together: spawners close their pidfds.
    is_mass_exit: bool,
    /// Runs that are gone, which is not recorded yet. If navigator is killed before, the next one finds out.
    unrecorded: Vec<RunKey>,
    /// Those of them that were taken over, until they are forgotten.
    gone_former: Vec<RunKey>,
    /// The runs of unreaped orphans, by pid, as far as they are known.
    orphan_runs: HashMap<u32, RunId>,
    /// Since when the run of an orphan can't be determined.
    undecided_since: Option<Instant>,
    /// How children ended that are of no run.
    unclaimed: UnclaimedEnds,
    events: VecDeque<Event>,
}

struct TrackedRun {
    name: Name,
    main: MainProcess,
    /// The run that must have started, or failed to, before this run's exec.
    after: Option<RunId>,
    /// The session of its main process.
    session: Option<u32>,
    /// The members that were sent the stop signal.
    signalled: TreeMembers,
    /// The stop signal, if some members may not have been sent it.
    stop_sent: Option<StopSent>,
    /// The members that were killed.
    killed: TreeMembers,
    /// Requested before the start's outcome was known.
    pending: Option<PendingSignal>,
    /// Every member found from now on is killed.
    is_killing: bool,
    /// Its control group, which may not exist.
    leaf: Option<Leaf>,
    /// Its `cgroup.events`, watched once nothing else reports the end of its last member.
    leaf_watch: Option<OwnedFd>,
    /// The failure to watch the group has been logged.
    has_watch_failed: bool,
    /// What is special about a run that was taken over.
    former: Option<Box<FormerTree>>,
}

enum MainProcess {
    /// Being started. It may have ended before its spawner could report.
    Starting {
        slot: Arc<Slot>,
        spec: Arc<Spec>,
        /// When the start that it waits for was over.
        turn: Option<Instant>,
        ended: Option<EarlyEnd>,
    },
    /// Killed during its start. Its spawner can't tell that from an exec; its end shows which.
    KilledEarly(u32),
    /// Not started; the child that failed is not reaped yet.
    Refused { slot: Arc<Slot>, why: Refusal },
    /// It runs, or has ended and is not reaped.
    Running(u32),
    /// It is reaped; other members may live.
    Reaped,
}

/// The end of a child before its start was reported.
#[derive(Clone)]
struct EarlyEnd {
    status: ExitStatus,
    has_executed: bool,
}

#[derive(Clone, Copy)]
enum PendingSignal {
    Stop(i32),
    Kill,
    /// The child was killed before its start was reported.
    Killed,
}

impl Reaper {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(parents: Parents, marker: Marker, journal: Journal, groups: Option<Groups>) -> io::Result<Reaper> {
        Ok(Reaper {
            parents,
            marker,
            journal,
            groups,
            emptied_groups: sys::epoll_set()?,
            runs: HashMap::new(),
            unstarted: BTreeSet::new(),
            starts_due: None,
            overdue: HashMap::new(),
            early_reports: Vec::new(),
            without_main: BTreeSet::new(),
            main_pids: HashMap::new(),
            former_mains: HashMap::new(),
            exits: ExitWatch::new()?,
            sessions: HashMap::new(),
            finished: FinishedRuns::default(),
            removals: 0,
            is_mass_exit: false,
            unrecorded: Vec::new(),
            gone_former: Vec::new(),
            orphan_runs: HashMap::new(),
            undecided_since: None,
            unclaimed: UnclaimedEnds::default(),
            events: VecDeque::new(),
        })
    }

    /// Becomes readable when a run may be gone although no child has ended.
    pub(super) fn emptied_groups(&self) -> Arc<AsyncFd<OwnedFd>> {
        Arc::clone(&self.emptied_groups)
    }

    /// Becomes readable when a main process has ended.
    pub(super) fn main_exits(&self) -> Arc<AsyncFd<OwnedFd>> {
        self.exits.readable()
    }

    /// Sets the state of a run's main process.
    fn set_main(&mut self, id: RunId, main: MainProcess) -> Option<&mut TrackedRun> {
        if let MainProcess::Running(_) | MainProcess::Reaped = main {
            self.end_start(id);
        }
        let run = self.runs.get_mut(&id)?;
        if let MainProcess::Reaped = main {
            self.without_main.insert(id);
        }
        run.main = main;
        Some(run)
    }

    /// Sends a signal to the run's main process only.
    ///
    /// # Errors
    /// It has ended, or may not be signalled.
    pub(super) fn signal_main(&self, id: RunId, signal: i32) -> io::Result<()> {
        match self.runs.get(&id).map(|run| &run.main) {
            // `of_child`, because `of_main` may signal its process group.
            Some(MainProcess::Running(pid)) => self.hold_main(*pid, ProcessHandle::of_child).signal(signal),
            _ => Err(io::Error::other("its program has ended")),
        }
    }

    /// Kills everything in the run's tree, including members found later.
    pub(super) fn kill(&mut self, id: RunId) {
        let Some(run) = self.runs.get_mut(&id) else { return };
        if let MainProcess::Starting { slot, ended: None, .. } = &run.main {
            // First: a child without a pid yet sees this before its exec, in which it might hang.
            slot.cancel();
            // It may hang in its exec. Only this table reaps it, so the pid is its own.
            let child = slot.pid();
            run.pending = Some(if child.is_some() { PendingSignal::Killed } else { PendingSignal::Kill });
            if let Some(pid) = child {
                let _logged = send(&run.name, pid, &ProcessHandle::of_child(pid), libc::SIGKILL);
            }
            return;
        }
        run.is_killing = true;
        self.kill_members(id);
        self.report_finished();
    }

    /// Kills until two passes in a row find nothing new. A killed process can't fork, so each pass leaves fewer that can. The next
    /// `SIGCHLD` finds what this misses.
    fn kill_members(&mut self, id: RunId) {
        /// A limit for a tree that grows faster than it is killed: the loop must go on.
        const PASSES: usize = 32;
        if let Some(leaf) = self.runs.get(&id).and_then(|run| run.leaf.as_ref()) {
            // Where the kernel can't, the processes are killed one by one, like those that have left the group.
            let _one_by_one = leaf.kill();
        }
        let (mut empty_passes, mut refused) = (0, Vec::new());
        for _ in 0..PASSES {
            let scan = self.scan();
            let found = self.members(&scan, id);
            let Some(run) = self.runs.get_mut(&id) else { return };
            let new: Vec<_> = found.into_iter().filter(|(pid, _)| !run.killed.holds(*pid)).collect();
            refused.extend(send_all(&run.name, &new, libc::SIGKILL));
            empty_passes = if new.is_empty() { empty_passes + 1 } else { 0 };
            run.killed.add(new);
            if empty_passes == 2 {
                break;
            }
        }
        if let Some((_, error)) = refused.first() {
            let pids: Vec<String> = refused.iter().map(|(pid, _)| pid.to_string()).collect();
            let why = format!("pids {}: {}", pids.join(" "), words(error));
            self.events.push_back(Event::KillRefused { run: id, why });
        }
    }

    /// The living members of a run's tree.
    pub(super) fn pids(&mut self, id: RunId) -> Vec<Pid> {
        let scan = self.scan();
        self.members(&scan, id).into_iter().map(|(pid, _)| Pid(pid)).collect()
    }

    /// Whether to check again soon, because no wake-up will come: an orphan in the middle of an exec keeps a tree from being
    /// gone, or the pidfd of a main process that may have ended was given up.
    pub(super) fn needs_recheck(&self) -> bool {
        let is_undecided = self.is_undecided() && !self.without_main.is_empty();
        is_undecided || self.is_any_unsearched() || self.exits.needs_full_scan() || self.parents.has_new_children()
    }

    /// Takes the end of one child.
    fn child_ended(&mut self, pid: u32, status: &ExitStatus) {
        if let Some(id) = self.main_pids.remove(&pid) {
            let pidfd = self.exits.forget(pid);
            if self.is_mass_exit {
                self.finished.pidfds.extend(pidfd);
            }
            if let Some(run) = self.set_main(id, MainProcess::Reaped) {
                run.forget(pid);
            }
            self.report_exit(id, status.clone());
        } else if let Some(id) = self.start_with_pid(pid) {
            // Without `/proc`, assume that it executed its program, as nearly every child does.
            let has_executed = proc::stat(pid).is_none_or(|stat| stat.has_executed);
            let end = EarlyEnd { status: status.clone(), has_executed };
            match self.runs.get_mut(&id).map(|run| &mut run.main) {
                Some(MainProcess::Starting { ended, .. }) => *ended = Some(end),
                Some(MainProcess::KilledEarly(_)) => self.main_ended_early(id, pid, end),
                Some(MainProcess::Refused { why, .. }) => {
                    let why = why.clone();
                    self.report_refused(id, why);
                }
                _ => {}
            }
        } else if let Some(id) = self.former_mains.remove(&pid) {
            self.exits.forget(pid);
            if let Some(run) = self.runs.get_mut(&id) {
                run.forget(pid);
            }
        } else if let Some(run) = self.orphan_runs.remove(&pid).and_then(|id| self.runs.get_mut(&id)) {
            run.forget(pid);
        } else {
            self.unclaimed.add(pid, status);
        }
    }

    /// For each run with a reaped main process: reports it gone, or goes on killing its members.
    pub(super) fn report_finished(&mut self) {
        self.take_reports();
        if self.without_main.is_empty() {
            return;
        }
        let scan = self.scan();
        let is_undecided = self.is_undecided();
        // Each remaining member of a run has an ancestor that was handed to us. Without orphans the groups are empty, too.
        let is_certainly_empty = scan.orphans.is_empty() && scan.lineage.is_exact();
        for id in self.without_main.clone() {
            let has_former_main = self.former_mains.values().any(|run| *run == id);
            let former = self.former_members(id);
            if has_former_main || former == Some(FormerMembers::Alive) || scan.orphans.iter().any(|&(_, run)| run == Some(id)) {
                if self.runs[&id].is_killing {
                    self.kill_members(id);
                } else {
                    self.signal_missed(id, &scan);
                }
            } else if former != Some(FormerMembers::Unknown)
                && !is_undecided
                && ((is_certainly_empty && former.is_none()) || !self.is_populated(id))
            {
                self.report_gone(id);
            }
        }
    }

    fn is_undecided(&self) -> bool {
        self.undecided_since.is_some_and(|since| since.elapsed() < LONGEST_EXEC)
    }

    /// Whether a run's control group still has processes. They have no other sign of the run, or the kernel hasn't counted their
    /// end yet. From now on the group is watched for the end of the last one.
    fn is_populated(&mut self, id: RunId) -> bool {
        let Some(run) = self.runs.get_mut(&id) else { return false };
        // If it is empty, this removes it.
        drop(run.leaf.take_if(|leaf| leaf.remove_if_empty()));
        let Some(leaf) = &run.leaf else { return false };
        if run.leaf_watch.is_none() {
            // Retried at every later event: the end of another process mostly frees a descriptor.
            match leaf.watch(self.emptied_groups.get_ref()) {
                Ok(watch) => run.leaf_watch = Some(watch),
                Err(error) => {
                    if !mem::replace(&mut run.has_watch_failed, true) {
                        let name = run.name.as_str();
                        tracing::warn!(target: "managed_processes", name, %error, "Control group can't be watched yet");
                    }
                }
            }
        }
        let (is_killing, is_populated) = (run.is_killing, leaf.is_populated());
        if is_killing && is_populated {
            self.kill_members(id);
        }
        is_populated
    }

    /// Removes a run from the table. Its control group is removed later.
    fn remove_run(&mut self, id: RunId) {
        self.end_start(id);
        self.overdue.remove(&id);
        self.without_main.remove(&id);
        let Some(run) = self.runs.remove(&id) else { return };
        if let Some(session) = run.session.filter(|session| self.sessions.get(session) == Some(&id)) {
            self.sessions.remove(&session);
        }
        self.finished.leaves.extend(run.leaf);
    }

    /// Records which runs are gone, and removes their control groups. Returns the resources for a spawner to release if there are
    /// many.
    pub(super) fn clean_up(&mut self) -> Option<FinishedRuns> {
        self.record_ends();
        if self.is_removal_limit_reached() {
            return None;
        }
        if self.finished.leaves.len() >= CLEANUP_BATCH {
            self.removals += 1;
            return Some(mem::take(&mut self.finished));
        }
        self.finished.remove();
        None
    }

    fn is_removal_limit_reached(&self) -> bool {
        self.removals == MAX_REMOVALS
    }

    fn record_ends(&mut self) {
        self.journal.record_all(self.unrecorded.drain(..).map(|key| JournalEntry::Gone { key }).collect());
    }

    /// A spawner has released what [`Reaper::clean_up`] returned, except for these control groups.
    pub(super) fn removal_done(&mut self, but: Vec<Leaf>) {
        self.removals -= 1;
        self.finished.leaves.extend(but);
    }

    /// Whether it is time to clean up. Starts come first, unless there is much to do.
    pub(super) fn needs_cleanup(&self) -> bool {
        let to_remove = if self.is_removal_limit_reached() { 0 } else { self.finished.leaves.len() + self.finished.pidfds.len() };
        let to_do = self.unrecorded.len() + to_remove;
        to_do > 0 && (self.starts_in_progress() == 0 || to_do >= CLEANUP_BATCH)
    }

    /// Removes every empty control group, at the end. Spawners may still be removing some; that does no harm.
    pub(super) fn remove_groups(&mut self) {
        self.record_ends();
        self.groups.iter().for_each(Groups::remove);
    }

    fn report_gone(&mut self, id: RunId) {
        let key = self.key(id);
        self.gone_former.extend(self.former_of(id).map(|_| key.clone()));
        self.remove_run(id);
        self.unrecorded.push(key);
        self.events.push_back(Event::Gone { run: id });
    }

    /// The processes that have children of navigator's.
    pub(super) fn parents(&mut self) -> &mut Parents {
        &mut self.parents
    }

    /// Has these events sent, too.
    pub(super) fn add_events(&mut self, events: Vec<Event>) {
        self.events.extend(events);
    }

    /// Whether there is an event to send.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// The next event to send.
    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether a start is in progress.
    pub(super) fn is_any_starting(&self) -> bool {
        self.starts_in_progress() > 0
    }

    /// How many starts have no outcome yet.
    pub(super) fn starts_in_progress(&self) -> usize {
        let is_under_way = |run: &TrackedRun| matches!(run.main, MainProcess::Starting { .. } | MainProcess::KilledEarly(_));
        self.unstarted.iter().filter(|id| self.runs.get(id).is_some_and(|run| is_under_way(run))).count()
    }
}

impl TrackedRun {
    /// Drops the handles of a process that is reaped.
    fn forget(&mut self, pid: u32) {
        self.signalled.forget(pid);
        self.killed.forget(pid);
    }
}

fn status(how: ExitKind) -> ExitStatus {
    match how {
        ExitKind::Code(code) => ExitStatus::Code(code),
        ExitKind::Signal(number) => ExitStatus::Signal(signals::name(number)),
    }
}
