//! Output of processes, from their pipes to terminals and files:
//!
//! ```text
//!  pipes ──► reader ──► queues ──► writers ──► standard output, standard error, files
//!            (one        (one for each          (one thread, and up to
//!             thread)     destination)           seven more while it is blocked)
//! ```
//!
//! The reader splits bytes into lines and formats them for their destination. A queue holds whole lines for one destination.
//! Each source has a share of it, and all queues together stay within one budget. Only writers wait for a disk. So a stuck
//! destination delays no process, not the loop, and no other destination, within the limits in [`writers`].
//!
//! The last lines of each process are also kept in memory ([`history`]), even if their destination is stuck.
//!
//! Navigator's own log arrives here formatted, and takes the same routes.

mod budget;
mod history;
mod line_buffer;
mod line_format;
mod lines;
mod mounts;
mod printer;
mod reader;
mod reader_pause;
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
pub(super) use reader_pause::PausedReader;
pub use tail::{LastLines, Tail, TailFormat};

use crate::access::identity::Identity;
use crate::access::{Distrust, Trust};
use reconcile::spec::{Exec, Output};
use reconcile::text::Text;
use std::path::Path;

/// Why output files of a process can't be opened, as far as a check without opening shows.
pub(super) fn output_problems(exec: &Exec, trust: Trust) -> Vec<String> {
    // An unknown user is reported elsewhere.
    let (Output::Files(files), Ok((identity, _))) = (&exec.output, Identity::of(exec)) else { return Vec::new() };
    let owner = rotation::FileOwner { trust, identity: Some(identity) };
    let problem = |path: &Text| {
        let error = rotation::check_openable(Path::new(path.value()), &owner).err()?;
        let key = if files.stdout.as_ref() == Some(path) { "file" } else { "stderr" };
        Some(format!("output.{key} `{}`: {}", path.shown(), reason(&error, path.is_secret())))
    };
    files.paths().filter_map(problem).collect()
}

/// Why navigator's own log file can't be opened.
pub fn log_problem(path: &Path, trust: Trust) -> Option<String> {
    let error = rotation::check_openable(path, &rotation::FileOwner { trust, identity: None }).err()?;
    Some(reason(&error, false))
}

/// Why a file can't be opened, with a remedy where one is known. A secret path is not shown.
fn reason(error: &std::io::Error, is_secret: bool) -> String {
    match Distrust::behind(error) {
        Some(distrust) if is_secret => distrust.without_path(),
        Some(distrust) => format!("{distrust}; {}", distrust.remedy()),
        None => crate::error_text::words(error),
    }
}
