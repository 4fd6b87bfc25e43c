//! A queue that threads wait at. One of them is woken for each item, and nobody else: where threads share the receiver of a
//! channel, one waits for the item and the others for the first to let go, so that each item wakes two.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// First in, first out, between any number of threads.
#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    news: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new() -> Queue<T> {
        Queue { state: Mutex::new(State { items: VecDeque::new(), closed: false }), news: Condvar::new() }
    }

    /// Adds an item at the end.
    pub(super) fn push(&self, item: T) {
        self.lock().items.push_back(item);
        self.news.notify_one();
    }

    /// The first item, waiting for it; `None` when there is none and there will be none.
    pub(super) fn next(&self) -> Option<T> {
        let waits = |state: &mut State<T>| state.items.is_empty() && !state.closed;
        let mut state = self.news.wait_while(self.lock(), waits).unwrap_or_else(PoisonError::into_inner);
        state.items.pop_front()
    }

    /// Says that nothing will be added any more.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.news.notify_all();
    }

    /// A panic elsewhere leaves the state as whole as it was: every change of it is one step.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    #[test]
    fn each_item_is_taken_once_and_what_is_left_at_the_end_too() {
        let queue = Arc::new(Queue::new());
        let takers: Vec<_> = (0..3)
            .map(|_| {
                let queue = Arc::clone(&queue);
                thread::spawn(move || std::iter::from_fn(|| queue.next()).collect::<Vec<u32>>())
            })
            .collect();
        (0..1000).for_each(|item| queue.push(item));
        queue.close();
        let mut taken: Vec<u32> = takers.into_iter().flat_map(|taker| taker.join().expect("it ends")).collect();
        taken.sort_unstable();
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
        assert_eq!(queue.next(), None);
    }

    #[test]
    fn the_order_is_that_of_coming() {
        let queue = Queue::new();
        (0..3).for_each(|item| queue.push(item));
        assert_eq!([queue.next(), queue.next(), queue.next()], [Some(0), Some(1), Some(2)]);
    }
}
