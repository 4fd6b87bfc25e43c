//! Clients that wait for an order: each is answered in the step in which what it ordered has come about, or can't any more.
//!
//! Only those are looked at whose process changed. Whether one is stuck, a reader finds out from views ([`Followed`]).

use super::view::LoopView;
use reconcile::engine::{Engine, StepOutcome as Stepped};
use reconcile::event::{Action, Event, Order, RunId};
use reconcile::order_progress::{Goal, OrderProgress};
use reconcile::report::Report;
use reconcile::text::Name;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::oneshot;

/// Whether an order has come about; if not, why.
pub type OrderOutcome = Result<(), String>;

/// An order that was taken.
#[derive(Debug)]
pub struct TrackedOrder {
    goal: Option<Goal>,
    /// What came of it.
    pub outcome: oneshot::Receiver<OrderOutcome>,
}

impl TrackedOrder {
    /// An order, what it is to come to, and where to send what came of it.
    pub(super) fn new(goal: Option<Goal>) -> (TrackedOrder, oneshot::Sender<OrderOutcome>) {
        let (reply, outcome) = oneshot::channel();
        (TrackedOrder { goal, outcome }, reply)
    }

    /// Why it doesn't come about by itself, as far as a view shows that.
    pub fn stuck(&self, view: &LoopView) -> Option<String> {
        self.goal.as_ref().and_then(|goal| view.stuck(goal))
    }
}

/// What is waited for, by the process that it is about.
#[derive(Default)]
pub(super) struct PendingOrders(BTreeMap<Name, Vec<(Goal, oneshot::Sender<OrderOutcome>)>>);

/// The processes whose facts a step changes.
pub(super) enum ChangedProcesses {
    All,
    These(BTreeSet<Name>),
}

impl ChangedProcesses {
    /// Those that events are about which the engine is going to take in.
    pub(super) fn before(engine: &Engine, events: &[Event]) -> ChangedProcesses {
        let mut names = BTreeSet::new();
        for event in events {
            match event {
                Event::Wanted(_) | Event::Order(Order::Shutdown | Order::Hurry) => return ChangedProcesses::All,
                Event::Order(Order::Start(name) | Order::Stop(name) | Order::Restart(name)) | Event::Content { name, .. } => {
                    names.insert(name.clone());
                }
                Event::Spawned { run, .. }
                | Event::NotSpawned { run, .. }
                | Event::Ready { run }
                | Event::Unready { run, .. }
                | Event::Unhealthy { run, .. }
                | Event::Reloaded { run, .. }
                | Event::Exited { run, .. }
                | Event::Gone { run } => names.extend(name_of(engine, *run)),
            }
        }
        ChangedProcesses::These(names)
    }

    /// Also those about which a step, as the engine says, does something.
    pub(super) fn by(self, engine: &Engine, stepped: &Stepped) -> ChangedProcesses {
        let ChangedProcesses::These(mut names) = self else { return self };
        names.extend(stepped.actions.iter().filter_map(|action| match action {
            Action::Spawn { spec, .. } => Some(spec.name.clone()),
            other => name_of(engine, other.run()),
        }));
        names.extend(stepped.reports.iter().filter_map(|report| match report {
            Report::Process(transition) => Some(transition.name.clone()),
            Report::Accepted(_) | Report::Unchanged => None,
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

    /// Answers those whose wait is over, after a step that changed these.
    pub(super) fn answer(&mut self, engine: &Engine, touched: ChangedProcesses) {
        let names = match touched {
            ChangedProcesses::All => self.0.keys().cloned().collect(),
            ChangedProcesses::These(names) => names,
        };
        for name in names {
            let Some(goals) = self.0.get_mut(&name) else { continue };
            for (goal, reply) in std::mem::take(goals) {
                match goal.progress(engine) {
                    // A client that has gone doesn't hear it.
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
            "an order that has come about is answered at once"
        );
    }
}

fn name_of(engine: &Engine, run: RunId) -> Option<Name> {
    engine.observed().run(run).map(|run| run.spec.name.clone())
}
