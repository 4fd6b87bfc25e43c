//! What an engine answers, written for scenario fixtures: a step begins with its time, and is followed by what belongs to it.
//!
//! What takes no time is not said twice: a start that is answered at once is its action alone.

use super::world::World;
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, ExitStatus, RunId, StopBy};
use reconcile::human_duration::HumanDuration;
use reconcile::plan::Waiting;
use reconcile::report::{Report, Summary, Transition, TransitionKind};
use reconcile::spec::{Signal, SignalOrCommand, StopScope};
use reconcile::state::ProcessStatus;
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The answers so far.
#[derive(Default)]
pub(crate) struct Trace {
    lines: String,
    /// What was waited for when it was last said.
    waiting: Vec<(Name, Waiting)>,
    /// What is waited for now.
    now_waiting: Vec<(Name, Waiting)>,
    /// When each run was last acted on.
    acted: BTreeMap<RunId, Time>,
}

impl Trace {
    /// Takes up one step.
    pub(crate) fn step(&mut self, world: &World, outcome: &StepOutcome) {
        let mut lines: Vec<String> = outcome.reports.iter().filter_map(|report| self.report(report, world.now)).collect();
        // What is taken over has been told with its fields.
        let actions = || outcome.actions.iter().filter(|action| !matches!(action, Action::Update { .. }));
        lines.extend(actions().map(|action| self::action(&world.engine, action)));
        self.acted.extend(actions().filter_map(|action| Some((action.run()?, world.now))));
        self.now_waiting = world.engine.waiting(world.now);
        self.block(world.now, &lines);
    }

    /// Takes up what is waited for at the end of a moment, as far as that is new.
    pub(crate) fn moment(&mut self, now: Time) {
        let mut said = BTreeSet::new();
        let lines: Vec<String> = (self.now_waiting.iter())
            .filter(|waiting| !self.waiting.contains(waiting))
            .map(|(name, what)| format!("|  {name} {what}"))
            .filter(|line| said.insert(line.clone()))
            .collect();
        self.block(now, &lines);
        self.waiting.clone_from(&self.now_waiting);
    }

    /// Writes how everything stands.
    pub(crate) fn status(&mut self, world: &World) {
        let mut lines: Vec<String> = Vec::new();
        for standing in world.engine.statuses() {
            let stale = if standing.stale { ", stale" } else { "" };
            let ProcessStatus { name, state, generation, reason, .. } = &standing;
            let restarts = match world.engine.observed().processes().get(name).map_or(0, |process| process.restarts) {
                0 => String::new(),
                restarts => format!(", restarts {restarts}"),
            };
            lines.push(format!("=  {name} {state}{stale}, generation {generation}{restarts} ({reason})"));
        }
        lines.push(format!("=  {}converged", if world.engine.is_converged() { "" } else { "not " }));
        self.block(world.now, &lines);
    }

    /// Writes a line of its own.
    pub(crate) fn line(&mut self, now: Time, line: &str) {
        self.block(now, &[line.to_owned()]);
    }

