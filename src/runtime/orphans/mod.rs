//! Orphans, the processes that a killed navigator left behind: finds them by evidence, signals them, and notices their end.
//!
//! They are not our children, so the reaper doesn't see them, and their exit status is unknown. What is done about them is
//! decided elsewhere.
//!
//! # Why a signal never reaches a foreign process
//! A pid may belong to another process a moment after it was observed. So a pidfd is opened first, and then the evidence is
//! checked again. If it holds, and the pidfd's process still exists, the evidence is that process's. Where the kernel refuses
//! pidfds, no orphan is signalled. It is only reported, and its managed process is not started beside it.

mod evidence;
mod groups;

use super::group::{self, Leaf};
use super::mark::{MARK, Marker};
use super::proc::{self, Lineage, MarkVariable, Stat};
use super::tree::{self, LONGEST_EXEC, ProcessHandle};
use crate::journal::{Journal, JournalEntry, Record, RunKey, Started};
use crate::sys;
use evidence::{KnownFacts, OrphanClaim, OrphanEvidence, SeenProcess};
use groups::FormerGroups;
use reconcile::event::{Event, Pid, RunId};
use reconcile::text::Name;
use rustix::event::epoll;
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

/// A run with orphans.
#[derive(Clone, Debug)]
pub struct OrphanRun {
    /// The name of its process.
    pub name: Name,
    /// The run.
    pub key: RunKey,
    /// The orphans.
    pub pids: Vec<Pid>,
    /// Whether each could be held, so that it can be signalled.
    pub can_be_held: bool,
}

/// The tree of a run that is to be taken over.
pub(super) struct ReleasedTree {
    /// Its main process, as it was recorded, if that lives.
    pub(super) main: Option<Started>,
    /// Its living processes.
    pub(super) held: BTreeMap<u32, ProcessHandle>,
    /// Its control group.
    pub(super) group: Option<Leaf>,
}

/// The orphans of earlier navigators.
pub(super) struct Orphans {
    journal: Journal,
    marker: Marker,
    record: Record,
    /// The control groups of earlier lives, as of the last scan.
    groups: FormerGroups,
    trees: BTreeMap<RunKey, OrphanTree>,
    /// The run ids by which the loop refers to all trees of a process.
    runs: HashMap<RunId, Name>,
    /// Runs that were taken over: their processes are no orphans any more.
    taken_over: BTreeSet<RunKey>,
    /// The main processes found so far, by pid.
    main_processes: BTreeMap<u32, OrphanClaim>,
    /// We ourselves and our ancestors.
    excluded: Option<BTreeSet<u32>>,
    /// Processes that are not orphans, by pid, with the inode of their `/proc` directory, which a later process doesn't have.
    unrelated: HashMap<u32, u64>,
    /// Since when a process that may be one of the last orphans can't be judged, because it is in the middle of an exec.
    undecided_since: Option<Instant>,
    /// Becomes readable when one of them ends.
    ends: Arc<AsyncFd<OwnedFd>>,
}

/// The result of opening a pidfd of a claimed process.
enum HoldOutcome {
    Held(ProcessHandle),
    /// It has ended, or is another process than the observed one.
    Other,
    /// It is in the middle of an exec: try again.
    MidExec,
    /// The kernel refuses pidfds.
    Refused,
}

/// The orphans of one run.
struct OrphanTree {
    name: Name,
    held: BTreeMap<u32, ProcessHandle>,
    /// Orphans without a pidfd, where those are refused. They are never signalled.
    unheld: BTreeSet<u32>,
    /// The control group that was recorded for them.
    group: Option<PathBuf>,
    is_killing: bool,
    /// A process was added, and its children have not been looked up.
    has_new: bool,
}

impl Orphans {
    /// # Errors
    /// Out of descriptors.
    pub(super) fn new(journal: Journal, marker: Marker, record: Record) -> io::Result<Orphans> {
        Ok(Orphans {
            journal,
            marker,
            record,
            groups: FormerGroups::default(),
            trees: BTreeMap::new(),
            runs: HashMap::new(),
            taken_over: BTreeSet::new(),
            main_processes: BTreeMap::new(),
            excluded: None,
            unrelated: HashMap::new(),
            undecided_since: None,
            ends: sys::epoll_set()?,
        })
    }

    /// Becomes readable when one of them ends.
    pub(super) fn ends(&self) -> Arc<AsyncFd<OwnedFd>> {
        Arc::clone(&self.ends)
    }

    /// Finds orphans that aren't known yet. Returns whether a process can't be judged yet, because it is in the middle of an exec.
    pub(super) fn find(&mut self) -> bool {
        self.search(None).1
    }

