//! From any configuration to any other: the plan ends, keeps the order, and leads to the second, after which nothing is to do.

use super::files::{MAIN, Memory};
use reconcile::desired::Desired;
use reconcile::diff::ChangeClass;
use reconcile::engine::Engine;
use reconcile::preview::{PreviewAction, PreviewStep, preview, preview_shutdown, settle};
use reconcile::spec::{Condition, OnChange, ProcessKind};
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::BTreeMap;

/// The line between the two configurations.
const SEPARATOR: &str = "\n---8<---\n";

pub(crate) fn check(input: &[u8]) {
    let Some((before, after)) = std::str::from_utf8(input).ok().and_then(|text| text.split_once(SEPARATOR)) else { return };
    let (Some(before), Some(after)) = (desired(before), desired(after)) else { return };
    if before.entries().len().max(after.entries().len()) > 50 {
        return;
    }
    in_order(&before);
    in_order(&after);
    let mut engine = Engine::new();
    let now = settle(&mut engine, Time::ZERO, before);
    let waves = preview(&engine, now, after.clone());
    assert_eq!(waves, preview(&engine, now, after.clone()), "a preview leaves the engine alone");
    starts_in_order(&after, &waves);
    let now = settle(&mut engine, now, after.clone());
    assert!(engine.is_converged() || !can_all_start(&after), "{:?}", engine.statuses());
    assert!(preview(&engine, now, after.clone()).is_empty(), "doing it once is enough");
    let kept_stale = |name: &Name| after.get(name).is_some_and(|entry| entry.spec.on_change == OnChange::Keep);
    for (name, change) in engine.changes(&after) {
        assert!(matches!(change, ChangeClass::Keep) || kept_stale(&name), "`{name}` is left with {change:?}");
    }
    let left = preview_shutdown(&engine, now).concat();
    assert!(left.iter().all(|deed| matches!(deed.act, PreviewAction::Stop(_))), "a shutdown only stops: {left:?}");
}

fn desired(text: &str) -> Option<Desired> {
    Memory::default().with(MAIN, text).load().ok().map(|loaded| loaded.desired)
}

/// Every process comes after its dependencies.
fn in_order(desired: &Desired) {
    let places: BTreeMap<usize, usize> = desired.order().iter().enumerate().map(|(place, &index)| (index, place)).collect();
    assert_eq!(places.len(), desired.entries().len(), "each has one place");
    for (index, entry) in desired.entries().iter().enumerate() {
        let needed = entry.needs.iter().map(|need| need.on);
        assert!(
            needed.chain(entry.after.clone()).all(|other| places[&other] < places[&index]),
            "`{}` comes too early",
            entry.spec.name
        );
    }
}

/// Whether every dependency can be met: none is disabled, and none waits for the end of a service.
fn can_all_start(desired: &Desired) -> bool {
    let entries = desired.entries();
    let needs = entries.iter().filter(|entry| entry.spec.enabled).flat_map(|entry| &entry.needs).filter(|need| need.required);
    needs.into_iter().all(|need| {
        let other = &entries[need.on].spec;
        other.enabled && (need.condition != Condition::Completed || other.exec.kind == ProcessKind::Task)
    })
}

/// A process is started after each of its dependencies that is started too.
fn starts_in_order(desired: &Desired, waves: &[Vec<PreviewStep>]) {
    let mut starts: BTreeMap<&Name, usize> = BTreeMap::new();
    for (number, wave) in waves.iter().enumerate() {
        for deed in wave.iter().filter(|deed| matches!(deed.act, PreviewAction::Start(_))) {
            starts.insert(&deed.name, number);
        }
    }
    for entry in desired.entries() {
        let Some(own) = starts.get(&entry.spec.name) else { continue };
        for need in entry.needs.iter().filter(|need| need.required) {
            let other = &desired.entries()[need.on].spec.name;
            assert!(
                starts.get(other).is_none_or(|other| other < own),
                "`{}` starts before `{other}`:\n{waves:?}",
                entry.spec.name
            );
        }
    }
}
