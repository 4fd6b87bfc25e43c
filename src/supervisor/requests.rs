//! What clients of a running navigator ask of the loop: questions, answered at once from one moment between two steps,
//! and orders, answered when what they ask for has come about or can't.
//!
//! It knows nothing of sockets, and decides nothing about processes: an order is news for the engine like any other.

use super::{Follow, Perform, Supervisor, Surroundings, tell};
use crate::config::Diagnostic;
use crate::snapshot::{self, Plan, Snapshot, Watch};
use crate::source::{Ticket, WatchMethod};
use crate::suggest::did_you_mean;
use jiff::Timestamp;
use reconcile::desired::Desired;
use reconcile::event::{Action, Event, Order, RunId, Status};
use reconcile::goal::{Goal, Progress, newest_run};
use reconcile::observed::Run;
use reconcile::spec::{Signal, Tier};
use reconcile::state::{Standing, State};
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::VecDeque;
use tokio::sync::oneshot;

/// How many of its last lines are shown of a process that failed.
const GLANCE: u64 = 5;

/// What a client asks of the loop.
#[derive(Debug)]
pub enum Request {
    /// How everything stands.
    Status(oneshot::Sender<Snapshot>),
    /// What this configuration would change.
    Plan(Box<Desired>, oneshot::Sender<Plan>),
    /// Something is to be done by hand to a process; answered when it has come about.
    Order(ByHand, Name, oneshot::Sender<Outcome>),
    /// The configuration is to be read again; answered when it is in force or rejected.
    Reload(oneshot::Sender<Reloaded>),
    /// What happens, and what happened since a generation.
    Follow(Option<u64>, oneshot::Sender<Follow>),
    /// Everything is to be as the file says; answered when it is, unless that takes longer than whoever asks will wait.
    Converged(Vec<Name>, oneshot::Sender<()>),
}

/// What is to be done to a process by hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByHand {
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

/// Whether an order has come about; if not, why.
pub type Outcome = Result<(), String>;

/// What became of reading the configuration again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is in force as this generation; `true`: it means something else than before.
    Accepted(u64, bool),
    /// It is wrong.
    Rejected(Vec<snapshot::Problem>),
    /// Navigator is ending, and reads nothing any more.
    Closing,
}

/// Those who wait for something.
#[derive(Default)]
pub(super) struct Waiters {
    goals: Vec<(Goal, oneshot::Sender<Outcome>)>,
    /// Until somebody has looked whether the file on disk is the one in force.
    unlooked: VecDeque<(Vec<Name>, oneshot::Sender<()>)>,
    converged: Vec<(Vec<Name>, oneshot::Sender<()>)>,
    reloads: Vec<(Ticket, oneshot::Sender<Reloaded>)>,
    process_reloads: Vec<(RunId, oneshot::Sender<Outcome>)>,
}

impl<P: Perform, S: Surroundings> Supervisor<P, S> {
    /// Takes a request in; answers with what it means for the engine.
    ///
    /// A client that has gone away doesn't hear the answer, which harms nobody: so sending it can't fail in a way that
    /// matters.
    pub(super) fn take(&mut self, request: Request) -> Option<Event> {
        match request {
            Request::Status(reply) => drop(reply.send(self.snapshot())),
            Request::Plan(wanted, reply) => drop(reply.send(self.plan(&wanted))),
            Request::Order(by_hand, name, reply) => return self.order(&by_hand, name, reply),
            Request::Follow(since, reply) => drop(reply.send(self.story.follow(since))),
            Request::Reload(reply) if self.engine.orders().closing().is_some() => drop(reply.send(Reloaded::Closing)),
            Request::Reload(reply) => {
                let ticket = self.surroundings.source().reload();
                self.waiters.reloads.push((ticket, reply));
            }
            Request::Converged(names, reply) => {
                self.waiters.unlooked.push_back((names, reply));
                self.surroundings.source().check();
            }
        }
        None
    }

