//! What a configuration or a shutdown would do, wave by wave.
//!
//! The engine itself runs in an ideal world, where every start and every stop succeeds. So a preview can't disagree with what is
//! then done.

use crate::desired::Desired;
use crate::diff::Difference;
use crate::engine::{Engine, StepOutcome};
use crate::event::{Action, Event, ExitStatus, Order, Pid, RunId};
use crate::reason::Reason;
use crate::report::{Report, TransitionKind};
use crate::spec::{ProcessKind, Spec};
use crate::text::Name;
use crate::time::Time;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// One step of a preview.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewStep {
    /// The process.
    pub name: Name,
    /// What would be done to it.
    pub act: PreviewAction,
}

/// What would be done to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreviewAction {
    /// It is started.
    Start(Reason),
    /// It is stopped.
    Stop(Reason),
    /// A changed upkeep is taken over.
    Update(Vec<Difference>),
}

impl fmt::Display for PreviewStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.act {
            PreviewAction::Start(reason) => write!(f, "start {} ({reason})", self.name),
            PreviewAction::Stop(reason) => write!(f, "stop {} ({reason})", self.name),
            PreviewAction::Update(differences) => {
                write!(f, "update {} (", self.name)?;
                for (place, difference) in differences.iter().enumerate() {
                    write!(f, "{}{}", if place > 0 { ", " } else { "" }, difference.field)?;
                }
                f.write_str(" changed)")
            }
        }
    }
}

/// Returns what an engine would do if it got this configuration now, in waves. The steps of a wave are begun at once, and a wave
/// begins when the one before is done. The engine isn't changed.
pub fn preview(engine: &Engine, now: Time, wanted: Desired) -> Vec<Vec<PreviewStep>> {
    IdealWorld::of(engine, now).play(Event::Wanted(wanted))
}

/// Returns what an engine would do if navigator shut down now, in waves.
pub fn preview_shutdown(engine: &Engine, now: Time) -> Vec<Vec<PreviewStep>> {
    IdealWorld::of(engine, now).play(Event::Order(Order::Shutdown))
}

/// Runs an engine in the ideal world until everything that can start has started; returns the time then. For tests, and for
/// previews on an empty host.
pub fn settle(engine: &mut Engine, now: Time, wanted: Desired) -> Time {
    let orders_execs = engine.observed.orders_execs;
    let mut world = IdealWorld::of(engine, now);
    world.play(Event::Wanted(wanted));
    *engine = world.engine;
    engine.observed.orders_execs = orders_execs;
    engine.observed.is_ideal = false;
    world.now
}

struct IdealWorld {
    engine: Engine,
    now: Time,
}

impl IdealWorld {
    fn of(engine: &Engine, now: Time) -> IdealWorld {
        let mut engine = engine.clone();
        // In an ideal world a start takes no time, so no exec has to wait for another.
        engine.observed.orders_execs = false;
        engine.observed.is_ideal = true;
        IdealWorld { engine, now }
    }

    fn play(&mut self, first: Event) -> Vec<Vec<PreviewStep>> {
        let mut waves = Vec::new();
        let mut events = alloc::vec![first];
        // What was begun before completes first, and is no step of this preview.
        events.extend(self.pending());
        let mut is_first = true;
        loop {
            let outcome = self.engine.step(self.now, core::mem::take(&mut events));
            let wave = self.wave(&outcome);
            if !wave.is_empty() {
                waves.push(wave);
            }
            for action in &outcome.actions {
                add_outcome(action, &mut events);
            }
            // Tasks that are started from now on complete as soon as they are started.
            if core::mem::take(&mut is_first) {
                events.extend(self.completions());
            }
            if events.is_empty() {
                // Nothing more happens at a time that has come already.
                let Some(at) = outcome.wake_at.filter(|at| *at > self.now) else { return waves };
                self.now = at;
            }
        }
    }

    /// The outcomes of all starts and stops that were begun before.
    fn pending(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for run in self.engine.observed().processes().values().flat_map(|process| &process.runs) {
            if run.stop.is_some() || run.killed.is_some() {
                events.extend(end_events(run.id));
            } else if run.up.is_none() {
                add_start_events(run.id, &run.spec, &mut events);
            } else if run.ready.is_none() {
                events.push(Event::Ready { run: run.id });
            }
        }
        events
    }

    /// The ends of all tasks that still run, and aren't stopping.
    fn completions(&self) -> Vec<Event> {
        let runs = self.engine.observed().processes().values().flat_map(|process| &process.runs);
        let tasks = runs.filter(|run| run.spec.exec.kind == ProcessKind::Task && run.up.is_some() && run.is_undisturbed());
        tasks.flat_map(|run| end_events(run.id)).collect()
    }

    fn wave(&self, outcome: &StepOutcome) -> Vec<PreviewStep> {
        let mut wave = Vec::new();
        for report in &outcome.reports {
            let Report::Process(transition) = report else { continue };
            let act = match &transition.what {
                TransitionKind::Stopping(reason) => PreviewAction::Stop(reason.clone()),
                TransitionKind::Updated(differences) => PreviewAction::Update(differences.clone()),
                _ => continue,
            };
            wave.push(PreviewStep { name: transition.name.clone(), act });
        }
        for action in &outcome.actions {
            if let Action::Spawn { run, spec, .. } = action
                && let Some(run) = self.engine.observed().run(*run)
            {
                wave.push(PreviewStep { name: spec.name.clone(), act: PreviewAction::Start(run.reason.clone()) });
            }
        }
        wave
    }
}

/// Adds the outcome of an action in the ideal world.
fn add_outcome(action: &Action, events: &mut Vec<Event>) {
    match action {
        Action::Spawn { run, spec, .. } => {
            add_start_events(*run, spec, events);
            if spec.exec.kind == ProcessKind::Task {
                events.extend(end_events(*run));
            }
        }
        Action::Drain { run, .. } | Action::Stop { run, .. } | Action::StopRest { run, .. } | Action::Kill { run } => {
            events.extend(end_events(*run));
        }
        Action::Hold { name, listeners } => {
            events.push(Event::Held { name: name.clone(), listeners: listeners.clone(), refusal: None });
        }
        Action::Update { .. } | Action::Reload { .. } => {}
    }
}

/// The events of a run that ends with success.
fn end_events(run: RunId) -> [Event; 2] {
    [Event::Exited { run, status: ExitStatus::Code(0) }, Event::Gone { run }]
}

/// Adds the events of a start that succeeds, and of a run that is ready at once.
fn add_start_events(run: RunId, spec: &Arc<Spec>, events: &mut Vec<Event>) {
    events.push(Event::Spawned { run, pid: Pid(0) });
    if spec.has_readiness() {
        events.push(Event::Ready { run });
    }
}
