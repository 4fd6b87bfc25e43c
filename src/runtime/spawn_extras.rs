//! What a program is passed beyond its definition: protocol variables, descriptors, and a reader of its output.
//! None of it counts as a change of the definition.

use super::probe::LogMatcher;
use rustix::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// What a program is passed beyond its definition.
#[derive(Debug, Default)]
pub(super) struct SpawnExtras {
    /// Variables, over those of the definition.
    pub(super) variables: Vec<(&'static str, String)>,
    /// The variable, if any, that holds the program's own pid.
    pub(super) pid_variable: Option<&'static str>,
    /// Its notification socket. Its owner becomes the process's user before the exec.
    pub(super) socket: Option<PathBuf>,
    /// A descriptor, and its number in the program.
    pub(super) descriptor: Option<(OwnedFd, u32)>,
    /// Where standard output and error go instead of the definition's `output`.
    pub(super) output: Option<OwnedFd>,
    /// Reads its lines, wherever they go.
    pub(super) log_matcher: Option<Arc<LogMatcher>>,
}