    fn order(&mut self, by_hand: &ByHand, name: Name, reply: oneshot::Sender<Outcome>) -> Option<Event> {
        if let Err(why) = self.check(&name, by_hand) {
            drop(reply.send(Err(why)));
            return None;
        }
        let (order, goal) = match by_hand {
            ByHand::Start => (Order::Start(name.clone()), Goal::Up(name)),
            ByHand::Stop => (Order::Stop(name.clone()), Goal::Down(name)),
            ByHand::Restart => (Order::Restart(name.clone()), Goal::UpAnew(name.clone(), newest_run(&self.engine, &name))),
            ByHand::Signal(signal) => {
                drop(reply.send(self.signal(&name, *signal)));
                return None;
            }
            ByHand::Reload => {
                self.reload_by_hand(&name, reply);
                return None;
            }
        };
        self.waiters.goals.push((goal, reply));
        Some(Event::Order(order))
    }

    /// The run of a process whose leader lives.
    fn run_of(&self, name: &Name) -> Result<&Run, String> {
        let process = self.engine.observed().processes().get(name);
        let run = process.and_then(|process| process.runs.iter().rev().find(|run| run.up.is_some() && run.exit.is_none()));
        run.ok_or_else(|| "it does not run".to_owned())
    }

    fn signal(&self, name: &Name, signal: Signal) -> Outcome {
        self.performer.signal(self.run_of(name)?.id, signal).map_err(|error| error.to_string())
    }

