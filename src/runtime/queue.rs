//! A work queue for several threads, with a limit of items in progress for each owner.
//!
//! Each item wakes one thread. (Threads that share a channel's receiver wait for its lock too, so that each item wakes two.)
//! Items of an owner that is at its limit stay in the queue, and items of other owners overtake them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue that is first in, first out for each owner.
#[derive(Debug)]
pub(super) struct SpawnQueue<T, O> {
    state: Mutex<QueueState<T, O>>,
    ready: Condvar,
    /// How many items of one owner may be in progress at once.
    limit: usize,
}

#[derive(Debug)]
struct QueueState<T, O> {
    items: VecDeque<(Option<O>, T)>,
    /// The owner of each item in progress.
    in_progress: Vec<O>,
    closed: bool,
}

/// Counts one item as in progress for its owner, until it is dropped.
#[derive(Debug)]
pub(super) struct WorkPermit<'q, T, O: PartialEq> {
    queue: &'q SpawnQueue<T, O>,
    owner: Option<O>,
}

impl<T, O: Clone + PartialEq> SpawnQueue<T, O> {
    /// A queue that hands out at most `limit` items of one owner at once.
    pub(super) fn new(limit: usize) -> SpawnQueue<T, O> {
        let state = QueueState { items: VecDeque::new(), in_progress: Vec::new(), closed: false };
        SpawnQueue { state: Mutex::new(state), ready: Condvar::new(), limit }
    }

    /// Adds an item at the end. Returns how many items with an owner are in progress, or could be with enough threads.
    pub(super) fn push(&self, owner: Option<O>, item: T) -> usize {
        let mut state = self.lock();
        state.items.push_back((owner, item));
        if state.first_ready(self.limit).is_some() {
            self.ready.notify_one();
        }
        state.workable(self.limit)
    }

    /// Waits for the first item of an owner below its limit; `None` once the queue is closed and has none.
    ///
    /// A thread that drops its permit calls this next, so no other thread has to be woken for the items of that owner.
    pub(super) fn next(&self) -> Option<(WorkPermit<'_, T, O>, T)> {
        let waits = |state: &mut QueueState<T, O>| !state.closed && state.first_ready(self.limit).is_none();
        let mut state = self.ready.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let (owner, item) = state.first_ready(self.limit).and_then(|index| state.items.remove(index))?;
        state.in_progress.extend(owner.clone());
        // This thread may have dropped a permit of one owner, and taken an item of another.
        if state.first_ready(self.limit).is_some() {
            self.ready.notify_one();
        }
        drop(state);
        Some((WorkPermit { queue: self, owner }, item))
    }

    /// Closes the queue: no item will be added.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }
}

impl<T, O> SpawnQueue<T, O> {
    /// A lock poisoned by a panic is usable, because every change of the state is one step.
    fn lock(&self) -> MutexGuard<'_, QueueState<T, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, O: PartialEq> QueueState<T, O> {
    /// The index of the first item that may be handed out.
    fn first_ready(&self, limit: usize) -> Option<usize> {
        let count = |owner: &O| self.in_progress.iter().filter(|taken| *taken == owner).count();
        self.items.iter().position(|(owner, _)| owner.as_ref().is_none_or(|owner| count(owner) < limit))
    }

    /// How many items with an owner are in progress, or could be with enough threads.
    fn workable(&self, limit: usize) -> usize {
        let mut workable: Vec<&O> = self.in_progress.iter().collect();
        for owner in self.items.iter().filter_map(|(owner, _)| owner.as_ref()) {
            if workable.iter().filter(|other| **other == owner).count() < limit {
                workable.push(owner);
            }
        }
        workable.len()
    }
}

impl<T, O: PartialEq> Drop for WorkPermit<'_, T, O> {
    fn drop(&mut self) {
        let Some(owner) = &self.owner else { return };
        let mut state = self.queue.lock();
        if let Some(index) = state.in_progress.iter().position(|taken| taken == owner) {
            state.in_progress.swap_remove(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn each_item_is_taken_once_including_those_left_at_the_close() {
        let queue = Arc::new(SpawnQueue::new(2));
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || std::iter::from_fn(|| queue.next().map(|(_, item)| item)).collect::<Vec<u32>>())
            })
            .collect();
        (0..1000).for_each(|item| _ = queue.push((item % 3 > 0).then_some(item % 3), item));
        queue.close();
        let mut taken: Vec<u32> = takers.into_iter().flat_map(|taker| taker.join().expect("it ends")).collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
        assert!(queue.next().is_none());
    }

    #[test]
    fn items_are_taken_in_the_order_of_arrival() {
        let queue = SpawnQueue::new(1);
        (0..3).for_each(|item| _ = queue.push(None::<()>, item));
        let next = || queue.next().map(|(_, item)| item);
        assert_eq!([next(), next(), next()], [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn items_of_other_owners_overtake_an_owner_at_its_limit() {
        let queue = SpawnQueue::new(2);
        for (owner, item) in [("a", 1), ("a", 2), ("a", 3), ("a", 4), ("b", 5)] {
            queue.push(Some(owner), item);
        }
        queue.push(None, 6);
        let take = || queue.next().expect("there is one");
        let (first, second, other, of_none) = (take(), take(), take(), take());
        assert_eq!([first.1, second.1, other.1, of_none.1], [1, 2, 5, 6]);
        drop(second);
        let third = take();
        assert_eq!(third.1, 3);
        drop(first);
        assert_eq!(take().1, 4);
    }

    #[test]
    fn a_waiting_thread_is_woken_for_another_owner() {
        let queue = Arc::new(SpawnQueue::new(1));
        queue.push(Some("a"), 1);
        let held = queue.next().expect("there is one");
        queue.push(Some("a"), 2);
        let taker = {
            let queue = Arc::clone(&queue);
            thread::spawn(move || queue.next().map(|(_, item)| item))
        };
        queue.push(Some("b"), 3);
        assert_eq!(taker.join().expect("it ends"), Some(3));
        drop(held);
        assert_eq!(queue.next().map(|(_, item)| item), Some(2));
    }

    #[test]
    fn the_limits_bound_how_many_items_could_be_in_progress() {
        let queue = SpawnQueue::new(2);
        let wanted = [("a", 1), ("a", 2), ("a", 3)].map(|(owner, item)| queue.push(Some(owner), item));
        assert_eq!(wanted, [1, 2, 2]);
        let (first, second) = (queue.next(), queue.next());
        assert_eq!(queue.push(Some("a"), 4), 2, "it is at its limit");
        assert_eq!((queue.push(Some("b"), 5), queue.push(None, 6)), (3, 3));
        drop((first, second));
    }
}
