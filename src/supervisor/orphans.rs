//! Ends the orphans of a killed navigator before anything starts: in their order, with their grace periods.
//!
//! A second engine is made to believe that it started them, and plans their shutdown. The new configuration plays no part in it.

use super::host::Perform;
use super::inbox::{Ending, NavigatorSignal, News, Request};
use super::interrupts::Interrupts;
use super::log_events;
use super::view::LoopView;
use crate::journal::{Accepted, Definition, JournalEntry, Record};
use crate::runtime::OrphanRun;
use crate::signals;
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::event::{Action, Event, Order, Pid, RunId};
use reconcile::report::Report;
use reconcile::spec::{self, Condition, Dependency, Spec, Stop, Tier};
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// The orphans of a killed navigator, and its journal.
#[derive(Clone, Debug, Default)]
pub struct FormerProcesses {
    /// The living orphans, by managed process.
    pub processes: Vec<(Name, Vec<Pid>)>,
    /// What that navigator recorded.
    pub record: Record,
}

impl FormerProcesses {
    /// These orphans, and what their navigator recorded.
    pub fn of(orphans: Vec<OrphanRun>, record: Record) -> FormerProcesses {
        let mut processes: BTreeMap<Name, Vec<Pid>> = BTreeMap::new();
        for OrphanRun { name, pids, .. } in orphans {
            processes.entry(name).or_default().extend(pids);
        }
        FormerProcesses { processes: processes.into_iter().collect(), record }
    }
}

