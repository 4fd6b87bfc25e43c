//! Starts: each is registered before its clone, killed if its exec is overdue, and taken once it has an outcome.

use super::super::group::Leaf;
use super::super::refusal;
use super::super::spawn::NotSpawned;
use super::super::spawners::{RunningProcess, SpawnReport};
use super::super::tree::TreeMembers;
use super::{EarlyEnd, MainProcess, PendingSignal, Reaper, TrackedRun};
use crate::sys::slot::Slot;
use reconcile::event::{Event, Pid, Refusal, RunId};
use reconcile::spec::Spec;
use reconcile::text::Name;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a child may take until its exec. A hanging file system, or a lease on the program, must not block a spawner for longer.
///
/// The time counts from the clone, so waiting for a spawner and looking up a user are not included. For a start that comes after
/// another one, it counts from the outcome of that one, because its child only waits until then.
const START_TIMEOUT: Duration = Duration::from_secs(10);

impl Reaper {
    /// The names of processes with starts that have no outcome yet.
    pub(in crate::runtime) fn starting(&self) -> Vec<Name> {
        self.unstarted.iter().filter_map(|id| Some(self.runs.get(id)?.name.clone())).collect()
    }

    /// Registers a start that is about to be made. Returns its mark, its slot and its control group.
    pub(in crate::runtime) fn register_start(&mut self, run: RunId, spec: &Arc<Spec>) -> (String, Arc<Slot>, Option<Leaf>) {
        let slot = Arc::new(self.parents.place().slot());
        let leaf = self.groups.as_ref().map(|groups| groups.leaf(run, &spec.name));
        let main = MainProcess::Starting { slot: Arc::clone(&slot), spec: Arc::clone(spec), turn: None, ended: None };
        let (signalled, killed) = (TreeMembers::default(), TreeMembers::default());
        let entered = TrackedRun {
            name: spec.name.clone(),
            main,
            after: None,
            session: None,
            signalled,
            stop_sent: None,
            killed,
            pending: None,
            is_killing: false,
            leaf: leaf.clone(),
            leaf_watch: None,
            has_watch_failed: false,
            former: None,
        };
        self.runs.insert(run, Box::new(entered));
        self.unstarted.insert(run);
        // It is made later, so it can't be overdue earlier than this.
        self.starts_due.get_or_insert_with(|| Instant::now() + START_TIMEOUT);
        (self.marker.write(&spec.name, run), slot, leaf)
    }

    /// Takes the outcome of a start.
    pub(super) fn take_report(&mut self, report: SpawnReport) {
        let SpawnReport { run: id, outcome } = report;
        let Some(run) = self.runs.get_mut(&id) else { return };
        let MainProcess::Starting { slot, ended, .. } = &mut run.main else { return };
        let (slot, ended) = (Arc::clone(slot), ended.take());
        match (outcome, ended) {
            (Ok(main), None) if matches!(run.pending, Some(PendingSignal::Killed)) => {
                run.main = MainProcess::KilledEarly(main.pid);
            }
            (Ok(main), None) => self.main_runs(id, main),
            (Ok(main), Some(ended)) => self.main_ended_early(id, main.pid, ended),
            (Err(NotSpawned { has_child: true, why }), None) => run.main = MainProcess::Refused { slot, why },
            (Err(NotSpawned { why, .. }), _) => self.report_refused(id, why),
        }
    }

    /// Takes a main process that runs, and sends what was requested meanwhile.
    fn main_runs(&mut self, id: RunId, RunningProcess { pid, pidfd }: RunningProcess) {
        let Some(run) = self.set_main(id, MainProcess::Running(pid)) else { return };
        run.session = Some(pid);
        let pending = run.pending.take();
        self.main_pids.insert(pid, id);
        self.exits.add(pid, pidfd);
        self.sessions.insert(pid, id);
        // A scan between its clone and the write of its pid may have taken it for an orphan.
        self.orphan_runs.remove(&pid);
        self.events.push_back(Event::Spawned { run: id, pid: Pid(pid) });
        match pending {
            Some(PendingSignal::Stop(signal)) => self.stop(&[(id, signal)]),
            Some(PendingSignal::Kill | PendingSignal::Killed) => self.kill(id),
            None => {}
        }
    }

    /// Takes a main process that has started and ended already.
    pub(super) fn main_ended_early(&mut self, id: RunId, pid: u32, EarlyEnd { status, has_executed }: EarlyEnd) {
        if !has_executed {
            let why = self.overdue.remove(&id).unwrap_or_else(|| Refusal::Failed {
                stage: "starting".to_owned(),
                error: format!("{status} before its program was executed"),
            });
            // Its spawner recorded it as started.
            self.unrecorded.push(self.journal.key(id.0));
            return self.report_refused(id, why);
        }
        let Some(run) = self.set_main(id, MainProcess::Reaped) else { return };
        run.session = Some(pid);
        run.is_killing |= matches!(run.pending, Some(PendingSignal::Kill | PendingSignal::Killed));
        // Its pid may be another main process's by now; then its session has no members left.
        self.sessions.entry(pid).or_insert(id);
        self.events.push_back(Event::Spawned { run: id, pid: Pid(pid) });
        self.report_exit(id, status);
    }

    pub(super) fn report_refused(&mut self, run: RunId, why: Refusal) {
        self.remove_run(run);
        self.events.push_back(Event::NotSpawned { run, why });
    }

    /// When the next start may be overdue, if one is in progress.
    pub(in crate::runtime) fn starts_due(&self) -> Option<Instant> {
        self.starts_due.filter(|_| !self.unstarted.is_empty())
    }

    /// Kills the children with an overdue exec. Their starts fail once they are reaped.
    pub(in crate::runtime) fn kill_overdue(&mut self, now: Instant) {
        let due: Vec<(RunId, Instant)> = self.unstarted.iter().filter_map(|&id| Some((id, self.due(id, now)?))).collect();
        self.starts_due = due.iter().map(|&(_, due)| due).filter(|due| *due > now).min();
        for (id, _) in due.into_iter().filter(|&(_, due)| due <= now) {
            if let Some(MainProcess::Starting { spec, .. }) = self.runs.get(&id).map(|run| &run.main) {
                self.overdue.insert(id, refusal::of_hanging(&spec.exec, START_TIMEOUT));
                self.kill(id);
            }
        }
    }

    /// When the exec of a start is overdue. If its time doesn't count yet, the earliest that this can be.
    fn due(&self, id: RunId, now: Instant) -> Option<Instant> {
        let run = self.runs.get(&id)?;
        let MainProcess::Starting { slot, turn, ended: None, .. } = &run.main else { return None };
        if let Some(PendingSignal::Killed) = run.pending {
            return None;
        }
        let cloned = slot.begun().filter(|_| slot.pid().is_some() && !self.is_early(id));
        let from = cloned.map_or(now, |cloned| turn.map_or(cloned, |turn| turn.max(cloned)));
        Some(from + START_TIMEOUT)
    }
}
