//! Why something is done, as a type, and as the text in logs, status and plans.
//!
//! A reason is recorded with each start and stop. Later decisions depend on it only through [`Reason::replaces`],
//! [`Reason::is_failure`] and [`Reason::is_of_another`].

use crate::event::ExitStatus;
use crate::human_duration::HumanDuration;
use crate::text::Name;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// Why a process is started, stopped, restarted or updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It is new in the file.
    Added,
    /// It is no longer in the file.
    Removed,
    /// These fields of its definition changed.
    Changed(Vec<String>),
    /// `enabled` became true.
    Enabled,
    /// `enabled` became false.
    Disabled,
    /// A dependency that it follows was restarted.
    With(Name),
    /// An operator stopped it.
    StoppedByHand,
    /// An operator started it.
    StartedByHand,
    /// An operator restarted it.
    RestartedByHand,
    /// A date of its schedule has come.
    Scheduled,
    /// It ended by itself, or could not be started.
    Ended(ExitStatus),
    /// It was not ready within this time; with the last failure of its probe.
    Unready(Duration, Option<String>),
    /// Its liveness probe failed; with the failure.
    Unhealthy(String),
    /// This watched file changed, and perhaps others.
    Watched(String),
    /// A new run failed before it could take the place of the old one.
    PutBack {
        /// Why the new run failed.
        why: Box<Reason>,
        /// The generation of the new run.
        generation: u64,
        /// What the old run has and the new one may need.
        bound: Option<BoundAddress>,
    },
    /// It was left by a navigator that was killed, and can't be taken over.
    Left,
    /// Navigator is shutting down.
    Shutdown,
}

/// An address on which a run listens by a socket of its own, so that no other run can.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundAddress {
    /// The address.
    pub address: Arc<str>,
    /// The run is one of several replicas, which can be replaced one by one.
    pub is_of_replica: bool,
}

impl Reason {
    /// Whether a run that is stopped for this reason is replaced by another one. Then dependents with `restart: true` are restarted
    /// too.
    pub fn replaces(&self) -> bool {
        matches!(self, Reason::Changed(_) | Reason::With(_) | Reason::RestartedByHand | Reason::Watched(_) | Reason::Left)
    }

    /// Whether the cause is an operator or another process, and not the process or its definition.
    pub fn is_of_another(&self) -> bool {
        matches!(self, Reason::With(_) | Reason::StoppedByHand | Reason::StartedByHand | Reason::RestartedByHand)
    }

    /// Whether a run that is stopped for this reason has failed. Then the restart policy decides what comes next.
    pub fn is_failure(&self) -> bool {
        matches!(self, Reason::Unready(..) | Reason::Unhealthy(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Added => f.write_str("added to file"),
            Reason::Removed => f.write_str("removed from file"),
            Reason::Changed(fields) => write!(f, "{} changed", fields.join(", ")),
            Reason::Enabled => f.write_str("enabled in file"),
            Reason::Disabled => f.write_str("disabled in file"),
            Reason::With(dependency) => write!(f, "dependency {dependency} restarted"),
            Reason::StoppedByHand => f.write_str("stopped by hand"),
            Reason::StartedByHand => f.write_str("started by hand"),
            Reason::RestartedByHand => f.write_str("restarted by hand"),
            Reason::Scheduled => f.write_str("scheduled"),
            Reason::Ended(status) => status.fmt(f),
            Reason::Unready(deadline, None) => write!(f, "not ready within {}", HumanDuration(*deadline)),
            Reason::Unready(deadline, Some(why)) => write!(f, "not ready within {}: {why}", HumanDuration(*deadline)),
            Reason::Unhealthy(why) => write!(f, "liveness probe failed: {why}"),
            Reason::Watched(path) => write!(f, "{path} changed"),
            Reason::PutBack { why, generation, bound } => {
                let ended = matches!(&**why, Reason::Ended(status) if !matches!(status, ExitStatus::NotStarted(_)));
                write!(f, "put back: {why}{} (generation {generation})", if ended { " before it was ready" } else { "" })?;
                let Some(BoundAddress { address, is_of_replica }) = bound else { return Ok(()) };
                let way_out = if *is_of_replica { "write `rolling: {surge: 0}`" } else { "let navigator hold it by `listen`" };
                write!(f, "; the old run has bound {address}: if the new one needs that too, {way_out}")
            }
            Reason::Left => f.write_str("left by a navigator that was killed"),
            Reason::Shutdown => f.write_str("shutdown"),
        }
    }
}
