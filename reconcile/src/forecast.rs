//! What a configuration would change, process by process, in order of execution.
//!
//! It joins the steps of a [`preview`] for each process, and adds the changed fields from [`Engine::changes`]. The order is
//! that of the preview.

use crate::desired::Desired;
use crate::diff::{ChangeClass, Difference, tops};
use crate::engine::Engine;
use crate::plan::is_one_by_one;
use crate::preview::{PreviewAction, PreviewStep, preview};
use crate::reason::Reason;
use crate::report::Summary;
use crate::socket::Listener;
use crate::spec::Spec;
use crate::text::{Name, Text};
use crate::time::Time;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cell::LazyCell;
use core::fmt;
use core::time::Duration;

/// What a configuration would change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    /// Its effects in the order of their last steps: a restart is where the new run is started. Effects without a step, because
    /// nothing runs, come first.
    pub effects: Vec<Effect>,
    /// Sockets that would be opened, closed or moved, by address.
    pub sockets: Vec<SocketEffect>,
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
    /// How a restart is done.
    pub how: RestartMode,
}

/// How a process is restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartMode {
    /// It stops, then it is started.
    #[default]
    StopFirst,
    /// The same, and connections wait in the queues of its sockets meanwhile.
    Queued,
    /// Each replica stops first, once all others are ready.
    OneByOne,
    /// A new run is ready for this long before the old one stops.
    Rolling(Duration),
}

/// What would happen to a held socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketEffect {
    /// Its address, as shown to people.
    pub address: Text,
    /// The process that it is held for; `None`: it would be opened.
    pub from: Option<Name>,
    /// The process that it would be held for; `None`: it would be closed.
    pub to: Option<Name>,
}

/// A process that goes on running as before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StaleProcess {
    /// The process.
    pub name: Name,
    /// The fields in which the file differs from what runs.
    pub fields: Vec<Difference>,
    /// Why it would be changed otherwise; `None`: its definition is the same.
    pub reason: Option<Reason>,
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
    for (name, change) in &changes {
        let own = steps.0.get(name);
        let own =
            own.filter(|own| *change != ChangeClass::Keep || without_it.0.get(name).is_none_or(|other| !own.is_same(other)));
        let effect = |kind, reason, fields: &[Difference]| {
            let how = if kind == EffectKind::Restart { mode(own, wanted, name) } else { RestartMode::StopFirst };
            let effect = Effect { name: name.clone(), kind, reason, fields: fields.to_vec(), how };
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
                // A scheduled task that doesn't run is not started for it.
                let is_scheduled = wanted.get(name).is_some_and(|entry| entry.spec.schedule.is_some());
                let usual = if is_scheduled { EffectKind::Update } else { EffectKind::Restart };
                let (kind, why) = kind_and_reason(own).unwrap_or_else(|| (usual, Reason::Changed(tops(fields))));
                effects.push(effect(kind, why, fields));
            }
            ChangeClass::Update(fields) => {
                let (kind, why) = kind_and_reason(own).unwrap_or_else(|| (EffectKind::Update, Reason::Changed(tops(fields))));
                effects.push(effect(kind, why, fields));
            }
            // It may be restarted along with a dependency.
            ChangeClass::Stale(fields) => effects.extend(kind_and_reason(own).map(|(kind, why)| effect(kind, why, fields))),
            // It may be restarted along with a dependency, or have waited for one that starts now.
            ChangeClass::Keep => effects.extend(kind_and_reason(own).map(|(kind, why)| effect(kind, why, &[]))),
        }
    }
    let effects_of: BTreeSet<Name> = effects.iter().map(|(_, effect)| effect.name.clone()).collect();
    let mut stale = stale_processes(engine, wanted, &changes);
    stale.retain(|stale| !effects_of.contains(&stale.name));
    effects.sort_by_key(|(last, _)| *last);
    let effects: Vec<Effect> = effects.into_iter().map(|(_, effect)| effect).collect();
    for wave in &mut waves {
        wave.retain(|step| effects_of.contains(&step.name));
    }
    waves.retain(|wave| !wave.is_empty());
    let mut summary = Summary { generation: engine.generation() + 1, ..Summary::of(&changes) };
    summary.unchanged -= stale.iter().filter(|stale| stale.reason.is_none()).count();
    let sockets = socket_effects(engine.desired(), wanted);
    Some(Forecast { effects, sockets, waves, stale, summary })
}

