//! The stream of events: what the engine reports, for clients that follow it, and the last of it for those that come late.
//!
//! A client that doesn't read as fast as things happen misses some and is told how many; nothing waits for it. What happened is put into
//! words by the reader.

use crate::snapshot::{EventDetails, StreamEvent};
use jiff::Timestamp;
use reconcile::event::ExitStatus;
use reconcile::report::{Report, Summary, Transition, TransitionKind as Kind};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::broadcast;

/// How many of the last events are kept for those who ask what happened before.
const KEPT: usize = 1_000;

/// How far a client may fall behind.
const BEHIND: usize = 1_024;

/// What happened lately, and who wants to know what happens.
pub(super) struct EventHistory {
    past: VecDeque<Arc<PastEvent>>,
    /// For those who follow, once there was one: it has room for all that such a one may fall behind.
    live: Option<broadcast::Sender<Arc<PastEvent>>>,
}

/// Something that happened, not yet put into words: mostly no client wants to know.
#[derive(Debug)]
pub struct PastEvent(PastEventKind);

#[derive(Debug)]
enum PastEventKind {
    ToProcess { at: Timestamp, transition: Transition },
    Told(StreamEvent),
}

impl PastEvent {
    /// What the engine reports, which happens now.
    fn now(report: &Report, generation: u64) -> PastEvent {
        let at = Timestamp::now();
        PastEvent(match report {
            // Of what was updated the names are enough. Values may be secret, and long.
            Report::Process(transition) if matches!(transition.what, Kind::Updated(_)) => {
                PastEventKind::Told(of_process(transition, at))
            }
            Report::Process(transition) => PastEventKind::ToProcess { at, transition: transition.clone() },
            Report::Accepted(summary) => PastEventKind::Told(of_summary(summary)),
            Report::Unchanged => PastEventKind::Told(of_configuration("unchanged", generation, EventDetails::default())),
        })
    }

    fn generation(&self) -> u64 {
        match &self.0 {
            PastEventKind::ToProcess { transition, .. } => transition.generation,
            PastEventKind::Told(event) => event.generation,
        }
    }

    /// It in the form in which it is sent.
    pub fn event(&self) -> StreamEvent {
        match &self.0 {
            PastEventKind::ToProcess { at, transition } => of_process(transition, *at),
            PastEventKind::Told(event) => event.clone(),
        }
    }
}

/// What happened, and then what happens.
#[derive(Debug)]
pub struct EventSubscription {
    /// What was asked for of the past.
    pub past: Vec<Arc<PastEvent>>,
    /// Everything from now on.
    pub live: broadcast::Receiver<Arc<PastEvent>>,
}

impl EventHistory {
    pub(super) fn new() -> EventHistory {
        EventHistory { past: VecDeque::new(), live: None }
    }

    /// Takes up what the engine reports.
    pub(super) fn report(&mut self, report: &Report, generation: u64) {
        self.add(PastEvent::now(report, generation));
    }

    /// Takes up that a configuration was rejected.
    pub(super) fn rejected(&mut self, generation: u64, problems: &Value) {
        let problems = EventDetails::from_iter([("diagnostics", problems.clone())]);
        self.add(PastEvent(PastEventKind::Told(of_configuration("rejected", generation, problems))));
    }

    fn add(&mut self, happened: PastEvent) {
        let happened = Arc::new(happened);
        if let Some(live) = &self.live {
            // No client follows any more: then it is for the past alone.
            drop(live.send(Arc::clone(&happened)));
        }
        if self.past.len() == KEPT {
            self.past.pop_front();
        }
        self.past.push_back(happened);
    }

    /// Follows what happens from now on, and what happened since a generation; `None`: nothing of the past.
    pub(super) fn follow(&mut self, since: Option<u64>) -> EventSubscription {
        let is_asked_for = |happened: &&Arc<PastEvent>| since.is_some_and(|since| happened.generation() >= since);
        let live = self.live.get_or_insert_with(|| broadcast::Sender::new(BEHIND)).subscribe();
        let past = self.past.iter().filter(is_asked_for).map(Arc::clone).collect();
        EventSubscription { past, live }
    }
}

fn of_process(transition: &Transition, at: Timestamp) -> StreamEvent {
    let status = |status: &ExitStatus| match status {
        ExitStatus::Code(code) => Some(("status", json!(code))),
        ExitStatus::Signal(signal) => Some(("signal", json!(signal.0))),
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
        Kind::Killing(reason) => ("killing", Some(reason.to_string()), None),
        Kind::Exited => ("exited", None, Some(("status", json!(0)))),
        Kind::Crashed(ended) => ("crashed", Some(ended.to_string()), status(ended)),
        Kind::Restarting { delay, reason } => {
            ("restarting", Some(reason.to_string()), Some(("delay", json!(delay.as_secs_f64()))))
        }
        Kind::Updated(differences) => {
            let names: Vec<&str> = differences.iter().map(|difference| difference.field.as_str()).collect();
            ("updated", Some(format!("{} changed", names.join(", "))), Some(("fields", json!(names))))
        }
        Kind::Failed(reason) => ("failed", Some(reason.to_string()), None),
        Kind::Survives => ("survives", None, None),
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

fn of_summary(summary: &Summary) -> StreamEvent {
    let Summary { generation, added, removed, changed, updated, stale, unchanged } = *summary;
    let counts = [
        ("added", added),
        ("removed", removed),
        ("changed", changed),
        ("updated", updated),
        ("stale", stale),
        ("unchanged", unchanged),
    ];
    of_configuration("reloaded", generation, counts.map(|(name, count)| (name, json!(count))).into_iter().collect())
}

fn of_configuration(event: &str, generation: u64, more: EventDetails) -> StreamEvent {
    StreamEvent { time: format!("{:.3}", Timestamp::now()), generation, name: None, event: event.to_owned(), reason: None, more }
}