/// The journal entry for an accepted configuration: what the next navigator needs to end the orphans of this one.
pub fn journal_entry(desired: &Desired, accepted: Accepted) -> JournalEntry {
    let name = |index: usize| desired.entries()[index].spec.name.to_string();
    let definition = |entry: &reconcile::desired::DesiredProcess| Definition {
        name: entry.spec.name.to_string(),
        application: entry.spec.tier == Tier::Application,
        after: entry.needs.iter().map(|need| need.on).chain(entry.after.clone()).map(name).collect(),
        signal: entry.spec.stop.signal.0.to_owned(),
        timeout_ms: millis(entry.spec.stop.timeout),
        position: entry.position,
    };
    let processes = desired.entries().iter().map(definition).collect();
    JournalEntry::Wanted { shutdown_ms: millis(desired.shutdown_timeout()), processes, accepted: Some(accepted) }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Ends the orphans. Returns the messages that came meanwhile, or an ending if a signal asks for it. Clients that ask for
/// a view meanwhile get `view`.
pub(super) async fn end<P: Perform>(
    performer: &P,
    former: FormerProcesses,
    events: &mut mpsc::Receiver<Event>,
    news: &mut mpsc::Receiver<News>,
    view: impl Fn(&Engine, Time) -> LoopView,
) -> Result<Vec<News>, Ending> {
    if former.processes.is_empty() {
        return Ok(Vec::new());
    }
    log_events::orphans_found(&former.processes);
    let epoch = Instant::now();
    let mut engine = believing(performer, &former);
    let mut batch = vec![Event::Order(Order::Shutdown)];
    let mut deferred = DeferredNews::default();
    loop {
        let now = || Time::after_epoch(epoch.elapsed());
        let outcome = engine.step(now(), batch.drain(..));
        for report in &outcome.reports {
            if let Report::Process(transition) = report {
                let pids = transition.run.map(|run| performer.pids(run)).unwrap_or_default();
                log_events::orphan(transition, &pids);
                batch.extend(log_events::named_survivors(report, &pids));
            }
        }
        performer.perform(outcome.actions);
        if !batch.is_empty() {
            continue;
        }
        if engine.is_finished() {
            return deferred.ending.map_or(Ok(deferred.news), Err);
        }
        let wake_at = outcome.wake_at.map(|at| epoch + at.since_epoch());
        tokio::select! {
            Some(event) = events.recv() => batch.push(event),
            Some(item) = news.recv() => match item {
                // Sending fails if the client has gone.
                News::Request(Request::View(None, reply)) => drop(reply.send(Arc::new(view(&engine, now())))),
                item => batch.extend(deferred.add(item)),
            },
            () = sleep_until(wake_at.unwrap_or(epoch)), if wake_at.is_some() => {}
        }
    }
}

/// An engine that believes it has started the orphans.
fn believing<P: Perform>(performer: &P, former: &FormerProcesses) -> Engine {
    let mut engine = Engine::new();
    let mut batch = vec![Event::Wanted(desired(former))];
    while !batch.is_empty() {
        let outcome = engine.step(Time::ZERO, batch.drain(..));
        let spawns = outcome
            .actions
            .into_iter()
            .filter_map(|action| if let Action::Spawn { run, spec, .. } = action { Some((run, spec)) } else { None });
        batch.extend(spawns.flat_map(|(run, spec)| first_event(performer, run, &spec.name)));
    }
    engine
}

fn first_event<P: Perform>(performer: &P, run: RunId, name: &Name) -> Vec<Event> {
    match performer.bind_orphans(run, name) {
        Some(pid) => vec![Event::Spawned { run, pid }],
        // It has ended since it was found.
        None => vec![Event::Gone { run }],
    }
}

/// The former configuration, with only the processes enabled that have orphans. The others still count for the order.
fn desired(former: &FormerProcesses) -> Desired {
    let timeout = former.record.shutdown_timeout().unwrap_or(Desired::SHUTDOWN_TIMEOUT);
    // Only an incomplete journal doesn't fit together. Then all are ended at once.
    ordered_if_possible(specs(former).into_iter().map(Arc::new).collect(), timeout)
}

/// A configuration of these definitions, which have different names; without any order if theirs contradicts itself.
pub(super) fn ordered_if_possible(specs: Vec<Arc<Spec>>, shutdown_timeout: Duration) -> Desired {
    Desired::new(specs.clone(), shutdown_timeout).unwrap_or_else(|_contradiction| {
        let without_order = |spec: Arc<Spec>| Spec { depends_on: Some(BTreeMap::new()), ..Arc::unwrap_or_clone(spec) };
        let unordered = specs.into_iter().map(without_order).collect();
        Desired::new(unordered, shutdown_timeout)
            .unwrap_or_else(|problems| panic!("only duplicate names could be wrong: {problems:?}"))
    })
}

fn specs(former: &FormerProcesses) -> Vec<Spec> {
    let living: BTreeSet<&str> = former.processes.iter().map(|(name, _)| name.as_str()).collect();
    let recorded: BTreeSet<&str> = former.record.definitions().map(|definition| definition.name.as_str()).collect();
    let mut specs: Vec<Spec> = former.record.definitions().map(|definition| recorded_spec(definition, &recorded)).collect();
    // Navigator was killed before it recorded these definitions: they are stopped in the default way.
    specs.extend(living.difference(&recorded).map(|name| default_spec(name)));
    for spec in &mut specs {
        spec.enabled = living.contains(spec.name.as_str());
    }
    specs
}

pub(super) fn recorded_spec(definition: &Definition, recorded: &BTreeSet<&str>) -> Spec {
    let mut spec = default_spec(&definition.name);
    spec.tier = if definition.application { Tier::Application } else { Tier::Managed };
    let order_alone = Dependency { condition: Some(Condition::Started), restart: false, required: false };
    let after = definition.after.iter().filter(|name| recorded.contains(name.as_str()));
    spec.depends_on = Some(after.map(|name| (Name::from(name.as_str()), order_alone)).collect());
    let signal = signals::parse(&definition.signal).unwrap_or(spec::Signal::TERM);
    spec.stop = Stop { signal, timeout: Duration::from_millis(definition.timeout_ms), ..Stop::default() };
    spec
}

/// A process without a place in the order. Its command doesn't matter: it runs already.
pub(super) fn default_spec(name: &str) -> Spec {
    Spec { depends_on: Some(BTreeMap::new()), ..Spec::new(name, name) }
}

/// Messages that come while the orphans are being ended.
#[derive(Default)]
struct DeferredNews {
    news: Vec<News>,
    ending: Option<Ending>,
    interrupts: Interrupts,
}

impl DeferredNews {
    /// Adds a message. Returns an event if it is a signal that hastens the shutdown.
    fn add(&mut self, item: News) -> Option<Event> {
        let News::Signal(signal) = &item else {
            self.news.push(item);
            return None;
        };
        match signal {
            NavigatorSignal::TerminalClosed | NavigatorSignal::Terminate => {
                self.ending = self.ending.or(Some(Ending::Terminated));
                None
            }
            NavigatorSignal::Interrupt => {
                self.ending = Some(Ending::Interrupted);
                self.interrupts.interrupt(Instant::now()).then_some(Event::Order(Order::Hurry))
            }
            NavigatorSignal::Quit => {
                self.ending = Some(Ending::Interrupted);
                self.interrupts.quit();
                Some(Event::Order(Order::Hurry))
            }
            NavigatorSignal::Hangup | NavigatorSignal::Reopen | NavigatorSignal::Other(_) => {
                self.news.push(item);
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::event::StopBy;

    /// The orphans `living` of a navigator with these processes.
    fn former(specs: Vec<Spec>, living: &[&str]) -> FormerProcesses {
        let desired = Desired::new(specs, Duration::from_secs(7)).expect("the definitions fit together");
        let record = Record::of([journal_entry(&desired, Accepted::default())]);
        FormerProcesses { processes: living.iter().map(|name| (Name::from(*name), vec![Pid(100)])).collect(), record }
    }

    /// The processes that each step stops, with their signals.
    fn waves(former: &FormerProcesses) -> Vec<Vec<String>> {
        let mut engine = Engine::new();
        let mut batch = vec![Event::Wanted(desired(former))];
        let mut waves = Vec::new();
        while !engine.is_finished() {
            let outcome = engine.step(Time::ZERO, batch.drain(..));
            let mut stopped = Vec::new();
            for action in &outcome.actions {
                match action {
                    Action::Spawn { run, .. } => batch.push(Event::Spawned { run: *run, pid: Pid(100) }),
                    Action::Stop { run, by: StopBy::Signal(signal) | StopBy::Command(_, signal), .. } => {
                        let name = &engine.observed().run(*run).expect("it was started").spec.name;
                        stopped.push(format!("{name} {signal}"));
                        batch.push(Event::Gone { run: *run });
                    }
                    Action::Hold { .. }
                    | Action::Drain { .. }
                    | Action::StopRest { .. }
                    | Action::Kill { .. }
                    | Action::Update { .. }
                    | Action::Reload { .. } => {
                        panic!("all obey")
                    }
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
    fn orphans_are_stopped_in_the_order_of_their_own_configuration() {
        let mut web = Spec::new("web", "web");
        web.tier = Tier::Application;
        web.stop.signal = spec::Signal("QUIT");
        let listed = || vec![Spec::new("c", "c"), Spec::new("b", "b"), Spec::new("a", "a"), web.clone()];
        let all = former(listed(), &["a", "b", "c", "web"]);
        assert_eq!(waves(&all), [["web QUIT"], ["a TERM"], ["b TERM"], ["c TERM"]]);
        assert_eq!(desired(&all).shutdown_timeout(), Duration::from_secs(7));
        // `b` is gone, and `c` still comes before `a`.
        assert_eq!(waves(&former(listed(), &["a", "c"])), [["a TERM"], ["c TERM"]]);
    }

    #[test]
    fn unrecorded_orphans_are_stopped_too() {
        let unknown = FormerProcesses {
            processes: vec![(Name::from("x"), vec![Pid(1)]), (Name::from("y"), vec![])],
            record: Record::default(),
        };
        assert_eq!(waves(&unknown), [["x TERM", "y TERM"]]);
        assert_eq!(waves(&former(vec![Spec::new("a", "a")], &["x", "a"])), [["a TERM", "x TERM"]]);
    }

    #[test]
    fn orphans_in_a_circular_order_are_stopped_at_once() {
        let definition = |name: &str, after: &str| Definition {
            name: name.to_owned(),
            application: false,
            after: vec![after.to_owned()],
            signal: "NOSUCH".to_owned(),
            timeout_ms: 1,
            position: 0,
        };
        let circle =
            JournalEntry::Wanted { shutdown_ms: 1, processes: vec![definition("a", "b"), definition("b", "a")], accepted: None };
        let processes = vec![(Name::from("a"), vec![Pid(1)]), (Name::from("b"), vec![Pid(2)])];
        let former = FormerProcesses { processes, record: Record::of([circle]) };
        assert_eq!(waves(&former), [["a TERM", "b TERM"]]);
    }
}