    /// The processes of a run that was taken over. Also returns whether one can't be judged yet.
    pub(super) fn find_of(&mut self, key: &RunKey) -> (Vec<(u32, ProcessHandle)>, bool) {
        self.search(Some(key))
    }

    fn search(&mut self, taken_over: Option<&RunKey>) -> (Vec<(u32, ProcessHandle)>, bool) {
        let mut found = Vec::new();
        let own = std::process::id();
        let (seen, mut is_undecided) = self.scan();
        let excluded = self.excluded.get_or_insert_with(|| evidence::ancestry(&seen, own));
        let known = KnownFacts { marker: &self.marker, record: &self.record, excluded, main_processes: &self.main_processes };
        let claims = evidence::claims(&known, &seen);
        for claim in claims {
            self.unrelated.remove(&claim.pid);
            let is_taken_over = self.taken_over.contains(&claim.key);
            if is_taken_over && taken_over != Some(&claim.key) {
                continue;
            }
            let held = self.hold(&claim);
            if is_taken_over {
                match held {
                    HoldOutcome::Held(handle) => found.push((claim.pid, handle)),
                    HoldOutcome::Other | HoldOutcome::Refused => {}
                    HoldOutcome::MidExec => is_undecided = true,
                }
                continue;
            }
            let tree = self.trees.entry(claim.key.clone()).or_insert_with(|| OrphanTree {
                name: Name::from(claim.name.as_str()),
                held: BTreeMap::new(),
                unheld: BTreeSet::new(),
                group: self.record.run(&claim.key).and_then(|run| run.leaf.clone()).map(PathBuf::from),
                is_killing: false,
                has_new: false,
            });
            match held {
                HoldOutcome::Held(handle) => tree.add(claim.pid, handle, &self.ends),
                HoldOutcome::Other => {}
                HoldOutcome::MidExec => is_undecided = true,
                HoldOutcome::Refused => {
                    tree.unheld.insert(claim.pid);
                }
            }
            if claim.evidence == OrphanEvidence::MainProcess {
                self.main_processes.insert(claim.pid, claim);
            }
        }
        for tree in self.trees.values_mut().filter(|tree| tree.has_new) {
            tree.descend(&self.ends);
            tree.has_new = false;
        }
        (found, is_undecided)
    }

