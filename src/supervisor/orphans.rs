//! What a killed navigator left behind is ended first, as its own shutdown would have ended it: in its order, with its
//! grace, and killed when its time is up.
//!
//! So this is a shutdown, planned by the engine itself, of a world in which all of it was started. What is wanted now
//! plays no part in it, and nothing is started before it is over.

use super::log_events::LEFT;
use super::view::LoopView;
use super::{Ending, NavigatorSignal, News, Perform, Request, log_events};
use crate::journal::{Accepted, Definition, JournalEntry, Record};
use crate::signals;
use crate::snapshot::{self, Cause};
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::event::{Action, Event, Order, Pid, RunId};
use reconcile::reason::Reason;
use reconcile::report::Report;
use reconcile::spec::{self, Condition, Dependency, Spec, Stop, Tier};
use reconcile::state::ProcessState;
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// What a killed navigator left behind.
#[derive(Clone, Debug, Default)]
pub struct FormerProcesses {
    /// The living processes, by the name of the managed process that each belongs to.
    pub processes: Vec<(Name, Vec<Pid>)>,
    /// What that navigator noted.
    pub record: Record,
}

/// What has to be noted of an accepted configuration, so that the next navigator can end what this one may leave.
pub fn noted(desired: &Desired, accepted: Accepted) -> JournalEntry {
    let name = |index: usize| desired.entries()[index].spec.name.to_string();
    let definition = |entry: &reconcile::desired::DesiredProcess| Definition {
        name: entry.spec.name.to_string(),
        application: entry.spec.tier == Tier::Application,
        after: entry.needs.iter().map(|need| need.on).chain(entry.after).map(name).collect(),
        signal: entry.spec.stop.signal.0.to_owned(),
        timeout_ms: millis(entry.spec.stop.timeout),
    };
    let processes = desired.entries().iter().map(definition).collect();
    JournalEntry::Wanted { shutdown_ms: millis(desired.shutdown_timeout()), processes, accepted: Some(accepted) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ends what was left. Answers with the news that came meanwhile and is for later, or with an ending if navigator was
/// told to end. Those who ask meanwhile how everything stands are `shown` it.
pub(super) async fn end<P: Perform>(
    performer: &P,
    left: FormerProcesses,
    events: &mut mpsc::Receiver<Event>,
    news: &mut mpsc::Receiver<News>,
    shown: impl Fn(&Engine, Time) -> LoopView,
) -> Result<Vec<News>, Ending> {
    if left.processes.is_empty() {
        return Ok(Vec::new());
    }
    log_events::left(&left.processes);
    let epoch = Instant::now();
    let mut engine = take_over(performer, &left);
    let mut batch = vec![Event::Order(Order::Shutdown)];
    let mut heard = DeferredNews::default();
    loop {
        let now = || Time::after_epoch(epoch.elapsed());
        let outcome = engine.step(now(), batch.drain(..));
        for report in &outcome.reports {
            if let Report::Process(transition) = report {
                log_events::of_left(transition, &transition.run.map(|run| performer.pids(run)).unwrap_or_default());
            }
        }
        performer.perform(outcome.actions);
        if engine.is_finished() {
            return heard.ending.map_or(Ok(heard.later), Err);
        }
        let wake_at = outcome.wake_at.map(|at| epoch + at.since_epoch());
        tokio::select! {
            Some(event) = events.recv() => batch.push(event),
            Some(item) = news.recv() => match item {
                // Who asked may be gone.
                News::Request(Request::View(None, reply)) => drop(reply.send(Arc::new(shown(&engine, now())))),
                item => batch.extend(heard.hear(item)),
            },
            () = sleep_until(wake_at.unwrap_or(epoch)), if wake_at.is_some() => {}
        }
    }
}

/// An engine that believes to have started all that is left.
fn take_over<P: Perform>(performer: &P, left: &FormerProcesses) -> Engine {
    let mut engine = Engine::new();
    let mut batch = vec![Event::Wanted(wishes(left))];
    while !batch.is_empty() {
        let outcome = engine.step(Time::ZERO, batch.drain(..));
        let spawns = outcome
            .actions
            .into_iter()
            .filter_map(|action| if let Action::Spawn { run, spec, .. } = action { Some((run, spec)) } else { None });
        batch.extend(spawns.flat_map(|(run, spec)| taken_over(performer, run, &spec.name)));
    }
    engine
}

fn taken_over<P: Perform>(performer: &P, run: RunId, name: &Name) -> Vec<Event> {
    match performer.take_over(run, name) {
        Some(pid) => vec![Event::Spawned { run, pid }],
        // It has ended since it was found.
        None => vec![Event::Gone { run }],
    }
}

/// The processes of the former configuration, of which those are to run that are left. The others pass their places on.
fn wishes(left: &FormerProcesses) -> Desired {
    let timeout = left.record.shutdown_timeout().unwrap_or(Desired::SHUTDOWN_TIMEOUT);
    let specs = specs(left);
    Desired::new(specs.clone(), timeout).unwrap_or_else(|_not_ordered| {
        // What was noted fits together, unless it's not all there. Then all of it is ended at once.
        let unordered = specs.into_iter().map(|spec| Spec { depends_on: Some(BTreeMap::new()), ..spec }).collect();
        Desired::new(unordered, timeout).unwrap_or_else(|problems| panic!("names are unique, and that is all: {problems:?}"))
    })
}

fn specs(left: &FormerProcesses) -> Vec<Spec> {
    let living: BTreeSet<&str> = left.processes.iter().map(|(name, _)| name.as_str()).collect();
    let known: BTreeSet<&str> = left.record.definitions().map(|definition| definition.name.as_str()).collect();
    let mut specs: Vec<Spec> = left.record.definitions().map(|definition| placed(definition, &known)).collect();
    // A start that was just being noted: nobody knows how it is to be stopped.
    specs.extend(living.difference(&known).map(|name| placeless(name)));
    for spec in &mut specs {
        spec.enabled = living.contains(spec.name.as_str());
    }
    specs
}

fn placed(definition: &Definition, known: &BTreeSet<&str>) -> Spec {
    let mut spec = placeless(&definition.name);
    spec.tier = if definition.application { Tier::Application } else { Tier::Managed };
    let order_alone = Dependency { condition: Some(Condition::Started), restart: false, required: false };
    let after = definition.after.iter().filter(|name| known.contains(name.as_str()));
    spec.depends_on = Some(after.map(|name| (Name::from(name.as_str()), order_alone)).collect());
    let signal = signals::parse(&definition.signal).unwrap_or(spec::Signal::TERM);
    spec.stop = Stop { signal, timeout: Duration::from_millis(definition.timeout_ms), command: None };
    spec
}

/// A process that stands nowhere in the order. What it executes doesn't matter: it has been.
fn placeless(name: &str) -> Spec {
    Spec { depends_on: Some(BTreeMap::new()), ..Spec::new(name, name) }
}

/// How the processes stand while what was left is being ended: first those that are wanted, then the rest of what was left.
pub(super) fn processes(view: &LoopView, wanted: &Desired) -> Vec<snapshot::ProcessSnapshot> {
    let engine = view.engine();
    let left = |name: &Name| engine.observed().processes().get(name).is_some_and(|process| !process.runs.is_empty());
    let mut entries: Vec<_> = wanted.entries().iter().collect();
    entries.sort_by_key(|entry| entry.position);
    let of_left = |name: &Name| {
        let shown = engine.status(name).map(|standing| view.process(&standing));
        // When it was started, and by which generation, its own navigator knew.
        shown.map(|shown| snapshot::ProcessSnapshot {
            reason: Cause::Other(LEFT.to_owned()),
            as_wanted: false,
            started_at: None,
            generation: 0,
            ..shown
        })
    };
    let others = engine.observed().processes().keys().filter(|name| left(name) && wanted.get(name).is_none());
    let wanted = entries.iter().map(|entry| match &entry.spec.name {
        name if left(name) => of_left(name),
        _ => Some(awaiting(&entry.spec)),
    });
    wanted.chain(others.map(of_left)).flatten().collect()
}

/// A process that is to run when what was left is gone.
fn awaiting(spec: &Spec) -> snapshot::ProcessSnapshot {
    let (state, reason) =
        if spec.enabled { (ProcessState::Pending, Reason::Added) } else { (ProcessState::Stopped, Reason::Disabled) };
    snapshot::ProcessSnapshot {
        name: spec.name.to_string(),
        tier: spec.tier,
        state,
        pid: None,
        ready: false,
        stale: false,
        generation: 0,
        restarts: 0,
        started_at: None,
        last_exit: None,
        reason: Cause::from(&reason),
        as_wanted: !spec.enabled,
        entered_at: None,
        failures: 0,
        waiting: spec.enabled.then(|| "waits for what a killed navigator left to be gone".to_owned()),
        output: Vec::new(),
    }
}

/// What is heard while what was left is being ended.
#[derive(Default)]
struct DeferredNews {
    later: Vec<News>,
    ending: Option<Ending>,
    interrupts: u32,
}

impl DeferredNews {
    fn hear(&mut self, item: News) -> Option<Event> {
        let News::Signal(signal) = &item else {
            self.later.push(item);
            return None;
        };
        match signal {
            NavigatorSignal::Terminate => self.ending = self.ending.or(Some(Ending::Terminated)),
            NavigatorSignal::Interrupt => {
                self.interrupts += 1;
                self.ending = Some(Ending::Interrupted);
            }
            NavigatorSignal::Quit => {
                self.interrupts += 2;
                self.ending = Some(Ending::Interrupted);
            }
            NavigatorSignal::Hangup | NavigatorSignal::Reopen => self.later.push(item),
        }
        (self.interrupts > 1).then_some(Event::Order(Order::Hurry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::event::StopBy;

    /// What a navigator with these processes notes, and of which these are left.
    fn left(specs: Vec<Spec>, living: &[&str]) -> FormerProcesses {
        let desired = Desired::new(specs, Duration::from_secs(7)).expect("they fit together");
        let record = Record::of([noted(&desired, Accepted::default())]);
        FormerProcesses { processes: living.iter().map(|name| (Name::from(*name), vec![Pid(100)])).collect(), record }
    }

    /// Who is told to stop, and is gone, at which step.
    fn waves(left: &FormerProcesses) -> Vec<Vec<String>> {
        let mut engine = Engine::new();
        let mut batch = vec![Event::Wanted(wishes(left))];
        let mut waves = Vec::new();
        while !engine.is_finished() {
            let outcome = engine.step(Time::ZERO, batch.drain(..));
            let mut stopped = Vec::new();
            for action in &outcome.actions {
                match action {
                    Action::Spawn { run, .. } => batch.push(Event::Spawned { run: *run, pid: Pid(100) }),
                    Action::Stop { run, by: StopBy::Signal(signal) | StopBy::Command(_, signal) } => {
                        let name = &engine.observed().run(*run).expect("it was started").spec.name;
                        stopped.push(format!("{name} {signal}"));
                        batch.push(Event::Gone { run: *run });
                    }
                    Action::Kill { .. } | Action::Update { .. } | Action::Reload { .. } => panic!("all obey"),
                }
            }
            if outcome.actions.is_empty() {
                batch.push(Event::Order(Order::Shutdown));
            }
            stopped.sort();
            waves.extend((!stopped.is_empty()).then_some(stopped));
        }
        waves
    }

    #[test]
    fn what_is_left_is_stopped_in_the_order_of_its_own_configuration() {
        let mut web = Spec::new("web", "web");
        web.tier = Tier::Application;
        web.stop.signal = spec::Signal("QUIT");
        let listed = || vec![Spec::new("c", "c"), Spec::new("b", "b"), Spec::new("a", "a"), web.clone()];
        let all = left(listed(), &["a", "b", "c", "web"]);
        assert_eq!(waves(&all), [["web QUIT"], ["a TERM"], ["b TERM"], ["c TERM"]]);
        assert_eq!(wishes(&all).shutdown_timeout(), Duration::from_secs(7));
        // `b` is gone, and `c` still comes before `a`.
        assert_eq!(waves(&left(listed(), &["a", "c"])), [["a TERM"], ["c TERM"]]);
    }

    #[test]
    fn what_nobody_noted_is_stopped_too() {
        let unknown = FormerProcesses {
            processes: vec![(Name::from("x"), vec![Pid(1)]), (Name::from("y"), vec![])],
            record: Record::default(),
        };
        assert_eq!(waves(&unknown), [["x TERM", "y TERM"]]);
        assert_eq!(waves(&left(vec![Spec::new("a", "a")], &["x", "a"])), [["a TERM", "x TERM"]]);
    }

    #[test]
    fn an_order_that_goes_round_is_none() {
        let definition = |name: &str, after: &str| Definition {
            name: name.to_owned(),
            application: false,
            after: vec![after.to_owned()],
            signal: "NOSUCH".to_owned(),
            timeout_ms: 1,
        };
        let round =
            JournalEntry::Wanted { shutdown_ms: 1, processes: vec![definition("a", "b"), definition("b", "a")], accepted: None };
        let processes = vec![(Name::from("a"), vec![Pid(1)]), (Name::from("b"), vec![Pid(2)])];
        let left = FormerProcesses { processes, record: Record::of([round]) };
        assert_eq!(waves(&left), [["a TERM", "b TERM"]]);
    }
}
