//! Takeover between any two steps: an engine that goes on from what another one remembers does nothing by itself, and shows
//! the same.
//!
//! What ends with navigator is excepted: its sockets, a start delay, which counts anew, and a start that waits, which is reported again.

use crate::invariants::{Check, ensure};
use crate::wishes::Wish;
use reconcile::engine::Engine;
use reconcile::event::Event;
use reconcile::report::Report;
use reconcile::take_over::FormerLife;
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// Takes over from an engine of this wish. Neither a shutdown nor what is known of a rollback is taken over by facts alone. Sockets are
/// opened anew, which others may have to wait for.
pub(crate) fn check_takeover(former: &Engine, now: Time, wish: &Wish) -> Check {
    let has_sockets = former.observed().processes().values().any(|process| process.sockets.is_some());
    if has_sockets || former.orders().closing().is_some() || former.rollout().is_some() {
        return Ok(());
    }
    let file = wish.desired();
    let mut names: BTreeSet<Name> = former.observed().processes().keys().cloned().collect();
    names.extend(file.entries().iter().map(|entry| entry.spec.name.clone()));
    let processes: BTreeMap<_, _> = names.into_iter().filter_map(|name| Some((name.clone(), former.remember(&name)?))).collect();
    let contents = former
        .observed()
        .processes()
        .iter()
        .filter_map(|(name, process)| Some(Event::Content { name: name.clone(), content: process.content.clone()? }));
    let mut batch = vec![Event::Wanted(file.clone())];
    batch.extend(contents);
    let (generation, last_run) = (former.generation(), former.observed().last_run());
    let mut engine = Engine::take_over(FormerLife { file, generation, last_run, at: now, processes });
    let outcome = engine.step(now, batch);
    let is_quiet = outcome.actions.is_empty() && outcome.reports.iter().all(is_said_again);
    ensure(is_quiet, "a takeover does nothing by itself", || format!("{outcome:?}"))?;
    let (before, after) = (shown(former), shown(&engine));
    ensure(before == after, "a takeover changes nothing that is shown", || format!("{before:?}\n{after:?}"))
}

fn is_said_again(report: &Report) -> bool {
    matches!(report, Report::Unchanged | Report::Stalled { .. })
}

/// What is shown of each process, apart from what it waits for.
fn shown(engine: &Engine) -> Vec<String> {
    let line = |status: reconcile::state::ProcessStatus| {
        let lasting =
            (status.state, status.pid, status.generation, status.restarts, status.since, status.stale, status.last_exit);
        format!("{} {lasting:?} {}", status.name, status.reason)
    };
    engine.statuses().into_iter().map(line).collect()
}
