//! Who belongs to which run, looked up now: its leader, what descends from it, the orphans that are known to be its own, and who is
//! in its control group. What is done about them is the reaper's affair.

use super::super::group::Leaf;
use super::super::mark::MARK;
use super::super::proc::{self, Lineage, MarkVariable};
use super::super::tree::{self, ProcessHandle};
use super::{MainProcess, Reaper, TrackedRun};
use crate::sys;
use reconcile::event::RunId;
use std::collections::HashSet;
use std::time::Instant;

/// Who lives, to find the members of runs among them. It's of use for as long as nobody is reaped.
pub(super) struct ProcessScan {
    lineage: Lineage,
    orphans: Vec<(u32, Option<RunId>)>,
}

/// Whose an orphan is.
enum OrphanOwner {
    Run(RunId),
    Nobody,
    Undecided,
}

impl Reaper {
    /// A look at who lives now, to find the members of a few runs.
    pub(super) fn look(&mut self) -> ProcessScan {
        self.look_by(Lineage::now())
    }

    /// The same at once for all that run. `None` if so many of this host don't belong to them that one by one is better.
    pub(super) fn look_at_all(&mut self, at_most: usize) -> Option<ProcessScan> {
        let lineage = Lineage::scan_but(|pid| self.leaders.contains_key(&pid), at_most)?;
        Some(self.look_by(lineage))
    }

    fn look_by(&mut self, lineage: Lineage) -> ProcessScan {
        let orphans = self.orphans(&lineage);
        ProcessScan { lineage, orphans }
    }

    /// Everything alive in a run's tree, held.
    pub(super) fn find(&self, look: &ProcessScan, id: RunId) -> Vec<(u32, ProcessHandle)> {
        let mut roots = match self.runs.get(&id).map(|run| &run.leader) {
            Some(MainProcess::Up(pid) | MainProcess::Doubtful(pid)) => {
                vec![(*pid, self.hold_leader(*pid, ProcessHandle::of_leader))]
            }
            _ => Vec::new(),
        };
        let of_run = look.orphans.iter().filter(|&&(_, run)| run == Some(id));
        roots.extend(of_run.map(|&(pid, _)| (pid, ProcessHandle::of_child(pid))));
        let mut found = tree::descend(&look.lineage, roots);
        // Where nobody has lost its parent, a leader without children is alone, and of no children the kernel's list is exact.
        let is_alone = look.orphans.is_empty() && found.len() <= 1;
        if !is_alone && let Some(leaf) = self.runs.get(&id).and_then(|run| run.leaf.as_ref()) {
            let known: HashSet<u32> = found.iter().map(|&(pid, _)| pid).collect();
            found.extend(leaf.members().into_iter().filter(|pid| !known.contains(pid)).filter_map(|pid| hold(leaf, pid)));
        }
        found
    }

    /// A hold on a leader that isn't reaped: the one that there is, or another.
    pub(super) fn hold_leader(&self, pid: u32, another: fn(u32) -> ProcessHandle) -> ProcessHandle {
        self.ends.holds(pid).map_or_else(|| another(pid), ProcessHandle::Pidfd)
    }

    /// The orphans that were handed to us, by their numbers, and the run of each, as far as it is known to belong to one. Notes if
    /// of some it can't be said yet.
    pub(super) fn orphans(&mut self, lineage: &Lineage) -> Vec<(u32, Option<RunId>)> {
        let mut children = if sys::has_no_adopted() { Vec::new() } else { lineage.adopted() };
        children.retain(|pid| !self.leaders.contains_key(pid) && self.starting(*pid).is_none());
        let mut is_undecided = false;
        let mut orphans = Vec::new();
        for pid in children {
            let owner = self.owner(pid);
            is_undecided |= matches!(owner, OrphanOwner::Undecided);
            orphans.push((pid, if let OrphanOwner::Run(run) = owner { Some(run) } else { None }));
        }
        self.undecided_since = is_undecided.then(|| self.undecided_since.unwrap_or_else(Instant::now));
        orphans
    }

    /// The start whose child has this number.
    pub(super) fn starting(&self, pid: u32) -> Option<RunId> {
        self.unborn_pids().find(|&(_, number)| number == pid).map(|(id, _)| id)
    }

    /// Those that may have ended before anybody could call them started, with their numbers.
    pub(super) fn unborn_pids(&self) -> impl Iterator<Item = (RunId, u32)> {
        let pid = |run: &TrackedRun| match &run.leader {
            MainProcess::Starting { slot, ended: None, .. } | MainProcess::Refused { slot, .. } => slot.pid(),
            MainProcess::Doubtful(pid) => Some(*pid),
            _ => None,
        };
        self.unborn.iter().filter_map(move |&id| Some((id, pid(self.runs.get(&id)?)?)))
    }

    /// The run that a mark names, if its process has the name that the mark says.
    fn marked(&self, mark: &[u8]) -> Option<RunId> {
        let (name, run) = self.marker.own(mark)?;
        self.runs.get(&run).filter(|entered| entered.name.as_str() == name).map(|_| run)
    }

    /// Whose orphan this is. An answer is kept, because the session and the environment may change later.
    fn owner(&mut self, pid: u32) -> OrphanOwner {
        if let Some(&known) = self.orphans.get(&pid) {
            return OrphanOwner::Run(known);
        }
        let of_members = self.runs.iter().find(|(_, run)| run.told.holds(pid) || run.killed.holds(pid)).map(|(&id, _)| id);
        let of_session = || self.sessions.get(&proc::stat(pid)?.session).copied();
        let owner = match of_members.or_else(of_session) {
            Some(owner) => Some(owner),
            None => match proc::variable(pid, MARK) {
                MarkVariable::Is(mark) => self.marked(&mark),
                MarkVariable::Unset => None,
                MarkVariable::NotYet | MarkVariable::Ended => return OrphanOwner::Undecided,
            },
        };
        let Some(owner) = owner else { return OrphanOwner::Nobody };
        self.orphans.insert(pid, owner);
        OrphanOwner::Run(owner)
    }
}

/// A hold on a member of a control group, unless it has just left or ended. Needs a pidfd: it may be no child of ours.
fn hold(leaf: &Leaf, pid: u32) -> Option<(u32, ProcessHandle)> {
    let pidfd = tree::try_open(pid).ok()?;
    let is_member = leaf.holds(pid) && tree::has_number(&pidfd);
    is_member.then_some((pid, ProcessHandle::by(pidfd))).filter(|(_, handle)| handle.is_alive())
}
