//! What to do now, what is waited for and why, and when to look again.
//!
//! # How a plan comes about
//!
//! Order is not computed, it emerges: each process that is to start and each run that is to stop passes through a short
//! list of conditions, its *gate*, and the gates are asked again after every event. A newer generation in the middle of
//! an older one therefore needs no cancelling: the next plan simply sees other wishes.
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
mod start;
mod stop;

use crate::desired::{Desired, Entry};
use crate::event::RunId;
use crate::observed::{Observed, Process, Run};
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

/// How many starts may be under way at once, so that a start reads wishes that are new and a host is not stampeded.
pub const STARTS_AT_ONCE: usize = 16;

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
    Start(Name),
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
pub fn plan(desired: &Desired, orders: &Orders, observed: &Observed, now: Time) -> Plan {
    filled(Plan::default(), &View::new(desired, orders, observed, now))
}

/// The same without what is waited for, which takes as long to say as all the rest.
pub(crate) fn silent_plan(desired: &Desired, orders: &Orders, observed: &Observed, now: Time) -> Plan {
    filled(Plan { is_silent: true, ..Plan::default() }, &View::new(desired, orders, observed, now))
}

fn filled(mut plan: Plan, view: &View<'_>) -> Plan {
    let fates = fate::fates(view, &mut plan);
    if !plan.steps.is_empty() {
        // An upkeep that is taken over, such as a deadline, is in force before anything is decided by it.
        return plan;
    }
    let outlooks = outlook::outlooks(view, &fates);
    let stops_are_final = stop::stop(view, &fates, &mut plan);
    let starts_are_final = start::start(view, &fates, &outlooks, &mut plan);
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

/// Wishes and facts side by side, by number: first the wanted processes as in [`Desired::entries`], then the others.
pub(crate) struct View<'a> {
    pub(crate) desired: &'a Desired,
    pub(crate) orders: &'a Orders,
    pub(crate) now: Time,
    rows: Vec<Row<'a>>,
}

/// One process in a [`View`].
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) name: &'a Name,
    pub(crate) entry: Option<&'a Entry>,
    pub(crate) process: Option<&'a Process>,
    /// The place of its first run among all runs.
    first_run: usize,
    /// All that runs of it is one run, which is what is wanted and ready, and of which nothing else is known. Nearly every
    /// process is like this at nearly every moment, and there is nothing to do about it by itself.
    is_settled: bool,
}

impl<'a> Row<'a> {
    /// A process that is not wanted.
    fn of_other(name: &'a Name, process: &'a Process) -> Row<'a> {
        Row { name, entry: None, process: Some(process), first_run: 0, is_settled: false }
    }

    pub(crate) fn runs(&self) -> &'a [Run] {
        self.process.map_or(&[], |process| &process.runs)
    }

    pub(crate) fn replacement(&self) -> Option<RunId> {
        self.process?.replacement
    }
}

impl<'a> View<'a> {
    pub(crate) fn new(desired: &'a Desired, orders: &'a Orders, observed: &'a Observed, now: Time) -> View<'a> {
        let mut rows: Vec<Row<'a>> = Vec::with_capacity(desired.entries().len());
        let mut others = Vec::new();
        let mut known = observed.processes.iter().peekable();
        for entry in desired.entries() {
            let name = &entry.spec.name;
            // Both are sorted by name, so one walk over both finds every pair; mostly at once, as one name in memory.
            let mut process = known.next_if(|(other, _)| *other == name);
            if process.is_none() {
                while let Some((other, process)) = known.next_if(|(other, _)| *other < name) {
                    others.push(Row::of_other(other, process));
                }
                process = known.next_if(|(other, _)| *other == name);
            }
            let process = process.map(|(_, process)| process);
            let is_settled = process.is_some_and(|process| process.is_settled(&entry.spec)) && orders.let_run(&entry.spec);
            rows.push(Row { name, entry: Some(entry), process, first_run: 0, is_settled });
        }
        others.extend(known.map(|(name, process)| Row::of_other(name, process)));
        rows.append(&mut others);
        let mut first_run = 0;
        for row in &mut rows {
            row.first_run = first_run;
            first_run += if row.is_settled { 1 } else { row.runs().len() };
        }
        View { desired, orders, now, rows }
    }

    pub(crate) fn rows(&self) -> &[Row<'a>] {
        &self.rows
    }

    /// Whether a row is wanted to run.
    pub(crate) fn wants(&self, row: &Row<'_>) -> bool {
        row.entry.is_some_and(|entry| self.orders.let_run(&entry.spec))
    }
}
