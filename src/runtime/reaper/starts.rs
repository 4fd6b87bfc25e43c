//! Starts: each is entered before its clone, killed if its program isn't executed in time, and taken once it has an outcome.

use super::super::group::Leaf;
use super::super::refusal;
use super::super::spawn::NotSpawned;
use super::super::spawners::{RunningProcess, SpawnReport};
use super::super::tree::TreeMembers;
use super::{EarlyEnd, MainProcess, Reaper, SignalWish, TrackedRun};
use crate::sys::slot::Slot;
use reconcile::event::{Event, Pid, Refusal, RunId};
use reconcile::spec::Spec;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a child may take until its program is executed. A hanging file system, or a user with a lease on the program, must not
/// hold a spawner for longer.
///
/// It counts from the clone: waiting for a spawner, and looking up a user, are not the child's doing. A start that follows another
/// one counts from the outcome of that one, because its child does nothing but wait until then.
const LONGEST_START: Duration = Duration::from_secs(10);

impl Reaper {
    /// Enters a start that is about to be made; returns the mark, the slot and the control group for it.
    pub(in crate::runtime) fn expect(&mut self, run: RunId, spec: &Arc<Spec>) -> (String, Arc<Slot>, Option<Leaf>) {
        let slot = Arc::new(Slot::default());
        let leaf = self.groups.as_ref().map(|groups| groups.leaf(run, &spec.name));
        let leader = MainProcess::Starting { slot: Arc::clone(&slot), spec: Arc::clone(spec), turn: None, ended: None };
        let (told, killed) = (TreeMembers::default(), TreeMembers::default());
        let leaf_of_run = leaf.clone();
        let entered = TrackedRun {
            name: spec.name.clone(),
            leader,
            after: None,
            session: None,
            told,
            killed,
            wish: None,
            killing: false,
            leaf: leaf_of_run,
            emptying: None,
            is_unwatched: false,
        };
        self.runs.insert(run, Box::new(entered));
        self.unborn.insert(run);
        // It isn't made yet, so it can't be overdue before.
        self.starts_due.get_or_insert_with(|| Instant::now() + LONGEST_START);
        (self.marker.write(&spec.name, run), slot, leaf)
    }

    /// Takes the outcome of a start.
    pub(super) fn take(&mut self, report: SpawnReport) {
        let SpawnReport { run: id, outcome } = report;
        let Some(run) = self.runs.get_mut(&id) else { return };
        let MainProcess::Starting { slot, ended, .. } = &mut run.leader else { return };
        let (slot, ended) = (Arc::clone(slot), ended.take());
        match (outcome, ended) {
            (Ok(up), None) if matches!(run.wish, Some(SignalWish::Killed)) => run.leader = MainProcess::Doubtful(up.pid),
            (Ok(up), None) => self.is_up(id, up),
            (Ok(up), Some(ended)) => self.has_been(id, up.pid, ended),
            (Err(NotSpawned { had_child: true, why }), None) => run.leader = MainProcess::Refused { slot, why },
            (Err(NotSpawned { why, .. }), _) => self.refused(id, why),
        }
    }

    /// Enters a leader that runs, and does what was asked for meanwhile.
    fn is_up(&mut self, id: RunId, RunningProcess { pid, pidfd }: RunningProcess) {
        let Some(run) = self.lead(id, MainProcess::Up(pid)) else { return };
        run.session = Some(pid);
        let wish = run.wish.take();
        self.leaders.insert(pid, id);
        self.ends.expect(pid, pidfd);
        self.sessions.insert(pid, id);
        // A look at our children may have met it between its clone and its slot's being read.
        self.orphans.remove(&pid);
        self.news.push_back(Event::Spawned { run: id, pid: Pid(pid) });
        match wish {
            Some(SignalWish::Stop(signal)) => self.stop(&[(id, signal)]),
            Some(SignalWish::Kill | SignalWish::Killed) => self.kill(id),
            None => {}
        }
    }

    /// Enters a leader that was, with its whole life at once.
    pub(super) fn has_been(&mut self, id: RunId, pid: u32, EarlyEnd { status, has_executed }: EarlyEnd) {
        if !has_executed {
            let why = self.overdue.remove(&id).unwrap_or_else(|| Refusal::Failed {
                stage: "starting".to_owned(),
                error: format!("{status} before its program was executed"),
            });
            // Its spawner took it for started, and noted that.
            self.unwritten.push(id);
            return self.refused(id, why);
        }
        let Some(run) = self.lead(id, MainProcess::Ended) else { return };
        run.session = Some(pid);
        run.killing |= matches!(run.wish, Some(SignalWish::Kill | SignalWish::Killed));
        // Its number may be another leader's by now; then nothing is left in the session that it made.
        self.sessions.entry(pid).or_insert(id);
        self.news.push_back(Event::Spawned { run: id, pid: Pid(pid) });
        self.news.push_back(Event::Exited { run: id, status });
    }

    pub(super) fn refused(&mut self, run: RunId, why: Refusal) {
        self.forget(run);
        self.news.push_back(Event::NotSpawned { run, why });
    }

    /// When the next start may be overdue, if there is a start.
    pub(in crate::runtime) fn starts_due(&self) -> Option<Instant> {
        self.starts_due.filter(|_| !self.unborn.is_empty())
    }

    /// Kills the children that should have executed their program by now. Their starts have failed once they are reaped.
    pub(in crate::runtime) fn kill_overdue(&mut self, now: Instant) {
        let due: Vec<(RunId, Instant)> = self.unborn.iter().filter_map(|&id| Some((id, self.due(id, now)?))).collect();
        self.starts_due = due.iter().map(|&(_, due)| due).filter(|due| *due > now).min();
        for (id, _) in due.into_iter().filter(|&(_, due)| due <= now) {
            if let Some(MainProcess::Starting { spec, .. }) = self.runs.get(&id).map(|run| &run.leader) {
                self.overdue.insert(id, refusal::of_hanging(&spec.exec, LONGEST_START));
                self.kill(id);
            }
        }
    }

    /// When the program of a start must have been executed. If its time doesn't count yet: the earliest that this can be.
    fn due(&self, id: RunId, now: Instant) -> Option<Instant> {
        let run = self.runs.get(&id)?;
        let MainProcess::Starting { slot, turn, ended: None, .. } = &run.leader else { return None };
        if let Some(SignalWish::Killed) = run.wish {
            return None;
        }
        let cloned = slot.begun().filter(|_| slot.pid().is_some() && !self.is_early(id));
        let from = cloned.map_or(now, |cloned| turn.map_or(cloned, |turn| turn.max(cloned)));
        Some(from + LONGEST_START)
    }
}
