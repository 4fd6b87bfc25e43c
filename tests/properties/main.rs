//! Property tests: a hundred thousand seeded histories of a host, each held to the invariants at every step.
//!
//! `HISTORIES=n` says how many, `FIRST=n` from which seed on, `SEED=n` tells the story of a single one. A failure prints its
//! seed and, unless `SHORT=1` (which also tries one history at a time), the shortest history that breaks the same invariant, as
//! a script in the notation of scenario fixtures.
#![expect(clippy::print_stdout, reason = "figures and stories are for whoever runs the test")]

mod delays;
mod dice;
mod drive;
mod facts;
mod fates;
mod history;
mod invariants;
mod news;
mod pairs;
mod places;
mod previews;
mod records;
mod replicas;
mod rollbacks;
mod rolling;
mod rules;
mod schedules;
mod shrink;
mod sockets;
mod standings;
mod takeover;
mod trace;
mod wishes;
mod world;

use drive::{Figures, drive};
use history::History;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use trace::Trace;

#[test]
fn every_invariant_holds_through_every_history() {
    if let Some(seed) = number("SEED") {
        return tell(&History::random(seed));
    }
    let (begun, count) = (Instant::now(), number("HISTORIES").unwrap_or(100_000));
    let first = number("FIRST").unwrap_or(0);
    let (figures, failed) = try_all(first..first + count);
    if let Some((seed, histories)) = failed {
        let history = History::random(seed);
        if let Err(violation) = drive(&history, &mut Trace::silent()) {
            println!("broken: {} | after {histories} histories | seed {seed}", violation.rule);
            if number("SHORT").is_none() {
                tell(&shrink::shrink(history, &violation));
            }
        }
        panic!("an invariant is broken by the history of seed {seed}");
    }
    let Figures { steps, spawns, kills, virtual_time } = figures;
    let (hours, seconds) = (virtual_time.as_secs() / 3_600, begun.elapsed().as_secs_f64());
    println!("{count} histories, {steps} steps, {spawns} starts, {kills} kills, {hours} h of virtual time in {seconds:.1} s");
    assert!(spawns > count, "a history without a start tests little");
}

/// Tries these seeds on every core; answers with the first that fails, and how many were tried by then.
fn try_all(seeds: Range<u64>) -> (Figures, Option<(u64, u64)>) {
    let next = AtomicU64::new(seeds.start);
    let result = Mutex::new((Figures::default(), None::<(u64, u64)>));
    let work = || {
        let mut figures = Figures::default();
        let failed = loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break None;
            }
            match drive(&History::random(seed), &mut Trace::silent()) {
                Ok(of_one) => figures += of_one,
                Err(_) => break Some((seed, next.swap(seeds.end, Ordering::Relaxed) - seeds.start)),
            }
        };
        let Ok(mut result) = result.lock() else { return };
        result.0 += figures;
        result.1 = match (result.1, failed) {
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.min(other.1))),
            (one, other) => one.or(other),
        };
    };
    // In a core with a planted bug a history may never end. Tried one by one, the first that fails ends the trial before
    // another one is begun.
    let cores = if number("SHORT").is_some() { 1 } else { std::thread::available_parallelism().map_or(1, usize::from) };
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    result.into_inner().unwrap_or_default()
}

/// Prints the story of a history, and fails if it breaks an invariant.
fn tell(history: &History) {
    let mut trace = Trace::told();
    let result = drive(history, &mut trace);
    println!("{}\nseed {}\n{}", trace.text(), history.seed, trace::script(history));
    if let Err(violation) = result {
        panic!("{}: {}", violation.rule, violation.story);
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}
