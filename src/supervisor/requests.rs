//! What clients of a running navigator ask of the loop: views, from which they take what they want to know, and orders, answered when
//! what they ask for has come about or can't.
//!
//! It knows nothing of sockets, and decides nothing about processes: an order is news for the engine like any other.

use super::pending_orders::{OrderOutcome, TrackedOrder};
use super::view::LoopView;
use super::{EventSubscription, Host, Perform, Supervisor, log_events};
use crate::config::{Diagnostic, Excerpt};
use crate::snapshot;
use crate::source::Ticket;
use crate::suggest::did_you_mean;
use reconcile::event::{Action, Event, Order, RunId};
use reconcile::observed::Run;
use reconcile::order_progress::{Goal, newest_run};
use reconcile::spec::Signal;
use reconcile::text::Name;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What a client asks of the loop.
#[derive(Debug)]
pub enum Request {
    /// What is to be seen now; or, for one that has seen a view, anything newer than that one's version.
    View(Option<u64>, oneshot::Sender<Arc<LoopView>>),
    /// The same is to be done by hand to all of these, in one step; answered at once with what there is to follow.
    Order(ManualOrder, Vec<Name>, oneshot::Sender<Vec<TrackedOrder>>),
    /// The configuration is to be read again; answered when it is in force or rejected.
    Reload(oneshot::Sender<ReloadOutcome>),
    /// What happens, and what happened since a generation.
    Follow(Option<u64>, oneshot::Sender<EventSubscription>),
    /// Answered when everything that was saved before has been taken in.
    Look(oneshot::Sender<()>),
}

/// What is to be done to a process by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManualOrder {
    /// It is to run, whatever it did before.
    Start,
    /// It is to stop, and stay stopped.
    Stop,
    /// It is to run anew.
    Restart,
    /// Its leader is to be sent this signal.
    Signal(Signal),
    /// It is to read its own files again.
    Reload,
}

/// What became of reading the configuration again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// It is in force as this generation; `true`: it means something else than before.
    Accepted(u64, bool),
    /// It is wrong.
    Rejected(Vec<snapshot::ConfigProblem>),
    /// Navigator is ending, and reads nothing any more.
    Closing,
}

/// Clients that wait for something but the end of an order.
#[derive(Default)]
pub(super) struct WaitingClients {
    /// Until the files have been looked at.
    unlooked: VecDeque<oneshot::Sender<()>>,
    reloads: Vec<(Ticket, oneshot::Sender<ReloadOutcome>)>,
    process_reloads: Vec<(RunId, oneshot::Sender<OrderOutcome>)>,
}

impl<P: Perform, S: Host> Supervisor<P, S> {
    /// Takes a request in; answers with what it means for the engine.
    ///
    /// A client that has gone away doesn't hear the answer, which harms nobody: so sending it can't fail in a way that
    /// matters.
    pub(super) fn take(&mut self, request: Request) -> Vec<Event> {
        match request {
            Request::View(newer_than, reply) => self.readers.ask(newer_than, reply),
            Request::Order(by_hand, names, reply) => {
                // What the client then sees comes after its order.
                self.readers.changed();
                let mut events = Vec::new();
                let followed = names.iter().map(|name| self.order(&by_hand, name, &mut events)).collect();
                drop(reply.send(followed));
                return events;
            }
            Request::Follow(since, reply) => drop(reply.send(self.story.follow(since))),
            Request::Reload(reply) if self.engine.orders().closing().is_some() => drop(reply.send(ReloadOutcome::Closing)),
            Request::Reload(reply) => {
                let ticket = self.surroundings.source().reload();
                self.waiters.reloads.push((ticket, reply));
            }
            Request::Look(reply) => {
                self.waiters.unlooked.push_back(reply);
                self.surroundings.source().check();
            }
        }
        Vec::new()
    }

