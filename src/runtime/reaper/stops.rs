//! How runs are told to stop. When all of a host stops at once, whom to tell is looked up once for all of them.

use super::super::proc;
use super::super::tree::{ProcessHandle, send_all};
use super::{MainProcess, Reaper, SignalWish};
use reconcile::event::RunId;

/// To look at each of fewer is no dearer than one look at whoever lives on this host.
const MANY: usize = 16;
/// For how many processes of the host that look costs as much as one at whom a leader has started.
const PRICE: usize = 8;
/// How many who are no leaders may be looked at for each that stops.
const OTHERS: usize = 2;

impl Reaper {
    /// Sends to everything in the tree of each of these runs its signal, then `CONT`. Late for a run that is gone, which is no
    /// error.
    pub(in crate::runtime) fn stop(&mut self, stops: &[(RunId, i32)]) {
        let stops: Vec<(RunId, i32)> = stops.iter().copied().filter(|&(id, signal)| self.can_be_told(id, signal)).collect();
        let are_many = stops.len() >= MANY && stops.len() * PRICE >= self.leaders.len();
        let last_number = if are_many { proc::last_number() } else { None };
        let Some(look) = are_many.then(|| self.look_at_all(stops.len() * OTHERS)).flatten() else {
            for (id, signal) in stops {
                let look = self.look();
                let found = self.find(&look, id);
                self.tell(id, signal, found);
            }
            return;
        };
        for &(id, signal) in &stops {
            let found = self.find(&look, id);
            self.tell(id, signal, found);
        }
        // That took a while. Whoever was born meanwhile is met now, and nobody else: while such a signal waits for a process, the
        // kernel lets it make no other.
        if last_number.is_some() && last_number == proc::last_number() {
            return;
        }
        if let Some(look) = self.look_at_all(stops.len() * OTHERS) {
            for (id, signal) in stops {
                let mut found = self.find(&look, id);
                found.retain(|&(pid, _)| self.runs.get(&id).is_some_and(|run| !run.told.holds(pid)));
                self.tell(id, signal, found);
            }
        }
    }

    /// Whether a run has a program that can be told anything; if it has yet to have one, it will be told then.
    fn can_be_told(&mut self, id: RunId, signal: i32) -> bool {
        let Some(run) = self.runs.get_mut(&id) else { return false };
        if let MainProcess::Starting { .. } | MainProcess::Refused { .. } | MainProcess::Doubtful(_) = run.leader {
            run.wish = run.wish.or(Some(SignalWish::Stop(signal)));
            return false;
        }
        true
    }

    fn tell(&mut self, id: RunId, signal: i32, found: Vec<(u32, ProcessHandle)>) {
        // All of them first, so that nobody sees another end before being told to end itself.
        for signal in [signal, libc::SIGCONT] {
            send_all(&found, signal);
        }
        if let Some(run) = self.runs.get_mut(&id) {
            run.told.add(found);
        }
    }
}
