//! What would happen: the engine itself, in an ideal world where every start succeeds and every stop is obeyed.
//!
//! There is no second sorting that could disagree with what is then done.

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

/// One thing that would be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviewStep {
    /// To which process.
    pub name: Name,
    /// What.
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

/// What an engine would do if this were wanted now, in waves: everything in a wave happens at once, and a wave begins
/// when the former one is done. The engine itself is left as it is.
pub fn preview(engine: &Engine, now: Time, wanted: Desired) -> Vec<Vec<PreviewStep>> {
    IdealWorld::of(engine, now).play(Event::Wanted(wanted))
}

/// What an engine would do if it were told to end now, in waves.
pub fn preview_shutdown(engine: &Engine, now: Time) -> Vec<Vec<PreviewStep>> {
    IdealWorld::of(engine, now).play(Event::Order(Order::Shutdown))
}

/// Settles an engine as the ideal world would: everything that can start has started. For tests and previews of wishes
/// on an empty host.
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
        // In an ideal world no start takes any time; and each wave is what the one before has led to.
        engine.observed.orders_execs = false;
        engine.observed.is_ideal = true;
        IdealWorld { engine, now }
    }

    fn play(&mut self, first: Event) -> Vec<Vec<PreviewStep>> {
        let mut waves = Vec::new();
        let mut news = alloc::vec![first];
        // What is on its way already comes about first, and is no deed of what is wanted now.
        news.extend(self.pending());
        let mut is_first = true;
        loop {
            let outcome = self.engine.step(self.now, core::mem::take(&mut news));
            let wave = self.wave(&outcome);
            if !wave.is_empty() {
                waves.push(wave);
            }
            for action in &outcome.actions {
                answer(action, &mut news);
            }
            // What is started from now on completes when it has been started.
            if core::mem::take(&mut is_first) {
                news.extend(self.completions());
            }
            if news.is_empty() {
                let Some(at) = outcome.wake_at else { return waves };
                self.now = at;
            }
        }
    }

    /// The outcome of everything that was begun before.
    fn pending(&self) -> Vec<Event> {
        let mut news = Vec::new();
        for run in self.engine.observed().processes().values().flat_map(|process| &process.runs) {
            if run.stop.is_some() || run.killed.is_some() {
                news.extend(ended(run.id));
            } else if run.up.is_none() {
                started(run.id, &run.spec, &mut news);
            } else if run.ready.is_none() {
                news.push(Event::Ready { run: run.id });
            }
        }
        news
    }

    /// The outcome of every task that still runs, and that nothing is to be done about.
    fn completions(&self) -> Vec<Event> {
        let runs = self.engine.observed().processes().values().flat_map(|process| &process.runs);
        let tasks = runs.filter(|run| run.spec.exec.kind == ProcessKind::Task && run.up.is_some() && run.is_undisturbed());
        tasks.flat_map(|run| ended(run.id)).collect()
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

/// What comes of an action in an ideal world.
fn answer(action: &Action, news: &mut Vec<Event>) {
    match action {
        Action::Spawn { run, spec, .. } => {
            started(*run, spec, news);
            if spec.exec.kind == ProcessKind::Task {
                news.extend(ended(*run));
            }
        }
        Action::Stop { run, .. } | Action::Kill { run } => news.extend(ended(*run)),
        Action::Update { .. } | Action::Reload { .. } => {}
    }
}

/// The end of a run that does as it is told, or has done what it was to do.
fn ended(run: RunId) -> [Event; 2] {
    [Event::Exited { run, status: ExitStatus::Code(0) }, Event::Gone { run }]
}

/// A start that succeeds, and is ready at once.
fn started(run: RunId, spec: &Arc<Spec>, news: &mut Vec<Event>) {
    news.push(Event::Spawned { run, pid: Pid(0) });
    if spec.has_readiness() {
        news.push(Event::Ready { run });
    }
}
