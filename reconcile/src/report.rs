//! Reports: what changed. The log, the event stream and the metrics are made from them.
//!
//! The core doesn't log. It returns reports, and its caller decides what to do with them.

use crate::diff::{ChangeClass, Difference};
use crate::event::{ExitStatus, Pid, RunId};
use crate::orders::ShutdownCause;
use crate::plan::Block;
use crate::reason::Reason;
use crate::socket::SocketChange;
use crate::text::Name;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

/// Something that changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// A process changed.
    Process(Transition),
    /// A configuration was accepted, and differs in meaning from the last.
    Accepted(Summary),
    /// A configuration was accepted, and means the same as the last.
    Unchanged,
    /// The starts of these processes wait for one that doesn't come by itself.
    Stalled {
        /// The dependency.
        on: Name,
        /// Why it doesn't come.
        why: Block,
        /// The processes that wait, in the order of their names.
        names: Vec<Name>,
    },
    /// The configuration of this generation is good.
    Good(u64),
    /// A configuration is bad, and is undone if there was a good one before.
    RolledBack {
        /// Its generation.
        generation: u64,
        /// The generation that was good.
        to: Option<u64>,
        /// Why it is bad.
        why: String,
    },
    /// A configuration was saved again that is known to be bad.
    KnownBad,
    /// Navigator shuts down, because a process ended.
    ShuttingDown(ShutdownCause),
}

/// A change of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The process.
    pub name: Name,
    /// Its run, if it is about one.
    pub run: Option<RunId>,
    /// The pid of that run's main process, if known.
    pub pid: Option<Pid>,
    /// The generation of the definition that it is about.
    pub generation: u64,
    /// What happened.
    pub what: TransitionKind,
}

/// What happened to a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransitionKind {
    /// It is being started.
    Starting(Reason),
    /// Its program runs.
    Started,
    /// Its probe passed, or is no longer asked for.
    Ready,
    /// Its probe passed before and no longer does; with the failure.
    Unready(String),
    /// It is told to read its own files again.
    Reloading(Reason),
    /// The reload failed, for this reason.
    NotReloaded(String),
    /// It was told to finish its work before it stops.
    Draining(Reason),
    /// It was told to stop.
    Stopping(Reason),
    /// It was told to stop, and is gone.
    Stopped {
        /// How its main process ended.
        status: ExitStatus,
        /// Why it was told to stop.
        reason: Reason,
    },
    /// It did not stop in time; its remaining processes are killed.
    Killing(Reason),
    /// Another process of its tree became its main process.
    MainChanged,
    /// Its main process has ended, and those that it left behind are told to stop.
    StoppingRest(Reason),
    /// It ended by itself, with a status that counts as success.
    Exited(ExitStatus),
    /// It ended by itself, with any other status or by a signal that navigator did not send.
    Crashed(ExitStatus),
    /// It will be started again after this delay.
    Restarting {
        /// How long after its end.
        delay: Duration,
        /// Why.
        reason: Reason,
    },
    /// A changed upkeep was taken over in place.
    Updated(Vec<Difference>),
    /// It could not be started, and that is tried again.
    NotStarted(Reason),
    /// It is restarted for its watched files so often that these restarts are slowed down from now on.
    SlowedDown(Reason),
    /// It could not be started, or is given up.
    Failed(Reason),
    /// Its new run failed before it could take the place of the old one, which goes on.
    PutBack(Reason),
    /// Something happened to its socket at this address.
    Socket(String, SocketChange),
    /// It is ready, and no process of it keeps any of its sockets.
    KeepsNoSocket,
    /// A process of it survives being killed; with which and why, if the system refuses to kill it.
    Survives(Option<String>),
}

/// What an accepted configuration changes, by class.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Its generation.
    pub generation: u64,
    /// Processes to start.
    pub added: usize,
    /// Processes to stop.
    pub removed: usize,
    /// Processes that need another run.
    pub changed: usize,
    /// Processes that take over a change in place.
    pub updated: usize,
    /// Processes that would need another run, and are kept on purpose.
    pub stale: usize,
    /// Processes that are as they were.
    pub unchanged: usize,
}

impl Summary {
    /// Counts changes. The generation is left at 0.
    pub fn of(changes: &BTreeMap<Name, ChangeClass>) -> Summary {
        let mut summary = Summary::default();
        for change in changes.values() {
            let count = match change {
                ChangeClass::Add => &mut summary.added,
                ChangeClass::Remove => &mut summary.removed,
                ChangeClass::Replace(_) => &mut summary.changed,
                ChangeClass::Update(_) => &mut summary.updated,
                ChangeClass::Stale(_) => &mut summary.stale,
                ChangeClass::Keep => &mut summary.unchanged,
            };
            *count += 1;
        }
        summary
    }
}
