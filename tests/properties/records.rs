//! What is remembered of each process and of each run.

use crate::places::Set;
use crate::rolling::{Asked, PutBack};
use crate::rules::Why;
use crate::sockets::Sockets;
use reconcile::backoff::WatchRestarts;
use reconcile::event::{Content, ExitStatus, RunId};
use reconcile::spec::Spec;
use reconcile::time::Time;
use std::sync::Arc;
use std::time::Duration;

/// One process, whether it is wanted or not.
#[derive(Clone, Default)]
pub(crate) struct Process {
    /// How its last run ended.
    pub(crate) past: Option<Past>,
    /// It was stopped by hand, with this definition.
    pub(crate) stopped: Option<Spec>,
    /// It is disabled and was started by hand all the same, with this definition.
    pub(crate) started: Option<Spec>,
    /// It has not run since it was added or enabled.
    pub(crate) new: bool,
    /// The newest of its runs that was started in place of another, as the engine says.
    pub(crate) replacement: Option<RunId>,
    /// Since when its named dependencies have held while it was wanted.
    pub(crate) due_since: Option<Time>,
    /// What its files contain, as was last told of the paths that it watched then.
    pub(crate) files: Option<Content>,
    /// The restarts for its files.
    pub(crate) watch_restarts: WatchRestarts,
    /// A run that was to replace another one failed, and what was there before is wanted again.
    pub(crate) put_back: Option<PutBack>,
    /// What it was wanted by before the replacement of replicas began that is under way.
    pub(crate) before_roll: Option<Arc<Spec>>,
    /// Since when a new run is tried beside the old one, however often its start fails for lack of room.
    pub(crate) trying_since: Option<Time>,
    /// How many reasons there were so far to start another run of it: definitions, orders, files, dependencies.
    pub(crate) causes: u32,
    /// How many of them the start had that was put back last.
    pub(crate) failed_at: Option<u32>,
    /// The sockets that are to be held for it.
    pub(crate) sockets: Option<Sockets>,
}

/// How a run ended.
#[derive(Clone)]
pub(crate) struct Past {
    pub(crate) run: RunId,
    pub(crate) spec: Arc<Spec>,
    pub(crate) status: ExitStatus,
    pub(crate) at: Time,
    /// Why it was told to stop, if it was.
    pub(crate) why: Option<Why>,
    /// Ends in a row, and whether the first of them followed healthy running; `None` if it counts for nothing.
    pub(crate) streak: Option<(u32, bool)>,
    /// What it had read.
    pub(crate) read: Option<Content>,
    /// A run since has been healthy for long enough.
    pub(crate) proven: bool,
}

/// One run that is not known to be gone.
#[derive(Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact by itself; together they make any run")]
pub(crate) struct Run {
    pub(crate) id: RunId,
    pub(crate) process: usize,
    pub(crate) spec: Arc<Spec>,
    pub(crate) begun: Time,
    /// The run that has its exec before this one.
    pub(crate) after: Option<RunId>,
    /// The newest run there was when it took over its definition.
    pub(crate) taken_over: RunId,
    /// The newest run there was when it was bound to the runs of its dependencies, and when that was.
    pub(crate) bound: (RunId, Time),
    pub(crate) up: Option<Time>,
    pub(crate) ready: Option<Time>,
    /// It has been ready, whether or not it is.
    pub(crate) was_ready: bool,
    /// The longest that it was ready, until readiness lapsed.
    pub(crate) ready_for: Duration,
    pub(crate) unhealthy: bool,
    /// What its files contained when it last read them.
    pub(crate) read: Option<Content>,
    pub(crate) stop: Option<(Time, Why)>,
    /// It was told to finish its work, for which it has until then.
    pub(crate) drain: Option<Time>,
    /// It was told to end, and not only to finish its work.
    pub(crate) told: Option<Time>,
    /// What its leader left behind was told to stop.
    pub(crate) rest_stop: Option<Time>,
    pub(crate) killed: Option<Time>,
    pub(crate) exit: Option<(ExitStatus, Time)>,
    pub(crate) reported: bool,
    /// It is to be replaced although its definition is in force.
    pub(crate) asked: Option<Asked>,
    /// How many causes its process had when it was started.
    pub(crate) causes: u32,
    /// It was started beside a run of this definition, and has not stayed ready for long enough since.
    pub(crate) trial: Option<Arc<Spec>>,
    /// However it ends, it counts for nothing.
    pub(crate) forgiven: bool,
    /// What it was placed after.
    pub(crate) waits: Set,
}

impl Run {
    pub(crate) fn undisturbed(&self) -> bool {
        self.stop.is_none() && self.killed.is_none() && self.exit.is_none()
    }

    /// It ended by itself, or is being stopped for a failure.
    pub(crate) fn failing(&self) -> bool {
        self.stop.map_or(self.exit.is_some(), |(_, why)| why.fails())
    }
}
