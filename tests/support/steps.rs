//! What a configuration would do to a host, written for plan fixtures: waves of steps, each with its reason and the fields
//! that differ, and a count.

use reconcile::desired::Desired;
use reconcile::diff::{ChangeClass, Difference};
use reconcile::engine::Engine;
use reconcile::event::Event;
use reconcile::preview::{PreviewAction, PreviewStep, preview};
use reconcile::report::Report;
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

/// The steps from what an engine has settled on to what is wanted.
pub(crate) fn steps(engine: &Engine, now: Time, wanted: &Desired) -> String {
    let waves = preview(engine, now, wanted.clone());
    let changes = engine.changes(wanted);
    let mut told = BTreeSet::new();
    let mut text = String::new();
    for (number, wave) in waves.iter().enumerate() {
        line(&mut text, &format!("wave {}", number + 1));
        for deed in wave {
            line(&mut text, &format!("  {} {deed}", sign(deed, &waves)));
            // What differs is said once, where it first matters.
            if told.insert(&deed.name) {
                for difference in differences(&changes, &deed.name) {
                    line(&mut text, &field(difference));
                }
            }
        }
    }
    line(&mut text, &count(engine, now, wanted));
    text
}

/// The sign of the class of change that a step belongs to: `+` start, `-` stop, `±` restart, `~` update in place.
fn sign(deed: &PreviewStep, waves: &[Vec<PreviewStep>]) -> char {
    let also = |test: fn(&PreviewAction) -> bool| waves.iter().flatten().any(|other| other.name == deed.name && test(&other.act));
    match deed.act {
        PreviewAction::Update(_) => '~',
        _ if also(|act| matches!(act, PreviewAction::Start(_))) && also(|act| matches!(act, PreviewAction::Stop(_))) => '±',
        PreviewAction::Start(_) => '+',
        PreviewAction::Stop(_) => '-',
    }
}

fn differences<'a>(changes: &'a BTreeMap<Name, ChangeClass>, name: &Name) -> &'a [Difference] {
    match changes.get(name) {
        Some(ChangeClass::Replace(differences) | ChangeClass::Update(differences) | ChangeClass::Stale(differences)) => {
            differences
        }
        _ => &[],
    }
}

fn field(difference: &Difference) -> String {
    let shown = |text: &Option<String>| text.clone().unwrap_or_else(|| "(none)".to_owned());
    let secret = if difference.secret { ", a secret" } else { "" };
    format!("        {}: {} → {}{secret}", difference.field, shown(&difference.old), shown(&difference.new))
}

/// The count that the engine itself reports when it takes the configuration.
fn count(engine: &Engine, now: Time, wanted: &Desired) -> String {
    let outcome = engine.clone().step(now, [Event::Wanted(wanted.clone())]);
    let summary =
        outcome.reports.iter().find_map(|report| if let Report::Accepted(summary) = report { Some(summary) } else { None });
    summary.map_or_else(|| "unchanged".to_owned(), super::trace::summary)
}

fn line(text: &mut String, line: &str) {
    // Writing into a string can't fail.
    let _ = writeln!(text, "{line}");
}
