//! The processes that a killed navigator left behind: finding them by evidence, holding each by a pidfd, signalling
//! those and no others, and noticing their end.
//!
//! They are nobody's children of ours, so the reaper knows nothing of them, and how they ended can't be told. What is
//! done about them, and when, is decided elsewhere; here it is only done.
//!
//! # Why a signal never reaches a stranger
//! What was seen of a number may be another process's a moment later. So a pidfd is opened first, and then the evidence is
//! looked at once more. If it still holds, and the pidfd still has its process, it was that process's. Where the kernel
//! refuses pidfds nobody is signalled: then what is left is only reported, and nothing is started beside it.

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

/// What is left, by the name of the managed process that it belonged to.
pub(super) struct Orphans {
    journal: Journal,
    marker: Marker,
    record: Record,
    /// The control groups of former lives, as of the last look.
    groups: FormerGroups,
    processes: BTreeMap<Name, OrphanTree>,
    /// Under which numbers the loop knows them.
    runs: HashMap<RunId, Name>,
    /// Who was claimed as a leader, by its number.
    leaders: BTreeMap<u32, OrphanClaim>,
    /// Ourselves, and whoever started us.
    spared: Option<BTreeSet<u32>>,
    /// Who was looked at and is none of them, by number, with the inode that tells it from a later one.
    strangers: HashMap<u32, u64>,
    /// Since when it can't be said whether somebody is one of the last of them, because he is in the middle of an exec.
    undecided_since: Option<Instant>,
    /// Becomes readable when one of them ends.
    ends: Arc<AsyncFd<OwnedFd>>,
}

/// What came of holding a process that was claimed.
enum HoldOutcome {
    Held(ProcessHandle),
    /// It has ended, or isn't the one that was seen.
    Other,
    /// It is in the middle of an exec: ask again.
    NotYet,
    /// It is the one, and the kernel gives no hold on it.
    Refused,
}

