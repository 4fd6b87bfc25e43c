//! A run of a former life of navigator: what is asked when it is to be taken over, and what is answered.

use crate::journal::RunKey;
use reconcile::event::{ExitStatus, Pid, RunId};
use reconcile::spec::Spec;
use std::sync::Arc;

/// A run of a former life that is to be taken over.
#[derive(Clone, Debug)]
pub struct FormerRun {
    /// Its number, which it keeps.
    pub run: RunId,
    /// Its entry in the journal.
    pub key: RunKey,
    /// Its definition, as far as it is known.
    pub spec: Arc<Spec>,
    /// Whether it was ready.
    pub is_ready: bool,
    /// Whether it was told to stop.
    pub is_ending: bool,
}

/// What became of a run that was to be taken over.
#[derive(Clone, Debug, Default)]
pub struct TakenOver {
    /// Its main process; `None`: that has ended.
    pub main: Option<Pid>,
    /// Whether any process of it lives. The run ends with an [`Event::Gone`](reconcile::event::Event::Gone) then.
    pub is_left: bool,
    /// How its main process ended, if that is known.
    pub exit: Option<ExitStatus>,
    /// Why it can't go on as it is, although its main process lives.
    pub problem: Option<String>,
}
