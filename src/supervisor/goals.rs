//! Clients that wait for an order: each is answered in the step in which what it ordered has come about, or can't any more.
//!
//! Only those are looked at whose process changed. Whether one is stuck, a reader finds out from views ([`Followed`]).

use super::view::View;
use reconcile::engine::{Engine, Outcome as Stepped};
use reconcile::event::{Action, Event, Order, RunId};
use reconcile::goal::{Goal, Progress};
use reconcile::report::Report;
use reconcile::text::Name;
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::oneshot;

/// Whether an order has come about; if not, why.
pub type Outcome = Result<(), String>;

/// An order that was taken.
#[derive(Debug)]
pub struct Followed {
    goal: Option<Goal>,
    /// What came of it.
    pub outcome: oneshot::Receiver<Outcome>,
}

impl Followed {
    /// An order, what it is to come to, and where to send what came of it.
    pub(super) fn new(goal: Option<Goal>) -> (Followed, oneshot::Sender<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        (Followed { goal, outcome }, reply)
    }

    /// Why it doesn't come about by itself, as far as a view shows that.
    pub fn stuck(&self, view: &View) -> Option<String> {
        self.goal.as_ref().and_then(|goal| view.stuck(goal))
    }
}

/// What is waited for, by the process that it is about.
#[derive(Default)]
pub(super) struct Goals(BTreeMap<Name, Vec<(Goal, oneshot::Sender<Outcome>)>>);

/// The processes whose facts a step changes.
pub(super) enum Touched {
    All,
    These(BTreeSet<Name>),
}

impl Touched {
    /// Those that events are about which the engine is going to take in.
    pub(super) fn before(engine: &Engine, events: &[Event]) -> Touched {
        let mut names = BTreeSet::new();
        for event in events {
            match event {
                Event::Wanted(_) | Event::Order(Order::Shutdown | Order::Hurry) => return Touched::All,
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
        Touched::These(names)
    }

    /// Also those about which a step, as the engine says, does something.
    pub(super) fn by(self, engine: &Engine, stepped: &Stepped) -> Touched {
        let Touched::These(mut names) = self else { return self };
        names.extend(stepped.actions.iter().filter_map(|action| match action {
            Action::Spawn { spec, .. } => Some(spec.name.clone()),
            other => name_of(engine, other.run()),
        }));
        names.extend(stepped.reports.iter().filter_map(|report| match report {
            Report::Process(transition) => Some(transition.name.clone()),
            Report::Accepted(_) | Report::Unchanged => None,
        }));
        Touched::These(names)
    }
}

impl Goals {
    pub(super) fn add(&mut self, goal: Goal, reply: oneshot::Sender<Outcome>) {
        self.0.entry(goal.name().clone()).or_default().push((goal, reply));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Answers those whose wait is over, after a step that changed these.
    pub(super) fn answer(&mut self, engine: &Engine, touched: Touched) {
        let names = match touched {
            Touched::All => self.0.keys().cloned().collect(),
            Touched::These(names) => names,
        };
        for name in names {
            let Some(goals) = self.0.get_mut(&name) else { continue };
            for (goal, reply) in std::mem::take(goals) {
                match goal.progress(engine) {
                    // A client that has gone doesn't hear it.
                    Progress::Reached => drop(reply.send(Ok(()))),
                    Progress::Missed(why) => drop(reply.send(Err(why))),
                    Progress::Coming if reply.is_closed() => {}
                    Progress::Coming => goals.push((goal, reply)),
                }
            }
            if goals.is_empty() {
                self.0.remove(&name);
            }
        }
        debug_assert!(
            self.0.values().flatten().all(|(goal, _)| goal.progress(engine) == Progress::Coming),
            "an order that has come about is answered at once"
        );
    }
}

fn name_of(engine: &Engine, run: RunId) -> Option<Name> {
    engine.observed().run(run).map(|run| run.spec.name.clone())
}