    fn reload_by_hand(&mut self, name: &Name, reply: oneshot::Sender<Outcome>) {
        let found = self.run_of(name).and_then(|run| match &run.spec.reload {
            Some(by) => Ok((run.id, by.clone())),
            None => Err("it has no `reload` in the file; `restart` is what is left".to_owned()),
        });
        match found {
            Ok((run, by)) => {
                tell::reloading(name);
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

    /// Takes note that what was saved before the oldest of those who wait asked is known.
    pub(super) fn looked(&mut self) {
        self.waiters.converged.extend(self.waiters.unlooked.pop_front());
    }

    /// Whether an order can be followed at all.
    fn check(&self, name: &Name, by_hand: &ByHand) -> Outcome {
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
            ByHand::Start | ByHand::Restart if !entry.spec.enabled => {
                Err("it is disabled in the file: `enabled: true` lets it run".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// Answers those whose wait is over.
    pub(super) fn answer(&mut self) {
        let now = self.now();
        let (engine, waiters) = (&self.engine, &mut self.waiters);
        let waiting = if waiters.goals.is_empty() { Vec::new() } else { engine.waiting(now) };
        for (goal, reply) in std::mem::take(&mut waiters.goals) {
            match goal.progress(engine, &waiting) {
                Progress::Reached => drop(reply.send(Ok(()))),
                Progress::Missed(why) => drop(reply.send(Err(why))),
                Progress::Coming if reply.is_closed() => {}
                Progress::Coming => waiters.goals.push((goal, reply)),
            }
        }
        let has_file = self.rejected.is_empty();
        let is_there = |names: &[Name]| {
            has_file && if names.is_empty() { engine.is_converged() } else { names.iter().all(|name| engine.is_as_wanted(name)) }
        };
        for (names, reply) in std::mem::take(&mut waiters.converged) {
            if reply.is_closed() {
                continue;
            }
            if is_there(&names) {
                // It is not closed, so somebody hears it.
                let _heard = reply.send(());
            } else {
                waiters.converged.push((names, reply));
            }
        }
    }

    /// Answers those who asked for the file to be read before this reading of it began.
    pub(super) fn answer_reloads(&mut self, answers: Ticket, reloaded: &Reloaded) {
        let answered = self.waiters.reloads.extract_if(.., |(ticket, _)| *ticket <= answers);
        answered.for_each(|(_, reply)| drop(reply.send(reloaded.clone())));
    }

    /// What a configuration would change now.
    pub(super) fn plan(&self, wanted: &Desired) -> Plan {
        Plan::of(&self.engine, self.now(), wanted)
    }

    fn snapshot(&self) -> Snapshot {
        let waiting = self.engine.waiting(self.now());
        let mut standings = self.engine.standings();
        let desired = self.engine.desired();
        standings.sort_by_key(|standing| desired.get(&standing.name).map_or(usize::MAX, |entry| entry.position));
        let now = (self.now(), Timestamp::now());
        let mut is_converged = self.rejected.is_empty();
        let processes = standings.into_iter().map(|standing| {
            let waits_for = self.engine.wait_in_words(&standing.name, &waiting, now.0);
            let is_down = matches!(standing.state, State::Failed | State::Backoff);
            let output = if is_down { self.performer.last_lines(&standing.name, GLANCE) } else { Vec::new() };
            let as_wanted = self.engine.is_settled(&standing);
            is_converged &= as_wanted;
            snapshot::Process { output, ..process(&standing, as_wanted, waits_for, now) }
        });
        let processes = processes.collect();
        self.snapshot_of(is_converged, processes)
    }

    /// A snapshot with these processes in it.
    pub(super) fn snapshot_of(&self, converged: bool, processes: Vec<snapshot::Process>) -> Snapshot {
        let state = if self.rejected.is_empty() { snapshot::ConfigState::Accepted } else { snapshot::ConfigState::Rejected };
        let diagnostics = if self.rejected.is_empty() { &self.warned } else { &self.rejected };
        Snapshot {
            generation: self.engine.generation(),
            pid: std::process::id(),
            config: snapshot::Config {
                path: self.surroundings.config(),
                state,
                watch: match self.surroundings.source().watch_method() {
                    WatchMethod::Events => Watch::Events,
                    WatchMethod::Poll => Watch::Poll,
                    WatchMethod::Off => Watch::Off,
                },
                diagnostics: diagnostics.iter().map(problem).collect(),
                rejected_at: self.rejected_at.map(|at| format!("{at:.3}")),
            },
            converged,
            processes,
        }
    }
}

pub(super) fn tier(tier: Tier) -> &'static str {
    if tier == Tier::Managed { "managed_processes" } else { "applications" }
}

pub(super) fn process(
    standing: &Standing,
    as_wanted: bool,
    waiting: Option<String>,
    (now, wall): (Time, Timestamp),
) -> snapshot::Process {
    let on_wall = |at: Time| format!("{:.3}", wall - now.since(at));
    snapshot::Process {
        name: standing.name.to_string(),
        tier: tier(standing.tier).to_owned(),
        state: standing.state.to_string(),
        pid: standing.pid.map(|pid| pid.0),
        ready: standing.ready,
        stale: standing.stale,
        generation: standing.generation,
        restarts: standing.restarts,
        started_at: standing.since.map(on_wall),
        last_exit: standing.last_exit.as_ref().and_then(exit),
        reason: standing.reason.to_string(),
        as_wanted,
        entered_at: standing.entered.map(on_wall),
        failures: standing.failures,
        waiting,
        output: Vec::new(),
    }
}

/// What was never started, or ended unseen, has no exit that could be shown as one.
fn exit(status: &Status) -> Option<snapshot::Exit> {
    match status {
        Status::Code(code) => Some(snapshot::Exit::Code(*code)),
        Status::Signal(signal) => Some(snapshot::Exit::Signal(signal.to_string())),
        Status::NotStarted(_) | Status::Lost => None,
    }
}

/// A diagnostic in the form in which it is sent.
pub fn problem(diagnostic: &Diagnostic) -> snapshot::Problem {
    let Diagnostic { file, line, column, message, help, .. } = diagnostic;
    snapshot::Problem { file: file.clone(), line: *line, column: *column, message: message.clone(), help: help.clone() }
}
