//! The JSON that `plan` shows: what a configuration would change now. It holds no value of a secret.

use super::Watch;
use reconcile::desired::{Desired, DesiredProcess};
use reconcile::diff::Difference;
use reconcile::engine::Engine;
use reconcile::fields::lines;
use reconcile::forecast::{Effect, EffectKind, RestartMode, SocketEffect, StaleProcess, forecast, stale};
use reconcile::human_duration::HumanDuration;
use reconcile::preview::{PreviewAction, PreviewStep};
use reconcile::report;
use reconcile::rollback::RolloutState;
use reconcile::time::Time;
use serde::{Deserialize, Serialize};
use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::group_diff_ops;
use similar::udiff::UnifiedHunkHeader;
use std::path::PathBuf;

/// What a configuration would change now.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanReport {
    /// The generation in force, from which the plan starts; 0: no navigator runs.
    pub generation: u64,
    /// In the order of execution.
    pub changes: Vec<PlannedChange>,
    /// Sockets that would be opened, closed or moved.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<PlannedSocket>,
    /// The steps of these changes. The steps of a wave begin together, when the wave before is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Vec<PlannedStep>>,
    /// Processes that would keep running an older definition.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<PlannedStale>,
    /// Processes that would stay stopped by hand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped_by_hand: Vec<String>,
    /// How many processes of each class of change.
    pub summary: PlanSummary,
    /// It is the configuration of the file already, so nothing would change. What is stale is so now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_known: bool,
    /// The configuration that has to become this one; `None`: no navigator runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<PlanTarget>,
}

/// The configuration of the navigator that a plan is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTarget {
    /// Its path.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub path: PathBuf,
    /// How changes of it are found.
    pub watch: Watch,
}

/// The change of one process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// `start`, `stop`, `restart` or `update`.
    pub action: String,
    /// The process.
    pub name: String,
    /// The fields that differ.
    pub fields: Vec<FieldChange>,
    /// Why.
    pub reason: String,
    /// How it is restarted: `rolling`, or `queued` if connections wait in the queues of its sockets meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub how: Option<String>,
    /// How that is done, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manner: Option<String>,
    /// The definition before and after without what is at its default, as a unified diff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff: Option<String>,
}

/// What would happen to a socket that navigator holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedSocket {
    /// `open`, `close` or `move`.
    pub action: String,
    /// Its address.
    pub address: String,
    /// The process that it is, or would be, held for.
    pub name: String,
    /// The process that it is held for now, if it moves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
}

/// One step of a change; a restart has two.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStep {
    /// `start`, `stop` or `update`.
    pub action: String,
    /// The process.
    pub name: String,
}

/// A process that would keep running an older definition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedStale {
    /// The process.
    pub name: String,
    /// The fields in which the new definition differs.
    pub fields: Vec<FieldChange>,
    /// Why it would be restarted otherwise.
    pub reason: String,
    /// Why a run of the new definition was put back, if one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back: Option<String>,
    /// Why the configuration was rolled back, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<String>,
}

/// A field that differs. Values of secrets are not shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Its path in the file.
    pub field: String,
    /// Its old value; `None`: not set.
    pub old: Option<String>,
    /// Its new value; `None`: not set.
    pub new: Option<String>,
}

/// How many processes of each class of change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSummary {
    /// New ones, to be started.
    pub added: usize,
    /// Removed ones, to be stopped.
    pub removed: usize,
    /// Changed ones, to be restarted.
    pub changed: usize,
    /// Changed ones, to be updated in place.
    pub updated: usize,
    /// Unchanged ones.
    pub unchanged: usize,
}

