//! Finds the members of a run: its main process and descendants, its orphans, and the processes in its control group.

use super::super::group::Leaf;
use super::super::mark::MARK;
use super::super::proc::{self, Lineage, MarkVariable};
use super::super::tree::{self, ProcessHandle};
use super::former_tree::FormerTree;
use super::{MainProcess, Reaper, TrackedRun};
use reconcile::event::RunId;
use reconcile::text::Name;
use std::collections::HashSet;
use std::time::Instant;

/// The living processes, to find the members of runs among them. Valid until a child is reaped.
pub(super) struct ProcessScan {
    pub(super) lineage: Lineage,
    pub(super) orphans: Vec<(u32, Option<RunId>)>,
}

/// The run that an orphan belongs to.
enum OrphanOwner {
    Run(RunId),
    Unowned,
    Undecided,
}

impl Reaper {
    /// The running main processes of this name.
    pub(in crate::runtime) fn main_pids(&self, name: &Name) -> Vec<u32> {
        let mains = self.runs.values().filter(|run| run.name == *name).map(|run| &run.main);
        mains.filter_map(|main| if let MainProcess::Running(pid) = main { Some(*pid) } else { None }).collect()
    }

    /// A scan for the members of a few runs.
    pub(super) fn scan(&mut self) -> ProcessScan {
        self.scan_by(Lineage::now())
    }

    /// One scan for all runs; `None` if more than `at_most` processes of this host are not main processes, so that it costs
    /// more than single scans.
    pub(super) fn scan_all(&mut self, at_most: usize) -> Option<ProcessScan> {
        let lineage = Lineage::scan_except(|pid| self.main_pids.contains_key(&pid), at_most)?;
        Some(self.scan_by(lineage))
    }

    fn scan_by(&mut self, lineage: Lineage) -> ProcessScan {
        let orphans = self.orphans(&lineage);
        ProcessScan { lineage, orphans }
    }

    /// Handles of every living process in a run's tree.
    pub(super) fn members(&self, scan: &ProcessScan, id: RunId) -> Vec<(u32, ProcessHandle)> {
        let mut roots = match self.runs.get(&id).map(|run| &run.main) {
            Some(MainProcess::Running(pid) | MainProcess::KilledEarly(pid)) => {
                vec![(*pid, self.hold_main(*pid, ProcessHandle::of_main))]
            }
            _ => Vec::new(),
        };
        roots.extend(self.former_mains_of(id));
        let former = self.former_of(id);
        roots.extend(former.into_iter().flat_map(FormerTree::handles));
        let of_run = scan.orphans.iter().filter(|&&(_, run)| run == Some(id));
        roots.extend(of_run.map(|&(pid, _)| (pid, ProcessHandle::of_child(pid))));
        let mut found = tree::descend(&scan.lineage, roots);
        // Without orphans, a main process without children is alone. The kernel's list is exact if it is empty.
        let is_alone = scan.orphans.is_empty() && found.len() <= 1 && former.is_none();
        if !is_alone && let Some(leaf) = self.runs.get(&id).and_then(|run| run.leaf.as_ref()) {
            let known: HashSet<u32> = found.iter().map(|&(pid, _)| pid).collect();
            found.extend(leaf.members().into_iter().filter(|pid| !known.contains(pid)).filter_map(|pid| hold(leaf, pid)));
        }
        found
    }

    /// A handle of an unreaped main process: by its pidfd, or else a new one.
    pub(super) fn hold_main(&self, pid: u32, another: fn(u32) -> ProcessHandle) -> ProcessHandle {
        self.exits.pidfd(pid).map_or_else(|| another(pid), ProcessHandle::Pidfd)
    }

    /// The pids of the orphans that were handed to us, each with its run if it belongs to one. Records whether one can't be decided.
    pub(super) fn orphans(&mut self, lineage: &Lineage) -> Vec<(u32, Option<RunId>)> {
        let mut children = self.parents.adopted(lineage);
        children.retain(|pid| {
            let is_main = self.main_pids.contains_key(pid) || self.former_mains.contains_key(pid);
            !is_main && self.start_with_pid(*pid).is_none()
        });
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

    /// The start of the child with this pid.
    pub(super) fn start_with_pid(&self, pid: u32) -> Option<RunId> {
        self.unstarted_pids().find(|&(_, number)| number == pid).map(|(id, _)| id)
    }

    /// The children of starts without an outcome, with their pids.
    pub(super) fn unstarted_pids(&self) -> impl Iterator<Item = (RunId, u32)> {
        let pid = |run: &TrackedRun| match &run.main {
            MainProcess::Starting { slot, ended: None, .. } | MainProcess::Refused { slot, .. } => slot.pid(),
            MainProcess::KilledEarly(pid) => Some(*pid),
            _ => None,
        };
        self.unstarted.iter().filter_map(move |&id| Some((id, pid(self.runs.get(&id)?)?)))
    }

    /// The run that a mark names, if the process's name matches, too.
    fn marked_run(&self, mark: &[u8]) -> Option<RunId> {
        let (name, run) = self.marker.own(mark)?;
        self.runs.get(&run).filter(|entered| entered.name.as_str() == name).map(|_| run)
    }

    /// The run that an orphan belongs to. The answer is stored, because session and environment may change later.
    fn owner(&mut self, pid: u32) -> OrphanOwner {
        if let Some(&known) = self.orphan_runs.get(&pid) {
            return OrphanOwner::Run(known);
        }
        let of_members = self.runs.iter().find(|(_, run)| run.signalled.holds(pid) || run.killed.holds(pid)).map(|(&id, _)| id);
        let of_session = || self.sessions.get(&proc::stat(pid)?.session).copied();
        let owner = match of_members.or_else(of_session) {
            Some(owner) => Some(owner),
            None => match proc::variable(pid, MARK) {
                MarkVariable::Value(mark) => self.marked_run(&mark),
                MarkVariable::Unset => None,
                MarkVariable::MidExec | MarkVariable::Ended => return OrphanOwner::Undecided,
            },
        };
        let Some(owner) = owner else { return OrphanOwner::Unowned };
        self.orphan_runs.insert(pid, owner);
        OrphanOwner::Run(owner)
    }
}

/// A handle of a member of a control group, unless it has left or ended. Needs a pidfd, because it may not be our child.
fn hold(leaf: &Leaf, pid: u32) -> Option<(u32, ProcessHandle)> {
    let pidfd = tree::try_open(pid).ok()?;
    let is_member = leaf.holds(pid) && tree::has_pid(&pidfd);
    is_member.then_some((pid, ProcessHandle::from_pidfd(pidfd))).filter(|(_, handle)| handle.is_alive())
}
