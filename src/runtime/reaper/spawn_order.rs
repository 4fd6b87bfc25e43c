//! Starts that come after others: what each waits for, and in which order their outcomes are taken. How a child waits is
//! [`crate::sys::slot`]'s affair.

use super::super::spawn::NotSpawned;
use super::super::spawners::SpawnReport;
use super::{MainProcess, Reaper, TrackedRun};
use crate::sys::slot::Slot;
use reconcile::event::{Refusal, RunId};
use std::sync::Arc;
use std::time::Instant;

impl Reaper {
    /// Has a start follow another; returns what it has to wait for, the nearest first. One that fails early is over before those that
    /// it follows itself.
    pub(in super::super) fn follow(&mut self, run: RunId, after: RunId) -> Vec<Arc<Slot>> {
        if let Some(run) = self.runs.get_mut(&run) {
            run.after = Some(after);
        }
        let known = |id: RunId| self.runs.get(&id).map(|run| &**run);
        let slot =
            |run: &TrackedRun| if let MainProcess::Starting { slot, .. } = &run.leader { Some(Arc::clone(slot)) } else { None };
        std::iter::successors(known(after), |run| known(run.after?)).filter_map(slot).collect()
    }

    /// Whether the start that this one follows has no outcome that was told.
    pub(super) fn is_early(&self, run: RunId) -> bool {
        self.runs.get(&run).and_then(|run| run.after).is_some_and(|after| self.unborn.contains(&after))
    }

    /// A start has an outcome: those that follow it have their turn now.
    pub(super) fn is_over(&mut self, start: RunId) {
        if !self.unborn.remove(&start) {
            return;
        }
        for id in &self.unborn {
            if let Some(run) = self.runs.get_mut(id).filter(|run| run.after == Some(start))
                && let MainProcess::Starting { turn, .. } = &mut run.leader
            {
                *turn = Some(Instant::now());
            }
        }
    }

    /// Takes it that a start can't even be attempted. No spawner sees to those who wait for it, so that is done here.
    pub(in super::super) fn refuse(&mut self, run: RunId, why: Refusal) {
        if let Some(MainProcess::Starting { slot, .. }) = self.runs.get(&run).map(|run| &run.leader) {
            slot.end();
        }
        self.reported(SpawnReport { run, outcome: Err(NotSpawned { had_child: false, why }) });
    }

    /// A start has an outcome.
    pub(in super::super) fn reported(&mut self, report: SpawnReport) {
        self.early.push(report);
        self.tell_of_starts();
    }

    /// Takes the outcomes of starts, each after that of the one that it follows.
    pub(super) fn tell_of_starts(&mut self) {
        while let Some(place) = self.early.iter().position(|report| !self.is_early(report.run)) {
            let report = self.early.remove(place);
            self.take(report);
        }
    }
}
