//! Sends stop signals to the trees of runs. For many runs at once, the processes are looked up in one scan.

use super::super::proc;
use super::super::tree::{ProcessHandle, send, send_all};
use super::{MainProcess, PendingSignal, Reaper};
use reconcile::event::RunId;

/// Below this number, one scan for each run costs no more than one scan of all processes on this host.
const MANY_STOPS: usize = 16;
/// How many processes a full scan reads in the time that a scan for one run takes.
const SCAN_COST: usize = 8;
/// How many processes other than main processes may be scanned for each stop.
const OTHERS_PER_STOP: usize = 2;

impl Reaper {
    /// Sends each run's signal, then `CONT`, to everything in its tree. For a run that is gone, this does nothing.
    pub(in crate::runtime) fn stop(&mut self, stops: &[(RunId, i32)]) {
        let stops: Vec<(RunId, i32)> = stops.iter().copied().filter(|&(id, signal)| self.has_program(id, signal)).collect();
        let are_many = stops.len() >= MANY_STOPS && stops.len() * SCAN_COST >= self.main_pids.len();
        let last_pid = if are_many { proc::last_pid() } else { None };
        let Some(scan) = are_many.then(|| self.scan_all(stops.len() * OTHERS_PER_STOP)).flatten() else {
            for (id, signal) in stops {
                let scan = self.scan();
                let found = self.members(&scan, id);
                self.signal_members(id, signal, found);
            }
            return;
        };
        for &(id, signal) in &stops {
            let found = self.members(&scan, id);
            self.signal_members(id, signal, found);
        }
        // Only processes forked during the scan were missed: a process with a pending signal can't fork. No new pid: none.
        if last_pid.is_some() && last_pid == proc::last_pid() {
            return;
        }
        if let Some(scan) = self.scan_all(stops.len() * OTHERS_PER_STOP) {
            for (id, signal) in stops {
                let mut found = self.members(&scan, id);
                found.retain(|&(pid, _)| self.runs.get(&id).is_some_and(|run| !run.signalled.holds(pid)));
                self.signal_members(id, signal, found);
            }
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

    fn signal_members(&mut self, id: RunId, signal: i32, found: Vec<(u32, ProcessHandle)>) {
        // One signal to all before the next, so that no process sees another end before it gets its own signal.
        let Some(run) = self.runs.get_mut(&id) else { return };
        for signal in [signal, libc::SIGCONT] {
            let _logged = send_all(&run.name, &found, signal);
        }
        run.signalled.add(found);
    }
}