impl PlanReport {
    /// What the configuration `wanted` would change now.
    pub fn of(engine: &Engine, now: Time, wanted: &Desired) -> PlanReport {
        let (generation, before) = (engine.generation(), engine.desired());
        let stopped_by_hand = engine.orders().outlasting(wanted).map(ToString::to_string).collect();
        let Some(forecast) = forecast(engine, now, wanted) else {
            let stale = planned_stale(engine, wanted, stale(engine, wanted));
            let is_unchanged = |entry: &&DesiredProcess| stale.iter().all(|stale| stale.name != *entry.spec.name);
            let unchanged = wanted.entries().iter().filter(is_unchanged).count();
            let summary = PlanSummary { unchanged, ..PlanSummary::default() };
            return PlanReport { generation, stale, stopped_by_hand, summary, is_known: true, ..PlanReport::default() };
        };
        let changes = forecast.effects.iter().map(|effect| PlannedChange {
            action: effect.kind.to_string(),
            name: effect.name.to_string(),
            fields: fields(&effect.fields),
            reason: effect.reason.to_string(),
            how: word(effect.how).map(str::to_owned),
            manner: manner(effect, wanted),
            diff: diff(&effect.name, before, wanted),
        });
        let changes = changes.collect();
        let stale = planned_stale(engine, wanted, forecast.stale);
        let waves = forecast.waves.iter().map(|wave| wave.iter().map(step).collect()).collect();
        let summary = PlanSummary::of(&forecast.summary);
        let sockets = forecast.sockets.iter().filter_map(planned_socket).collect();
        PlanReport { generation, changes, sockets, waves, stale, stopped_by_hand, summary, is_known: false, target: None }
    }

    /// Whether applying it would change nothing that runs or that is kept.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.sockets.is_empty() && self.stale.is_empty()
    }

    /// The names of changed and stale processes, in the order of the plan.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.changes.iter().map(|change| change.name.as_str()).chain(self.stale.iter().map(|stale| stale.name.as_str()))
    }
}

impl PlanSummary {
    fn of(summary: &report::Summary) -> PlanSummary {
        let report::Summary { added, removed, changed, updated, unchanged, .. } = *summary;
        PlanSummary { added, removed, changed, updated, unchanged }
    }
}

fn planned_stale(engine: &Engine, wanted: &Desired, stale: Vec<StaleProcess>) -> Vec<PlannedStale> {
    let rolled_back = match engine.rollout() {
        Some(RolloutState::RolledBack { generation, why, .. }) if engine.is_known_bad(wanted) => {
            Some(format!("generation {generation} was rolled back: {why}"))
        }
        _ => None,
    };
    let planned = |StaleProcess { name, fields: differences, reason }: StaleProcess| PlannedStale {
        name: name.to_string(),
        fields: fields(&differences),
        reason: reason.map_or_else(|| "unchanged".to_owned(), |reason| reason.to_string()),
        put_back: engine.put_back(&name).map(ToString::to_string),
        rolled_back: rolled_back.clone(),
    };
    stale.into_iter().map(planned).collect()
}

/// The word for how a process is restarted.
fn word(how: RestartMode) -> Option<&'static str> {
    match how {
        RestartMode::StopFirst => None,
        RestartMode::Queued => Some("queued"),
        RestartMode::Rolling(_) | RestartMode::OneByOne => Some("rolling"),
    }
}

/// How a process is restarted, in words.
fn manner(effect: &Effect, wanted: &Desired) -> Option<String> {
    match effect.how {
        RestartMode::StopFirst => None,
        RestartMode::Queued => Some("clients wait meanwhile; `on_change: rolling` avoids that".to_owned()),
        RestartMode::OneByOne => Some("rolling, one by one: each stops first, once the others are ready".to_owned()),
        RestartMode::Rolling(stable) => {
            let spec = wanted.get(&effect.name).map(|entry| &entry.spec);
            let drains = spec.is_some_and(|spec| spec.stop.drain.is_some());
            let at_once = spec.and_then(|spec| spec.replica.as_ref()).map_or(1, |replica| replica.surge);
            let then = if drains { "drains" } else { "stops" };
            let stable = HumanDuration(stable);
            Some(format!("rolling, {at_once} at a time: new one ready for {stable}, then the old one {then}"))
        }
    }
}

