//! The limit on all queued output together, and the share of each queue.

use super::sink_queue::CAPACITY;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that all queues together may hold. One queue alone can then reach its own capacity.
const TOTAL: usize = 2 * CAPACITY;
/// Bytes that a queue may always hold. So a destination that isn't stuck always has room, and each stuck one exceeds the total
/// by at most this.
const MINIMUM: usize = 16 * 1024;

/// The bytes in all queues.
#[derive(Debug, Default)]
pub(super) struct QueueBudget {
    queued: AtomicUsize,
}

impl QueueBudget {
    /// Bytes that a queue which holds `held` bytes may add. Dynamic thresholds, as among the sources of one queue: a queue may
    /// hold as much as would still be free then.
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

    /// Fills queues in turns, a kilobyte at a time, up to their limits; returns what each holds.
    fn fill(budget: &QueueBudget, queues: usize) -> Vec<usize> {
        let mut held = vec![0; queues];
        let mut has_grown = true;
        while has_grown {
            has_grown = false;
            // With one source, a queue may hold as much as is free.
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
