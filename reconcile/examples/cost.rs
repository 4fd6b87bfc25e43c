//! What planning costs: one plan of a settled host, and one preview, for hosts of several sizes.
//!
//! `cargo run --release -p reconcile --example cost`. A figure is the best of several rounds, so that a busy machine
//! doesn't show.
#![expect(clippy::print_stdout, reason = "a table for whoever runs it")]

use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::preview::{preview, settle};
use reconcile::spec::Spec;
use reconcile::text::Text;
use reconcile::time::Time;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

fn main() {
    println!("{:>9}  {:14}  {:>12}  {:>16}  {:>16}", "processes", "placed", "one plan", "preview of none", "preview of all");
    for count in [10, 100, 1_000, 10_000] {
        for listed in [true, false] {
            let mut engine = Engine::new();
            let now = settle(&mut engine, Time::ZERO, wish(count, listed, 0));
            let rounds = (100_000 / count).clamp(3, 1_000);
            let plan = best(rounds, || engine.plan(now));
            let same = wish(count, listed, 0);
            let nothing = best(3, || preview(&engine, now, same.clone()));
            // In list order every process is a wave of its own, so that of ten thousand takes minutes.
            let next = wish(count, listed, 1);
            let all = (count <= 1_000 || !listed).then(|| best(1, || preview(&engine, now, next.clone())));
            let all = all.map_or("-".to_string(), |all| format!("{all:.1?}"));
            let placed = if listed { "in list order" } else { "by nothing" };
            println!("{count:>9}  {placed:14}  {:>12}  {:>16}  {all:>16}", format!("{plan:.1?}"), format!("{nothing:.1?}"));
        }
    }
}

/// So many processes, which differ between versions.
fn wish(count: usize, listed: bool, version: u32) -> Desired {
    let specs = (0..count).map(|number| {
        let mut spec = Spec::new(&format!("process-{number:05}"), "run");
        spec.exec.args = vec![Text::plain(&version.to_string())];
        spec.depends_on = (!listed).then(BTreeMap::new);
        spec
    });
    match Desired::new(specs.collect(), Desired::SHUTDOWN_TIMEOUT) {
        Ok(desired) => desired,
        Err(problems) => panic!("{problems:?}"),
    }
}

/// The shortest of so many rounds.
fn best<T>(rounds: usize, mut work: impl FnMut() -> T) -> Duration {
    let round = |_| {
        let begun = Instant::now();
        black_box(work());
        begun.elapsed()
    };
    (0..rounds).map(round).min().unwrap_or_default()
}