/// Returns the processes that don't run as this configuration says, by name, if it is the one of the file already.
pub fn stale(engine: &Engine, wanted: &Desired) -> Vec<StaleProcess> {
    stale_processes(engine, wanted, &engine.changes(wanted))
}

/// The processes that would be kept on purpose: by `on_change: none`, because a run of this definition or of the same program was
/// put back, or because this configuration was rolled back.
fn stale_processes(engine: &Engine, wanted: &Desired, changes: &BTreeMap<Name, ChangeClass>) -> Vec<StaleProcess> {
    let is_bad = engine.is_known_bad(wanted);
    let is_put_back = |name: &Name| engine.put_back(name).is_some() && engine.has_same_definition(wanted, name);
    let stale = |(name, change): (&Name, &ChangeClass)| {
        let (fields, reason) = match change {
            ChangeClass::Stale(fields) => (&fields[..], Some(Reason::Changed(tops(fields)))),
            ChangeClass::Replace(fields) | ChangeClass::Update(fields) if is_bad => {
                (&fields[..], Some(Reason::Changed(tops(fields))))
            }
            ChangeClass::Add if is_bad => (&[][..], Some(Reason::Added)),
            ChangeClass::Remove if is_bad => (&[][..], Some(Reason::Removed)),
            ChangeClass::Keep if is_put_back(name) => (&[][..], None),
            _ => return None,
        };
        Some(StaleProcess { name: name.clone(), fields: fields.to_vec(), reason })
    };
    changes.iter().filter_map(stale).collect()
}

/// How a process is restarted by these steps.
fn mode(own: Option<&ProcessSteps>, wanted: &Desired, name: &Name) -> RestartMode {
    match wanted.get(name) {
        Some(entry) if own.is_some_and(|own| own.starts_first) => RestartMode::Rolling(entry.spec.stable),
        Some(entry) if is_one_by_one(entry) => RestartMode::OneByOne,
        Some(entry) if !entry.spec.exec.sockets.is_empty() => RestartMode::Queued,
        _ => RestartMode::StopFirst,
    }
}

/// The sockets that one configuration has and the other doesn't, or for another process.
fn socket_effects(before: &Desired, after: &Desired) -> Vec<SocketEffect> {
    let (before, after) = (sockets(before), sockets(after));
    let mut addresses: Vec<&String> = before.keys().chain(after.keys()).collect();
    addresses.sort();
    addresses.dedup();
    let effect = |address: &String| {
        let (from, to) = (before.get(address), after.get(address));
        let shown = to.or(from)?.1.clone();
        let (from, to) = (from.map(|(name, _)| name), to.map(|(name, _)| name));
        (from != to).then(|| SocketEffect { address: shown, from: from.cloned(), to: to.cloned() })
    };
    addresses.into_iter().filter_map(effect).collect()
}

/// The sockets of a configuration by address, each with its process and its address as shown to people.
fn sockets(desired: &Desired) -> BTreeMap<String, (Name, Text)> {
    let specs = desired.entries().iter().map(|entry| &entry.spec).filter(|spec| spec.enabled);
    let of_spec = |spec: &Arc<Spec>| {
        let entry = |listener: &Listener| (listener.address.to_string(), (spec.definition().clone(), listener.shown.clone()));
        spec.exec.sockets.iter().map(entry).collect::<Vec<_>>()
    };
    specs.flat_map(of_spec).collect()
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
    /// It is started before it is stopped.
    starts_first: bool,
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
                PreviewAction::Stop(why) => {
                    own.starts_first = own.start.is_some();
                    own.stop = Some(why.clone());
                }
                PreviewAction::Update(_) => {}
            }
        }
        Steps(steps)
    }
}