    /// Opens a pidfd of a claimed process, if it still is the observed one.
    fn hold(&self, claim: &OrphanClaim) -> HoldOutcome {
        let pidfd = match tree::try_open(claim.pid) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH | Errno::INVAL) => return HoldOutcome::Other,
            Err(_refused) => return HoldOutcome::Refused,
        };
        let mark = proc::variable(claim.pid, MARK);
        // If it has begun an exec since, it has no mark at this moment, and may be the same process.
        let is_readable = mark != MarkVariable::MidExec;
        let Some(again) = observe(claim.pid, mark, &self.groups) else { return HoldOutcome::Other };
        let is_same = match &claim.evidence {
            OrphanEvidence::Mark if !is_readable => return HoldOutcome::MidExec,
            OrphanEvidence::Mark => evidence::by_mark(&self.marker, &again).is_some_and(|again| again == *claim),
            OrphanEvidence::Group => evidence::by_group(&again).is_some_and(|again| again == *claim),
            OrphanEvidence::MainProcess => {
                let again = SeenProcess { inode: tree::inode(&pidfd), ..again };
                self.record.run(&claim.key).is_some_and(|recorded| evidence::is_recorded_main(recorded, &again))
            }
            OrphanEvidence::Session(main) => {
                let is_held = |tree: &OrphanTree| tree.held.get(main).is_some_and(ProcessHandle::has_pid);
                again.session == *main && self.trees.get(&claim.key).is_some_and(is_held)
            }
        };
        if is_same && tree::has_pid(&pidfd) { HoldOutcome::Held(ProcessHandle::from_pidfd(pidfd)) } else { HoldOutcome::Other }
    }

    /// Observes every process that was not judged before. Also returns whether the mark of one can't be read yet.
    fn scan(&mut self) -> (Vec<SeenProcess>, bool) {
        self.groups = FormerGroups::of(&self.record);
        let recorded: BTreeSet<u32> = self.record.runs().map(|run| run.pid).collect();
        let known: BTreeSet<u32> = self.trees.values().flat_map(|tree| tree.held.keys().copied()).collect();
        let (mut seen, mut is_undecided) = (Vec::new(), false);
        let before = std::mem::take(&mut self.unrelated);
        for (pid, inode) in proc::all_pids() {
            if known.contains(&pid) {
                continue;
            }
            if before.get(&pid) == Some(&inode) {
                self.unrelated.insert(pid, inode);
                continue;
            }
            let mark = proc::variable(pid, MARK);
            let is_readable = mark != MarkVariable::MidExec;
            is_undecided |= !is_readable;
            let Some(mut process) = observe(pid, mark, &self.groups) else { continue };
            if recorded.contains(&pid) {
                process.inode = tree::try_open(pid).ok().and_then(|pidfd| tree::inode(&pidfd));
            }
            // Before its exec a process has the mark of its parent, or none. If it still runs our executable, it is a navigator's
            // child and will execute its program soon.
            if is_readable && process.has_executed {
                self.unrelated.insert(pid, inode);
            } else if !process.has_executed && process.group_run.is_none() {
                is_undecided |= proc::runs_our_program(pid);
            }
            seen.push(process);
        }
        (seen, is_undecided)
    }

    /// The orphans found by [`Orphans::find`], by run. Records every other run as gone.
    pub(super) fn finish_search(&mut self) -> Vec<OrphanRun> {
        // What could not be held may have been ending just then.
        self.trees.values_mut().for_each(OrphanTree::forget_ended);
        self.trees.retain(|_, tree| !tree.is_empty());
        let gone = self.record.runs().filter(|run| !self.trees.contains_key(&run.key));
        self.journal.record_all(gone.map(|run| JournalEntry::Gone { key: run.key.clone() }).collect());
        let found = |(key, tree): (&RunKey, &OrphanTree)| OrphanRun {
            name: tree.name.clone(),
            key: key.clone(),
            pids: tree.pids(),
            can_be_held: tree.unheld.is_empty(),
        };
        self.trees.iter().map(found).collect()
    }

    /// Releases the tree of a run to be taken over; `None`: it has none.
    pub(super) fn release(&mut self, key: &RunKey) -> Option<ReleasedTree> {
        let OrphanTree { name, held, .. } = self.trees.remove(key)?;
        for handle in held.values() {
            if let ProcessHandle::Pidfd(pidfd) = handle {
                // It may never have been watched.
                let _absent = epoll::delete(self.ends.get_ref(), pidfd);
            }
        }
        self.taken_over.insert(key.clone());
        let main = self.record.run(key).filter(|run| {
            let is_main = self.main_processes.get(&run.pid).is_some_and(|claim| claim.key == *key);
            is_main && held.get(&run.pid).is_some_and(ProcessHandle::is_alive)
        });
        Some(ReleasedTree { main: main.cloned(), group: groups::leaf(&self.record, key, &name), held })
    }

    /// What is recorded of the start of a run.
    pub(super) fn started(&self, key: &RunKey) -> Option<Started> {
        self.record.run(key).cloned()
    }

    /// Forgets a run that was taken over and is gone.
    pub(super) fn forget(&mut self, key: &RunKey) {
        self.taken_over.remove(key);
    }

    /// Makes the orphans of a process the tree of this run. Returns the pid of one, or `None` if there are none.
    pub(super) fn bind(&mut self, run: RunId, name: &Name) -> Option<Pid> {
        let pid = self.of(name).flat_map(OrphanTree::pids).next()?;
        self.runs.insert(run, name.clone());
        Some(pid)
    }

    /// Ends all [`Orphans::bind`]s. Survivors are still found by name.
    pub(super) fn unbind(&mut self) {
        self.runs.clear();
        group::remove_empty_of_former(self.journal.author());
        self.journal.forget_groups(groups::remove_empty(&self.record));
    }

    /// The living processes of a bound run.
    pub(super) fn pids(&self, run: RunId) -> Option<Vec<Pid>> {
        let name = self.runs.get(&run)?;
        Some(self.of(name).flat_map(OrphanTree::pids).collect())
    }

    /// The orphans of a process that could not be ended.
    pub(super) fn survivors(&self, name: &Name) -> Option<Vec<Pid>> {
        let pids: Vec<Pid> = self.of(name).flat_map(OrphanTree::pids).collect();
        (!pids.is_empty()).then_some(pids)
    }

    fn of(&self, name: &Name) -> impl Iterator<Item = &OrphanTree> {
        self.trees.values().filter(move |tree| tree.name == *name)
    }

    /// Sends a signal, then `CONT`, to every orphan of a run. Returns whether the run is bound.
    pub(super) fn stop(&mut self, run: RunId, signal: i32) -> bool {
        self.signal(run, &[signal, libc::SIGCONT], false)
    }

    /// Kills every orphan of a run, including those found later. Returns whether the run is bound.
    pub(super) fn kill(&mut self, run: RunId) -> bool {
        self.signal(run, &[libc::SIGKILL], true)
    }

    fn signal(&mut self, run: RunId, signals: &[i32], kills: bool) -> bool {
        let Some(name) = self.runs.get(&run) else { return false };
        for tree in self.trees.values_mut().filter(|tree| tree.name == *name) {
            tree.is_killing |= kills;
            tree.descend(&self.ends);
            for &signal in signals {
                tree.send(signal);
            }
            if kills {
                tree.kill_group();
            }
        }
        true
    }

    /// Removes those that have ended. Before a process counts as gone, looks for orphans that weren't known. Returns an event
    /// for each run that is gone.
    pub(super) fn check_gone(&mut self) -> Vec<Event> {
        self.trees.values_mut().for_each(OrphanTree::forget_ended);
        let mut is_undecided = false;
        if self.trees.values().any(OrphanTree::is_empty) {
            is_undecided = self.find();
            self.trees.values().filter(|tree| tree.is_killing).for_each(|tree| tree.send(libc::SIGKILL));
        }
        // A process that can't be judged yet may belong to any of them.
        if is_undecided && self.undecided_since.get_or_insert_with(Instant::now).elapsed() < LONGEST_EXEC {
            return Vec::new();
        }
        self.undecided_since = None;
        let gone: Vec<RunKey> = self.trees.iter().filter(|(_, tree)| tree.is_empty()).map(|(key, _)| key.clone()).collect();
        gone.into_iter().filter_map(|key| self.gone(key)).collect()
    }

    fn gone(&mut self, key: RunKey) -> Option<Event> {
        let OrphanTree { name, group, .. } = self.trees.remove(&key)?;
        self.journal.record(JournalEntry::Gone { key });
        if let Some(directory) = group {
            group::remove(&directory);
        }
        if self.of(&name).next().is_some() {
            return None;
        }
        let run = self.runs.iter().find(|(_, of)| **of == name).map(|(&run, _)| run)?;
        self.runs.remove(&run);
        Some(Event::Gone { run })
    }

    /// Whether to check again soon, because a process is in the middle of an exec.
    pub(super) fn needs_recheck(&self) -> bool {
        self.undecided_since.is_some()
    }

    /// Whether there is an orphan without a pidfd. Its end causes no wake-up.
    pub(super) fn has_unheld(&self) -> bool {
        self.trees.values().any(|tree| !tree.unheld.is_empty())
    }
}

