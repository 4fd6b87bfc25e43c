//! The stream of events for clients: what the engine reports from now on, and the last events before.
//!
//! A slow client misses events and gets their number; nothing waits for it. Events are formatted on the reader's side.

use crate::snapshot::StreamEvent;
use jiff::Timestamp;
use reconcile::event::ExitStatus;
use reconcile::orders::ShutdownCause;
use reconcile::report::{Report, Summary, Transition, TransitionKind as Kind};
use reconcile::socket::SocketChange;
use reconcile::spec::Signal;
use reconcile::text::Name;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many past events are kept.
const KEPT: usize = 1_000;

/// How many events a client may fall behind.
const BEHIND: usize = 1_024;

/// The last events, and the clients that follow.
pub(super) struct EventHistory {
    past: VecDeque<Arc<PastEvent>>,
    /// Made for the first client: its buffer takes memory.
    live: Option<broadcast::Sender<Arc<PastEvent>>>,
}

/// An event that is not formatted yet. Usually no client wants it.
#[derive(Debug)]
pub struct PastEvent(PastEventKind);

#[derive(Debug)]
enum PastEventKind {
    Process { at: Timestamp, transition: Transition },
    Formatted(StreamEvent),
}

impl PastEvent {
    /// A report of the engine, with the current time.
    fn now(report: &Report, generation: u64) -> PastEvent {
        let at = Timestamp::now();
        PastEvent(match report {
            // Only the names of updated fields are kept: values may be secret, and long.
            Report::Process(transition) if matches!(transition.what, Kind::Updated(_)) => {
                PastEventKind::Formatted(process_event(transition, at))
            }
            Report::Process(transition) => PastEventKind::Process { at, transition: transition.clone() },
            Report::Accepted(summary) => summary_event(summary),
            Report::Stalled { on, why, names } => {
                let names: Vec<&str> = names.iter().map(Name::as_str).collect();
                let details = vec![("names", json!(names)), ("dependency", json!(on.as_str()))];
                configuration_event("start_blocked", generation, Some(why.words().to_owned()), details)
            }
            Report::ShuttingDown(ShutdownCause { name, status, .. }) => {
                let details = vec![("cause", json!(name.as_str()))];
                configuration_event("shutting_down", generation, Some(status.to_string()), details)
            }
            Report::Good(generation) => configuration_event("good", *generation, None, Vec::new()),
            Report::RolledBack { generation, to, why } => {
                configuration_event("rolled_back", *generation, Some(why.clone()), vec![("to", json!(to))])
            }
            Report::KnownBad => configuration_event("known_bad", generation, None, Vec::new()),
            Report::Unchanged => configuration_event("unchanged", generation, None, Vec::new()),
        })
    }

    fn generation(&self) -> u64 {
        match &self.0 {
            PastEventKind::Process { transition, .. } => transition.generation,
            PastEventKind::Formatted(event) => event.generation,
        }
    }

    /// The event in the form in which it is sent.
    pub fn event(&self) -> StreamEvent {
        match &self.0 {
            PastEventKind::Process { at, transition } => process_event(transition, *at),
            PastEventKind::Formatted(event) => event.clone(),
        }
    }
}

/// A client's subscription.
#[derive(Debug)]
pub struct EventSubscription {
    /// The past events that the client asked for.
    pub past: Vec<Arc<PastEvent>>,
    /// Every event from now on.
    pub live: broadcast::Receiver<Arc<PastEvent>>,
}

impl EventHistory {
    pub(super) fn new() -> EventHistory {
        EventHistory { past: VecDeque::new(), live: None }
    }

    /// Adds a report of the engine.
    pub(super) fn report(&mut self, report: &Report, generation: u64) {
        self.add(PastEvent::now(report, generation));
    }

    /// Adds that a configuration was rejected.
    pub(super) fn rejected(&mut self, generation: u64, problems: &Value) {
        let problems = vec![("diagnostics", problems.clone())];
        self.add(PastEvent(configuration_event("rejected", generation, None, problems)));
    }

    fn add(&mut self, event: PastEvent) {
        let event = Arc::new(event);
        if let Some(live) = &self.live {
            // It fails if no client follows any more.
            drop(live.send(Arc::clone(&event)));
        }
        if self.past.len() == KEPT {
            self.past.pop_front();
        }
        self.past.push_back(event);
    }

