//! A preview is a promise: what it lists is what then happens, process by process, if all goes well.
//!
//! The promise is held to a kind world of its own with other delays, so that no two things happen at once only because
//! the preview lets them.

use crate::dice::Dice;
use crate::invariants::{Check, ensure};
use crate::wishes::Wish;
use reconcile::engine::Engine;
use reconcile::event::{Action, Event, Order, Pid, RunId, Status};
use reconcile::preview::{Deed, preview, preview_shutdown};
use reconcile::report::{Report, What};
use reconcile::spec::{Kind, Spec};
use reconcile::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// Previews a wish and the end of everything, makes each come true on a copy of the engine, and compares.
pub(crate) fn check_previews(engine: &Engine, now: Time, wish: &Wish, dice: &mut Dice) -> Check {
    let wished = preview(engine, now, wish.desired());
    check_preview(wished, play(engine.clone(), now, Event::Wanted(wish.desired()), dice))?;
    let closed = preview_shutdown(engine, now);
    check_preview(closed, play(engine.clone(), now, Event::Order(Order::Shutdown), dice))
}

fn check_preview(waves: Vec<Vec<Deed>>, played: Vec<(String, String)>) -> Check {
    let mut promised: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for deed in waves.into_iter().flatten() {
        promised.entry(deed.name.to_string()).or_default().push(deed.to_string());
    }
    let mut kept: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, deed) in played {
        kept.entry(name).or_default().push(deed);
    }
    let names = promised.keys().eq(kept.keys());
    let holds = names && promised.iter().zip(&kept).all(|((_, promised), (_, kept))| is_kept(promised, kept));
    ensure(holds, "a preview is what then happens", || format!("promised {promised:?}, kept {kept:?}"))
}

/// Whether a process gets what was promised to it. How long a rolling replacement takes to get ready decides whether one
/// that follows it, and was changed itself, is restarted once for both or once for each; that much is left open.
fn is_kept(promised: &[String], kept: &[String]) -> bool {
    kept.strip_prefix(promised).is_some_and(|more| more.iter().all(|deed| deed.contains("(dependency ")))
}

/// Everything that an engine does upon a piece of news where all goes well, in the words of a preview.
fn play(mut engine: Engine, mut now: Time, first: Event, dice: &mut Dice) -> Vec<(String, String)> {
    let mut deeds = Vec::new();
    let mut agenda: BTreeMap<(Time, u64), Event> = BTreeMap::new();
    let mut count = 0;
    let mut news = vec![first];
    loop {
        let outcome = engine.step(now, std::mem::take(&mut news));
        for report in &outcome.reports {
            let Report::Process(about) = report else { continue };
            let name = about.name.to_string();
            match &about.what {
                What::Stopping(reason) => deeds.push((name.clone(), format!("stop {name} ({reason})"))),
                What::Updated(differences) => {
                    let fields: Vec<&str> = differences.iter().map(|difference| difference.field.as_str()).collect();
                    deeds.push((name.clone(), format!("update {name} ({} changed)", fields.join(", "))));
                }
                _ => {}
            }
        }
        for action in &outcome.actions {
            let mut at = now + Duration::from_millis(1 + dice.next() % 50);
            let answers = match action {
                Action::Spawn { run, spec } => {
                    let reason = engine.observed().run(*run).map(|run| run.reason.to_string()).unwrap_or_default();
                    deeds.push((spec.name.to_string(), format!("start {} ({reason})", spec.name)));
                    starts(*run, spec)
                }
                Action::Update { .. } | Action::Reload { .. } => Vec::new(),
                Action::Stop { run, .. } | Action::Kill { run } => ends(*run),
            };
            for answer in answers {
                count += 1;
                agenda.insert((at, count), answer);
                at = at + Duration::from_millis(dice.next() % 50);
            }
        }
        let Some(at) = agenda.keys().next().map(|(at, _)| *at).into_iter().chain(outcome.wake_at).min() else { return deeds };
        now = at.max(now);
        while let Some(entry) = agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            news.push(entry.remove());
        }
    }
}

fn starts(run: RunId, spec: &Spec) -> Vec<Event> {
    let mut answers = vec![Event::Spawned { run, pid: Pid(1) }, Event::Ready { run }];
    if spec.exec.kind == Kind::Task {
        answers.extend(ends(run));
    }
    answers
}

fn ends(run: RunId) -> Vec<Event> {
    vec![Event::Exited { run, status: Status::Code(0) }, Event::Gone { run }]
}
