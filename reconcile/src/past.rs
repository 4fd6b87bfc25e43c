//! How a run ended.

use crate::backoff::Streak;
use crate::event::{Content, ExitStatus, RunId};
use crate::reason::Reason;
use crate::spec::Spec;
use crate::time::Time;
use alloc::sync::Arc;

/// How a run ended.
#[derive(Clone, Debug)]
pub struct Past {
    /// The run.
    pub run: RunId,
    /// The definition it ran.
    pub spec: Arc<Spec>,
    /// How its main process ended.
    pub status: ExitStatus,
    /// When its main process ended.
    pub at: Time,
    /// Why it ended.
    pub why: Reason,
    /// How often in a row the process ended by itself. `None`: this end was not by itself, or is forgiven.
    pub streak: Option<Streak>,
    /// The content of the files that it watches when it last read them.
    pub content: Option<Content>,
}

impl Past {
    /// Whether it exited successfully by this definition, and wasn't stopped for a failure.
    pub fn succeeded(&self, spec: &Spec) -> bool {
        self.status.is_success(spec) && !self.why.is_failure()
    }

    /// Whether its program wasn't there to be started.
    pub(crate) fn was_missing(&self) -> bool {
        matches!(&self.status, ExitStatus::NotStarted(why) if why.is_missing())
    }
}