impl OrphanTree {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.unheld.is_empty()
    }

    fn forget_ended(&mut self) {
        self.held.retain(|_, handle| handle.is_alive());
        self.unheld.retain(|&pid| proc::stat(pid).is_some_and(|stat| !stat.has_ended));
    }

    fn pids(&self) -> Vec<Pid> {
        self.held.keys().chain(&self.unheld).copied().map(Pid).collect()
    }

    fn add(&mut self, pid: u32, handle: ProcessHandle, ends: &AsyncFd<OwnedFd>) {
        if self.held.get(&pid).is_some_and(ProcessHandle::has_pid) || !handle.is_alive() {
            return;
        }
        if let ProcessHandle::Pidfd(pidfd) = &handle {
            let data = epoll::EventData::new_u64(u64::from(pid));
            if let Err(error) = epoll::add(ends.get_ref().as_fd(), pidfd, data, epoll::EventFlags::IN) {
                tracing::warn!(target: "managed_processes", pid, %error, "Failed to watch for the end of a process");
            }
        }
        self.held.insert(pid, handle);
        self.has_new = true;
    }

    /// Adds the descendants of the known orphans.
    fn descend(&mut self, ends: &AsyncFd<OwnedFd>) {
        let roots: Vec<(u32, ProcessHandle)> =
            self.held.iter().filter_map(|(&pid, handle)| Some((pid, handle.copy()?))).collect();
        for (pid, handle) in tree::descend(&Lineage::now(), roots) {
            self.add(pid, handle, ends);
        }
    }

    /// Kills their control group, where the kernel can. That includes processes that are being forked, or have no pidfd. Skips
    /// a group that we ourselves are in.
    fn kill_group(&self) {
        let own = std::process::id();
        if let Some(directory) = self.group.as_ref().filter(|directory| !group::members(directory).contains(&own)) {
            let _one_by_one = group::kill(directory);
        }
    }

    fn send(&self, signal: i32) {
        for (&pid, handle) in &self.held {
            let _logged = tree::send(&self.name, pid, handle, signal);
        }
    }
}

/// Observes a process without a pidfd; `None` if it has ended.
fn observe(pid: u32, mark: MarkVariable, groups: &FormerGroups) -> Option<SeenProcess> {
    let stat = proc::stat(pid).filter(|stat| !stat.has_ended)?;
    let mark = if let MarkVariable::Value(mark) = mark { Some(mark) } else { None };
    let group_run = proc::cgroup(pid).and_then(|path| groups.run_of(&path));
    let Stat { parent, session, started, has_executed, .. } = stat;
    Some(SeenProcess { pid, parent, session, started, inode: None, has_executed, mark, group_run })
}

#[cfg(test)]
mod tests;
