//! Cuts a history that breaks an invariant down to the shortest one that still breaks the same.

#[path = "../support/shorten.rs"]
mod shorten;

use crate::drive::drive;
use crate::history::{History, Op};
use crate::invariants::Violation;
use crate::trace::Trace;
use crate::wishes::{DEFINITIONS, Definition, Surge, Wish};
use reconcile::desired::Desired;
use reconcile::spec::{OnChange, Restart, Spec};
use reconcile::variables::Variables;
use shorten::{Candidate, shorten};

/// What may be made of a definition to make it say less.
const SIMPLER: [fn(&mut Spec); 19] = [
    |spec| *spec = Spec { exec: spec.exec.clone(), ..Spec::new(&spec.name, "run") },
    |spec| spec.depends_on = None,
    |spec| spec.depends_on.iter_mut().for_each(std::collections::BTreeMap::clear),
    |spec| spec.exec.announce = None,
    |spec| spec.ready = None,
    |spec| spec.liveness = None,
    |spec| spec.watch.clear(),
    |spec| spec.watch.truncate(1),
    |spec| (spec.reload, spec.on_watch) = (None, reconcile::spec::OnWatch::Restart),
    |spec| spec.start_delay = std::time::Duration::ZERO,
    |spec| spec.restart = Restart::Never,
    |spec| (spec.backoff, spec.max_restarts) = (reconcile::spec::Backoff::default(), None),
    |spec| spec.on_change = OnChange::Restart,
    |spec| spec.stop.timeout = reconcile::spec::Stop::default().timeout,
    |spec| spec.exec.sockets.clear(),
    |spec| spec.stop.drain = None,
    |spec| spec.stable = std::time::Duration::ZERO,
    |spec| spec.tier = reconcile::spec::Tier::Managed,
    |spec| spec.exec.env = Variables::default(),
];

/// And of its replicas.
const FEWER: [fn(&mut Definition); 4] = [
    |definition| definition.replicas = None,
    |definition| definition.replicas.iter_mut().for_each(|replicas| replicas.count = 2),
    |definition| definition.replicas.iter_mut().for_each(|replicas| replicas.surge = Surge::Count(1)),
    |definition| definition.replicas.iter_mut().for_each(|replicas| replicas.have_sockets = false),
];

/// The shortest history found that breaks the same invariant.
pub(crate) fn shrink(history: History, violation: &Violation) -> History {
    shorten(history, size, candidates, |history| {
        drive(history, &mut Trace::silent()).is_err_and(|found| found.rule == violation.rule)
    })
}

/// Ways to make a history smaller; each is tried on what the ones before it have left.
fn candidates(history: &History) -> Vec<Candidate<History>> {
    let mut all: Vec<Candidate<History>> = Vec::new();
    let len = history.ops.len();
    for (from, count) in (0..len).rev().flat_map(|from| [(from, len - from), (from, 1)]) {
        all.push(Box::new(move |history| {
            let mut smaller = history.clone();
            let from = from.min(smaller.ops.len());
            let delay: u64 = smaller.ops.drain(from..smaller.ops.len().min(from + count)).map(|(delay, _)| delay).sum();
            if let Some((next, _)) = smaller.ops.get_mut(from) {
                *next += delay;
            }
            smaller
        }));
    }
    for process in 0..DEFINITIONS {
        all.push(Box::new(move |history| each_wish(history, |wish| wish.without(process))));
        for simpler in SIMPLER {
            all.push(Box::new(move |history| {
                each_wish(history, |wish| wish.with(process, |definition| simpler(&mut definition.spec)))
            }));
        }
        for fewer in FEWER {
            all.push(Box::new(move |history| each_wish(history, |wish| wish.with(process, fewer))));
        }
    }
    all.push(Box::new(|history| each_wish(history, |wish| Wish { shutdown_timeout: Desired::SHUTDOWN_TIMEOUT, ..wish.clone() })));
    all
}

fn each_wish(history: &History, change: impl Fn(&Wish) -> Wish) -> History {
    let mut changed = history.clone();
    for (_, op) in &mut changed.ops {
        if let Op::Want(wish) = op {
            *wish = change(wish);
        }
    }
    changed
}

/// How much there is to read.
fn size(history: &History) -> usize {
    crate::trace::script(history).len()
}
