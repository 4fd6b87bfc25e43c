//! How many more starts may be begun, in all and for each user.
//!
//! Any user can make starts of its own programs hang, by a lease on the program or by a file system that doesn't answer. With one
//! limit for all, they would block the starts of every other user.

use super::{STARTS_AT_ONCE, STARTS_OF_ONE_USER};
use crate::desired::Desired;
use crate::observed::Run;
use alloc::vec;
use alloc::vec::Vec;

#[derive(Clone)]
pub(super) struct StartQuota {
    of_all: usize,
    /// By the place of the user in [`Desired::users`].
    of_users: Vec<usize>,
}

impl StartQuota {
    /// What is left of the quota while these starts are under way.
    pub(super) fn left(desired: &Desired, under_way: &[&Run]) -> StartQuota {
        let mut of_users = vec![STARTS_OF_ONE_USER; desired.users()];
        for user in under_way.iter().filter_map(|run| desired.user(run.spec.exec.user.as_ref())) {
            of_users[user] = of_users[user].saturating_sub(1);
        }
        StartQuota { of_all: STARTS_AT_ONCE.saturating_sub(under_way.len()), of_users }
    }

    /// No limit: in a preview, starts take no time.
    pub(super) fn unlimited(desired: &Desired) -> StartQuota {
        StartQuota { of_all: usize::MAX, of_users: vec![usize::MAX; desired.users()] }
    }

    /// Takes one start of this user from the quota; returns whether there was one left.
    pub(super) fn take(&mut self, user: usize) -> bool {
        let of_user = self.of_users.get_mut(user).filter(|of_user| **of_user > 0);
        let Some(of_user) = of_user.filter(|_| self.of_all > 0) else { return false };
        *of_user -= 1;
        self.of_all -= 1;
        true
    }
}
