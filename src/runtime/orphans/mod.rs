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

use super::group;
use super::mark::{MARK, Marker};
use super::proc::{self, Lineage, MarkVariable, Stat};
use super::reaper::LONGEST_EXEC;
use super::tree::{self, ProcessHandle};
use crate::journal::{Journal, JournalEntry, Record, RunKey};
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

/// The orphans of earlier navigators, by the name of their managed process.
pub(super) struct Orphans {
    journal: Journal,
    marker: Marker,
    record: Record,
    /// The control groups of earlier lives, as of the last scan.
    groups: FormerGroups,
    processes: BTreeMap<Name, OrphanTree>,
    /// The run ids by which the loop refers to them.
    runs: HashMap<RunId, Name>,
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

/// The orphans of one managed process.
#[derive(Default)]
struct OrphanTree {
    held: BTreeMap<u32, ProcessHandle>,
    /// Orphans without a pidfd, where those are refused. They are never signalled.
    unheld: BTreeSet<u32>,
    keys: BTreeSet<RunKey>,
    /// The control groups that were recorded for them.
    groups: BTreeSet<PathBuf>,
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
            processes: BTreeMap::new(),
            runs: HashMap::new(),
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
        let own = std::process::id();
        let (seen, mut is_undecided) = self.scan();
        let excluded = self.excluded.get_or_insert_with(|| evidence::ancestry(&seen, own));
        let known = KnownFacts { marker: &self.marker, record: &self.record, excluded, main_processes: &self.main_processes };
        let claims = evidence::claims(&known, &seen);
        for claim in claims {
            self.unrelated.remove(&claim.pid);
            let held = self.hold(&claim);
            let members = self.processes.entry(Name::from(claim.name.as_str())).or_default();
            let recorded = self.record.run(&claim.key);
            members.groups.extend(recorded.and_then(|run| run.leaf.clone()).map(PathBuf::from));
            members.keys.insert(claim.key.clone());
            match held {
                HoldOutcome::Held(handle) => members.add(claim.pid, handle, &self.ends),
                HoldOutcome::Other => {}
                HoldOutcome::MidExec => is_undecided = true,
                HoldOutcome::Refused => {
                    members.unheld.insert(claim.pid);
                }
            }
            if claim.evidence == OrphanEvidence::MainProcess {
                self.main_processes.insert(claim.pid, claim);
            }
        }
        for members in self.processes.values_mut().filter(|members| members.has_new) {
            members.descend(&self.ends);
            members.has_new = false;
        }
        is_undecided
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
                let members = self.processes.get(claim.name.as_str());
                let is_held = |members: &OrphanTree| members.held.get(main).is_some_and(ProcessHandle::has_pid);
                again.session == *main && members.is_some_and(is_held)
            }
        };
        if is_same && tree::has_pid(&pidfd) { HoldOutcome::Held(ProcessHandle::from_pidfd(pidfd)) } else { HoldOutcome::Other }
    }

    /// Observes every process that was not judged before. Also returns whether the mark of one can't be read yet.
    fn scan(&mut self) -> (Vec<SeenProcess>, bool) {
        self.groups = FormerGroups::of(&self.record);
        let recorded: BTreeSet<u32> = self.record.runs().map(|run| run.pid).collect();
        let known: BTreeSet<u32> = self.processes.values().flat_map(|members| members.held.keys().copied()).collect();
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

    /// The names and pids of the orphans, after [`Orphans::find`]. Records every other run as gone.
    pub(super) fn finish_search(&mut self) -> Vec<(Name, Vec<Pid>)> {
        let living: BTreeSet<RunKey> =
            self.processes.values().filter(|members| !members.is_empty()).flat_map(|members| members.keys.clone()).collect();
        let gone = self.record.runs().filter(|run| !living.contains(&run.key));
        self.journal.record_all(gone.map(|run| JournalEntry::Gone { key: run.key.clone() }).collect());
        self.processes.retain(|_, members| !members.is_empty());
        self.processes.iter().map(|(name, members)| (name.clone(), members.pids())).collect()
    }

    /// Makes the orphans of a process the tree of this run. Returns the pid of one, or `None` if there are none.
    pub(super) fn bind(&mut self, run: RunId, name: &Name) -> Option<Pid> {
        let pid = self.processes.get(name)?.pids().first().copied();
        self.runs.insert(run, name.clone());
        pid
    }

    /// Ends all [`Orphans::bind`]s. Survivors are still found by name.
    pub(super) fn unbind(&mut self) {
        self.runs.clear();
        group::remove_empty_of_former(self.journal.author());
        self.journal.forget_groups(groups::remove_empty(&self.record));
    }

    /// The living processes of a bound run.
    pub(super) fn pids(&self, run: RunId) -> Option<Vec<Pid>> {
        Some(self.processes.get(self.runs.get(&run)?)?.pids())
    }

    /// The orphans of a process that could not be ended.
    pub(super) fn survivors(&self, name: &Name) -> Option<Vec<Pid>> {
        Some(self.processes.get(name)?.pids())
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
        if let Some(members) = self.processes.get_mut(name) {
            members.is_killing |= kills;
            members.descend(&self.ends);
            for &signal in signals {
                members.send(name, signal);
            }
            if kills {
                members.kill_groups();
            }
        }
        true
    }

    /// Removes those that have ended. Before a process counts as gone, looks for orphans that weren't known. Returns an event
    /// for each run that is gone.
    pub(super) fn check_gone(&mut self) -> Vec<Event> {
        for members in self.processes.values_mut() {
            members.held.retain(|_, handle| handle.is_alive());
            members.unheld.retain(|&pid| proc::stat(pid).is_some_and(|stat| !stat.has_ended));
        }
        let mut is_undecided = false;
        if self.processes.values().any(OrphanTree::is_empty) {
            is_undecided = self.find();
            let killed = self.processes.iter().filter(|(_, members)| members.is_killing);
            killed.for_each(|(name, members)| members.send(name, libc::SIGKILL));
        }
        // A process that can't be judged yet may belong to any of them.
        if is_undecided && self.undecided_since.get_or_insert_with(Instant::now).elapsed() < LONGEST_EXEC {
            return Vec::new();
        }
        self.undecided_since = None;
        let gone: Vec<Name> =
            self.processes.iter().filter(|(_, members)| members.is_empty()).map(|(name, _)| name.clone()).collect();
        gone.iter().filter_map(|name| self.gone(name)).collect()
    }

    fn gone(&mut self, name: &Name) -> Option<Event> {
        let OrphanTree { keys, groups, .. } = self.processes.remove(name)?;
        self.journal.record_all(keys.into_iter().map(|key| JournalEntry::Gone { key }).collect());
        for directory in &groups {
            group::remove(directory);
        }
        let run = self.runs.iter().find(|(_, of)| *of == name).map(|(&run, _)| run)?;
        self.runs.remove(&run);
        Some(Event::Gone { run })
    }

    /// Whether to check again soon, because a process is in the middle of an exec.
    pub(super) fn needs_recheck(&self) -> bool {
        self.undecided_since.is_some()
    }

    /// Whether there is an orphan without a pidfd. Its end causes no wake-up.
    pub(super) fn has_unheld(&self) -> bool {
        self.processes.values().any(|members| !members.unheld.is_empty())
    }
}

