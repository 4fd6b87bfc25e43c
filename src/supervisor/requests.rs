//! Handles clients' requests: views, events, reloads, and orders, which are answered when they are done or have failed.
//!
//! It knows nothing about sockets. An order is an event for the engine like any other.

use super::host::{Host, Perform};
use super::inbox::{ManualOrder, ReloadOutcome, Request};
use super::log_events;
use super::pending_orders::{OrderOutcome, TrackedOrder};
use super::state::Supervisor;
use crate::config::{Diagnostic, Excerpt};
use crate::snapshot;
use crate::source::Ticket;
use crate::suggest::did_you_mean;
use reconcile::event::{Action, Event, Order};
use reconcile::observed::Run;
use reconcile::order_progress::{Goal, newest_run};
use reconcile::spec::Signal;
use reconcile::text::Name;
use tokio::sync::oneshot;

impl<P: Perform, S: Host> Supervisor<P, S> {
    /// Handles a request. Returns the events that it means for the engine.
    ///
    /// Sending an answer fails only if the client has gone, which is no error.
    pub(super) fn handle_request(&mut self, request: Request) -> Vec<Event> {
        match request {
            Request::View(newer_than, reply) => self.readers.ask(newer_than, reply),
            Request::Order(order, names, reply) => {
                // A view from before the order must not be shown after it.
                self.readers.changed();
                let mut events = Vec::new();
                let unknown = names.iter().find(|name| self.engine.desired().get(name).is_none());
                let mut take = |name: &Name| match unknown {
                    // A mistyped name must not leave the others half done.
                    Some(unknown) if self.engine.desired().get(name).is_some() => {
                        TrackedOrder::refused(format!("nothing was done, because there is no process `{unknown}`"))
                    }
                    _ => self.order(&order, name, &mut events),
                };
                let tracked = names.iter().map(&mut take).collect();
                drop(reply.send(tracked));
                return events;
            }
            Request::Follow(since, reply) => drop(reply.send(self.history.follow(since))),
            Request::Reload(reply) if self.engine.orders().closing().is_some() => drop(reply.send(ReloadOutcome::Closing)),
            Request::Reload(reply) => {
                let ticket = self.host.source().reload();
                self.waiting.reloads.push((ticket, reply));
            }
            Request::Retry(reply) => {
                self.readers.changed();
                let _is_received = reply.send(());
                return vec![Event::Order(Order::Retry)];
            }
            Request::RunProgram(program, arguments, within, reply) => {
                self.performer.run_program(&program, &arguments, within, reply);
            }
            Request::HandOver(order, reply) => self.begin_handover(order, reply),
            Request::CheckFiles(reply) => {
                self.waiting.file_checks.push_back(reply);
                self.host.source().check();
            }
        }
        Vec::new()
    }

    /// Takes an order for one process: adds its event, or carries it out at once.
    fn order(&mut self, manual: &ManualOrder, name: &Name, events: &mut Vec<Event>) -> TrackedOrder {
        let (order, goal) = match manual {
            ManualOrder::Start => (Order::Start(name.clone()), Goal::Up(name.clone())),
            ManualOrder::Stop => (Order::Stop(name.clone()), Goal::Down(name.clone())),
            ManualOrder::Restart => (Order::Restart(name.clone()), Goal::UpAnew(name.clone(), newest_run(&self.engine, name))),
            ManualOrder::RestartStopFirst => {
                (Order::RestartStopFirst(name.clone()), Goal::UpAnew(name.clone(), newest_run(&self.engine, name)))
            }
            ManualOrder::Signal(_) | ManualOrder::Reload => {
                let (tracked, reply) = TrackedOrder::new(None);
                match (self.check(name, manual), manual) {
                    (Ok(()), ManualOrder::Signal(signal)) => drop(reply.send(self.signal(name, *signal))),
                    (Ok(()), _) => self.reload_process(name, reply),
                    (Err(why), _) => drop(reply.send(Err(why))),
                }
                return tracked;
            }
        };
        let (tracked, reply) = TrackedOrder::new(Some(goal.clone()));
        match self.check(name, manual) {
            Ok(()) => {
                self.orders.add(goal, reply);
                events.push(Event::Order(order));
            }
            Err(why) => drop(reply.send(Err(why))),
        }
        tracked
    }

    /// The newest run of a process, if its main process lives.
    fn run_of(&self, name: &Name) -> Result<&Run, String> {
        let process = self.engine.observed().processes().get(name);
        let run = process.and_then(|process| process.runs.iter().rev().find(|run| run.up.is_some() && run.exit.is_none()));
        run.ok_or_else(|| "it is not running".to_owned())
    }

    fn signal(&self, name: &Name, signal: Signal) -> OrderOutcome {
        self.performer.signal(self.run_of(name)?.id, signal).map_err(|error| error.to_string())
    }

    /// Makes a process re-read its own files.
    fn reload_process(&mut self, name: &Name, reply: oneshot::Sender<OrderOutcome>) {
        let found = self.run_of(name).and_then(|run| match &run.spec.reload {
            Some(by) => Ok((run.id, by.clone())),
            None => Err("it has no `reload` in the file; use `restart`".to_owned()),
        });
        match found {
            Ok((run, by)) => {
                log_events::reloading(name);
                self.waiting.process_reloads.push((run, reply));
                self.performer.perform(vec![Action::Reload { run, by }]);
            }
            Err(why) => drop(reply.send(Err(why))),
        }
    }

    /// Answers the clients that wait for a process to re-read its files, if the event ends that.
    pub(super) fn answer_process_reload(&mut self, event: &Event) {
        let (run, outcome) = match event {
            Event::Reloaded { run, failure } => (run, failure.clone().map_or(Ok(()), Err)),
            Event::Exited { run, status } => (run, Err(status.to_string())),
            _ => return,
        };
        let answered = self.waiting.process_reloads.extract_if(.., |(reloaded, _)| reloaded == run);
        answered.for_each(|(_, reply)| drop(reply.send(outcome.clone())));
    }

    /// Answers the oldest request for a check of the files.
    pub(super) fn answer_file_check(&mut self) {
        if let Some(reply) = self.waiting.file_checks.pop_front() {
            let _is_received = reply.send(());
        }
    }

    /// Whether an order is possible at all.
    fn check(&self, name: &Name, order: &ManualOrder) -> OrderOutcome {
        if self.engine.orders().closing().is_some() {
            return Err("navigator is shutting down".to_owned());
        }
        let desired = self.engine.desired();
        let Some(entry) = desired.get(name) else {
            let names = desired.entries().iter().map(|entry| entry.spec.name.as_str());
            let hint = did_you_mean(name, names).map(|hint| format!("; {hint}")).unwrap_or_default();
            return Err(format!("no process `{name}` in the file{hint}"));
        };
        match order {
            ManualOrder::Restart | ManualOrder::RestartStopFirst if !self.engine.orders().enable(&entry.spec) => {
                Err(format!("it is disabled in the file; `navigator start {name}` runs it all the same"))
            }
            _ => Ok(()),
        }
    }

    /// Answers the clients that asked for a reload before this reading began.
    pub(super) fn answer_reloads(&mut self, answers: Ticket, outcome: &ReloadOutcome) {
        let answered = self.waiting.reloads.extract_if(.., |(ticket, _)| *ticket <= answers);
        answered.for_each(|(_, reply)| drop(reply.send(outcome.clone())));
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
