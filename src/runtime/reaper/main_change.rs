//! Another process of a tree becomes its main process, as a server does that replaces itself (`MAINPID=` of `sd_notify(3)`).
//!
//! The new main process may be a child of the old one, or of another process. If the old one still runs when it ends, that is the
//! main process again. Otherwise the end counts like any other; how it ended is read from its pidfd or from `/proc`, because only
//! its parent can wait for it.

use super::super::resources::out_of_memory;
use super::super::tree::{self, ProcessHandle};
use super::{MainProcess, Reaper, status};
use crate::journal::{FactUpdate, MainFact};
use reconcile::event::{Event, ExitStatus, Pid, RunId};
use reconcile::spec::Signal;

impl Reaper {
    /// Makes another process of a run's tree its main process.
    ///
    /// # Errors
    /// It is not in the tree, or its end could not be noticed.
    pub(in crate::runtime) fn change_main(&mut self, id: RunId, pid: u32) -> Result<(), &'static str> {
        let Some(MainProcess::Running(former)) = self.runs.get(&id).map(|run| &run.main) else {
            return Err("the main process has ended");
        };
        let former = *former;
        if pid == former {
            return Ok(());
        }
        let Ok(pidfd) = tree::try_open(pid) else { return Err("there is no such process") };
        let scan = self.scan();
        let is_member = self.members(&scan, id).iter().any(|&(member, _)| member == pid) && tree::has_pid(&pidfd);
        if !is_member {
            return Err("it is not in the process tree");
        }
        self.main_pids.remove(&former);
        self.former_mains.insert(former, id);
        self.become_main(id, pid, pidfd);
        Ok(())
    }

    fn become_main(&mut self, id: RunId, pid: u32, pidfd: rustix::fd::OwnedFd) {
        self.former_mains.remove(&pid);
        self.orphan_runs.remove(&pid);
        let key = self.key(id);
        let (ticks, inode) = tree::identity(pid, Some(&pidfd));
        self.journal.update(vec![FactUpdate::Main(MainFact { key, pid, ticks, inode })]);
        self.exits.forget(pid);
        self.exits.add(pid, Some(pidfd));
        self.main_pids.insert(pid, id);
        if let Some(run) = self.runs.get_mut(&id) {
            run.main = MainProcess::Running(pid);
        }
        self.events.push_back(Event::MainChanged { run: id, pid: Pid(pid) });
    }

    /// Takes the end of a main process that is not our child, so its parent reads its status.
    pub(super) fn foreign_main_ended(&mut self, pid: u32) {
        let Some(id) = self.main_pids.remove(&pid) else { return };
        let pidfd = self.exits.forget(pid);
        let former = self.former_mains.iter().find(|&(_, &run)| run == id).map(|(&former, _)| former);
        if let Some((former, pidfd)) = former.and_then(|former| Some((former, tree::try_open(former).ok()?))) {
            return self.become_main(id, former, pidfd);
        }
        if let Some(run) = self.set_main(id, MainProcess::Reaped) {
            run.forget(pid);
        }
        let how = pidfd.and_then(|pidfd| tree::exit_kind(pid, &pidfd));
        self.report_exit(id, how.map_or(ExitStatus::Lost, status));
    }

    /// Reports how the main process of a run ended. The kernel ends one by `KILL` when memory runs out, and counts that in its group.
    pub(super) fn report_exit(&mut self, id: RunId, status: ExitStatus) {
        let is_killed = status == ExitStatus::Signal(Signal::KILL);
        let leaf = self.runs.get(&id).filter(|run| is_killed && !run.is_killing).and_then(|run| run.leaf.as_ref());
        let is_out_of_memory = leaf.is_some_and(|leaf| out_of_memory(leaf.directory()) > 0);
        let status = if is_out_of_memory { ExitStatus::OutOfMemory } else { status };
        self.events.push_back(Event::Exited { run: id, status });
    }

    /// Unreaped former main processes of a run.
    pub(super) fn former_mains_of(&self, id: RunId) -> impl Iterator<Item = (u32, ProcessHandle)> {
        let of_run = self.former_mains.iter().filter(move |&(_, &run)| run == id);
        of_run.map(|(&pid, _)| (pid, self.hold_main(pid, ProcessHandle::of_child)))
    }
}
