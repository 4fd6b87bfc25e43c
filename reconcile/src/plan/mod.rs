//! What to do now, what is waited for and why, and when to look again.
//!
//! # How a plan comes about
//!
//! Order is not computed, it emerges: each process that is to start and each run that is to stop passes through a short
//! list of conditions, its *gate*, and the gates are asked again after every event. A newer generation in the middle of
//! an older one therefore needs no cancelling: the next plan simply sees other wishes.
//!
//! Wishes and facts lie side by side in `view`, which looks only at those who may not be `quiet`.
//!
//! 1. `fate` says of every run whether it stays, must go (and why), or has to outlive its own replacement.
//! 2. `outlook` says of every wanted process whether it runs, is on its way, or is stuck, in dependency order.
//! 3. `stop` lets a run go once the runs that depend on it, and are going too, are gone.
//! 4. `start` starts a process once its predecessor is gone, its backoff and delay have passed, its dependencies hold,
//!    and those before it in the list have been started.
//!
//! # Laws
//!
//! - `wake_at` comes from the plan that is made after all steps are begun, so a stop's deadline is never missed.
//! - How a process announces that it is ready is identity; active probes are upkeep.
//! - A dependent that restarts along with a dependency is bound to its *run*, not to its name.
//! - Wishes are acyclic, facts may be cyclic (runs of different generations wait on each other): inside a strongly connected
//!   component, edges that are no longer wanted are ignored.
//! - A run that outlives its own replacement holds up nothing that it depends on.
//! - A stop is complete when the whole tree is gone; a start reads the newest wishes at the moment it is begun.
//!
//! Planning is total: [`Desired`] can't be built wrong, and facts are never assumed to be consistent.

mod fate;
mod outlook;
mod quiet;
mod start;
mod stop;
mod turns;
mod view;

use crate::desired::Desired;
use crate::event::RunId;
use crate::observed::Observed;
use crate::orders::Orders;
use crate::reason::Reason;
use crate::spec::Condition;
use crate::text::Name;
use crate::time::Time;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

pub(crate) use fate::{Fate, Fates, is_same};
pub(crate) use outlook::{Rest, is_mended, missed, rest_in, rest_of};
pub(crate) use quiet::Quiet;
pub(crate) use view::{Row, View};

/// How many starts of one user may be under way at once, so that a start reads wishes that are new and a host is not stampeded.
pub const STARTS_OF_ONE_USER: usize = 16;

/// How many starts may be under way at once. A user can make each of its starts hang until it is given up, so all starts of one user
/// take no more than half.
pub const STARTS_AT_ONCE: usize = 2 * STARTS_OF_ONE_USER;

/// How many of them may wait for the exec of the one before them in the list, and so on: of a list, that many more are under way
/// than the one that is being executed.
pub const STARTS_AHEAD: usize = 2;

/// How long a run may survive being killed before that is reported.
pub const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// What to do now, what is waited for, and when to look again.
#[must_use]
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What to do now; the order has no meaning, everything in it may be begun at once.
    pub steps: Vec<Step>,
    /// For each process that is not as it should be and for which nothing can be done now: what it waits for.
    pub waiting: Vec<(Name, Waiting)>,
    /// When to plan again if nothing happens before.
    pub wake_at: Option<Time>,
    /// Another plan, made right after all steps are begun, would have none, and the same time to wake as this.
    ///
    /// It may be so where this says that it isn't: then planning again shows it.
    pub is_final: bool,
    /// Nobody wants to know what is waited for.
    is_silent: bool,
}

/// Something to do now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start a process.
    Start {
        /// The process.
        name: Name,
        /// The run that is being started, and whose exec must come before.
        after: Option<RunId>,
    },
    /// Tell a run to stop.
    Stop(RunId, Reason),
    /// Kill a run; the reason is for one that was not told to stop before.
    Kill(RunId, Reason),
    /// Take over a new upkeep in place.
    Update(RunId),
    /// Tell a run to read its own files again.
    Reload(RunId, Reason),
    /// Remember that the start delay of a process counts from now.
    CountDelay(Name),
    /// Forget from when the start delay of a process counted.
    ForgetDelay(Name),
    /// Report a run that survives being killed.
    Report(RunId),
}

/// Why something that is to happen doesn't happen yet.
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
    /// A start waits for the one before it in the list, or for a managed process before an application.
    Order(Name),
    /// A start waits for its delay.
    Delay(Time),
    /// A start waits for its backoff.
    Backoff(Time),
    /// A start waits for a process that was removed or disabled to be gone.
    Removed(Name),
    /// A start waits until fewer others are under way.
    Turn,
    /// The exec of a start is under way.
    Exec,
    /// A run is not ready.
    Readiness {
        /// When it has failed, unless it has been ready before.
        until: Option<Time>,
        /// What its probe met with last.
        why: Option<String>,
    },
    /// A stop waits for a process that comes after it to be gone.
    Dependent(Name),
    /// A stop is under way; at this time what is left is killed.
    Grace(Time),
    /// A kill is under way.
    Kill,
}

/// Why a dependency hasn't reached what it must.
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
    /// It waits for something that doesn't come by itself.
    Stuck,
}

/// Compares what is wanted with what happened. Asked again right away, it answers with nothing to do.
///
/// It looks at everybody. An engine says the same faster, as it knows who is quiet.
pub fn plan(desired: &Desired, orders: &Orders, observed: &Observed, now: Time) -> Plan {
    loud_plan(&View::whole(desired, orders, observed, now))
}

/// What there is to do by a view, and what is waited for.
pub(crate) fn loud_plan(view: &View<'_>) -> Plan {
    filled(Plan::default(), view)
}

/// The same without what is waited for, which takes as long to say as all the rest.
pub(crate) fn silent_plan(view: &View<'_>) -> Plan {
    filled(Plan { is_silent: true, ..Plan::default() }, view)
}

fn filled(mut plan: Plan, view: &View<'_>) -> Plan {
    let fates = fate::fates(view, &mut plan);
    if !plan.steps.is_empty() {
        // An upkeep that is taken over, such as a deadline, is in force before anything is decided by it.
        return plan;
    }
    let stops_are_final = stop::stop(view, &fates, &mut plan);
    let starts_are_final = start::start(view, &fates, &mut plan);
    plan.is_final = stops_are_final && starts_are_final;
    plan
}

impl Plan {
    fn wake(&mut self, at: Time) {
        self.wake_at = Some(self.wake_at.map_or(at, |before| before.min(at)));
    }

    fn wait(&mut self, name: &Name, what: Waiting) {
        if !self.is_silent {
            self.waiting.push((name.clone(), what));
        }
    }
}
