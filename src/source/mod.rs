//! Where a revision's text comes from: the configuration file and everything it names, read when they change or when
//! somebody asks; and what the files contain that processes watch. It knows files and nothing of processes, and doesn't decide
//! what a change means.

mod debounce;
mod file;
mod file_digests;
mod file_stat;
mod fs_events;
mod revision;
#[cfg(test)]
mod test_directory;
mod watch;
mod watch_paths;
mod watched;
mod writers;

pub use file::{AskForWriter, FileSource, Reading};
pub use revision::{Contents, Delivery, Revision, Source, Ticket, Tickets, WatchMethod};
pub use watch::FileFollower;
pub use writers::has_writer;
