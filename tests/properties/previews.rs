//! A preview is a promise: what it lists is what then happens, process by process, if all goes well.
//!
//! The promise is held to a kind world of its own with other delays, so that no two things happen at once only because
//! the preview lets them.

use crate::dice::Dice;
use crate::invariants::{Check, ensure};
use crate::wishes::Wish;
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, Event, ExitStatus, Order, Pid, RunId};
use reconcile::preview::{PreviewStep, preview, preview_shutdown};
use reconcile::report::{Report, TransitionKind};
use reconcile::spec::{ProcessKind, Spec};
use reconcile::time::Time;
use std::collections::BTreeMap;
use std::time::Duration;

/// Previews a wish and the end of everything, makes each come true on a copy of the engine, and compares.
pub(crate) fn check_previews(engine: &Engine, now: Time, wish: &Wish, dice: &mut Dice) -> Check {
    let wished = preview(engine, now, wish.desired());
    let mut pace = Pace::Random(Dice::of(&[dice.next()]));
    let has_replicas = wish.specs.iter().any(|spec| spec.replica.is_some());
    let played = play(&mut engine.clone(), now, Event::Wanted(wish.desired()), &mut pace).deeds();
    check_preview(wished, played, has_replicas)?;
    let closed = preview_shutdown(engine, now);
    check_preview(closed, play(&mut engine.clone(), now, Event::Order(Order::Shutdown), &mut pace).deeds(), false)
}

fn check_preview(waves: Vec<Vec<PreviewStep>>, played: Vec<(String, String)>, has_replicas: bool) -> Check {
    let mut promised: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for deed in waves.into_iter().flatten() {
        promised.entry(deed.name.to_string()).or_default().push(deed.to_string());
    }
    let mut kept: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, deed) in played {
        kept.entry(name).or_default().push(deed);
    }
    let names = promised.keys().eq(kept.keys());
    let holds = names && promised.iter().zip(&kept).all(|((_, promised), (_, kept))| is_kept(promised, kept, has_replicas));
    ensure(holds, "a preview is what then happens", || format!("promised {promised:?}, kept {kept:?}"))
}

/// Whether a process gets what was promised to it. How long a rolling replacement takes to get ready decides whether one
/// that follows it, and was changed itself, is restarted once for both or once for each; that much is left open. What follows
/// replicas may also not be ready by then, or be replaced itself.
fn is_kept(promised: &[String], kept: &[String], has_replicas: bool) -> bool {
    let follows = |deed: &String| deed.contains("(dependency ");
    let is_more = kept.strip_prefix(promised).is_some_and(|more| more.iter().all(follows));
    is_more || (has_replicas && promised.iter().chain(kept).any(follows))
}

/// How long things take in a kind world.
pub(crate) enum Pace {
    /// No time.
    AtOnce,
    /// Each another one.
    Random(Dice),
}

impl Pace {
    fn next(&mut self, least: u64) -> Duration {
        match self {
            Pace::AtOnce => Duration::ZERO,
            Pace::Random(dice) => Duration::from_millis(least + dice.next() % 50),
        }
    }
}

/// What an engine did until nothing was left to do.
pub(crate) struct Played {
    /// Step by step, each deed with the name of its process; a step in which nothing was done is none.
    pub(crate) waves: Vec<Vec<(String, String)>>,
    /// When it was over.
    pub(crate) now: Time,
}

impl Played {
    fn deeds(self) -> Vec<(String, String)> {
        self.waves.into_iter().flatten().collect()
    }
}

/// Everything that an engine does upon a piece of news where all goes well, in the words of a preview.
pub(crate) fn play(engine: &mut Engine, mut now: Time, first: Event, pace: &mut Pace) -> Played {
    let mut waves = Vec::new();
    let mut agenda: BTreeMap<(Time, u64), Event> = BTreeMap::new();
    let mut count = 0;
    let mut news = vec![first];
    loop {
        let outcome = engine.step(now, std::mem::take(&mut news));
        waves.extend(Some(deeds(engine, &outcome)).filter(|wave| !wave.is_empty()));
        for action in &outcome.actions {
            // How long sockets take decides what a process that is changed and follows another is restarted for.
            let mut at = if matches!(action, Action::Hold { .. }) { now } else { now + pace.next(1) };
            let answers = match action {
                Action::Spawn { run, spec, .. } => starts(*run, spec),
                Action::Hold { name, listeners } => {
                    vec![Event::Held { name: name.clone(), listeners: listeners.clone(), refusal: None }]
                }
                Action::Update { .. } | Action::Reload { .. } => Vec::new(),
                Action::Drain { run, .. } | Action::Stop { run, .. } | Action::StopRest { run, .. } | Action::Kill { run } => {
                    ends(*run)
                }
            };
            for answer in answers {
                count += 1;
                agenda.insert((at, count), answer);
                at = at + pace.next(0);
            }
        }
        // A time to wake that has come already is a fault of another rule, and would never end here.
        let wake_at = outcome.wake_at.filter(|at| *at > now);
        let next = agenda.keys().next().map(|(at, _)| *at).into_iter().chain(wake_at).min();
        let Some(at) = next else { return Played { waves, now } };
        now = at.max(now);
        while let Some(entry) = agenda.first_entry().filter(|entry| entry.key().0 <= now) {
            news.push(entry.remove());
        }
    }
}

/// What an engine did in one step.
fn deeds(engine: &Engine, outcome: &StepOutcome) -> Vec<(String, String)> {
    let reported = outcome.reports.iter().filter_map(|report| {
        let Report::Process(about) = report else { return None };
        let name = about.name.to_string();
        let deed = match &about.what {
            TransitionKind::Stopping(reason) => format!("stop {name} ({reason})"),
            TransitionKind::Updated(differences) => {
                let fields: Vec<&str> = differences.iter().map(|difference| difference.field.as_str()).collect();
                format!("update {name} ({} changed)", fields.join(", "))
            }
            _ => return None,
        };
        Some((name, deed))
    });
    let begun = outcome.actions.iter().filter_map(|action| {
        let Action::Spawn { run, spec, .. } = action else { return None };
        let reason = engine.observed().run(*run).map(|run| run.reason.to_string()).unwrap_or_default();
        Some((spec.name.to_string(), format!("start {} ({reason})", spec.name)))
    });
    reported.chain(begun).collect()
}

fn starts(run: RunId, spec: &Spec) -> Vec<Event> {
    let mut answers = vec![Event::Spawned { run, pid: Pid(1) }, Event::Ready { run }];
    if spec.exec.kind == ProcessKind::Task {
        answers.extend(ends(run));
    }
    answers
}

fn ends(run: RunId) -> Vec<Event> {
    vec![Event::Exited { run, status: ExitStatus::Code(0) }, Event::Gone { run }]
}
