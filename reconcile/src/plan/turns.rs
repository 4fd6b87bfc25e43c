//! How many more starts may be begun, in all and of each user.
//!
//! Any user can make the starts of its own programs hang: by a lease on the program, or by a file system that doesn't answer. Were
//! there one number for all, they would keep every other process waiting.

use super::{STARTS_AT_ONCE, STARTS_OF_ONE_USER};
use crate::desired::Desired;
use crate::observed::Run;
use alloc::vec;
use alloc::vec::Vec;

pub(super) struct Turns {
    of_all: usize,
    /// By the place of the user in [`Desired::users`].
    of_users: Vec<usize>,
}

impl Turns {
    /// What is left while these starts are under way.
    pub(super) fn left(desired: &Desired, under_way: &[&Run]) -> Turns {
        let mut of_users = vec![STARTS_OF_ONE_USER; desired.users()];
        for user in under_way.iter().filter_map(|run| desired.user(run.spec.exec.user.as_ref())) {
            of_users[user] = of_users[user].saturating_sub(1);
        }
        Turns { of_all: STARTS_AT_ONCE.saturating_sub(under_way.len()), of_users }
    }

    /// Enough for all.
    pub(super) fn for_all(desired: &Desired) -> Turns {
        Turns { of_all: usize::MAX, of_users: vec![usize::MAX; desired.users()] }
    }

    /// Whether a start of this user may be begun.
    pub(super) fn has(&self, user: usize) -> bool {
        self.of_all > 0 && self.of_users.get(user).is_some_and(|left| *left > 0)
    }

    /// Takes a turn for a start of this user; returns whether there was one.
    pub(super) fn take(&mut self, user: usize) -> bool {
        let may_start = self.has(user);
        if may_start {
            self.of_all -= 1;
            self.of_users[user] -= 1;
        }
        may_start
    }
}
