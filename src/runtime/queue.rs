//! A queue that threads wait at. One of them is woken for each item, and no other: where threads share the receiver of a channel,
//! one waits for the item and the others for the first to let go, so that each item wakes two.
//!
//! An item may have an owner. Only so many items of one owner are worked on at once; the others stay in the queue, and items of
//! other owners overtake them.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// First in, first out for each owner, between any number of threads.
#[derive(Debug)]
pub(super) struct SpawnQueue<T, O> {
    state: Mutex<QueueState<T, O>>,
    news: Condvar,
    /// How many items of one owner may be worked on at once.
    share: usize,
}

#[derive(Debug)]
struct QueueState<T, O> {
    items: VecDeque<(Option<O>, T)>,
    /// The owner of each item that is worked on.
    taken: Vec<O>,
    closed: bool,
}

/// An item to work on. It counts for its owner until this is dropped.
#[derive(Debug)]
pub(super) struct Taken<'q, T, O: PartialEq> {
    queue: &'q SpawnQueue<T, O>,
    owner: Option<O>,
}

impl<T, O: Clone + PartialEq> SpawnQueue<T, O> {
    /// A queue that hands out at most `share` items of one owner at once.
    pub(super) fn new(share: usize) -> SpawnQueue<T, O> {
        let state = QueueState { items: VecDeque::new(), taken: Vec::new(), closed: false };
        SpawnQueue { state: Mutex::new(state), news: Condvar::new(), share }
    }

    /// Adds an item at the end. Returns how many items with an owner are worked on, or could be if there were threads enough.
    pub(super) fn push(&self, owner: Option<O>, item: T) -> usize {
        let mut state = self.lock();
        state.items.push_back((owner, item));
        if state.first(self.share).is_some() {
            self.news.notify_one();
        }
        state.workable(self.share)
    }

    /// The first item of an owner with less than its share, waiting for it; `None` when there is none and there will be none.
    ///
    /// A thread that drops what it took comes back here, so that no other has to be woken for what its owner may have then.
    pub(super) fn next(&self) -> Option<(Taken<'_, T, O>, T)> {
        let waits = |state: &mut QueueState<T, O>| !state.closed && state.first(self.share).is_none();
        let mut state = self.news.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        let (owner, item) = state.first(self.share).and_then(|place| state.items.remove(place))?;
        state.taken.extend(owner.clone());
        // This thread may have come for an item of another owner than it leaves behind.
        if state.first(self.share).is_some() {
            self.news.notify_one();
        }
        drop(state);
        Some((Taken { queue: self, owner }, item))
    }

    /// Says that nothing will be added any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }
}

impl<T, O> SpawnQueue<T, O> {
    /// A panic elsewhere leaves the state as whole as it was: every change of it is one step.
    fn lock(&self) -> MutexGuard<'_, QueueState<T, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T, O: PartialEq> QueueState<T, O> {
    /// The place of the first item that may be handed out.
    fn first(&self, share: usize) -> Option<usize> {
        let count = |owner: &O| self.taken.iter().filter(|taken| *taken == owner).count();
        self.items.iter().position(|(owner, _)| owner.as_ref().is_none_or(|owner| count(owner) < share))
    }

    /// How many items with an owner are worked on, or could be if there were threads enough.
    fn workable(&self, share: usize) -> usize {
        let mut workable: Vec<&O> = self.taken.iter().collect();
        for owner in self.items.iter().filter_map(|(owner, _)| owner.as_ref()) {
            if workable.iter().filter(|other| **other == owner).count() < share {
                workable.push(owner);
            }
        }
        workable.len()
    }
}

impl<T, O: PartialEq> Drop for Taken<'_, T, O> {
    fn drop(&mut self) {
        let Some(owner) = &self.owner else { return };
        let mut state = self.queue.lock();
        if let Some(place) = state.taken.iter().position(|taken| taken == owner) {
            state.taken.swap_remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn each_item_is_taken_once_and_what_is_left_at_the_end_too() {
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
    fn the_order_is_that_of_coming() {
        let queue = SpawnQueue::new(1);
        (0..3).for_each(|item| _ = queue.push(None::<()>, item));
        let next = || queue.next().map(|(_, item)| item);
        assert_eq!([next(), next(), next()], [Some(0), Some(1), Some(2)]);
    }

    #[test]
    fn an_owner_has_its_share_and_others_overtake_the_rest() {
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
    fn one_that_waits_is_woken_for_another_owner() {
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
    fn what_could_be_worked_on_is_bounded_by_the_shares() {
        let queue = SpawnQueue::new(2);
        let wanted = [("a", 1), ("a", 2), ("a", 3)].map(|(owner, item)| queue.push(Some(owner), item));
        assert_eq!(wanted, [1, 2, 2]);
        let (first, second) = (queue.next(), queue.next());
        assert_eq!(queue.push(Some("a"), 4), 2, "its share is used up");
        assert_eq!((queue.push(Some("b"), 5), queue.push(None, 6)), (3, 3));
        drop((first, second));
    }
}
