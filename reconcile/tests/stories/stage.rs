//! An engine and a clock for small scenarios. The scenario itself gives the outcome of each action.

use reconcile::desired::Desired;
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, Content, Event, ExitStatus, Order, Pid, RunId};
use reconcile::report::{Report, TransitionKind};
use reconcile::spec::{Condition, Dependency, Liveness, OnChange, Probe, Spec};
use reconcile::state::ProcessStatus;
use reconcile::text::{Name, Text};
use reconcile::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// No action.
pub(crate) const NOTHING: [&str; 0] = [];

/// An engine in virtual time.
pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) now: Time,
    pub(crate) wake_at: Option<Time>,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        Stage { engine: Engine::new(), now: Time::ZERO, wake_at: None }
    }

    /// A stage with these definitions, and these runs started in this order.
    pub(crate) fn with(specs: impl IntoIterator<Item = Spec>, runs: &[u64]) -> Stage {
        let mut stage = Stage::new();
        stage.step([wanted(specs)]);
        for &run in runs {
            stage.step([started(run)]);
        }
        stage
    }

    /// Steps the engine with these events; returns its actions: `spawn a#1 (added to file)`, `stop a#1`, `kill a#1`.
    pub(crate) fn step(&mut self, events: impl IntoIterator<Item = Event>) -> Vec<String> {
        let outcome = self.engine.step(self.now, events);
        self.wake_at = outcome.wake_at;
        outcome.actions.iter().map(|action| self.describe(action, &outcome)).collect()
    }

    /// Steps the engine with these events; returns the number of its reports.
    pub(crate) fn reports(&mut self, events: impl IntoIterator<Item = Event>) -> usize {
        self.engine.step(self.now, events).reports.len()
    }

    /// What is waited for now, as text.
    pub(crate) fn waiting(&self) -> Vec<String> {
        self.engine.plan(self.now).waiting.iter().map(|(name, what)| format!("{name} {what}")).collect()
    }

    /// Lets time pass.
    pub(crate) fn wait(&mut self, millis: u64) -> Vec<String> {
        self.now = self.now + Duration::from_millis(millis);
        self.step([])
    }

    pub(crate) fn status(&self, name: &str) -> Option<ProcessStatus> {
        self.engine.statuses().into_iter().find(|status| status.name.as_str() == name)
    }

    fn describe(&self, action: &Action, outcome: &StepOutcome) -> String {
        let of = |run: RunId| {
            self.engine.observed().run(run).map_or_else(|| run.to_string(), |known| format!("{}{run}", known.spec.name))
        };
        match action {
            Action::Spawn { run, after, .. } => {
                let after = after.map(|after| format!(" after {}", of(after))).unwrap_or_default();
                let reason = self.engine.observed().run(*run).map(|run| run.reason.to_string()).unwrap_or_default();
                format!("spawn {}{after} ({reason})", of(*run))
            }
            Action::Stop { run, .. } => {
                let why = outcome.reports.iter().find_map(|report| match report {
                    Report::Process(about) if about.run == Some(*run) => match &about.what {
                        TransitionKind::Stopping(reason) => Some(reason.to_string()),
                        _ => None,
                    },
                    _ => None,
                });
                format!("stop {} ({})", of(*run), why.unwrap_or_default())
            }
            Action::Hold { name, listeners } => {
                let addresses: Vec<String> = listeners.iter().map(|listener| listener.address.to_string()).collect();
                format!("hold {} for {name}", addresses.join(" "))
            }
            Action::Drain { run, .. } => format!("drain {}", of(*run)),
            Action::StopRest { run, .. } => format!("stop rest of {}", of(*run)),
            Action::Kill { run } => format!("kill {}", of(*run)),
            Action::Update { run, .. } => format!("update {}", of(*run)),
            Action::Reload { run, .. } => format!("reload {}", of(*run)),
        }
    }
}

/// A definition; a version other than 0 is another identity.
pub(crate) fn spec(name: &str, version: u32) -> Spec {
    let mut spec = Spec::new(name, "run");
    spec.exec.args = vec![Text::plain(&version.to_string())];
    spec.depends_on = Some(BTreeMap::new());
    spec
}

/// The same, with a dependency that must have been started.
pub(crate) fn after(mut spec: Spec, on: &str, restart: bool) -> Spec {
    let edge = Dependency { condition: Some(Condition::Started), restart, required: true };
    spec.depends_on.get_or_insert_default().insert(Name::from(on), edge);
    spec
}

/// The same with a readiness probe.
pub(crate) fn probed(spec: Spec) -> Spec {
    with(spec, |spec| spec.ready = Some(Probe::Tcp(Text::plain("localhost:80"))))
}

/// The same with a liveness probe.
pub(crate) fn checked(spec: Spec) -> Spec {
    let probe = Some(Probe::Tcp(Text::plain("localhost:80")));
    let liveness = Liveness { probe, interval: Duration::from_secs(10), timeout: Duration::from_secs(1), failures: 3 };
    with(spec, |spec| spec.liveness = Some(liveness))
}

/// The same, stopped only once its replacement is ready, at once.
pub(crate) fn rolling(spec: Spec) -> Spec {
    with(spec, |spec| (spec.on_change, spec.stable) = (OnChange::Rolling, Duration::ZERO))
}

/// The same with a change.
pub(crate) fn with(mut spec: Spec, change: impl FnOnce(&mut Spec)) -> Spec {
    change(&mut spec);
    spec
}

pub(crate) fn wanted(specs: impl IntoIterator<Item = Spec>) -> Event {
    match Desired::new(specs.into_iter().collect(), Desired::SHUTDOWN_TIMEOUT) {
        Ok(desired) => Event::Wanted(desired),
        Err(problems) => panic!("{problems:?}"),
    }
}

pub(crate) fn started(run: u64) -> Event {
    Event::Spawned { run: RunId(run), pid: Pid(100) }
}

pub(crate) fn ready(run: u64) -> Event {
    Event::Ready { run: RunId(run) }
}

pub(crate) fn unready(run: u64) -> Event {
    Event::Unready { run: RunId(run), why: "connection refused".to_string() }
}

pub(crate) fn unhealthy(run: u64) -> Event {
    Event::Unhealthy { run: RunId(run), why: "no answer".to_string() }
}

/// A reload of a run failed.
pub(crate) fn not_reloaded(run: u64) -> Event {
    Event::Reloaded { run: RunId(run), failure: Some("no such process".to_string()) }
}

/// The content of the files that a process watches, each with a number for it.
pub(crate) fn content<const N: usize>(name: &str, watch: &[&str], files: [(&str, u64); N]) -> Event {
    let watch = watch.iter().map(|path| Text::plain(path)).collect();
    let files = files.into_iter().map(|(path, content)| (path.to_string(), content)).collect();
    Event::Content { name: Name::from(name), content: Content { watch, files } }
}

pub(crate) fn exited(run: u64, code: i32) -> Event {
    Event::Exited { run: RunId(run), status: ExitStatus::Code(code) }
}

pub(crate) fn gone(run: u64) -> Event {
    Event::Gone { run: RunId(run) }
}

pub(crate) fn by_hand(order: fn(Name) -> Order, name: &str) -> Event {
    Event::Order(order(Name::from(name)))
}

pub(crate) fn refused(run: u64) -> Event {
    Event::NotSpawned { run: RunId(run), why: reconcile::event::Refusal::FileNotFound { command: "run".to_string() } }
}
