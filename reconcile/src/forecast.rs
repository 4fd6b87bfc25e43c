//! What a configuration would change, process by process, in order of execution.
//!
//! It joins the steps of a [`preview`] for each process, and adds the changed fields from [`Engine::changes`]. The order is
//! that of the preview.

use crate::desired::Desired;
use crate::diff::{ChangeClass, Difference, tops};
use crate::engine::Engine;
use crate::preview::{PreviewAction, PreviewStep, preview};
use crate::reason::Reason;
use crate::report::Summary;
use crate::text::Name;
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::LazyCell;
use core::fmt;

/// What a configuration would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Its effects in the order of their last steps: a restart is where the new run is started. Effects without a step, because
    /// nothing runs, come first.
    pub effects: Vec<Effect>,
    /// The steps of these effects. The steps of a wave are begun at once, and a wave begins when the one before is done.
    pub waves: Vec<Vec<PreviewStep>>,
    /// Processes that would need another run, and are kept on purpose; by name.
    pub stale: Vec<StaleProcess>,
    /// How many changes of each class, and the generation that the configuration would become.
    pub summary: Summary,
}

/// What would happen to one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// The process.
    pub name: Name,
    /// What would be done.
    pub kind: EffectKind,
    /// Why.
    pub reason: Reason,
    /// The fields that differ, for a process that is in both configurations.
    pub fields: Vec<Difference>,
}

/// A process that goes on running with its former definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleProcess {
    /// The process.
    pub name: Name,
    /// The fields in which the file differs from what runs.
    pub fields: Vec<Difference>,
}

/// What would be done to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EffectKind {
    /// It is started.
    Start,
    /// It is stopped.
    Stop,
    /// It is stopped, and started again.
    Restart,
    /// A changed upkeep is taken over.
    Update,
}

impl EffectKind {
    /// Its sign in plans.
    pub fn sign(self) -> char {
        match self {
            EffectKind::Start => '+',
            EffectKind::Stop => '-',
            EffectKind::Restart => '±',
            EffectKind::Update => '~',
        }
    }

    /// Its word in plans.
    pub fn as_str(self) -> &'static str {
        match self {
            EffectKind::Start => "start",
            EffectKind::Stop => "stop",
            EffectKind::Restart => "restart",
            EffectKind::Update => "update",
        }
    }
}

impl fmt::Display for EffectKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Returns what this configuration would change now; `None` if it means the same as the one in force.
///
/// What happens without it too, such as the next start of a crashed process, is not an effect.
pub fn forecast(engine: &Engine, now: Time, wanted: &Desired) -> Option<Forecast> {
    if !engine.is_news(wanted) {
        return None;
    }
    let changes = engine.changes(wanted);
    // Computed only if there are steps for unchanged processes.
    let without_it = LazyCell::new(|| Steps::of(&preview(engine, now, engine.desired().clone())));
    let mut waves = preview(engine, now, wanted.clone());
    let steps = Steps::of(&waves);
    let mut effects: Vec<(Option<usize>, Effect)> = Vec::new();
    let mut stale = Vec::new();
    for (name, change) in &changes {
        let own = steps.0.get(name);
        let own =
            own.filter(|own| *change != ChangeClass::Keep || without_it.0.get(name).is_none_or(|other| !own.is_same(other)));
        let effect = |kind, reason, fields: &[Difference]| {
            let effect = Effect { name: name.clone(), kind, reason, fields: fields.to_vec() };
            (own.map(|own| own.last), effect)
        };
        let started = || own.and_then(|own| own.start.clone());
        let stopped = || own.and_then(|own| own.stop.clone());
        match change {
            ChangeClass::Add => {
                let usual = if engine.desired().get(name).is_some() { Reason::Enabled } else { Reason::Added };
                effects.push(effect(EffectKind::Start, started().unwrap_or(usual), &[]));
            }
            ChangeClass::Remove => {
                let usual = if wanted.get(name).is_some() { Reason::Disabled } else { Reason::Removed };
                effects.push(effect(EffectKind::Stop, stopped().unwrap_or(usual), &[]));
            }
            ChangeClass::Replace(fields) => {
                let (kind, why) = kind_and_reason(own).unwrap_or_else(|| (EffectKind::Restart, Reason::Changed(tops(fields))));
                effects.push(effect(kind, why, fields));
            }
            ChangeClass::Update(fields) => {
                let (kind, why) = kind_and_reason(own).unwrap_or_else(|| (EffectKind::Update, Reason::Changed(tops(fields))));
                effects.push(effect(kind, why, fields));
            }
            // It may be restarted along with a dependency.
            ChangeClass::Stale(fields) => match kind_and_reason(own) {
                Some((kind, why)) => effects.push(effect(kind, why, fields)),
                None => stale.push(StaleProcess { name: name.clone(), fields: fields.clone() }),
            },
            // It may be restarted along with a dependency, or have waited for one that starts now.
            ChangeClass::Keep => effects.extend(kind_and_reason(own).map(|(kind, why)| effect(kind, why, &[]))),
        }
    }
    effects.sort_by_key(|(last, _)| *last);
    let effects: Vec<Effect> = effects.into_iter().map(|(_, effect)| effect).collect();
    let of_effects: BTreeSet<&Name> = effects.iter().map(|effect| &effect.name).collect();
    for wave in &mut waves {
        wave.retain(|step| of_effects.contains(&step.name));
    }
    waves.retain(|wave| !wave.is_empty());
    let summary = Summary { generation: engine.generation() + 1, ..Summary::of(&changes) };
    Some(Forecast { effects, waves, stale, summary })
}

/// What the start and stop of a process amount to, and why; `None`: there is neither. A process that is stopped and can't be
/// started again, because a dependency is disabled, counts as stopped.
fn kind_and_reason(own: Option<&ProcessSteps>) -> Option<(EffectKind, Reason)> {
    match own.map(|own| (own.stop.clone(), own.start.clone()))? {
        (Some(_), Some(why)) => Some((EffectKind::Restart, why)),
        (Some(why), None) => Some((EffectKind::Stop, why)),
        (None, Some(why)) => Some((EffectKind::Start, why)),
        (None, None) => None,
    }
}

/// What a preview does to each process.
struct Steps(BTreeMap<Name, ProcessSteps>);

/// What is done to one process.
#[derive(Default)]
struct ProcessSteps {
    start: Option<Reason>,
    stop: Option<Reason>,
    /// The place of the last step among all.
    last: usize,
}

impl ProcessSteps {
    /// Whether the same is done, even at another place.
    fn is_same(&self, other: &ProcessSteps) -> bool {
        (&self.start, &self.stop) == (&other.start, &other.stop)
    }
}

impl Steps {
    fn of(waves: &[Vec<PreviewStep>]) -> Steps {
        let mut steps: BTreeMap<Name, ProcessSteps> = BTreeMap::new();
        for (place, PreviewStep { name, act }) in waves.iter().flatten().enumerate() {
            let own = steps.entry(name.clone()).or_default();
            own.last = place;
            match act {
                PreviewAction::Start(why) => own.start = Some(why.clone()),
                PreviewAction::Stop(why) => own.stop = Some(why.clone()),
                PreviewAction::Update(_) => {}
            }
        }
        Steps(steps)
    }
}
