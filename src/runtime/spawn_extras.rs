//! What a program is passed beyond its definition: variables of the protocols that navigator speaks with it, a descriptor
//! to announce itself on, and who hears its output. Nothing in here is part of its identity.

use super::probe::LogMatcher;
use rustix::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// What a program is passed beyond its definition.
#[derive(Debug, Default)]
pub(super) struct SpawnExtras {
    /// Variables, over those of the definition.
    pub(super) variables: Vec<(&'static str, String)>,
    /// The variable, if any, whose value is the program's own number.
    pub(super) own_number: Option<&'static str>,
    /// Its notification socket, which is given to its user before it is executed.
    pub(super) socket: Option<PathBuf>,
    /// A descriptor, and the number that it has in the program.
    pub(super) descriptor: Option<(OwnedFd, u32)>,
    /// Takes standard output and error, in place of what the definition says.
    pub(super) output: Option<OwnedFd>,
    /// Hears what it writes, wherever that goes.
    pub(super) log_matcher: Option<Arc<LogMatcher>>,
}
