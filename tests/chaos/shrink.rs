//! Cuts a history that breaks a rule down to the shortest one found that still breaks the same.
//!
//! Real processes don't repeat themselves exactly, so each candidate is tried a few times; and every try takes as long as it
//! takes, so there is a bound in time.

#[path = "../support/shorten.rs"]
mod shorten;

use crate::history::{History, Op};
use crate::host::{Host, Need, Process, Restart};
use shorten::{Candidate, shorten};
use std::collections::BTreeMap;
use std::time::Instant;

/// How often a candidate is tried before it counts as harmless.
const TRIES: usize = 2;

/// What may be made of a process to make it say less.
const SIMPLER: [fn(&mut Process); 10] = [
    |process| process.needs = None,
    |process| process.needs.iter_mut().for_each(BTreeMap::clear),
    |process| each_need(process, |need| Need { restarts: need.restarts, ..Need::default() }),
    |process| each_need(process, |_| Need::default()),
    |process| process.identity.doings.below.clear(),
    |process| (process.identity.doings.ignores, process.identity.doings.lingers) = (false, None),
    |process| (process.restart, process.max_restarts) = (Restart::Never, None),
    |process| (process.start_delay, process.reset_after) = (0, 10_000),
    |process| process.is_application = false,
    |process| (process.identity.is_task, process.identity.doings.ends) = (false, None),
];

fn each_need(process: &mut Process, change: fn(Need) -> Need) {
    for need in process.needs.iter_mut().flat_map(BTreeMap::values_mut) {
        *need = change(*need);
    }
}

/// The shortest history found by `until` that still `fails`, from one that does.
pub(crate) fn shrink(history: History, until: Instant, fails: impl Fn(&History) -> bool) -> History {
    shorten(history, size, candidates, |history| (0..TRIES).any(|_| Instant::now() < until && fails(history)))
}

/// Ways to make a history smaller, the coarse ones first; each is tried on what the ones before it have left.
fn candidates(history: &History) -> Vec<Candidate<History>> {
    let mut all: Vec<Candidate<History>> = Vec::new();
    let len = history.ops.len();
    let halves = std::iter::successors(Some(len), |count| (*count > 1).then_some(count / 2));
    for count in halves {
        for from in (0..len).step_by(count.max(1)).rev() {
            all.push(Box::new(move |history| without_ops(history, from, count)));
        }
    }
    for name in 'a'..='l' {
        all.push(Box::new(move |history| each_host(history, |host| host.processes.retain(|process| process.name != name))));
    }
    for simpler in SIMPLER {
        all.push(Box::new(move |history| each_host(history, |host| host.processes.iter_mut().for_each(simpler))));
    }
    all
}

fn without_ops(history: &History, from: usize, count: usize) -> History {
    let mut smaller = history.clone();
    let from = from.min(smaller.ops.len());
    smaller.ops.drain(from..smaller.ops.len().min(from + count));
    smaller
}

fn each_host(history: &History, change: impl Fn(&mut Host)) -> History {
    let mut changed = history.clone();
    let hosts = changed.ops.iter_mut().filter_map(|op| if let Op::Save { host, .. } = op { Some(host) } else { None });
    for host in hosts.chain([&mut changed.first]) {
        change(host);
        *host = std::mem::take(host).mended();
    }
    changed
}

/// How much there is to read.
fn size(history: &History) -> usize {
    history.to_string().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn only_what_is_needed_is_left() {
        let history = History::random(7, 20);
        let watches = |history: &History| history.ops.iter().filter(|op| matches!(op, Op::Save { .. })).count() >= 2;
        let small = shrink(history, Instant::now() + Duration::from_mins(1), watches);
        assert_eq!((small.ops.len(), small.first.processes.len()), (2, 0), "{small}");
    }

    #[test]
    fn nothing_is_tried_when_the_time_is_over() {
        let history = History::random(7, 20);
        let shown = history.to_string();
        assert_eq!(shrink(history, Instant::now(), |_| true).to_string(), shown);
    }
}
