//! Ten times as many processes: how long a save takes there, and whether crashes are answered meanwhile.

use crate::contender::Order;
use crate::edited::Edited;
use crate::figures::{Table, median};
use crate::host::signal_process;
use crate::journal::{Kind, now};
use crate::life::PATIENCE;
use crate::place::Place;
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use std::time::Duration;

const SAVES: usize = 7;

pub(crate) fn measure(place: &Place, count: usize) {
    let count = count.min(room());
    let mut edited = Edited::start(place, count, Order::Free);
    edited.journal.pass(Duration::from_secs(3));
    let (mut quiet, mut signals, mut meanwhile) = (Vec::new(), Vec::new(), Vec::new());
    let mut victims = (0..count).filter(|&number| number != count / 2);
    for _ in 0..9 {
        quiet.push(crash(&mut edited, victims.next().expect("there are enough")).0);
    }
    for _ in 0..SAVES {
        let saved = edited.save_changed();
        loop {
            let (answered, signalled) = crash(&mut edited, victims.next().expect("there are enough"));
            meanwhile.push(answered);
            if let Some(at) = signalled {
                signals.push(at - saved);
                break;
            }
        }
        edited.journal.pass(Duration::from_secs(1));
        edited.news();
    }
    let held = edited.host.held();
    edited.host.stop();
    let longest = |samples: &[f64]| samples.iter().copied().fold(0.0, f64::max);
    let mut table = Table::new(&["", "median", "longest", "of"]);
    let mut row = |name: &str, samples: &[f64]| {
        let figure = |time: f64| format!("{time:.1} ms");
        table.row(vec![name.to_owned(), figure(median(samples)), figure(longest(samples)), samples.len().to_string()]);
    };
    row("kill → successor, nothing else going on", &quiet);
    row("kill → successor while a save is taken in", &meanwhile);
    row("rename → signal to the process that changed", &signals);
    let memory = held.memory >> 20;
    table.print(&format!("{count} processes with `depends_on: []`; {memory} MiB, {} descriptors", held.descriptors));
}

/// How many processes navigator has descriptors for, at two each, after the limit was raised as far as it can be.
fn room() -> usize {
    let wanted = Rlimit { current: Some(65_536), maximum: Some(65_536) };
    // Whoever isn't root stays within the limit.
    let _may_be_refused = setrlimit(Resource::Nofile, wanted);
    let limit = getrlimit(Resource::Nofile).maximum.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    limit.saturating_sub(200) / 2
}

/// Kills a process and waits for its successor. Answers how long that took, and when, if so, another one was told to end.
fn crash(edited: &mut Edited<'_>, victim: usize) -> (f64, Option<f64>) {
    let mut execs = edited.journal.count(Kind::Exec);
    let killed = now();
    signal_process(edited.pids[victim], Signal::KILL);
    let mut signalled = None;
    loop {
        edited.journal.wait(Kind::Exec, execs + 1, PATIENCE);
        execs = edited.journal.count(Kind::Exec);
        let news = edited.news();
        signalled = signalled.or(news.iter().find(|record| record.kind == Kind::Signalled).map(|record| record.at));
        let mut own = news.iter().filter(|record| record.kind == Kind::Exec && record.number == victim);
        if let Some(successor) = own.next() {
            return (successor.at - killed, signalled);
        }
    }
}
