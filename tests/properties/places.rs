//! Where a wish places its processes: what each depends on by name, and what it only comes after.

use crate::facts::Facts;
use crate::records::Run;
use crate::wishes::{MOST, Wish, number};
use reconcile::spec::{Condition, Spec, Tier};

/// A set of processes, by their numbers.
pub(crate) type Set = u32;

/// Whether a process is in a set.
pub(crate) fn has(set: Set, process: usize) -> bool {
    set & (1 << process) != 0
}

/// Where a wish places its processes.
#[derive(Clone, Default)]
pub(crate) struct Places {
    pub(crate) needs: [Vec<Need>; MOST],
    /// The place of each in the list.
    pub(crate) listed: [Option<usize>; MOST],
    /// The one before it in the list, where that counts, or all replicas of one.
    pub(crate) after: [Set; MOST],
    /// The replicas of the same definition, itself among them.
    pub(crate) siblings: [Set; MOST],
    /// All that each comes after, apart from its tier.
    pub(crate) waits: [Set; MOST],
    /// Each after what it waits for.
    pub(crate) order: Vec<usize>,
}

/// A named dependency.
#[derive(Clone, Copy)]
pub(crate) struct Need {
    /// The same for all replicas of one definition.
    pub(crate) edge: usize,
    pub(crate) on: usize,
    /// What it must have reached, if the file says so.
    pub(crate) condition: Option<Condition>,
    pub(crate) restart: bool,
    pub(crate) required: bool,
}

impl Places {
    pub(crate) fn of(wish: &Wish) -> Places {
        let mut places = Places::default();
        for (place, spec) in wish.specs.iter().enumerate() {
            let process = number(&spec.name);
            places.listed[process] = Some(place);
            places.siblings[process] = wish.siblings(spec);
            for (place, (on, edge)) in spec.depends_on.iter().flatten().enumerate() {
                for on in wish.named(on) {
                    let (condition, restart, required) = (edge.condition, edge.restart, edge.required);
                    places.needs[process].push(Need { edge: place, on, condition, restart, required });
                    places.waits[process] |= 1 << on;
                }
            }
        }
        let managed: Vec<&Spec> = wish.specs.iter().filter(|spec| spec.tier == Tier::Managed).collect();
        for (place, spec) in managed.iter().enumerate().filter(|(_, spec)| spec.depends_on.is_none()) {
            let process = number(&spec.name);
            let before = managed[..place].iter().rev().map(|spec| number(&spec.name));
            // One that waits for this process itself, however indirectly, can't come before it. Replicas start side by side.
            let mut others = before.filter(|&other| !has(places.siblings[process], other));
            let before = others.find(|&other| !has(places.closure(other), process));
            places.after[process] = before.map_or(0, |other| places.siblings[other]);
            places.waits[process] |= places.after[process];
        }
        let mut done: Set = 0;
        while places.order.len() < wish.specs.len() {
            for spec in &wish.specs {
                let process = number(&spec.name);
                if !has(done, process) && places.waits[process] & !done == 0 {
                    done |= 1 << process;
                    places.order.push(process);
                }
            }
        }
        places
    }

    /// The named dependencies of a process, each with all replicas that it means.
    pub(crate) fn edges(&self, process: usize) -> impl Iterator<Item = &[Need]> {
        self.needs[process].chunk_by(|one, other| one.edge == other.edge)
    }

    /// The processes that have a place.
    pub(crate) fn known(&self) -> Set {
        (0..MOST).filter(|&process| self.listed[process].is_some()).fold(0, |set, process| set | 1 << process)
    }

    /// Everything that a process waits for, however indirectly.
    fn closure(&self, process: usize) -> Set {
        let mut reached = self.waits[process];
        loop {
            let more = (0..MOST).filter(|&on| has(reached, on)).fold(reached, |more, on| more | self.waits[on]);
            if more == reached {
                return reached;
            }
            reached = more;
        }
    }
}

impl Facts {
    /// What leaves keeps its order where that led over processes that have other places now: it comes right after what leaves
    /// before it.
    pub(crate) fn keep_order(&mut self, former: &Places) {
        let stays = |run: &Run| {
            let wanted = self.spec(run.process).filter(|spec| spec.enabled);
            run.undisturbed() && wanted.is_some_and(|spec| spec.exec == run.spec.exec)
        };
        let leaves = |process: usize| self.runs_of(process).count() > 0 && !self.runs_of(process).any(stays);
        let moved = |process: usize| former.waits[process] != self.places.waits[process] || self.spec(process).is_none();
        let behind = |process: usize| {
            let places = self.runs_of(process).fold(0, |set, run| set | run.waits);
            // By the process and whether one that moved lies before it.
            let (mut reached, mut found) = ([places & former.known(), 0], 0);
            let mut done = [0; 2];
            while let Some((on, after)) = (0..2)
                .flat_map(|after| (0..MOST).map(move |on| (on, after)))
                .find(|&(on, after)| has(reached[after] & !done[after], on))
            {
                done[after] |= 1 << on;
                if !leaves(on) {
                    reached[usize::from(after == 1 || moved(on))] |= former.waits[on];
                } else if after == 1 {
                    found |= 1 << on;
                }
            }
            found
        };
        let further: [Set; MOST] = std::array::from_fn(|process| if leaves(process) { behind(process) } else { 0 });
        for run in &mut self.runs {
            run.waits |= further[run.process];
        }
    }
}
