//! The bound on all queued output together, and what each queue may take of it.

use super::sink_queue::CAPACITY;
use std::sync::atomic::{AtomicUsize, Ordering};

/// All queues together hold this many bytes: with twice its capacity, one queue alone can use all of that.
const TOTAL: usize = 2 * CAPACITY;
/// A queue may hold this much, however much others hold. So a destination that isn't stuck has always room for what comes next,
/// and each that is stuck exceeds the total by this at most.
const MINIMUM: usize = 16 * 1024;

/// What all queues hold.
#[derive(Debug, Default)]
pub(super) struct QueueBudget {
    queued: AtomicUsize,
}

impl QueueBudget {
    /// How much a queue may add that holds this many bytes. By dynamic thresholds, as among the sources of one queue: it may
    /// hold as much as would then be free.
    pub(super) fn room(&self, held: usize) -> usize {
        let free = TOTAL.saturating_sub(self.queued.load(Ordering::Relaxed));
        (free.saturating_sub(held) / 2).max(MINIMUM.saturating_sub(held))
    }

    pub(super) fn add(&self, bytes: usize) {
        self.queued.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn remove(&self, bytes: usize) {
        self.queued.fetch_sub(bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fills queues in turns, a kilobyte at a time, as far as each may; returns what each holds.
    fn fill(budget: &QueueBudget, queues: usize) -> Vec<usize> {
        let mut held = vec![0; queues];
        let mut has_grown = true;
        while has_grown {
            has_grown = false;
            // One source in each: it may hold as much as is free in its queue.
            for held in held.iter_mut().filter(|held| **held < budget.room(**held)) {
                *held += 1024;
                budget.add(1024);
                has_grown = true;
            }
        }
        held
    }

    #[test]
    fn queues_share_the_total_and_one_more_has_room() {
        for queues in [1, 2, 10, 100, 1000, 5000] {
            let budget = QueueBudget::default();
            let held = fill(&budget, queues);
            let (sum, least) = (held.iter().sum::<usize>(), held.iter().min().unwrap());
            assert!(sum <= TOTAL + queues * MINIMUM && *least * 2 >= MINIMUM, "{queues} queues: {sum} bytes, at least {least}");
            assert!(budget.room(0) >= MINIMUM);
            budget.remove(sum);
            assert_eq!(budget.room(0), TOTAL / 2);
        }
    }
}
