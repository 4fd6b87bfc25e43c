//! What a source of revisions delivers, and what it can be asked for. The loop and the control socket know no more of it.

use crate::config::{Loaded, Rejected};
use reconcile::event::Content;
use reconcile::text::Name;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A source of revisions of a configuration. It delivers every new one by itself.
pub trait Source: fmt::Debug {
    /// Asks for a reading that begins after this call. A [`Revision`] that answers this ticket is delivered, also if nothing
    /// changed.
    fn reload(&self) -> Ticket;

    /// Asks for a look whether anything changed. [`Delivery::Looked`] is delivered after what was found.
    fn look(&self);

    /// Stops looking for changes. A reading or a look that is asked for is still made.
    ///
    /// For a navigator that is about to end: the kernel takes 16 to 30 ms to release file watches, and the end of a process waits for
    /// that.
    fn look_no_more(&self);

    /// How changes are found just now.
    fn means(&self) -> WatchMethod;

    /// Reads the candidate at a path, or what would be delivered now. Nothing follows from it.
    ///
    /// # Errors
    /// Every problem that keeps it from being put in force.
    fn read(&self, candidate: Option<&Path>) -> Result<Loaded, Rejected>;
}

/// The digests of watched files, for each process that watches some.
pub type Contents = Vec<(Name, Content)>;

/// A request for a reading. A later request has a greater ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Gives out tickets. Its clones share one sequence.
#[derive(Clone, Debug, Default)]
pub struct Tickets(Arc<AtomicU64>);

impl Tickets {
    /// A new ticket.
    pub fn next(&self) -> Ticket {
        Ticket(self.0.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// The last one that was given out: a reading that begins now answers it, and all before it.
    pub fn last(&self) -> Ticket {
        Ticket(self.0.load(Ordering::Acquire))
    }
}

/// A configuration that was read.
#[derive(Debug)]
pub struct Revision {
    /// The last request for a reading that came before this reading began.
    pub answers: Ticket,
    /// What it says. One that can be put in force comes with the contents of all watched files.
    pub outcome: Result<Box<Loaded>, Rejected>,
}

/// What is delivered.
#[derive(Debug)]
pub enum Delivery {
    /// A configuration was read.
    Revision(Revision),
    /// These watched files have another content.
    Contents(Contents),
    /// A look that was asked for is over: whatever was saved before has been delivered.
    Looked,
}

/// How changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchMethod {
    /// By what the kernel tells, and by a slow poll beside it.
    Events,
    /// By the poll alone.
    Poll,
    /// Not at all; only when somebody asks.
    Off,
}
