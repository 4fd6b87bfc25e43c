//! Reads the configuration file, everything it names, and the files that processes watch, when they change or on request.
//!
//! It knows files and nothing of processes, and doesn't decide what a change means.

mod debounce;
mod file;
mod file_digests;
mod file_stat;
mod fs_events;
mod git;
mod revision;
#[cfg(test)]
mod test_directory;
mod watch;
mod watch_paths;
mod watched;
mod writers;

pub use file::{FileSource, Reading, WriterCheck};
pub use git::{
    CommitInForce, FollowSetup, FollowerHost, LookOutcome, OLDEST_GIT, OrderReply, Reloaded, RepositoryFollower, SourceOrder,
    in_force_at_start,
};
pub use revision::{Contents, Delivery, Revision, Source, Ticket, Tickets, WatchMethod};
pub use watch::FileFollower;
pub use writers::has_writer;
