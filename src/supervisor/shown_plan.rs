//! What a save changes, shown on a terminal: a small change at once, before its first line of the log; a large one from another thread,
//! so that the loop doesn't stand still for it.

use crate::snapshot::PlanReport;
use crate::sys;
use reconcile::desired::Desired;
use reconcile::diff::ChangeClass;
use reconcile::engine::Engine;
use reconcile::time::Time;
use std::future::pending;
use std::thread;
use tokio::sync::oneshot;

/// A preview plans once for every few changes, and each plan looks at every process. As many of these looks take some milliseconds.
const AT_ONCE: usize = 20_000;

/// The plan that is to be shown next.
#[derive(Default)]
pub(super) struct ShownPlan {
    /// It is made, and shown once it is in force.
    made: Option<PlanReport>,
    /// It is being made.
    coming: Option<oneshot::Receiver<PlanReport>>,
}

impl ShownPlan {
    /// Makes the plan of a configuration that is about to be wanted. One that is still being made is not shown any more.
    pub(super) fn make(&mut self, engine: &Engine, now: Time, wanted: &Desired) {
        let changed = engine.changes(wanted).values().filter(|change| **change != ChangeClass::Keep).count();
        *self = ShownPlan::default();
        if changed * wanted.entries().len() <= AT_ONCE {
            self.made = Some(PlanReport::of(engine, now, wanted));
        } else {
            let (engine, wanted) = (engine.clone(), wanted.clone());
            let (done, coming) = oneshot::channel();
            // Without a thread there is nothing to show; and if it is not wanted any more, nothing takes it.
            let begun = thread::Builder::new().name("preview".to_owned()).spawn(move || {
                sys::schedule_as_batch();
                drop(done.send(PlanReport::of(&engine, now, &wanted)));
            });
            self.coming = begun.ok().map(|_| coming);
        }
    }

    /// The configuration is in force now. Returns the plan of it, if that is made.
    pub(super) fn is_in_force(&mut self) -> Option<PlanReport> {
        self.made.take()
    }

    /// The plan that was being made; never, if none is.
    pub(super) async fn made(&mut self) -> PlanReport {
        let Some(coming) = &mut self.coming else { return pending().await };
        let made = coming.await;
        self.coming = None;
        match made {
            Ok(plan) => plan,
            // A thread that sends none has panicked, which ends the program.
            Err(_) => pending().await,
        }
    }
}
