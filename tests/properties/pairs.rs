//! What a plan shows is what then happens: over random pairs of files, the steps that are planned from one that a host has
//! settled on to the other, and those that an engine then takes.
//!
//! `PAIRS=n` says how many.

use crate::dice::Dice;
use crate::previews::{Pace, Played, play};
use crate::trace::describe_wish;
use crate::wishes::{Wish, number};
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::event::Event;
use reconcile::forecast::{Forecast, forecast};
use reconcile::preview::PreviewStep;
use reconcile::spec::{OnChange, Spec, Tier};
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::{BTreeMap, BTreeSet};

/// A step, as verb and name.
type Step = (String, String);

#[test]
fn a_plan_shows_what_then_happens_in_its_order() {
    let (mut steps, mut changes) = (0, 0);
    for seed in 0..crate::number("PAIRS").unwrap_or(5_000) {
        let pair = Pair::random(seed);
        let Some(plan) = pair.plan() else {
            assert!(waves(&pair.save(&mut Pace::AtOnce)).is_empty(), "{}", pair.story());
            continue;
        };
        let planned: Vec<Vec<Step>> = plan.waves.iter().map(|wave| wave.iter().map(step).collect()).collect();
        // A world in which nothing takes time is the one that is previewed: wave by wave the same is done.
        let done = pair.save(&mut Pace::AtOnce);
        assert_eq!(planned, waves(&done), "{}", pair.story());
        assert_eq!(of_processes(&plan), effects(&done, &pair.before), "{}", pair.story());
        // In one in which everything takes its time, what doesn't wait for one another overtakes.
        let planned: Vec<Step> = planned.into_iter().flatten().collect();
        let done: Vec<Step> = waves(&pair.save(&mut Pace::Random(Dice::of(&[seed])))).into_iter().flatten().collect();
        pair.compare(&planned, &done);
        steps += planned.len();
        changes += plan.effects.len();
    }
    println!("{steps} steps of {changes} changes");
    assert!(steps > changes, "{steps} steps of {changes} changes: hardly a restart is among them");
}

/// Two files, and a host that has settled on the first.
struct Pair {
    seed: u64,
    before: Wish,
    after: Wish,
    engine: Engine,
    now: Time,
}

impl Pair {
    fn random(seed: u64) -> Pair {
        let mut dice = Dice::of(&[seed]);
        let most = 2 + dice.below(11);
        let (mut before, mut after) = (Wish::random(&mut dice, most), Wish::nothing());
        if dice.chance(50) {
            // As in files without `depends_on`: everything has its place.
            before = before.with_each(list_alone);
        }
        while after.specs.is_empty() {
            after = before.changed(&mut dice, most);
            for _ in 0..dice.below(6) {
                after = after.changed(&mut dice, most);
            }
        }
        if before.is_list() {
            after = after.with_each(list_alone);
        }
        let (mut engine, now) = (Engine::new(), Time::ZERO);
        let settled = play(&mut engine, now, Event::Wanted(before.desired()), &mut Pace::AtOnce).now;
        Pair { seed, before, after, engine, now: settled }
    }

    fn plan(&self) -> Option<Forecast> {
        forecast(&self.engine, self.now, &self.after.desired())
    }

    /// What is done when the second file is saved.
    fn save(&self, pace: &mut Pace) -> Played {
        play(&mut self.engine.clone(), self.now, Event::Wanted(self.after.desired()), pace)
    }