/// The living processes of one name.
#[derive(Default)]
struct OrphanTree {
    held: BTreeMap<u32, ProcessHandle>,
    /// Proven, but not to be held where pidfds are refused: nobody signals these.
    unheld: BTreeSet<u32>,
    keys: BTreeSet<RunKey>,
    /// The control groups that were noted for them.
    groups: BTreeSet<PathBuf>,
    killing: bool,
    /// Somebody was added whose children nobody has looked for.
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
            leaders: BTreeMap::new(),
            spared: None,
            strangers: HashMap::new(),
            undecided_since: None,
            ends: sys::epoll_set()?,
        })
    }

    /// What becomes readable when one of them ends.
    pub(super) fn ends(&self) -> Arc<AsyncFd<OwnedFd>> {
        Arc::clone(&self.ends)
    }

    /// Looks for everything that is left and isn't known yet. Answers whether there is a process of which it can't be said
    /// yet, because it is in the middle of an exec.
    pub(super) fn find(&mut self) -> bool {
        let own = std::process::id();
        let (seen, mut is_undecided) = self.look_around();
        let spared = self.spared.get_or_insert_with(|| evidence::ancestry(&seen, own));
        let known = KnownFacts { marker: &self.marker, record: &self.record, spared, leaders: &self.leaders };
        let claims = evidence::claims(&known, &seen);
        for claim in claims {
            self.strangers.remove(&claim.pid);
            let held = self.hold(&claim);
            let members = self.processes.entry(Name::from(claim.name.as_str())).or_default();
            let noted = self.record.run(&claim.key);
            members.groups.extend(noted.and_then(|run| run.leaf.clone()).map(PathBuf::from));
            members.keys.insert(claim.key.clone());
            match held {
                HoldOutcome::Held(handle) => members.add(claim.pid, handle, &self.ends),
                HoldOutcome::Other => {}
                HoldOutcome::NotYet => is_undecided = true,
                HoldOutcome::Refused => {
                    members.unheld.insert(claim.pid);
                }
            }
            if claim.evidence == OrphanEvidence::Leader {
                self.leaders.insert(claim.pid, claim);
            }
        }
        for members in self.processes.values_mut().filter(|members| members.has_new) {
            members.descend(&self.ends);
            members.has_new = false;
        }
        is_undecided
    }

    /// Holds a process that was claimed, if it still is the one that was seen.
    fn hold(&self, claim: &OrphanClaim) -> HoldOutcome {
        let pidfd = match tree::try_open(claim.pid) {
            Ok(pidfd) => pidfd,
            Err(Errno::SRCH | Errno::INVAL) => return HoldOutcome::Other,
            Err(_refused) => return HoldOutcome::Refused,
        };
        let mark = proc::variable(claim.pid, MARK);
        // One that began an exec since it was seen has no mark at this moment, and may well be the same.
        let is_legible = mark != MarkVariable::NotYet;
        let Some(again) = look_at(claim.pid, mark, &self.groups) else { return HoldOutcome::Other };
        let holds = match &claim.evidence {
            OrphanEvidence::Mark if !is_legible => return HoldOutcome::NotYet,
            OrphanEvidence::Mark => evidence::by_mark(&self.marker, &again).is_some_and(|again| again == *claim),
            OrphanEvidence::Group => evidence::by_group(&again).is_some_and(|again| again == *claim),
            OrphanEvidence::Leader => {
                let again = SeenProcess { inode: tree::inode(&pidfd), ..again };
                self.record.run(&claim.key).is_some_and(|noted| evidence::is_leader(noted, &again))
            }
            OrphanEvidence::Session(leader) => {
                let members = self.processes.get(claim.name.as_str());
                let leads = |members: &OrphanTree| members.held.get(leader).is_some_and(ProcessHandle::has_number);
                again.session == *leader && members.is_some_and(leads)
            }
        };
        if holds && tree::has_number(&pidfd) { HoldOutcome::Held(ProcessHandle::by(pidfd)) } else { HoldOutcome::Other }
    }

    /// Everybody who was not looked at before; and whether the mark of somebody can't be read yet.
    fn look_around(&mut self) -> (Vec<SeenProcess>, bool) {
        self.groups = FormerGroups::of(&self.record);
        let noted: BTreeSet<u32> = self.record.runs().map(|run| run.pid).collect();
        let known: BTreeSet<u32> = self.processes.values().flat_map(|members| members.held.keys().copied()).collect();
        let (mut seen, mut is_undecided) = (Vec::new(), false);
        let before = std::mem::take(&mut self.strangers);
        for (pid, inode) in proc::all() {
            if known.contains(&pid) {
                continue;
            }
            if before.get(&pid) == Some(&inode) {
                self.strangers.insert(pid, inode);
                continue;
            }
            let mark = proc::variable(pid, MARK);
            let is_legible = mark != MarkVariable::NotYet;
            is_undecided |= !is_legible;
            let Some(mut one) = look_at(pid, mark, &self.groups) else { continue };
            if noted.contains(&pid) {
                one.inode = tree::try_open(pid).ok().and_then(|pidfd| tree::inode(&pidfd));
            }
            // Who has yet to execute its program has somebody else's mark, or none. If that is a navigator's child, it's about to.
            if is_legible && one.has_executed {
                self.strangers.insert(pid, inode);
            } else if !one.has_executed && one.place.is_none() {
                is_undecided |= proc::is_like_us(pid);
            }
            seen.push(one);
        }
        (seen, is_undecided)
    }

    /// What is left, once [`Orphans::find`] has been asked, with the numbers of the living. What is not left any more is
    /// noted as gone.
    pub(super) fn settle(&mut self) -> Vec<(Name, Vec<Pid>)> {
        let living: BTreeSet<RunKey> =
            self.processes.values().filter(|members| !members.is_empty()).flat_map(|members| members.keys.clone()).collect();
        let gone = self.record.runs().filter(|run| !living.contains(&run.key));
        self.journal.note_all(gone.map(|run| JournalEntry::Gone { key: run.key.clone() }).collect());
        self.processes.retain(|_, members| !members.is_empty());
        self.processes.iter().map(|(name, members)| (name.clone(), members.pids())).collect()
    }

    /// Knows what is left of a process by this number, from now on.
    pub(super) fn bind(&mut self, run: RunId, name: &Name) -> Option<Pid> {
        let pid = self.processes.get(name)?.pids().first().copied();
        self.runs.insert(run, name.clone());
        pid
    }

    /// Forgets the numbers by which the loop knew them. What survived stays known by its name.
    pub(super) fn unbind(&mut self) {
        self.runs.clear();
        group::remove_former(self.journal.author());
        self.journal.forget_groups(groups::remove_empty(&self.record));
    }

    /// The living processes of a run that was bound.
    pub(super) fn pids(&self, run: RunId) -> Option<Vec<Pid>> {
        Some(self.processes.get(self.runs.get(&run)?)?.pids())
    }

    /// What is left of a process and couldn't be ended.
    pub(super) fn survivors(&self, name: &Name) -> Option<Vec<Pid>> {
        Some(self.processes.get(name)?.pids())
    }

    /// Signals everything that is left of a run, then has it continue. Answers whether the run is one that was bound.
    pub(super) fn stop(&mut self, run: RunId, signal: i32) -> bool {
        self.signal(run, &[signal, libc::SIGCONT], false)
    }

    /// Kills everything that is left of a run, and what of it turns up later.
    pub(super) fn kill(&mut self, run: RunId) -> bool {
        self.signal(run, &[libc::SIGKILL], true)
    }

    fn signal(&mut self, run: RunId, signals: &[i32], kills: bool) -> bool {
        let Some(name) = self.runs.get(&run) else { return false };
        if let Some(members) = self.processes.get_mut(name) {
            members.killing |= kills;
            members.descend(&self.ends);
            for &signal in signals {
                members.send(signal);
            }
            if kills {
                members.kill_groups();
            }
        }
        true
    }

    /// Takes note of those that have ended. Where nobody is left who was known, it is looked whether somebody is left who
    /// wasn't; answers with what is gone.
    pub(super) fn look(&mut self) -> Vec<Event> {
        for members in self.processes.values_mut() {
            members.held.retain(|_, handle| handle.is_alive());
            members.unheld.retain(|&pid| proc::stat(pid).is_some_and(|stat| !stat.has_ended));
        }
        let mut is_undecided = false;
        if self.processes.values().any(OrphanTree::is_empty) {
            is_undecided = self.find();
            self.processes.values().filter(|members| members.killing).for_each(|members| members.send(libc::SIGKILL));
        }
        // Who can't be judged yet may be the last of any of them.
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
        self.journal.note_all(keys.into_iter().map(|key| JournalEntry::Gone { key }).collect());
        for directory in &groups {
            group::remove(directory);
        }
        let run = self.runs.iter().find(|(_, of)| *of == name).map(|(&run, _)| run)?;
        self.runs.remove(&run);
        Some(Event::Gone { run })
    }

    /// Whether it must be looked again shortly, since somebody is in the middle of an exec.
    pub(super) fn wants_another_look(&self) -> bool {
        self.undecided_since.is_some()
    }

    /// Whether there is somebody whose end nothing tells.
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
        if self.held.get(&pid).is_some_and(ProcessHandle::has_number) || !handle.is_alive() {
            return;
        }
        if let ProcessHandle::Pidfd(pidfd) = &handle {
            let data = epoll::EventData::new_u64(u64::from(pid));
            if let Err(error) = epoll::add(ends.get_ref().as_fd(), pidfd, data, epoll::EventFlags::IN) {
                tracing::warn!(target: "managed_processes", pid, %error, "The end of a process can't be waited for");
            }
        }
        self.held.insert(pid, handle);
        self.has_new = true;
    }

    /// Takes in what descends from those that are known.
    fn descend(&mut self, ends: &AsyncFd<OwnedFd>) {
        let roots: Vec<(u32, ProcessHandle)> =
            self.held.iter().filter_map(|(&pid, handle)| Some((pid, handle.copy()?))).collect();
        for (pid, handle) in tree::descend(&Lineage::now(), roots) {
            self.add(pid, handle, ends);
        }
    }

    /// Kills their control groups, where the kernel can, which also ends what is being forked just now and what can't be
    /// held. Not one that we ourselves were started in.
    fn kill_groups(&self) {
        let own = std::process::id();
        for directory in self.groups.iter().filter(|directory| !group::members(directory).contains(&own)) {
            let _one_by_one = group::kill(directory);
        }
    }

    fn send(&self, signal: i32) {
        for (&pid, handle) in &self.held {
            tree::send(pid, handle, signal);
        }
    }
}

