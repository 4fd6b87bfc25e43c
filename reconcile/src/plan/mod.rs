//! What to do now, what is waited for and why, and when to look again.
//!
//! # How a plan is made
//!
//! No order is computed. Each start and each stop has to pass a *gate*, a short list of conditions, which are checked again
//! after every event. So if a newer generation arrives while an older one is under way, nothing has to be cancelled: the next
//! plan reads other definitions.
//!
//! 1. `view` puts definitions and facts side by side.
//! 2. `disposition` decides for every run whether it is kept, must stop (and why), or is kept until it is replaced.
//! 3. `replicas` lets so many replicas of a definition be replaced at once that the others serve.
//! 4. `sockets` lets navigator hold the sockets that processes need.
//! 5. `stop` lets a run stop once the processes that come after it, and are stopping too, are gone.
//! 6. `progress` determines for every process of the file whether it runs, is on its way or is stuck, dependencies first.
//! 7. `start` starts a process once its former run is gone, its backoff and delay are over, its dependencies hold, and the
//!    processes before it in the list have been started.
//!
//! # Laws
//!
//! - `wake_at` is that of the plan made after all steps are begun, so that the deadline of a stop is never missed.
//! - How a process announces that it is ready belongs to [`Exec`](crate::spec::Exec); active probes don't.
//! - A process that restarts along with a dependency is bound to a *run* of it, not to its name.
//! - Definitions are acyclic; facts may be cyclic, when runs of different generations wait for each other. Inside a strongly
//!   connected component, edges that are no longer wanted are ignored.
//! - A run that is kept until it is replaced doesn't block a stop of what it depends on.
//! - A stop is complete when the whole process tree is gone; a start uses the newest definition at the moment it is begun.
//!
//! Planning is total: a [`Desired`] is always valid, and nothing relies on consistent facts.

mod disposition;
mod progress;
mod quota;
mod replicas;
mod sockets;
mod start;
mod stop;
mod view;

use crate::desired::Desired;
use crate::event::{Refusal, RunId};
use crate::observed::Observed;
use crate::orders::{Orders, ShutdownCause};
use crate::reason::Reason;
use crate::socket::Listener;
use crate::spec::{Condition, Signal};
use crate::text::Name;
use crate::time::Time;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use disposition::is_same;
pub(crate) use progress::{RestingState, changed_since_end, is_mended, resting_state, resting_state_after};
pub(crate) use replicas::is_one_by_one;
use view::View;
pub(crate) use view::{Dirty, Planner};

/// How many starts of one user may be under way at once, so that the host isn't overloaded and each start uses the newest
/// definition.
pub const STARTS_OF_ONE_USER: usize = 16;

/// How many starts may be under way at once. A user can make all of its starts hang until they time out, so those of one user
/// take at most half.
pub const STARTS_AT_ONCE: usize = 2 * STARTS_OF_ONE_USER;

/// In a list, how many starts may be begun behind the one that is at its exec.
pub const STARTS_AHEAD: usize = 2;

/// How long a run may survive being killed before that is reported.
pub const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What to do now, what is waited for, and when to plan again.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What to do now. Everything may be begun at once, in any order.
    pub steps: Vec<Step>,
    /// For each process that is not as it should be and for which nothing can be done now: what it waits for.
    pub waiting: Vec<(Name, Waiting)>,
    /// When to plan again if nothing happens before.
    pub wake_at: Option<Time>,
    /// Whether `waiting` is filled in.
    explains: bool,
}