    /// The answers since this was last called.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.lines)
    }

    fn block(&mut self, now: Time, lines: &[String]) {
        let mut time = now.to_string();
        for line in lines {
            // Writing into a string can't fail.
            let _ = writeln!(self.lines, "    {time:>8} {line}");
            time.clear();
        }
    }

    fn report(&self, report: &Report, now: Time) -> Option<String> {
        match report {
            Report::Accepted(summary) => Some(self::summary(summary)),
            Report::Unchanged => Some("Configuration unchanged".to_owned()),
            Report::Stalled { on, why, names } => {
                let names: Vec<&str> = names.iter().map(Name::as_str).collect();
                Some(format!("Start blocked: {} by {on}, {}", names.join(", "), why.words()))
            }
            Report::ShuttingDown(cause) => Some(format!("Shutting down ({}: {})", cause.name, cause.status)),
            Report::Good(generation) => Some(format!("generation {generation} is good")),
            Report::RolledBack { generation, to, why } => {
                let to = to.map_or_else(|| "nothing".to_owned(), |to| format!("generation {to}"));
                Some(format!("generation {generation} is rolled back to {to}: {why}"))
            }
            Report::KnownBad => Some("known to be bad".to_owned()),
            Report::Process(transition) => self.transition(transition, now),
        }
    }

    /// The words are those of the log.
    fn transition(&self, transition: &Transition, now: Time) -> Option<String> {
        let later = transition.run.and_then(|run| self.acted.get(&run)).is_some_and(|acted| *acted != now);
        let words = match &transition.what {
            // These are told by their actions.
            TransitionKind::Starting(_)
            | TransitionKind::Draining(_)
            | TransitionKind::Stopping(_)
            | TransitionKind::StoppingRest(_)
            | TransitionKind::Killing(_) => return None,
            TransitionKind::Reloading(reason) => format!("Reloading process ({reason})"),
            TransitionKind::NotReloaded(why) => format!("Process not reloaded ({why})"),
            TransitionKind::Unready(why) => format!("Process unready ({why})"),
            TransitionKind::Started => Some("Process started".to_owned()).filter(|_| later)?,
            TransitionKind::Stopped { status, .. } => Some(format!("Process stopped ({status})")).filter(|_| later)?,
            TransitionKind::Ready => "Process ready".to_owned(),
            TransitionKind::Exited(ExitStatus::Code(0)) => "Process exited".to_owned(),
            TransitionKind::Exited(status) => format!("Process exited ({status})"),
            TransitionKind::MainChanged => "Main process changed".to_owned(),
            TransitionKind::NotStarted(reason) => format!("Process not started ({reason})"),
            TransitionKind::SlowedDown(reason) => format!("Slowing down restarts ({reason})"),
            TransitionKind::Crashed(status) => format!("Process crashed ({status})"),
            TransitionKind::Restarting { delay, reason } => {
                format!("Restarting process, delay {} ({reason})", HumanDuration(*delay))
            }
            TransitionKind::Failed(reason) => format!("Process failed ({reason})"),
            TransitionKind::PutBack(reason) => format!("Process put back ({reason})"),
            TransitionKind::Socket(address, what) => format!("Socket {address} {what:?}"),
            TransitionKind::KeepsNoSocket => "Sockets not used".to_owned(),
            TransitionKind::Survives(_) => "Process survives being killed".to_owned(),
            TransitionKind::Updated(differences) => {
                let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "(none)".to_owned());
                let fields: Vec<String> = (differences.iter())
                    .map(|field| format!("{} {} → {}", field.field, or_none(&field.old), or_none(&field.new)))
                    .collect();
                format!("Process updated ({})", fields.join(", "))
            }
        };
        let run = transition.run.map(|run| run.to_string()).unwrap_or_default();
        Some(format!("{}{run}: {words}", transition.name))
    }
}

/// The counts of a configuration, by class of change.
pub(crate) fn summary(summary: &Summary) -> String {
    let counts = [
        (summary.added, "added"),
        (summary.removed, "removed"),
        (summary.changed, "changed"),
        (summary.updated, "updated"),
        (summary.stale, "stale"),
        (summary.unchanged, "unchanged"),
    ];
    let counts: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    let counts = if counts.is_empty() { "nothing".to_owned() } else { counts.join(", ") };
    format!("generation {}: {counts}", summary.generation)
}

fn means(by: &SignalOrCommand) -> String {
    match by {
        SignalOrCommand::Signal(signal) => format!("by {signal}"),
        SignalOrCommand::Command(_) => "by command".to_owned(),
    }
}

fn action(engine: &Engine, action: &Action) -> String {
    let run_of = |id: &RunId| engine.observed().run(*id).unwrap_or_else(|| panic!("{id} is acted on, and unknown"));
    match action {
        Action::Spawn { run, spec, .. } => format!("-> spawn {}{run} ({})", spec.name, run_of(run).reason),
        Action::Update { run, .. } => format!("-> update {}{run}", run_of(run).spec.name),
        Action::Reload { run, by } => {
            format!("-> reload {}{run} {}", run_of(run).spec.name, means(by))
        }
        Action::Hold { name, listeners } => {
            let addresses: Vec<String> = listeners.iter().map(|listener| listener.shown.to_string()).collect();
            format!("-> hold [{}] for {name}", addresses.join(", "))
        }
        Action::Drain { run, by } => format!("-> drain {}{run} {}", run_of(run).spec.name, means(by)),
        Action::StopRest { run, .. } => format!("-> stop the rest of {}{run}", run_of(run).spec.name),
        Action::Stop { run, by, scope } => {
            let stopped = run_of(run);
            let why = stopped.stop.as_ref().map_or_else(|| "without a reason".to_owned(), |stop| stop.why.to_string());
            let signal = match by {
                StopBy::Signal(Signal::TERM) => String::new(),
                StopBy::Signal(signal) => format!(" with {signal}"),
                StopBy::Command(..) => " by command".to_owned(),
            };
            let scope = if *scope == StopScope::Main { " by its main process" } else { "" };
            format!("-> stop {}{run}{signal}{scope} ({why})", stopped.spec.name)
        }
        Action::Kill { run } => {
            let killed = run_of(run);
            let why = killed.stop.as_ref().map_or_else(|| "what its leader left".to_owned(), |stop| stop.why.to_string());
            format!("-> kill {}{run} ({why})", killed.spec.name)
        }
    }
}