/// What is to be seen of a process without a hold on it; `None` if it has ended.
fn look_at(pid: u32, mark: MarkVariable, groups: &FormerGroups) -> Option<SeenProcess> {
    let stat = proc::stat(pid).filter(|stat| !stat.has_ended)?;
    let mark = if let MarkVariable::Is(mark) = mark { Some(mark) } else { None };
    let place = proc::group(pid).and_then(|path| groups.place(&path));
    let Stat { parent, session, started, has_executed, .. } = stat;
    Some(SeenProcess { pid, parent, session, started, inode: None, has_executed, mark, place })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Directory, Trust};
    use crate::journal::Opened;
    use std::fs;
    use std::process::{Child, Command};

    /// Executes itself again and again, so that it is in the middle of an exec at every other look.
    const RESTLESS: &str = "exec sh -c \"$0\" \"$0\"";

    /// A process and a directory, which go with the test.
    struct OrphanSite(Child, PathBuf);

    impl Drop for OrphanSite {
        fn drop(&mut self) {
            let _gone = self.0.kill();
            let _reaped = self.0.wait();
            let _removed = fs::remove_dir_all(&self.1);
        }
    }

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "it is to be somebody whom the reaper doesn't know")]
    async fn who_is_in_the_middle_of_an_exec_is_found_all_the_same() {
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
            let mut left = Orphans::new(journal.clone(), Marker::new(&journal, None), Record::default()).expect("descriptors");
            while left.find() {}
            let found: Vec<u32> = left.processes.values().flat_map(|members| members.held.keys().copied()).collect();
            assert_eq!(found, [site.0.id()], "round {round}");
        }
    }
}
