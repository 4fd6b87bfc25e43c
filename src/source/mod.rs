//! Where a revision's text comes from: the configuration file and everything it names, read when they change or when
//! somebody asks; and what the files contain that processes watch. It knows files and nothing of processes, and doesn't decide
//! what a change means.

mod file;
#[cfg(test)]
mod folder;
mod hints;
mod look;
mod places;
mod revision;
mod stamps;
mod survey;
mod watch;
mod watched;
mod writers;

pub use file::{AskForWriter, FileSource, Reading};
pub use revision::{Delivery, Means, Revision, Source, Ticket, Tickets};
pub use survey::Contents;
pub use watch::Asker;
pub use writers::has_writer;
