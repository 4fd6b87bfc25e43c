//! A preview is what is then done, if all goes well: over every case of `fixtures/plan/`.

mod support {
    pub(crate) mod case;
    pub(crate) mod fixtures;
    pub(crate) mod process;
    pub(crate) mod script;
    pub(crate) mod story;
    pub(crate) mod trace;
    pub(crate) mod world;
}

use reconcile::desired::Desired;
use reconcile::engine::StepOutcome;
use reconcile::event::{Action, Event};
use reconcile::preview::{PreviewAction, PreviewStep, preview};
use reconcile::report::{Report, TransitionKind};
use std::path::Path;
use std::time::Duration;
use support::case::Case;
use support::fixtures;
use support::script::{Command, Habit};
use support::world::World;

#[test]
fn a_preview_is_what_is_done_if_all_goes_well() {
    for folder in fixtures::cases("plan") {
        let (previewed, done) = both(&folder, |_, _| {});
        assert_eq!(previewed, done, "{}", folder.display());
    }
}

/// When starts and stops take their time, what doesn't wait for one another comes in another order; the steps are the same,
/// and so are their reasons.
#[test]
fn a_preview_is_what_is_done_if_it_takes_its_time() {
    for folder in fixtures::cases("plan") {
        let (previewed, done) = both(&folder, |world, after| {
            let spans = [7, 12, 17].map(Duration::from_millis).into_iter().cycle();
            for (entry, span) in after.entries().iter().zip(spans) {
                let habits = [Habit::StartTakes(Some(span)), Habit::ReadyTakes(Some(2 * span)), Habit::StopTakes(3 * span)];
                for habit in habits {
                    world.habit(entry.spec.name.clone(), habit);
                }
            }
        });
        let sorted = |waves: Vec<Vec<String>>| {
            let mut all: Vec<String> = waves.into_iter().flatten().collect();
            all.sort();
            all
        };
        assert_eq!(sorted(previewed), sorted(done), "{}", folder.display());
    }
}

/// The preview of a case, and what is done when it comes about in a world made so, both in waves.
fn both(folder: &Path, make: impl FnOnce(&mut World, &Desired)) -> (Vec<Vec<String>>, Vec<Vec<String>>) {
    let Case { mut story, after } = Case::of(folder);
    story.tell(Command::AllGoesWell).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut world = story.world;
    make(&mut world, &after);
    let previewed = preview(&world.engine, world.now, after.clone());
    let mut done = Vec::new();
    let mut seen =
        |world: &World, outcome: &StepOutcome| done.extend(Some(deeds(world, outcome)).filter(|wave| !wave.is_empty()));
    world.news([Event::Wanted(after)], &mut seen);
    while let Some(at) = world.next() {
        world.pass_until(at, &mut seen);
    }
    (previewed.iter().map(|wave| wave.iter().map(PreviewStep::to_string).collect()).collect(), done)
}

/// What a step of the engine did, in the words of a preview.
fn deeds(world: &World, outcome: &StepOutcome) -> Vec<String> {
    let reported = outcome.reports.iter().filter_map(|report| {
        let Report::Process(transition) = report else { return None };
        let act = match &transition.what {
            TransitionKind::Stopping(reason) => PreviewAction::Stop(reason.clone()),
            TransitionKind::Updated(differences) => PreviewAction::Update(differences.clone()),
            _ => return None,
        };
        Some(PreviewStep { name: transition.name.clone(), act })
    });
    let started = outcome.actions.iter().filter_map(|action| {
        let Action::Spawn { run, spec, .. } = action else { return None };
        let run = world.engine.observed().run(*run)?;
        Some(PreviewStep { name: spec.name.clone(), act: PreviewAction::Start(run.reason.clone()) })
    });
    reported.chain(started).map(|deed| deed.to_string()).collect()
}