    /// Subscribes to events from now on, and to past events since a generation; `None`: none of the past.
    pub(super) fn follow(&mut self, since: Option<u64>) -> EventSubscription {
        let is_asked_for = |event: &&Arc<PastEvent>| since.is_some_and(|since| event.generation() >= since);
        let live = self.live.get_or_insert_with(|| broadcast::Sender::new(BEHIND)).subscribe();
        let past = self.past.iter().filter(is_asked_for).map(Arc::clone).collect();
        EventSubscription { past, live }
    }
}

fn process_event(transition: &Transition, at: Timestamp) -> StreamEvent {
    let status = |status: &ExitStatus| match status {
        ExitStatus::Code(code) => Some(("status", json!(code))),
        ExitStatus::Signal(signal) => Some(("signal", json!(signal.0))),
        ExitStatus::OutOfMemory => Some(("signal", json!(Signal::KILL.0))),
        ExitStatus::NotStarted(_) | ExitStatus::Lost => None,
    };
    let (event, reason, more) = match &transition.what {
        Kind::Starting(reason) => ("starting", Some(reason.to_string()), None),
        Kind::Started => ("started", None, None),
        Kind::Ready => ("ready", None, None),
        Kind::Unready(why) => ("unready", Some(why.clone()), None),
        Kind::Reloading(reason) => ("reloading", Some(reason.to_string()), None),
        Kind::NotReloaded(why) => ("not_reloaded", Some(why.clone()), None),
        Kind::Stopping(reason) => ("stopping", Some(reason.to_string()), None),
        Kind::Stopped { status: ended, reason } => ("stopped", Some(reason.to_string()), status(ended)),
        Kind::StoppingRest(reason) => ("stopping_rest", Some(reason.to_string()), None),
        Kind::MainChanged => ("main_changed", None, None),
        Kind::NotStarted(reason) => ("not_started", Some(reason.to_string()), None),
        Kind::SlowedDown(reason) => ("slowed_down", Some(reason.to_string()), None),
        Kind::Killing(reason) => ("killing", Some(reason.to_string()), None),
        Kind::Exited(ended) => ("exited", None, status(ended)),
        Kind::Crashed(ended) => ("crashed", Some(ended.to_string()), status(ended)),
        Kind::Restarting { delay, reason } => {
            ("restarting", Some(reason.to_string()), Some(("delay", json!(delay.as_secs_f64()))))
        }
        Kind::Updated(differences) => {
            let names: Vec<&str> = differences.iter().map(|difference| difference.field.as_str()).collect();
            ("updated", Some(format!("{} changed", names.join(", "))), Some(("fields", json!(names))))
        }
        Kind::Failed(reason) => ("failed", Some(reason.to_string()), None),
        Kind::Draining(reason) => ("draining", Some(reason.to_string()), None),
        Kind::PutBack(reason) => ("put_back", Some(reason.to_string()), None),
        Kind::Socket(address, what) => (socket_event(*what), None, Some(("address", json!(address)))),
        Kind::KeepsNoSocket => ("sockets_not_used", None, None),
        Kind::Survives(why) => ("survives", why.clone(), None),
    };
    let pid = transition.pid.map(|pid| ("pid", json!(pid.0)));
    StreamEvent {
        time: format!("{at:.3}"),
        generation: transition.generation,
        name: Some(transition.name.to_string()),
        event: event.to_owned(),
        reason,
        more: more.into_iter().chain(pid).collect(),
    }
}

fn socket_event(what: SocketChange) -> &'static str {
    match what {
        SocketChange::Opened => "socket_opened",
        SocketChange::TakenOver => "socket_taken_over",
        SocketChange::Closed => "socket_closed",
        SocketChange::Restored => "socket_restored",
    }
}

fn summary_event(summary: &Summary) -> PastEventKind {
    let Summary { generation, added, removed, changed, updated, stale, unchanged } = *summary;
    let counts = [
        ("added", added),
        ("removed", removed),
        ("changed", changed),
        ("updated", updated),
        ("stale", stale),
        ("unchanged", unchanged),
    ];
    configuration_event("reloaded", generation, None, counts.map(|(name, count)| (name, json!(count))).into())
}

fn configuration_event(event: &str, generation: u64, reason: Option<String>, more: Vec<(&str, Value)>) -> PastEventKind {
    let (time, more) = (format!("{:.3}", Timestamp::now()), more.into_iter().collect());
    PastEventKind::Formatted(StreamEvent { time, generation, name: None, event: event.to_owned(), reason, more })
}