    fn order(&mut self, by_hand: &ManualOrder, name: &Name, events: &mut Vec<Event>) -> TrackedOrder {
        let (order, goal) = match by_hand {
            ManualOrder::Start => (Order::Start(name.clone()), Goal::Up(name.clone())),
            ManualOrder::Stop => (Order::Stop(name.clone()), Goal::Down(name.clone())),
            ManualOrder::Restart => (Order::Restart(name.clone()), Goal::UpAnew(name.clone(), newest_run(&self.engine, name))),
            ManualOrder::Signal(_) | ManualOrder::Reload => {
                let (followed, reply) = TrackedOrder::new(None);
                let outcome = self.check(name, by_hand);
                match (outcome, by_hand) {
                    (Ok(()), ManualOrder::Signal(signal)) => drop(reply.send(self.signal(name, *signal))),
                    (Ok(()), _) => self.reload_by_hand(name, reply),
                    (Err(why), _) => drop(reply.send(Err(why))),
                }
                return followed;
            }
        };
        let (followed, reply) = TrackedOrder::new(Some(goal.clone()));
        match self.check(name, by_hand) {
            Ok(()) => {
                self.goals.add(goal, reply);
                events.push(Event::Order(order));
            }
            Err(why) => drop(reply.send(Err(why))),
        }
        followed
    }

    /// The run of a process whose leader lives.
    fn run_of(&self, name: &Name) -> Result<&Run, String> {
        let process = self.engine.observed().processes().get(name);
        let run = process.and_then(|process| process.runs.iter().rev().find(|run| run.up.is_some() && run.exit.is_none()));
        run.ok_or_else(|| "it does not run".to_owned())
    }

    fn signal(&self, name: &Name, signal: Signal) -> OrderOutcome {
        self.performer.signal(self.run_of(name)?.id, signal).map_err(|error| error.to_string())
    }

    fn reload_by_hand(&mut self, name: &Name, reply: oneshot::Sender<OrderOutcome>) {
        let found = self.run_of(name).and_then(|run| match &run.spec.reload {
            Some(by) => Ok((run.id, by.clone())),
            None => Err("it has no `reload` in the file; `restart` is what is left".to_owned()),
        });
        match found {
            Ok((run, by)) => {
                log_events::reloading(name);
                self.waiters.process_reloads.push((run, reply));
                self.performer.perform(vec![Action::Reload { run, by }]);
            }
            Err(why) => drop(reply.send(Err(why))),
        }
    }

    /// Answers those who had a process read its files, once it is known what became of that.
    pub(super) fn answer_process_reload(&mut self, event: &Event) {
        let (run, outcome) = match event {
            Event::Reloaded { run, failure } => (run, failure.clone().map_or(Ok(()), Err)),
            Event::Exited { run, status } => (run, Err(status.to_string())),
            _ => return,
        };
        let answered = self.waiters.process_reloads.extract_if(.., |(waited, _)| waited == run);
        answered.for_each(|(_, reply)| drop(reply.send(outcome.clone())));
    }

    /// The files have been looked at as the first asked that waits for it: what was saved before is known.
    pub(super) fn looked(&mut self) {
        if let Some(reply) = self.waiters.unlooked.pop_front() {
            // A client that has gone doesn't hear it.
            let _heard = reply.send(());
        }
    }

    /// Whether an order can be followed at all.
    fn check(&self, name: &Name, by_hand: &ManualOrder) -> OrderOutcome {
        if self.engine.orders().closing().is_some() {
            return Err("navigator is shutting down".to_owned());
        }
        let desired = self.engine.desired();
        let Some(entry) = desired.get(name) else {
            let known = desired.entries().iter().map(|entry| entry.spec.name.as_str());
            let hint = did_you_mean(name, known).map(|hint| format!("; {hint}")).unwrap_or_default();
            return Err(format!("no process `{name}` in the file{hint}"));
        };
        match by_hand {
            ManualOrder::Start | ManualOrder::Restart if !entry.spec.enabled => {
                Err("it is disabled in the file: `enabled: true` lets it run".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Answers the clients that asked for the file to be read before this reading of it began.
    pub(super) fn answer_reloads(&mut self, answers: Ticket, reloaded: &ReloadOutcome) {
        let answered = self.waiters.reloads.extract_if(.., |(ticket, _)| *ticket <= answers);
        answered.for_each(|(_, reply)| drop(reply.send(reloaded.clone())));
    }
}

/// A diagnostic in the form in which it is sent.
pub fn problem(diagnostic: &Diagnostic) -> snapshot::ConfigProblem {
    let Diagnostic { file, line, column, message, help, excerpt, .. } = diagnostic;
    snapshot::ConfigProblem {
        file: file.clone(),
        line: *line,
        column: *column,
        message: message.clone(),
        help: help.clone(),
        excerpt: excerpt.as_ref().map(|Excerpt { line, start, length }| snapshot::ProblemExcerpt {
            text: line.clone(),
            start: *start,
            length: *length,
        }),
    }
}
