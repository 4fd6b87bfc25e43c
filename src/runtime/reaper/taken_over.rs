//! Runs that were taken over from a former life of navigator.
//!
//! Their processes are not our children. So pidfds report their ends, and a process that was forked since is found by evidence,
//! see [`super::super::orphans`].

use super::super::orphans::ReleasedTree;
use super::super::tree::{ProcessHandle, TreeMembers};
use super::former_tree::{FormerMembers, FormerTree};
use super::unclaimed::UnclaimedEnds;
use super::{MainProcess, Reaper, TrackedRun, status};
use crate::journal::{RunKey, Started};
use reconcile::event::{ExitStatus, RunId};
use reconcile::text::Name;

impl Reaper {
    /// Enters a run of a former life. Its main process has ended if the tree has none. Then report that.
    pub(in crate::runtime) fn take_over(&mut self, id: RunId, name: &Name, key: RunKey, tree: ReleasedTree) {
        let ReleasedTree { main, mut held, group } = tree;
        let main = main.and_then(|main| Some((main.pid, held.remove(&main.pid)?.into_pidfd()?)));
        let mut former = FormerTree::new(key);
        former.add(held, self.emptied_groups.get_ref());
        let pid = main.as_ref().map(|&(pid, _)| pid);
        let entered = TrackedRun {
            name: name.clone(),
            main: pid.map_or(MainProcess::Reaped, MainProcess::Running),
            after: None,
            session: pid,
            signalled: TreeMembers::default(),
            stop_sent: None,
            killed: TreeMembers::default(),
            pending: None,
            is_killing: false,
            leaf: group.filter(|leaf| !leaf.holds(std::process::id())),
            leaf_watch: None,
            has_watch_failed: false,
            former: Some(Box::new(former)),
        };
        self.runs.insert(id, Box::new(entered));
        match main {
            Some((pid, pidfd)) => {
                self.main_pids.insert(pid, id);
                self.sessions.insert(pid, id);
                self.exits.add_foreign(pid, pidfd);
            }
            None => drop(self.without_main.insert(id)),
        }
    }

    /// From now on, keeps how children end that are of no run.
    pub(in crate::runtime) fn keep_unclaimed_ends(&mut self) {
        self.unclaimed.begin();
    }

    /// Forgets them.
    pub(in crate::runtime) fn forget_unclaimed_ends(&mut self) {
        self.unclaimed = UnclaimedEnds::default();
    }

    /// How a main process of a former life ended, if it was our child.
    pub(in crate::runtime) fn end_of_former(&mut self, started: &Started) -> Option<ExitStatus> {
        let Reaper { parents, unclaimed, .. } = self;
        unclaimed.end_of(started, || parents.ended_of(&[started.pid]).ok()?.pop().map(|ended| status(ended.how)))
    }

    /// The members of a run that was taken over; `None`: it wasn't.
    pub(super) fn former_members(&mut self, id: RunId) -> Option<FormerMembers> {
        let run = self.runs.get_mut(&id)?;
        let former = run.former.as_mut()?;
        let has_group = run.leaf.as_ref().is_some_and(|leaf| leaf.directory().exists());
        Some(former.members(has_group))
    }

    /// The runs that were taken over, and seem to be gone: they have to be searched for by evidence.
    pub(in crate::runtime) fn unsearched(&mut self) -> Vec<(RunId, RunKey)> {
        let without_main: Vec<RunId> = self.without_main.iter().copied().collect();
        let unknown = without_main.into_iter().filter(|&id| self.former_members(id) == Some(FormerMembers::Unknown));
        let unknown: Vec<RunId> = unknown.collect();
        unknown.into_iter().map(|id| (id, self.key(id))).collect()
    }

    /// Takes what a search for a run by evidence has found. `is_undecided`: a process can't be judged yet.
    pub(in crate::runtime) fn searched(&mut self, id: RunId, found: Vec<(u32, ProcessHandle)>, is_undecided: bool) {
        let Some(former) = self.runs.get_mut(&id).and_then(|run| run.former.as_mut()) else { return };
        former.add(found, self.emptied_groups.get_ref());
        former.searched(is_undecided);
    }

    /// Whether a run has to be searched for again soon, because a process is in the middle of an exec.
    pub(super) fn is_any_unsearched(&self) -> bool {
        let is_undecided = |run: &TrackedRun| run.former.as_ref().is_some_and(|former| former.is_undecided());
        self.without_main.iter().filter_map(|id| self.runs.get(id)).any(|run| is_undecided(run))
    }

    pub(super) fn former_of(&self, id: RunId) -> Option<&FormerTree> {
        self.runs.get(&id)?.former.as_deref()
    }

    /// The entry of a run in the journal.
    pub(super) fn key(&self, id: RunId) -> RunKey {
        self.former_of(id).map_or_else(|| self.journal.key(id.0), |former| former.key.clone())
    }

    /// The keys of runs that were taken over and are gone, since the last call.
    pub(in crate::runtime) fn take_gone_former(&mut self) -> Vec<RunKey> {
        std::mem::take(&mut self.gone_former)
    }
}
