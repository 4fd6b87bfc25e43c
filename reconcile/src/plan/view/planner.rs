//! Plans step by step, and remembers in between which processes are quiescent.

use super::{States, View};
use crate::desired::Desired;
use crate::observed::Observed;
use crate::orders::Orders;
use crate::plan::start::is_last_in_row;
use crate::plan::{Plan, Step, plan, plan_of};
use crate::reason::Reason;
use crate::time::Time;
use alloc::vec::Vec;

/// Makes plans for an engine.
#[derive(Clone, Debug, Default)]
pub(crate) struct Planner {
    states: States,
    /// Reads all facts for each plan, and plans until there is nothing to do. This is slow, and yields the same.
    is_plain: bool,
}

/// What to do now.
pub(crate) struct Next {
    pub(crate) steps: Vec<Step>,
    /// When to plan again if nothing happens before.
    pub(crate) wake_at: Option<Time>,
    /// Another plan, made right after all steps are begun, would have no steps and the same time to wake.
    pub(crate) is_last: bool,
}

impl Planner {
    /// A planner that uses nothing that makes planning fast.
    pub(crate) fn plain() -> Planner {
        Planner { is_plain: true, ..Planner::default() }
    }

    /// Starts over with other definitions. All processes must be dirty.
    pub(crate) fn reset(&mut self, desired: &Desired) {
        self.states = States::new(desired);
    }

    /// What to do now.
    pub(crate) fn next(&mut self, desired: &Desired, orders: &Orders, observed: &mut Observed, now: Time) -> Next {
        if self.is_plain {
            let Plan { steps, wake_at, .. } = plan(desired, orders, observed, now);
            return Next { is_last: steps.is_empty(), steps, wake_at };
        }
        let (active, quiescent) = self.states.read(desired, orders, observed, now);
        let mut view = View::partial(desired, orders, observed, now, &self.states, active);
        view.explains = false;
        let Plan { steps, wake_at, .. } = plan_of(&mut view);
        let is_last = is_last(&view, &steps);
        observed.clear_dirty(quiescent.into_iter().map(|index| &desired.entries()[index].spec.name));
        Next { steps, wake_at, is_last }
    }

    /// What to do now, and what is waited for.
    pub(crate) fn plan(&self, desired: &Desired, orders: &Orders, observed: &Observed, now: Time) -> Plan {
        if self.is_plain {
            return plan(desired, orders, observed, now);
        }
        let mut states = self.states.clone();
        let (active, _) = states.read(desired, orders, observed, now);
        plan_of(&mut View::partial(desired, orders, observed, now, &states, active))
    }
}

/// Whether another plan, made right after these steps are begun, would have no steps and the same time to wake. It may be so even
/// where this returns false.
fn is_last(view: &View<'_>, steps: &[Step]) -> bool {
    // A start or stop may concern the processes that depend on it.
    let no_dependents = view.orders.closing().is_some() || !view.desired.names_dependencies();
    steps.is_empty() || (no_dependents && steps.iter().all(|step| leads_to_nothing(view, step)))
}

fn leads_to_nothing(view: &View<'_>, step: &Step) -> bool {
    match step {
        Step::Start { after, .. } => is_last_in_row(view, *after),
        Step::Stop(id, why) => view.observed.run(*id).is_some_and(|run| {
            let process = view.observed.processes().get(&run.spec.name);
            let is_only_run = process.is_some_and(|process| process.runs.len() == 1 && process.sockets.is_none());
            // Its sockets may be closed, and a failed replacement is put back. Without a grace it is killed at once. Another run of
            // the process may have to be judged again. And the readiness deadline of a run that is up to date but for a file no
            // longer counts.
            is_only_run
                && run.replaces.is_none()
                && run.spec.exec.sockets.is_empty()
                && run.spec.stop.drain.is_none()
                && !run.spec.stop.timeout.is_zero()
                && !matches!(why, Reason::Watched(_))
        }),
        Step::CountDelay(_) | Step::ForgetDelay(_) => true,
        Step::Kill(..)
        | Step::Update(_)
        | Step::Reload(..)
        | Step::EndDrain(_)
        | Step::CallOnDate(_)
        | Step::Replace(..)
        | Step::Establish(_)
        | Step::Hold(..)
        | Step::Report(_)
        | Step::StopRest(..)
        | Step::Stall(..)
        | Step::ShutDown(_) => false,
    }
}