impl OrphanTree {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.unheld.is_empty()
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

    /// Kills their control groups, where the kernel can. That includes processes that are being forked, or have no pidfd. Skips
    /// a group that we ourselves are in.
    fn kill_groups(&self) {
        let own = std::process::id();
        for directory in self.groups.iter().filter(|directory| !group::members(directory).contains(&own)) {
            let _one_by_one = group::kill(directory);
        }
    }

    fn send(&self, name: &Name, signal: i32) {
        for (&pid, handle) in &self.held {
            let _logged = tree::send(name, pid, handle, signal);
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
mod tests {
    use super::*;
    use crate::access::{Directory, Trust};
    use crate::journal::Opened;
    use std::fs;
    use std::process::{Child, Command};

    /// Executes itself again and again, so that it is often in the middle of an exec.
    const RESTLESS: &str = "exec sh -c \"$0\" \"$0\"";

    /// A process and a directory, which are removed at the end of the test.
    struct OrphanSite(Child, PathBuf);

    impl Drop for OrphanSite {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _reaped = self.0.wait();
            let _removed = fs::remove_dir_all(&self.1);
        }
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "the process must be unknown to the reaper")]
    async fn a_process_in_the_middle_of_an_exec_is_found() {
        let directory = std::env::temp_dir().join(format!("navigator-left-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let held = Directory::open(&directory, Trust::everybody()).expect("it was made");
        let Opened { journal, .. } = Journal::open(&held, None).expect("a thread");
        let mark = Marker::new(&journal, None).write("restless", RunId(1));
        // The next life of the same instance.
        let Opened { journal, .. } = Journal::open(&held, None).expect("a thread");
        let child = Command::new("sh").args(["-c", RESTLESS, RESTLESS]).env(MARK, mark).spawn().expect("there is a shell");
        let site = OrphanSite(child, directory);
        for round in 0..300 {
            let mut orphans = Orphans::new(journal.clone(), Marker::new(&journal, None), Record::default()).expect("descriptors");
            while orphans.find() {}
            let found: Vec<u32> = orphans.processes.values().flat_map(|members| members.held.keys().copied()).collect();
            assert_eq!(found, [site.0.id()], "round {round}");
        }
    }
}
