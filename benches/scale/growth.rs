//! Whether anything grows: what navigator holds before and after many reloads, and before and after many restarts.

use crate::contender::Order;
use crate::edited::Edited;
use crate::figures::Table;
use crate::host::{Held, signal_process};
use crate::journal::Kind;
use crate::life::PATIENCE;
use crate::place::Place;
use crate::saves::change;
use rustix::process::Signal;
use std::time::Duration;

/// So many processes run.
const PROCESSES: usize = 50;

pub(crate) fn measure(place: &Place, times: usize) {
    let mut edited = Edited::start(place, PROCESSES, Order::Free);
    // What the first hundreds allocate, the others find.
    reload(&mut edited, 200);
    restart(&mut edited, 500);
    let mut table = Table::new(&["", "memory (PSS)", "descriptors", "threads"]);
    let mut row = |name: String, held: Held| {
        table.row(vec![name, format!("{} KiB", held.memory / 1024), held.descriptors.to_string(), held.threads.to_string()]);
    };
    row("before".to_owned(), at_rest(&edited));
    reload(&mut edited, times);
    row(format!("after {times} reloads"), at_rest(&edited));
    restart(&mut edited, times);
    row(format!("after {times} restarts"), at_rest(&edited));
    edited.host.stop();
    table.print(&format!("What navigator holds with {PROCESSES} processes"));
}

/// Threads that wait for work stay for a few seconds.
fn at_rest(edited: &Edited<'_>) -> Held {
    edited.journal.pass(Duration::from_secs(6));
    edited.host.held()
}

fn reload(edited: &mut Edited<'_>, times: usize) {
    for _ in 0..times {
        let _times = change(edited);
    }
}

/// Kills all but the first, again and again.
fn restart(edited: &mut Edited<'_>, times: usize) {
    let mut left = times;
    while left > 0 {
        let victims = left.min(PROCESSES - 1);
        let execs = edited.journal.count(Kind::Exec);
        edited.pids[1..=victims].iter().for_each(|&pid| signal_process(pid, Signal::KILL));
        edited.journal.wait(Kind::Exec, execs + u32::try_from(victims).expect("few"), PATIENCE);
        edited.news();
        left -= victims;
    }
}