/// Something to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start a process.
    Start {
        /// The process.
        name: Name,
        /// A run that is being started. Its exec must come before.
        after: Option<RunId>,
    },
    /// Tell a run to stop.
    Stop(RunId, Reason),
    /// End the drain of a run: tell it to stop.
    EndDrain(RunId),
    /// Kill a run; the reason is for one that was not told to stop before.
    Kill(RunId, Reason),
    /// Apply changed settings that need no restart.
    Update(RunId),
    /// Tell a run to read its own files again.
    Reload(RunId, Reason),
    /// Start a scheduled task as soon as possible: its date has come.
    CallOnDate(Name),
    /// Remember that the start delay of a process counts from now.
    CountDelay(Name),
    /// Forget since when the start delay of a process counts.
    ForgetDelay(Name),
    /// Replace a run although its definition is in force. It serves until its replacement has been ready for long
    /// enough.
    Replace(RunId, Reason),
    /// Remember that a run has been ready for long enough to take the place of the old one.
    Establish(RunId),
    /// Hold exactly these sockets for a process.
    Hold(Name, Vec<Listener>),
    /// Report a run that survives being killed.
    Report(RunId),
    /// Tell the processes that the main process of a run left behind to stop.
    StopRest(RunId, Reason),
    /// Report that the start of a process waits for another one that won't start by itself.
    Stall(Name, Name, Block),
    /// Shut down, because this process ended.
    ShutDown(ShutdownCause),
}

/// What a process waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// A start waits for a named dependency.
    Dependency {
        /// The dependency.
        on: Name,
        /// What it must have reached.
        condition: Condition,
        /// Why it hasn't.
        why: Block,
    },
    /// A start waits for the process before it in the list, or for a managed process before an application.
    Order(Name),
    /// A start waits for its delay.
    Delay(Time),
    /// A start waits for its backoff.
    Backoff(Time),
    /// A scheduled task waits for its next date.
    Date(Time),
    /// A start waits for a process that was removed or disabled to be gone.
    Removed(Name),
    /// A start or a restart waits for the sockets of its definition; why one of them can't be had.
    Sockets(Option<Refusal>),
    /// A start waits until fewer others are under way.
    Turn,
    /// The replacement of a replica waits for this other one.
    Replica(Name),
    /// The exec of a start is under way.
    Exec,
    /// A run is not ready.
    Readiness {
        /// It has failed if it isn't ready at this time; `None`: it was ready before.
        until: Option<Time>,
        /// The last failure of its probe.
        why: Option<String>,
    },
    /// A new run is ready, and takes the place of the old one at this time if it is still ready.
    Stable(Time),
    /// A stop waits for a process that comes after it to be gone.
    Dependent(Name),
    /// A run finishes its work; at this time it gets its stop signal.
    Drain(Time, Signal),
    /// A stop is under way; at this time the remaining processes are killed.
    Grace(Time),
    /// A kill is under way.
    Kill,
    /// Processes of a run survive being killed; which ones and why, if the system refuses to kill them.
    Survivors(Option<String>),
}

/// Why a dependency doesn't hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// It is on its way.
    Coming,
    /// It is disabled in the file.
    Disabled,
    /// An operator stopped it.
    StoppedByHand,
    /// It failed and is left alone.
    Failed,
    /// It failed and is tried again later.
    BackingOff,
    /// It exited with status 0 and is not started again.
    Ended,
    /// It waits for a date of its schedule, and has not completed yet.
    Scheduled,
    /// It waits for something that won't happen by itself.
    Stuck,
    /// It was ready, but is not ready again within its readiness deadline. Only reported: it may still become ready.
    Unready,
}

/// Compares what is wanted with what happened.
///
/// It reads all facts. [`Engine::step`](crate::engine::Engine::step) does the same faster.
pub fn plan(desired: &Desired, orders: &Orders, observed: &Observed, now: Time) -> Plan {
    plan_of(&mut View::whole(desired, orders, observed, now))
}

fn plan_of(view: &mut View<'_>) -> Plan {
    let mut plan = Plan { explains: view.explains, ..Plan::default() };
    let dispositions = disposition::dispositions(view, &mut plan);
    // A changed setting, such as a deadline, takes effect before anything is decided by it.
    if plan.steps.is_empty() {
        sockets::hold(view, &dispositions, &mut plan);
        stop::stop(view, &dispositions, &mut plan);
        start::start(view, &dispositions, &mut plan);
    }
    plan
}

impl Plan {
    fn wake(&mut self, at: Time) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }

    fn wait(&mut self, name: &Name, what: Waiting) {
        if self.explains {
            self.waiting.push((name.clone(), what));
        }
    }
}
