//! What a program is passed beyond its definition: protocol variables, descriptors, and a reader of its output.
//! None of it counts as a change of the definition.

use super::probe::LogMatcher;
use reconcile::socket::Listener;
use rustix::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// What a program is passed beyond its definition.
#[derive(Debug, Default)]
pub(super) struct SpawnExtras {
    /// Variables, over those of the definition.
    pub(super) variables: Vec<(&'static str, String)>,
    /// The variables that hold the program's own pid.
    pub(super) pid_variables: Vec<&'static str>,
    /// Its notification socket. Its owner becomes the process's user before the exec.
    pub(super) socket: Option<PathBuf>,
    /// A descriptor, and its number in the program.
    pub(super) descriptor: Option<(OwnedFd, u32)>,
    /// Where standard output and error go instead of the definition's `output`.
    pub(super) output: Option<OwnedFd>,
    /// Where standard error goes instead of there.
    pub(super) errors: Option<OwnedFd>,
    /// With a keeper: it is killed when navigator is.
    pub(super) ends_with_navigator: bool,
    /// Reads its lines, wherever they go.
    pub(super) log_matcher: Option<Arc<LogMatcher>>,
}

impl SpawnExtras {
    /// Adds the variables by which a program finds its sockets (`sd_listen_fds(3)`).
    pub(super) fn announce_sockets(&mut self, listeners: &[Listener]) {
        if listeners.is_empty() {
            return;
        }
        let names: Vec<&str> = listeners.iter().map(|listener| listener.name.value()).collect();
        self.variables.push(("LISTEN_FDS", listeners.len().to_string()));
        self.variables.push(("LISTEN_FDNAMES", names.join(":")));
        self.pid_variables.push("LISTEN_PID");
    }
}
