//! What processes write, from their pipes to where it goes:
//!
//! ```text
//!  pipes ──► reader ──► queues ──► writers ──► standard output, standard error, files
//!            (one        (one for each          (one thread, and up to
//!             thread)     destination)           seven where it is held)
//! ```
//!
//! The reader splits bytes into lines and gives them the look that they have at their destination. A queue holds what
//! waits for one destination, whole lines and a bounded number of them, of which each source has its share. All queues together
//! stay within one budget. Only writers wait for a disk; so a destination that is stuck delays neither a process, nor the loop,
//! nor what goes elsewhere, within the limits that [`writers`] names.
//!
//! Beside the queues, the last lines of each process are kept in memory for readers who ask later, whatever becomes of them at
//! their destination.
//!
//! It is *not* the place of navigator's log, whose lines come ready made and go the same ways.

mod budget;
mod history;
mod line_buffer;
mod line_format;
mod lines;
mod mounts;
mod printer;
mod reader;
mod rotation;
mod share;
mod sink;
mod sink_queue;
mod tail;
mod waker;
mod writable_watch;
mod writers;

pub use history::OutputHistory;
pub use line_format::{OutputFormat, Painter};
pub(super) use lines::{LineChunk, LineSplitter};
pub(super) use printer::set_more_log_expected;
pub use printer::{DeferredFlush, Destination, Printer, flush_deferred_log};
pub(super) use reader::Outputs;
pub use tail::{Tail, TailFormat};

use crate::access::identity::Identity;
use crate::access::{Distrust, Trust};
use reconcile::spec::{Exec, Output};
use std::path::Path;

/// Why the file of a process's output can't be opened, as far as that can be seen beforehand.
pub fn output_problem(exec: &Exec, trust: Trust) -> Option<String> {
    let Output::File { path, .. } = &exec.output else { return None };
    // That the user is unknown is another problem.
    let (identity, _) = Identity::of(exec).ok()?;
    let owner = rotation::FileOwner { trust, identity: Some(identity) };
    let error = rotation::check_openable(Path::new(path.value()), &owner).err()?;
    Some(format!("output.file `{}`: {}", path.shown(), reason(&error, path.is_secret())))
}

/// The same of navigator's own log.
pub fn log_problem(path: &Path, trust: Trust) -> Option<String> {
    let error = rotation::check_openable(path, &rotation::FileOwner { trust, identity: None }).err()?;
    Some(reason(&error, false))
}

/// Why a file can't be opened, and what to do about it where that is known. A secret path is not shown.
fn reason(error: &std::io::Error, is_secret: bool) -> String {
    match Distrust::behind(error) {
        Some(distrust) if is_secret => distrust.without_path(),
        Some(distrust) => format!("{distrust}; {}", distrust.remedy()),
        None => crate::error_text::words(error),
    }
}
