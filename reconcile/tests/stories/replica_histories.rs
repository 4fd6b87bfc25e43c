//! Random histories of several replicas: however saves, slow starts, failures and orders by hand meet, enough of them serve, no
//! more run than allowed, and all of them settle.

use crate::stage::{Stage, by_hand, exited, gone, probed, ready, rolling, spec, started, wanted, with};
use reconcile::event::{Event, Order};
use reconcile::replica::Replica;
use reconcile::spec::{Restart, Spec};
use reconcile::text::Name;
use std::collections::BTreeMap;
use std::time::Duration;

/// A small generator of numbers (Knuth's MMIX constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// What the host knows of a run that is not gone.
#[derive(Clone, Copy, Debug, Default)]
struct HostRun {
    version: usize,
    is_up: bool,
    is_ready: bool,
    is_told: bool,
}

/// So many replicas of a version. Those of an odd version fail before they are ready.
fn webs(count: u32, version: usize, surge: u32) -> Vec<Spec> {
    let replica = |number| {
        let version = u32::try_from(version).expect("few versions");
        with(rolling(probed(spec("web", version))), |spec| {
            (spec.name, spec.stable) = (Name::from(format!("web:{number}")), Duration::ZERO);
            spec.restart = Restart::OnFailure;
            spec.replica = Some(Replica { of: "web".into(), number, surge });
        })
    };
    (1..=count).map(replica).collect()
}

struct World {
    stage: Stage,
    runs: BTreeMap<u64, HostRun>,
    version: usize,
}

impl World {
    /// Hands events to the engine, and carries out what it wants.
    fn step(&mut self, events: Vec<Event>) {
        for action in self.stage.step(events) {
            let id: u64 = action.split(['#', ' ']).nth(2).and_then(|id| id.parse().ok()).unwrap_or_else(|| panic!("{action}"));
            match action.split(' ').next() {
                Some("spawn") => drop(self.runs.insert(id, HostRun { version: self.version_of(id), ..HostRun::default() })),
                Some("stop" | "kill") => self.runs.get_mut(&id).expect("it runs").is_told = true,
                _ => panic!("{action}"),
            }
        }
    }

    /// The version that a run was started with.
    fn version_of(&self, id: u64) -> usize {
        let observed = self.stage.engine.observed();
        let run = observed.run(reconcile::event::RunId(id)).expect("it was started");
        run.spec.exec.args[0].value().parse().expect("a version")
    }

    /// Something happens to a run: it comes up, becomes ready or fails, or ends because it was told to.
    fn advance(&mut self, id: u64) {
        let run = self.runs.get_mut(&id).expect("it runs");
        let events = match *run {
            HostRun { is_told: true, is_up: true, .. } => vec![exited(id, 0), gone(id)],
            HostRun { is_up: false, .. } => vec![started(id)],
            HostRun { version, .. } if !version.is_multiple_of(2) => vec![exited(id, 1), gone(id)],
            HostRun { is_ready: false, .. } => vec![ready(id)],
            HostRun { .. } => return,
        };
        (run.is_ready, run.is_up) = (run.is_ready || run.is_up, true);
        if events.len() == 2 {
            self.runs.remove(&id);
        }
        self.step(events);
    }

    fn serving(&self) -> usize {
        self.runs.values().filter(|run| run.is_ready && !run.is_told && run.version.is_multiple_of(2)).count()
    }
}

fn histories() -> u64 {
    std::env::var("HISTORIES").ok().and_then(|text| text.parse().ok()).unwrap_or(2_000)
}

#[test]
fn enough_replicas_serve_and_no_more_run_than_allowed() {
    for seed in 0..histories() {
        let mut dice = Dice(seed);
        let count = 2 + dice.below(4);
        let surge = dice.below(4);
        let (number, beside) = (u32::try_from(count).expect("few"), u32::try_from(surge).expect("few"));
        let mut world = World { stage: Stage::new(), runs: BTreeMap::new(), version: 0 };
        world.step(vec![wanted(webs(number, 0, beside))]);
        while world.serving() < count {
            let ids: Vec<u64> = world.runs.keys().copied().collect();
            for id in ids {
                world.advance(id);
            }
        }
        let least = if surge == 0 { count - 1 } else { count };
        for _ in 0..60 {
            match dice.below(12) {
                0 => {
                    // Without surge, a version that fails is not put back, so it costs a replica.
                    world.version += if surge == 0 { 2 } else { 1 + dice.below(2) };
                    let file = webs(number, world.version, beside);
                    world.step(vec![wanted(file)]);
                }
                1 => {
                    let name = format!("web:{}", 1 + dice.below(count));
                    world.step(vec![by_hand(Order::Restart, &name)]);
                }
                2 => drop(world.stage.wait(1_000)),
                _ if !world.runs.is_empty() => {
                    let ids: Vec<u64> = world.runs.keys().copied().collect();
                    let id = ids[dice.below(ids.len())];
                    world.advance(id);
                }
                _ => {}
            }
            assert!(
                world.serving() >= least,
                "seed {seed}: {} of {count} serve (surge {surge}): {:?}",
                world.serving(),
                world.runs
            );
            assert!(world.runs.len() <= count + surge, "seed {seed}: {count} replicas, surge {surge}: {:?}", world.runs);
        }
        for round in 0.. {
            let is_unsettled = |run: &HostRun| run.is_told || !run.is_ready;
            let ids: Vec<u64> = world.runs.iter().filter(|(_, run)| is_unsettled(run)).map(|(id, _)| *id).collect();
            if ids.is_empty() {
                break;
            }
            assert!(round < 200, "seed {seed} doesn't settle: {:?}", world.runs);
            for id in ids {
                world.advance(id);
            }
        }
        assert_eq!(world.runs.len(), count, "seed {seed}: {:?}", world.runs);
        assert_eq!(world.serving(), count, "seed {seed}: {:?}", world.runs);
        // Where the newest version fails, each goes on with what it ran before.
        let is_right = |run: &HostRun| {
            if world.version.is_multiple_of(2) { run.version == world.version } else { run.version.is_multiple_of(2) }
        };
        assert!(world.runs.values().all(is_right), "seed {seed}, version {}: {:?}", world.version, world.runs);
    }
}
