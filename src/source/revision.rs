//! The interface of a configuration source: what it delivers and what it can be asked for.
//!
//! The event loop and the control socket know no more of it.

use super::git::{LookOutcome, OrderReply, SourceOrder};
use crate::config::{HostSource, Loaded, Rejected};
use reconcile::event::Content;
use reconcile::spec::Spec;
use reconcile::text::Name;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::oneshot;

/// A source of configuration revisions. It delivers every new one unasked.
pub trait Source: fmt::Debug {
    /// Requests a reading that begins after this call. A [`Revision`] that answers this ticket is delivered even if nothing
    /// changed.
    fn reload(&self) -> Ticket;

    /// Requests a check for changes. [`Delivery::Checked`] is delivered after everything that the check found.
    fn check(&self);

    /// Stops watching for changes. Requested readings and checks are still made.
    ///
    /// Call this before exit: the kernel takes 16 to 30 ms to release file watches, and the exit waits for that.
    fn stop_watching(&self);

    /// Watches the files that these definitions name, until another configuration is delivered; `None`: those of the configuration
    /// that was delivered last. Their content is delivered.
    fn watch_for(&self, definitions: Option<Vec<Arc<Spec>>>);

    /// Whether a change was seen that is not delivered yet: its files are still being written, or were saved a moment ago.
    fn has_pending_change(&self) -> bool;

    /// How changes are found at present.
    fn watch_method(&self) -> WatchMethod;

    /// Reads the candidate at a path, or what would be delivered now. It is not applied. With a `place`, it is read as if it were
    /// there.
    ///
    /// # Errors
    /// Every problem that keeps it from being applied.
    fn read(&self, candidate: Option<&Path>, place: Option<&Path>) -> Result<Loaded, Rejected>;

    /// Looks at the followed repository now, and puts in force what is wanted. Returns false if none is followed.
    fn look(&self, _reply: Option<oneshot::Sender<LookOutcome>>) -> bool {
        false
    }

    /// Carries out an order about the followed repository. Returns false if none is followed.
    fn order(&self, _order: SourceOrder, _reply: oneshot::Sender<OrderReply>) -> bool {
        false
    }
}

/// The digests of watched files, for each process that watches some.
pub type Contents = Vec<(Name, Content)>;

/// A request for a reading. A later request has a greater ticket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Hands out tickets. Clones share one sequence.
#[derive(Clone, Debug, Default)]
pub struct Tickets(Arc<AtomicU64>);

impl Tickets {
    /// A new ticket.
    pub fn next(&self) -> Ticket {
        Ticket(self.0.fetch_add(1, Ordering::AcqRel) + 1)
    }

    /// The last ticket handed out. A reading that begins now answers it and all before it.
    pub fn last(&self) -> Ticket {
        Ticket(self.0.load(Ordering::Acquire))
    }
}

/// A configuration that was read.
#[derive(Debug)]
pub struct Revision {
    /// The last request that was made before this reading began.
    pub answers: Ticket,
    /// The configuration, or why it was rejected. A valid one comes with the contents of all watched files.
    pub outcome: Result<Box<Loaded>, Rejected>,
}

impl Revision {
    /// The repository that is followed, as the host's own file says; `None`: that file is wrong.
    pub fn source(&self) -> Option<Option<&Arc<HostSource>>> {
        match &self.outcome {
            Ok(loaded) => Some(loaded.source.as_ref()),
            Err(rejected) => rejected.source.as_ref().map(Some),
        }
    }
}

/// What a source delivers.
#[derive(Debug)]
pub enum Delivery {
    /// A configuration was read.
    Revision(Revision),
    /// The content of these watched files changed.
    Contents(Contents),
    /// A requested check is done: everything saved before it has been delivered.
    Checked,
}

/// How changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchMethod {
    /// By kernel events, and by a slow poll beside them.
    Events,
    /// By the poll alone.
    Poll,
    /// Not at all; files are read on request only.
    Off,
}
