//! The plan of a save, shown on a terminal: a small one before the first log line of the change, a large one later, from another
//! thread, so that it doesn't block the loop.

use crate::snapshot::PlanReport;
use crate::sys;
use reconcile::desired::Desired;
use reconcile::diff::ChangeClass;
use reconcile::engine::Engine;
use reconcile::time::Time;
use std::future::pending;
use std::thread;
use tokio::sync::oneshot;

/// If changes times processes exceed this, the plan is made on another thread. This many take some milliseconds.
const INLINE_LIMIT: usize = 20_000;

/// The plan to be shown next.
#[derive(Default)]
pub(super) struct ShownPlan {
    /// A finished plan, to be shown once its configuration is in force.
    ready: Option<PlanReport>,
    /// A plan that another thread makes.
    in_progress: Option<oneshot::Receiver<PlanReport>>,
}

impl ShownPlan {
    /// Makes the plan of a configuration that is about to be accepted. A plan in progress is dropped.
    pub(super) fn make(&mut self, engine: &Engine, now: Time, wanted: &Desired) {
        let changed = engine.changes(wanted).values().filter(|change| **change != ChangeClass::Keep).count();
        *self = ShownPlan::default();
        if changed * wanted.entries().len() <= INLINE_LIMIT {
            self.ready = Some(PlanReport::of(engine, now, wanted));
        } else {
            let (engine, wanted) = (engine.clone(), wanted.clone());
            let (done, plan) = oneshot::channel();
            // Without a thread no plan is shown. Sending fails if the plan was dropped.
            let started = thread::Builder::new().name("preview".to_owned()).spawn(move || {
                sys::schedule_as_batch();
                drop(done.send(PlanReport::of(&engine, now, &wanted)));
            });
            self.in_progress = started.ok().map(|_| plan);
        }
    }

    /// Returns the plan if it is ready, now that its configuration is in force.
    pub(super) fn take_ready(&mut self) -> Option<PlanReport> {
        self.ready.take()
    }

    /// Waits for the plan that another thread makes; for ever, if there is none.
    pub(super) async fn finished(&mut self) -> PlanReport {
        let Some(in_progress) = &mut self.in_progress else { return pending().await };
        let plan = in_progress.await;
        self.in_progress = None;
        match plan {
            Ok(plan) => plan,
            // A thread that sends none has panicked, which ends navigator.
            Err(_) => pending().await,
        }
    }
}
