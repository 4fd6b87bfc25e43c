//! Where a revision's text comes from: the configuration file and everything it names, read when they change or when
//! somebody asks. It knows files and nothing of processes, and doesn't decide what a change means.

mod file;
mod hints;
mod look;
mod places;
mod stamps;
mod watch;

pub use file::{AskForWriter, FileSource, Reading};
pub use watch::{Asker, Means};
