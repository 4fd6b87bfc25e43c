//! Sends stop signals to the trees of runs. For many runs at once, the processes are looked up in one scan.

use super::super::proc::{self, Lineage};
use super::super::tree::{self, ProcessHandle, send, send_all};
use super::members::ProcessScan;
use super::stop_sent::StopSent;
use super::{MainProcess, PendingSignal, Reaper};
use reconcile::event::{Pid, RunId};

/// Processes of a run's tree, parents before their children.
type Members = Vec<(u32, ProcessHandle)>;

/// Below this number, one scan for each run costs no more than one scan of all processes on this host.
const MANY_STOPS: usize = 16;
/// How many processes a full scan reads in the time that a scan for one run takes.
const SCAN_COST: usize = 8;
/// How many processes other than main processes may be scanned for each stop.
const OTHERS_PER_STOP: usize = 2;

impl Reaper {
    /// Sends each run's signal, then `CONT`, to everything in its tree. For a run that is gone, this does nothing.
    ///
    /// A process with a pending signal can't fork, so only what was forked after its tree was listed can be missed. A second look
    /// finds it below its parent, and [`Reaper::signal_missed`] when its parent has ended.
    pub(in crate::runtime) fn stop(&mut self, stops: &[(RunId, i32)]) {
        let stops: Vec<(RunId, i32)> = stops.iter().copied().filter(|&(id, signal)| self.has_program(id, signal)).collect();
        if stops.is_empty() {
            return;
        }
        let listed = proc::last_pid();
        let mut sent = Vec::with_capacity(stops.len());
        self.with_each_tree(&stops, |reaper, (id, signal), found| {
            sent.push(proc::last_pid());
            reaper.signal_members(id, signal, found);
        });
        if listed.is_some() && proc::last_pid() == listed {
            return;
        }
        for (&(id, signal), sent) in stops.iter().zip(sent) {
            let Some(run) = self.runs.get_mut(&id) else { continue };
            let is_handled = run.signalled.pids().any(|pid| proc::handles(pid, signal));
            run.stop_sent = Some(StopSent { signal, newest: listed.zip(sent), is_handled });
        }
        self.with_each_tree(&stops, |reaper, (id, _), found| reaper.signal_those_missed(id, found));
    }

    /// Kills every child and everything below it, and returns their pids.
    pub(in crate::runtime) fn kill_every_child(&self) -> Vec<Pid> {
        let lineage = Lineage::now();
        let roots = self.parents.children(&lineage).into_iter().map(|pid| (pid, ProcessHandle::of_child(pid))).collect();
        let found = tree::descend(&lineage, roots);
        for (pid, handle) in &found {
            if let Err(error) = handle.signal(libc::SIGKILL) {
                tracing::warn!(target: "managed_processes", pid, signal = "KILL", %error, "Signal refused");
            }
        }
        found.into_iter().map(|(pid, _)| Pid(pid)).collect()
    }

    /// Sends a run's stop signal to what was missed when it was sent, if anything was. Call it when one of our children has ended.
    pub(super) fn signal_missed(&mut self, id: RunId, scan: &ProcessScan) {
        if self.runs.get(&id).is_some_and(|run| run.stop_sent.is_some()) {
            let found = self.members(scan, id);
            self.signal_those_missed(id, found);
        }
    }

    fn signal_those_missed(&mut self, id: RunId, found: Members) {
        let Some(run) = self.runs.get(&id) else { return };
        let Some(sent) = &run.stop_sent else { return };
        let signal = sent.signal;
        let missed = found.into_iter().filter(|&(pid, _)| !run.signalled.holds(pid) && sent.is_for(pid)).collect();
        self.signal_members(id, signal, missed);
    }

    /// Calls `act` with the members of each of these runs, listed in one scan or in one for each.
    fn with_each_tree(&mut self, stops: &[(RunId, i32)], mut act: impl FnMut(&mut Reaper, (RunId, i32), Members)) {
        let are_many = stops.len() >= MANY_STOPS && stops.len() * SCAN_COST >= self.main_pids.len();
        let common = if are_many { self.scan_all(stops.len() * OTHERS_PER_STOP) } else { None };
        for &stop in stops {
            let found = if let Some(scan) = &common {
                self.members(scan, stop.0)
            } else {
                let scan = self.scan();
                self.members(&scan, stop.0)
            };
            act(self, stop, found);
        }
    }

    /// Sends a run's signal, then `CONT`, to its main process alone.
    pub(in crate::runtime) fn stop_main(&mut self, id: RunId, signal: i32) {
        if !self.has_program(id, signal) {
            return;
        }
        let Some(run) = self.runs.get(&id) else { return };
        let MainProcess::Running(pid) = run.main else { return };
        let handle = self.hold_main(pid, ProcessHandle::of_child);
        for signal in [signal, libc::SIGCONT] {
            let _logged = send(&run.name, pid, &handle, signal);
        }
    }

    /// Whether a run's program has started. If its start is in progress, the signal is sent once it has.
    fn has_program(&mut self, id: RunId, signal: i32) -> bool {
        let Some(run) = self.runs.get_mut(&id) else { return false };
        if let MainProcess::Starting { .. } | MainProcess::Refused { .. } | MainProcess::KilledEarly(_) = run.main {
            run.pending = run.pending.or(Some(PendingSignal::Stop(signal)));
            return false;
        }
        true
    }

    fn signal_members(&mut self, id: RunId, signal: i32, found: Members) {
        // One signal to all before the next, so that no process sees another end before it gets its own signal.
        let Some(run) = self.runs.get_mut(&id) else { return };
        for signal in [signal, libc::SIGCONT] {
            let _logged = send_all(&run.name, &found, signal);
        }
        run.signalled.add(found);
    }
}
