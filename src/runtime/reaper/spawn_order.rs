//! Starts that come after other starts: what each waits for, and the order in which outcomes are taken.
//!
//! [`crate::sys::slot`] describes how a child waits.

use super::super::spawn::NotSpawned;
use super::super::spawners::SpawnReport;
use super::{MainProcess, Reaper, TrackedRun};
use crate::sys::slot::Slot;
use reconcile::event::{Refusal, RunId};
use std::sync::Arc;
use std::time::Instant;

impl Reaper {
    /// Makes a start come after another one. Returns all earlier starts that it has to wait for, the nearest first: a start that
    /// fails early is over before those that it comes after.
    pub(in super::super) fn follow(&mut self, run: RunId, after: RunId) -> Vec<Arc<Slot>> {
        if let Some(run) = self.runs.get_mut(&run) {
            run.after = Some(after);
        }
        let known = |id: RunId| self.runs.get(&id).map(|run| &**run);
        let slot =
            |run: &TrackedRun| if let MainProcess::Starting { slot, .. } = &run.main { Some(Arc::clone(slot)) } else { None };
        std::iter::successors(known(after), |run| known(run.after?)).filter_map(slot).collect()
    }

    /// Whether the start that this one comes after has no outcome that was taken.
    pub(super) fn is_early(&self, run: RunId) -> bool {
        self.runs.get(&run).and_then(|run| run.after).is_some_and(|after| self.unstarted.contains(&after))
    }

    /// A start is over: the time of those that come after it begins.
    pub(super) fn end_start(&mut self, start: RunId) {
        if !self.unstarted.remove(&start) {
            return;
        }
        for id in &self.unstarted {
            if let Some(run) = self.runs.get_mut(id).filter(|run| run.after == Some(start))
                && let MainProcess::Starting { turn, .. } = &mut run.main
            {
                *turn = Some(Instant::now());
            }
        }
    }

    /// Takes the failure of a start that can't be attempted. No spawner releases the starts that wait for it, so this does.
    pub(in super::super) fn refuse(&mut self, run: RunId, why: Refusal) {
        if let Some(MainProcess::Starting { slot, .. }) = self.runs.get(&run).map(|run| &run.main) {
            slot.end();
        }
        self.start_reported(SpawnReport { run, outcome: Err(NotSpawned { has_child: false, why }) });
    }

    /// Takes a spawner's report of a start.
    pub(in super::super) fn start_reported(&mut self, report: SpawnReport) {
        self.early_reports.push(report);
        self.take_reports();
    }

    /// Takes the outcomes of starts, each after the outcome of the start that it comes after.
    pub(super) fn take_reports(&mut self) {
        while let Some(index) = self.early_reports.iter().position(|report| !self.is_early(report.run)) {
            let report = self.early_reports.remove(index);
            self.take_report(report);
        }
    }
}
