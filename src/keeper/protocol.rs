//! What navigator asks its keeper, and what that answers.

use crate::sys::Ended;
use serde::{Deserialize, Serialize};

/// The version of these messages. A keeper answers every question of its own version and of earlier ones.
pub(super) const PROTOCOL: u32 = 1;

/// What a new connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ConnectionRole {
    /// [`KeeperRequest`]s, answered in order. A navigator is there for as long as it is open.
    Control,
    /// The keeper sends the pid of a child with each of its `SIGCHLD`.
    Ends,
    /// [`KeeperRequest`]s about sockets, from any thread.
    Sockets,
    /// [`super::order::ChildOrder`]s, answered in order. The memory of the slots goes beside the [`Hello`].
    Starts,
    /// One look at the keeper: only a [`Welcome`].
    Look,
}

/// The first message of a connection.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) role: ConnectionRole,
}

/// The answer to it, except to [`ConnectionRole::Starts`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Welcome {
    /// The version of its messages.
    pub(crate) protocol: u32,
    /// The version of its program.
    pub(crate) version: String,
    /// Its pid.
    pub(crate) pid: u32,
    /// How many processes it has started that are not reaped.
    pub(crate) processes: usize,
    /// Whether another connection has the role already.
    pub(crate) is_taken: bool,
}

/// A question or an order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum KeeperRequest {
    /// Which of these children have ended?
    EndedOf(Vec<u32>),
    /// Has an adopted child ended? Where the kernel can't tell, any child.
    EndedAdopted,
    /// Has any child ended?
    EndedAny,
    /// Reap these children. No answer.
    Reap(Vec<u32>),
    /// Hold the sockets beside this.
    Hold,
    /// Of the sockets that are held, keep those with these inodes.
    RetainSockets(Vec<u64>),
    /// All descriptors that are held, in several answers.
    Descriptors,
    /// Drop the socket with this inode.
    Release(u64),
    /// Navigator uses another keeper for new processes: this one ends with the last of its own. No answer.
    Retire,
    /// Navigator ends, and the keeper with it. No answer.
    Bye,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum KeeperAnswer {
    /// These have ended, and are not reaped.
    Ended(Vec<Ended>),
    /// Some of the descriptors are beside this.
    Descriptors {
        /// Whether more follow.
        has_more: bool,
    },
    /// It is done.
    Done,
    /// The question is not known.
    Unknown,
}