    fn compare(&self, planned: &[Step], done: &[Step]) {
        let takes_time = |spec: &Spec| spec.on_change == OnChange::Rolling || !spec.exec.sockets.is_empty();
        if self.before.specs.iter().chain(&self.after.specs).any(takes_time) {
            // How long a replacement takes to get ready, or an answer about sockets to come, decides how often dependents are
            // restarted, and what overtakes what; see `previews`.
            return;
        }
        // Replicas have no order among themselves.
        let has_replicas = self.before.specs.iter().chain(&self.after.specs).any(|spec| spec.replica.is_some());
        if !has_replicas && self.before.is_list() && self.after.is_list() {
            return assert_eq!(planned, done, "{}", self.story());
        }
        let sorted = |steps: &[Step]| {
            let mut steps = steps.to_vec();
            steps.sort();
            steps
        };
        assert_eq!(sorted(planned), sorted(done), "{}", self.story());
        let (stops, starts) = (related(&self.before.desired()), related(&self.after.desired()));
        let is_ordered = |one: &Step, other: &Step| {
            let pair = (one.1.clone(), other.1.clone());
            let relation = if one.0 == "stop" { &stops } else { &starts };
            one.1 == other.1 || (one.0 == other.0 && (relation.contains(&pair) || relation.contains(&(pair.1, pair.0))))
        };
        let pairs = |steps: &[Step]| -> BTreeSet<(Step, Step)> {
            let all = steps.iter().enumerate();
            let later = |(at, one)| steps[at + 1..].iter().map(move |other: &Step| (Step::clone(one), other.clone()));
            all.flat_map(later).filter(|(one, other)| is_ordered(one, other)).collect()
        };
        assert_eq!(pairs(planned), pairs(done), "{}", self.story());
    }

    fn story(&self) -> String {
        format!("pair {}\nbefore: {}\nafter: {}", self.seed, describe_wish(&self.before), describe_wish(&self.after))
    }
}

/// Leaves nothing that parts or delays what a list has in a row.
fn list_alone(spec: &mut Spec) {
    (spec.depends_on, spec.tier, spec.exec.sockets) = (None, Tier::Managed, Vec::new());
}

fn waves(played: &Played) -> Vec<Vec<Step>> {
    let step = |(name, deed): &(String, String)| (verb(deed), name.clone());
    played.waves.iter().map(|wave| wave.iter().map(step).collect()).collect()
}

fn step(deed: &PreviewStep) -> Step {
    (verb(&deed.to_string()), deed.name.to_string())
}

/// The first word of what is said of a deed.
fn verb(deed: &str) -> String {
    deed.split(' ').next().unwrap_or_default().to_owned()
}

/// Which of these comes after which, by name or by its place, over any number of others.
fn related(desired: &Desired) -> BTreeSet<(String, String)> {
    let name = |index: usize| desired.entries()[index].spec.name.to_string();
    let mut before: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for index in desired.order() {
        let entry = &desired.entries()[*index];
        let mut all = BTreeSet::new();
        for on in entry.needs.iter().map(|need| need.on).chain(entry.after.clone()) {
            all.insert(on);
            all.extend(before.get(&on).into_iter().flatten());
        }
        before.insert(*index, all);
    }
    before.iter().flat_map(|(index, all)| all.iter().map(|on| (name(*on), name(*index)))).collect()
}

/// What a plan says of each process to which something is done, in its order.
fn of_processes(plan: &Forecast) -> Vec<Step> {
    let has_steps = |name: &Name| plan.waves.iter().flatten().any(|deed| deed.name == *name);
    let effects = plan.effects.iter().filter(|effect| has_steps(&effect.name));
    effects.map(|effect| (effect.kind.to_string(), effect.name.to_string())).collect()
}

/// What was done to each process, in the order of the last step of each.
fn effects(played: &Played, before: &Wish) -> Vec<Step> {
    let steps: Vec<Step> = waves(played).into_iter().flatten().collect();
    let verbs = |name: &str| -> BTreeSet<&str> {
        steps.iter().filter(|(_, other)| other == name).map(|(verb, _)| verb.as_str()).collect()
    };
    let is_last = |(at, (_, name)): &(usize, &Step)| steps[at + 1..].iter().all(|(_, other)| other != name);
    let effect = |(_, (_, name)): (usize, &Step)| {
        let verbs = verbs(name);
        let action = match (verbs.contains("start"), verbs.contains("stop")) {
            // It may start beside a dependency that is replaced once its sockets are had, and again along with that.
            (true, true) if before.spec(number(name)).is_none() => "start",
            (true, true) => "restart",
            (true, false) => "start",
            (false, true) => "stop",
            (false, false) => "update",
        };
        (action.to_owned(), name.clone())
    };
    steps.iter().enumerate().filter(is_last).map(effect).collect()
}
