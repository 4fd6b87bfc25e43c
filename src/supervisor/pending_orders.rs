//! Orders that clients wait for: each is answered in the step in which it succeeds or becomes impossible.
//!
//! A step checks only the orders for processes that it changed. Whether an order is stuck is found from views
//! ([`TrackedOrder::stuck`]).

use super::view::LoopView;
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, Event, Order, RunId};
use reconcile::order_progress::{Goal, OrderProgress};
use reconcile::report::Report;
use reconcile::text::Name;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::oneshot;

/// Whether an order is done; if it failed, why.
pub type OrderOutcome = Result<(), String>;

/// A handle for the outcome of an order.
#[derive(Debug)]
pub struct TrackedOrder {
    goal: Option<Goal>,
    /// Its outcome.
    pub outcome: oneshot::Receiver<OrderOutcome>,
}

impl TrackedOrder {
    /// A tracked order, and where to send its outcome. `goal`: the state that it is to reach, if the engine carries it out.
    pub(super) fn new(goal: Option<Goal>) -> (TrackedOrder, oneshot::Sender<OrderOutcome>) {
        let (reply, outcome) = oneshot::channel();
        (TrackedOrder { goal, outcome }, reply)
    }

    /// An order that is not carried out.
    pub(super) fn refused(why: String) -> TrackedOrder {
        let (tracked, reply) = TrackedOrder::new(None);
        // It is received by the order that was just made.
        drop(reply.send(Err(why)));
        tracked
    }

    /// Why the order can't finish without intervention; `None` if the view shows no reason.
    pub fn stuck(&self, view: &LoopView) -> Option<String> {
        self.goal.as_ref().and_then(|goal| view.stuck(goal))
    }
}

/// The orders that clients wait for, by process.
#[derive(Default)]
pub(super) struct PendingOrders(BTreeMap<Name, Vec<(Goal, oneshot::Sender<OrderOutcome>)>>);

/// The processes that a step changes.
pub(super) enum ChangedProcesses {
    All,
    These(BTreeSet<Name>),
}

impl ChangedProcesses {
    /// The processes of these events, before the engine takes them in.
    pub(super) fn of_events(engine: &Engine, events: &[Event]) -> ChangedProcesses {
        let mut names = BTreeSet::new();
        for event in events {
            match event {
                Event::Wanted(_) | Event::Order(Order::Retry | Order::Shutdown | Order::Hurry) => return ChangedProcesses::All,
                Event::Order(Order::Start(name) | Order::Stop(name) | Order::Restart(name) | Order::RestartStopFirst(name))
                | Event::Content { name, .. }
                | Event::Held { name, .. }
                | Event::Socket { name, .. } => {
                    names.insert(name.clone());
                }
                of_run => names.extend(of_run.run().and_then(|run| name_of(engine, run))),
            }
        }
        ChangedProcesses::These(names)
    }

    /// Adds the processes for which the step acts or reports something.
    pub(super) fn with_outcome(self, engine: &Engine, outcome: &StepOutcome) -> ChangedProcesses {
        let ChangedProcesses::These(mut names) = self else { return self };
        names.extend(outcome.actions.iter().filter_map(|action| match action {
            Action::Spawn { spec, .. } => Some(spec.name.clone()),
            Action::Hold { name, .. } => Some(name.clone()),
            other => other.run().and_then(|run| name_of(engine, run)),
        }));
        names.extend(outcome.reports.iter().filter_map(|report| match report {
            Report::Process(transition) => Some(transition.name.clone()),
            Report::Accepted(_)
            | Report::Unchanged
            | Report::Stalled { .. }
            | Report::Good(_)
            | Report::RolledBack { .. }
            | Report::KnownBad
            | Report::ShuttingDown(_) => None,
        }));
        ChangedProcesses::These(names)
    }
}

impl PendingOrders {
    pub(super) fn add(&mut self, goal: Goal, reply: oneshot::Sender<OrderOutcome>) {
        self.0.entry(goal.name().clone()).or_default().push((goal, reply));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers the finished orders for processes that a step changed.
    pub(super) fn answer(&mut self, engine: &Engine, changed: ChangedProcesses) {
        let names = match changed {
            ChangedProcesses::All => self.0.keys().cloned().collect(),
            ChangedProcesses::These(names) => names,
        };
        for name in names {
            let Some(goals) = self.0.get_mut(&name) else { continue };
            for (goal, reply) in std::mem::take(goals) {
                match goal.progress(engine) {
                    // Sending fails if the client has gone.
                    OrderProgress::Reached => drop(reply.send(Ok(()))),
                    OrderProgress::Missed(why) => drop(reply.send(Err(why))),
                    OrderProgress::Coming if reply.is_closed() => {}
                    OrderProgress::Coming => goals.push((goal, reply)),
                }
            }
            if goals.is_empty() {
                self.0.remove(&name);
            }
        }
        debug_assert!(
            self.0.values().flatten().all(|(goal, _)| goal.progress(engine) == OrderProgress::Coming),
            "a finished order is answered at once"
        );
    }
}

fn name_of(engine: &Engine, run: RunId) -> Option<Name> {
    engine.observed().run(run).map(|run| run.spec.name.clone())
}
