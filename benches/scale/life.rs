//! Start, rest, crash and stop: one life of each contender a round, each figure beside the floor's of the same round.

use crate::contender::Contender;
use crate::figures::{Table, median};
use crate::host::signal_process;
use crate::journal::{Journal, Kind, now};
use crate::place::Place;
use rustix::process::Signal;
use std::time::Duration;

/// How long a contender is watched doing nothing.
const REST: Duration = Duration::from_secs(10);
/// How many processes are killed in one life, each once, and each after it has run for the time of `REST`.
const CRASHES: usize = 9;
/// How long nothing is done before a life: the kernel goes on tidying up after a thousand control groups are gone, and that is not
/// to be the next contender's affair.
const CALM: Duration = Duration::from_secs(1);
/// The slowest peer takes a second for a few dozen starts.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// What one life took.
struct Life {
    /// All times in milliseconds.
    start: f64,
    memory: u64,
    wakes: f64,
    /// In parts of one processor.
    load: f64,
    crash: f64,
    stop: f64,
}

pub(crate) fn measure(place: &Place, rounds: usize, count: usize, with_peers: bool) {
    let contenders = Contender::all(place, with_peers);
    let mut lives: Vec<Vec<Life>> = contenders.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        for (contender, lives) in contenders.iter().zip(&mut lives) {
            lives.push(live(*contender, place, count));
        }
    }
    let small = contenders.iter().map(|contender| memory(*contender, place, 10));
    let mut table = Table::new(&[
        "",
        &format!("start of {count}"),
        "PSS of 10",
        &format!("PSS of {count}"),
        "wake-ups/s",
        "CPU idle",
        "kill → successor",
        &format!("stop of {count}"),
    ]);
    for ((contender, own), small) in contenders.iter().zip(&lives).zip(small) {
        let of = |figure: fn(&Life) -> f64| median(&own.iter().map(figure).collect::<Vec<_>>());
        let ratio = |figure: fn(&Life) -> f64| {
            median(&own.iter().zip(&lives[0]).map(|(life, floor)| figure(life) / figure(floor)).collect::<Vec<_>>())
        };
        let beside = |figure: fn(&Life) -> f64| format!("{:.1} ms ({:.2} ×)", of(figure), ratio(figure));
        table.row(vec![
            contender.name().to_owned(),
            beside(|life| life.start),
            mebibytes(small),
            #[expect(clippy::cast_precision_loss, reason = "it is less than a petabyte")]
            mebibytes(of(|life| life.memory as f64)),
            format!("{:.1}", of(|life| life.wakes)),
            format!("{:.3} %", 100.0 * of(|life| life.load)),
            beside(|life| life.crash),
            beside(|life| life.stop),
        ]);
    }
    table.print(&format!("{rounds} lives of each; medians, and the median of the ratios to the floor of the same round"));
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

fn live(contender: Contender, place: &Place, count: usize) -> Life {
    let mut journal = Journal::new(place);
    journal.pass(CALM);
    let processes = u32::try_from(count).expect("it is a number of processes");
    let host = contender.start(place, &journal, count);
    journal.wait(Kind::Exec, processes, PATIENCE);
    let begun = journal.news();
    let start = begun.iter().map(|record| record.at).max_by(f64::total_cmp).expect("they were waited for") - host.begun;
    // What it has still to write or to tidy up belongs to the start.
    journal.pass(Duration::from_secs(1));
    let memory = host.held().memory;
    let before = host.taken();
    let watched_since = now();
    journal.pass(REST);
    let (after, watched) = (host.taken(), (now() - watched_since) / 1000.0);
    #[expect(clippy::cast_precision_loss, reason = "there are fewer than that")]
    let wakes = (after.wakes - before.wakes) as f64 / watched;
    let load = (after.processor - before.processor) / 1000.0 / watched;
    let mut crashes = Vec::new();
    let victims = CRASHES.min(count);
    for (done, victim) in begun.iter().step_by(count / victims).take(victims).enumerate() {
        let killed = now();
        signal_process(victim.pid, Signal::KILL);
        journal.wait(Kind::Exec, processes + u32::try_from(done + 1).expect("few"), PATIENCE);
        crashes.push(journal.last(Kind::Exec) - killed);
        journal.pass(Duration::from_millis(20));
    }
    let told = now();
    let ended = host.stop();
    let stop = journal.last(Kind::Exiting).max(ended) - told;
    Life { start, memory, wakes, load, crash: median(&crashes), stop }
}

#[expect(clippy::cast_precision_loss, reason = "it is less than a petabyte")]
fn memory(contender: Contender, place: &Place, count: u32) -> f64 {
    let journal = Journal::new(place);
    let host = contender.start(place, &journal, count as usize);
    journal.wait(Kind::Exec, count, PATIENCE);
    journal.pass(Duration::from_secs(1));
    let memory = host.held().memory;
    host.stop();
    memory as f64
}
