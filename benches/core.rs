//! What the core takes at 10, 100, 1,000 and 10,000 processes, without a system around it: `cargo bench --bench core`.
//!
//! Each operation with processes in list order and with `depends_on: []`. Ten times as many processes may take ten times as
//! long and not more; where that is not so, there is a loop in a loop. It is *not* a test: nothing fails by being slow.

use divan::{Bencher, counter::ItemsCount};
use navigator::config::{Environment, Files, load};
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::event::{Action, Event, ExitStatus, Order as Command, Pid, RunId};
use reconcile::preview::{preview, settle};
use reconcile::time::Time;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Sizes and ways of placing.
const CASES: [(usize, Order); 8] = [
    (10, Order::Listed),
    (100, Order::Listed),
    (1_000, Order::Listed),
    (10_000, Order::Listed),
    (10, Order::Free),
    (100, Order::Free),
    (1_000, Order::Free),
    (10_000, Order::Free),
];

fn main() {
    divan::main();
}

/// How processes are placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Listed,
    Free,
}

/// A file in memory.
struct Text(String);

impl Files for Text {
    fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.clone().into_bytes())
    }

    fn list(&self, _directory: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }
}

/// So many processes as people write them, of which one is of another version. Short enough for ten thousand in one file.
fn text(count: usize, order: Order, version: usize) -> Text {
    let mut text = "managed_processes:\n".to_owned();
    for number in 0..count {
        let version = if number == count / 2 { version } else { 0 };
        let placed = if order == Order::Free { "    depends_on: []\n" } else { "" };
        write!(
            text,
            "  - name: process-{number}\n    command: worker\n    args: [--number, {number}]\n    env:\n      VERSION: v{version}\n{placed}"
        )
        .expect("a string takes all");
    }
    Text(text)
}

fn wish(count: usize, order: Order, version: usize) -> Desired {
    let loaded = load(Path::new("navigator.yml"), &text(count, order, version), &Environment::default());
    loaded.expect("it is valid").desired
}

/// An engine in a world where all of it runs. Started one after the other, ten thousand would take a minute; so they are
/// started freely, and then take their places in the list.
fn settled(count: usize, order: Order) -> (Engine, Time) {
    let mut engine = Engine::new();
    let mut now = settle(&mut engine, Time::ZERO, wish(count, Order::Free, 0));
    if order == Order::Listed {
        now = settle(&mut engine, now, wish(count, order, 0));
    }
    (engine, now)
}

/// Text to definitions.
#[divan::bench(args = CASES)]
fn load_file(bencher: Bencher<'_, '_>, (count, order): (usize, Order)) {
    let text = text(count, order, 0);
    bencher
        .counter(ItemsCount::new(count))
        .bench(|| load(Path::new("navigator.yml"), &text, &Environment::default()).expect("it is valid").desired);
}

/// What one changed process means for all of them.
#[divan::bench(args = CASES)]
fn diff(bencher: Bencher<'_, '_>, (count, order): (usize, Order)) {
    let ((engine, _), next) = (settled(count, order), wish(count, order, 1));
    bencher.counter(ItemsCount::new(count)).bench(|| engine.changes(&next));
}

/// A plan of a settled world.
#[divan::bench(args = CASES)]
fn plan(bencher: Bencher<'_, '_>, (count, order): (usize, Order)) {
    let (engine, now) = settled(count, order);
    bencher.counter(ItemsCount::new(count)).bench(|| engine.plan(now));
}

/// The same when the processor has been busy with something else, as it has when news comes after a moment of rest.
#[divan::bench(args = CASES)]
fn plan_after_rest(bencher: Bencher<'_, '_>, (count, order): (usize, Order)) {
    let (engine, now) = settled(count, order);
    let other = vec![1_u8; 64 << 20];
    let be_busy = || other.iter().step_by(64).map(|byte| u64::from(*byte)).sum::<u64>();
    bencher.counter(ItemsCount::new(count)).with_inputs(be_busy).bench_local_values(|_| engine.plan(now));
}

/// In the middle of a start one more runs, and the next is begun.
#[divan::bench(args = CASES)]
fn step_of_start(bencher: Bencher<'_, '_>, (count, order): (usize, Order)) {
    let mut engine = Engine::new();
    let begun = engine.step(Time::ZERO, [Event::Wanted(wish(count, order, 0))]);
    let run = begun.actions.iter().find_map(Action::run).expect("something is started");
    bencher.counter(ItemsCount::new(count)).with_inputs(|| engine.clone()).bench_local_values(|mut engine| {
        let outcome = engine.step(Time::ZERO, [Event::Spawned { run, pid: Pid(1) }]);
        (engine, outcome)
    });
}

/// In the middle of a shutdown one more is gone, and the next is told.
#[divan::bench(args = CASES)]
fn step_of_shutdown(bencher: Bencher<'_, '_>, (count, order): (usize, Order)) {
    let (mut engine, now) = settled(count, order);
    let begun = engine.step(now, [Event::Order(Command::Shutdown)]);
    let run = begun.actions.iter().find_map(Action::run).expect("something is stopped");
    bencher.counter(ItemsCount::new(count)).with_inputs(|| engine.clone()).bench_local_values(|mut engine| {
        let outcome = engine.step(now, [Event::Exited { run, status: ExitStatus::Code(0) }, Event::Gone { run }]);
        (engine, outcome)
    });
}

/// A process crashes, is started again and runs: three steps.
#[divan::bench(args = CASES)]
fn crash_and_successor(bencher: Bencher<'_, '_>, (count, order): (usize, Order)) {
    let (engine, now) = settled(count, order);
    let run = engine.observed().processes().values().next().and_then(|process| process.runs.first()).expect("it runs").id;
    let successor = RunId(
        engine.observed().processes().values().flat_map(|process| &process.runs).map(|run| run.id.0).max().unwrap_or(0) + 1,
    );
    bencher.counter(ItemsCount::new(count)).with_inputs(|| engine.clone()).bench_local_values(|mut engine| {
        let ended = [Event::Exited { run, status: ExitStatus::Code(1) }, Event::Gone { run }];
        let outcome = engine.step(now, ended);
        let started = engine.step(outcome.wake_at.unwrap_or(now), []);
        let up = engine.step(now, [Event::Spawned { run: successor, pid: Pid(1) }]);
        (engine, outcome, started, up)
    });
}

/// A new configuration, of which one process differs, is taken in.
#[divan::bench(args = CASES)]
fn step_wanted(bencher: Bencher<'_, '_>, (count, order): (usize, Order)) {
    let ((engine, now), next) = (settled(count, order), wish(count, order, 1));
    bencher.counter(ItemsCount::new(count)).with_inputs(|| (engine.clone(), next.clone())).bench_local_values(
        |(mut engine, next)| {
            let outcome = engine.step(now, [Event::Wanted(next)]);
            (engine, outcome)
        },
    );
}

/// What one changed process would bring about, to its end.
#[divan::bench(args = CASES)]
fn preview_of_one(bencher: Bencher<'_, '_>, (count, order): (usize, Order)) {
    let ((engine, now), next) = (settled(count, order), wish(count, order, 1));
    bencher.counter(ItemsCount::new(count)).bench(|| preview(&engine, now, next.clone()));
}
