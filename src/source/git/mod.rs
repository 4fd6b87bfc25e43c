//! Follows a Git repository: fetches, judges commits, and puts them in force one at a time.
//!
//! A thread of its own asks for programs to be run and waits for them; the event loop never does. What a commit wants is read like a
//! file, by the thread that reads files: this module only decides which commit that is.

mod answers;
mod checkouts;
mod command;
mod commit_files;
mod follow;
mod look;
mod mirror;
mod orders;
mod removal;
mod report;
mod setup;
mod thread;
mod unopened;

pub use answers::{LookOutcome, OrderReply, SourceOrder};
pub use checkouts::in_force_at_start;
pub use command::OLDEST_GIT;
pub use commit_files::CommitInForce;
pub use follow::RepositoryFollower;
pub use setup::FollowSetup;

use crate::errand::Errand;
use crate::snapshot::SourceSnapshot;
use reconcile::desired::Desired;
use std::fmt;

/// What following a repository needs from the program around it. Its calls may block, but not the event loop.
pub trait FollowerHost: fmt::Debug + Send + Sync {
    /// Runs a program.
    fn run(&self, errand: Errand);

    /// Has the configuration read and put in force.
    fn reload(&self) -> Reloaded;

    /// What a configuration would change, as JSON.
    fn plan(&self, wanted: &Desired) -> Option<serde_json::Value>;

    /// Shows the state of the source; `None`: none is followed.
    fn report(&self, source: Option<SourceSnapshot>);
}

/// What became of a configuration that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reloaded {
    /// It is in force as this generation; `true`: its meaning has changed.
    Accepted(u64, bool),
    /// It is wrong; its first problem.
    Rejected(String),
    /// Navigator is shutting down.
    Closing,
}
