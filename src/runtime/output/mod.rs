//! What processes write, from their pipes to where it goes:
//!
//! ```text
//!  pipes ──► reader ──► lanes ──► writers ──► standard output, standard error, files
//!            (one        (one for each          (threads: one, and another for each
//!             thread)     destination)           write that doesn't come back)
//! ```
//!
//! The reader splits bytes into lines and gives them the look that they have at their destination. A lane holds what
//! waits for one destination, whole lines and a bounded number of them, of which each source has its share. A writer's thread is the only one that ever
//! waits for a disk or a terminal; so a destination that is stuck holds neither a process, nor the loop, nor what goes
//! elsewhere.
//!
//! Beside the lanes, the last lines of each process are kept in memory for readers who ask later, whatever becomes of them at
//! their destination.
//!
//! It is *not* the place of navigator's log, whose lines come ready made and go the same ways.

mod bell;
mod kept;
mod lane;
mod lines;
mod look;
mod printer;
mod reader;
mod ring;
mod rotation;
mod share;
mod sink;
mod tail;
mod writers;

pub use kept::Kept;
pub(super) use lines::{Lines, Piece};
pub use look::{Format, Painter};
pub(super) use printer::more_log_is_to_come;
pub use printer::{Destination, LogLater, Printer, let_log_go};
pub(super) use reader::Outputs;
pub use tail::{Form, Tail};