fn planned_socket(effect: &SocketEffect) -> Option<PlannedSocket> {
    let (action, name, from) = match (&effect.from, &effect.to) {
        (None, None) => return None,
        (None, Some(to)) => ("open", to, None),
        (Some(from), None) => ("close", from, None),
        (Some(from), Some(to)) => ("move", to, Some(from.to_string())),
    };
    Some(PlannedSocket { action: action.to_owned(), address: effect.address.shown().to_owned(), name: name.to_string(), from })
}

fn step(step: &PreviewStep) -> PlannedStep {
    let kind = match step.act {
        PreviewAction::Start(_) => EffectKind::Start,
        PreviewAction::Stop(_) => EffectKind::Stop,
        PreviewAction::Update(_) => EffectKind::Update,
    };
    PlannedStep { action: kind.to_string(), name: step.name.to_string() }
}

fn fields(differences: &[Difference]) -> Vec<FieldChange> {
    let field = |difference: &Difference| {
        let Difference { field, old, new, .. } = difference;
        FieldChange { field: field.clone(), old: old.clone(), new: new.clone() }
    };
    differences.iter().map(field).collect()
}

/// The unified diff of a process's definitions; `None`: they have the same text.
fn diff(name: &str, before: &Desired, after: &Desired) -> Option<String> {
    let of = |desired: &Desired| -> Vec<String> {
        let fields = desired.get(name).map(|entry| lines(&entry.spec)).unwrap_or_default();
        // A value may have several lines.
        fields.iter().flat_map(|field| field.split('\n')).map(str::to_owned).collect()
    };
    let (old, new) = (of(before), of(after));
    (old != new).then(|| unified(&old, &new))
}

/// A unified diff without file names. It calls Myers' algorithm directly: the library's choice between algorithms would link all of
/// them.
fn unified(old: &[String], new: &[String]) -> String {
    /// How many lines are shown before and after one that differs.
    const CONTEXT: usize = 3;
    let mut found = Compact::new(Replace::new(Capture::new()), old, new);
    let Ok(()) = myers::diff(&mut found, old, 0..old.len(), new, 0..new.len());
    let mut lines = Vec::new();
    for hunk in group_diff_ops(found.into_inner().into_inner().into_ops(), CONTEXT) {
        lines.push(UnifiedHunkHeader::new(&hunk).to_string());
        let changes = hunk.iter().flat_map(|part| part.iter_changes(old, new));
        lines.extend(changes.map(|change| format!("{}{}", change.tag(), change.value())));
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::spec::Spec;
    use reconcile::text::Text;
    use std::time::Duration;

    fn desired_with(value: &str) -> Desired {
        let mut spec = Spec::new("web", "server");
        spec.exec.env.insert("TEXT", Text::plain(value));
        Desired::new(vec![spec], Duration::ZERO).expect("it is valid")
    }

    #[test]
    fn a_value_of_several_lines_is_compared_line_by_line() {
        let diff = diff("web", &desired_with("one\ntwo\nthree"), &desired_with("one\n2\nthree")).expect("they differ");
        let (header, lines) = diff.split_once('\n').expect("a hunk has a header");
        assert!(header.starts_with("@@ -") && header.ends_with(" @@"), "{header}");
        assert!(lines.contains(" env.TEXT: one\n-two\n+2\n three\n"), "{lines}");
        assert!(lines.lines().all(|line| line.starts_with([' ', '+', '-'])), "{lines}");
        assert_eq!(super::diff("web", &desired_with("one"), &desired_with("one")), None);
    }

    #[test]
    fn an_added_process_is_all_plus_and_a_removed_one_all_minus() {
        let nothing = Desired::nothing();
        let [added, removed] = [diff("web", &nothing, &desired_with("one")), diff("web", &desired_with("one"), &nothing)];
        for (diff, sign) in [(added, '+'), (removed, '-')] {
            assert!(diff.expect("they differ").lines().skip(1).all(|line| line.starts_with(sign)));
        }
    }
}
