//! Says on a terminal which processes a shutdown waits for, and how long at most.

use reconcile::engine::Engine;
use reconcile::human_duration::HumanDuration;
use reconcile::plan::Waiting;
use reconcile::text::Name;
use reconcile::time::Time;
use std::time::Duration;

/// How long a shutdown may take before it says what it waits for. Most take less.
const PATIENCE: Duration = Duration::from_secs(1);
/// How many processes are named.
const MOST_NAMES: usize = 5;

/// What was said last.
#[derive(Debug, Default)]
pub(super) struct ShutdownNotice {
    said: Vec<Name>,
}

impl ShutdownNotice {
    /// When something may have to be said although nothing happened; `None` if there is nothing to say then.
    pub(super) fn due(&self, engine: &Engine) -> Option<Time> {
        let closing = engine.orders().closing().filter(|closing| !closing.hurry && self.said.is_empty())?;
        Some(closing.since + PATIENCE)
    }

    /// The notice, if a graceful shutdown waits for other processes than those named last.
    pub(super) fn next(&mut self, engine: &Engine, now: Time, was_interrupted: bool) -> Option<String> {
        let closing = engine.orders().closing().filter(|closing| !closing.hurry && now >= closing.since + PATIENCE)?;
        let graces = engine.waiting(now).into_iter().filter_map(|(name, waiting)| match waiting {
            Waiting::Grace(until) => Some((name, until)),
            _ => None,
        });
        let (names, ends): (Vec<Name>, Vec<Time>) = graces.unzip();
        let until = ends.into_iter().max()?.min(closing.since + engine.desired().shutdown_timeout());
        if names == self.said {
            return None;
        }
        let seconds = until.since(now).as_millis().div_ceil(1000);
        let longest = HumanDuration(Duration::from_secs(u64::try_from(seconds).unwrap_or(u64::MAX)));
        let press = if was_interrupted { "press Ctrl-C again" } else { "press Ctrl-C twice" };
        let text = format!("waiting up to {longest} for {}; {press} to kill\n", list(&names));
        self.said = names;
        Some(text)
    }
}

fn list(names: &[Name]) -> String {
    let shown: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("`{name}`")).collect();
    let more = names.len() - shown.len();
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
