//! What people ask of a followed repository, and the answers.

use crate::config::{Diagnostic, Loaded, Rejected};
use crate::ledger::Attempted;
use reconcile::rollout::{CommitOutcome, CommitReason};
use std::time::Duration;

/// What a look came to.
#[derive(Clone, Debug)]
pub enum LookOutcome {
    /// The wanted commit is in force.
    InForce {
        /// The generation; `None`: it was in force before, and nothing was read.
        generation: Option<u64>,
        /// Whether its meaning has changed.
        changed: bool,
    },
    /// It is not in force.
    Refused(RefusedCommit),
    /// The host is in trouble: nothing was judged.
    Trouble(String),
}

/// A commit that is not in force.
#[derive(Clone, Debug)]
pub struct RefusedCommit {
    /// Its id.
    pub commit: String,
    /// What became of it.
    pub outcome: CommitOutcome,
    /// Why.
    pub reason: CommitReason,
    /// Why, for people.
    pub message: String,
    /// What is wrong with its configuration.
    pub diagnostics: Vec<Diagnostic>,
}

/// An order of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceOrder {
    /// Don't follow for this long, or until [`SourceOrder::Resume`].
    Suspend(Option<Duration>, Option<String>),
    /// Follow again.
    Resume,
    /// Stay at this revision.
    Pin(String),
    /// Go back to this revision, or to the commit that was in force before.
    Rollback(Option<String>),
    /// Take this revision, although it doesn't descend from the newest one that was taken.
    Accept(String),
    /// Try again what failed or was left.
    Retry,
    /// Read this revision; change nothing.
    Read(String),
    /// What was tried.
    History,
}

/// The answer to an order.
#[derive(Debug)]
pub enum OrderReply {
    /// It is done.
    Done,
    /// It is done, and this is what the look after it came to.
    Looked(LookOutcome),
    /// A revision was read.
    Read(Box<ReadRevision>),
    /// What was tried, the newest first.
    History(Vec<Attempted>),
    /// It is not possible.
    Refused(String),
}

/// A revision that was read.
#[derive(Debug)]
pub struct ReadRevision {
    /// The commit.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// Its configuration, or what is wrong with it.
    pub outcome: Result<Loaded, Rejected>,
}
