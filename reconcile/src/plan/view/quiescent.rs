//! Processes about which there is nothing to do by themselves. What a plan says about one is known beforehand, so its facts need
//! not be read.

use crate::desired::DesiredProcess;
use crate::observed::ObservedProcess;
use crate::orders::Orders;
use crate::plan::disposition::{Disposition, StopCause};
use crate::plan::progress::{Progress, RestingState, resting_state};
use crate::time::Time;

/// The state of a process of the file that needs no attention, unless other processes cause it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quiescent {
    /// It has one run, which is up to date and ready.
    #[default]
    Settled,
    /// It is not to run, and has no run.
    Idle,
    /// It is to be started as soon as the processes before it are.
    Queued,
    /// Navigator ends. It has one run as in `Settled`, which stops as soon as the processes after it are gone.
    Closing,
}

impl Quiescent {
    /// The state of a process; `None`: its facts have to be read.
    pub(super) fn of(process: Option<&ObservedProcess>, entry: &DesiredProcess, orders: &Orders, now: Time) -> Option<Quiescent> {
        let spec = &entry.spec;
        if orders.let_entry_run(entry) {
            let process = process?;
            if process.is_settled(spec) {
                return Some(Quiescent::Settled);
            }
            let delay_is_over = process.due_since.is_some_and(|since| now >= since + spec.start_delay);
            let waits_for_list_alone = process.runs.is_empty() && delay_is_over && entry.needs.is_empty();
            let is_queued = waits_for_list_alone && resting_state(Some(process), spec) == RestingState::Fresh;
            return is_queued.then_some(Quiescent::Queued);
        }
        let Some(process) = process.filter(|process| process.due_since.is_some() || !process.runs.is_empty()) else {
            return Some(Quiescent::Idle);
        };
        let is_closing = orders.closing().is_some() && process.due_since.is_none() && process.is_settled(spec);
        is_closing.then_some(Quiescent::Closing)
    }

    /// What becomes of its run, if it has one.
    pub(super) fn disposition(self) -> Option<Disposition<'static>> {
        match self {
            Quiescent::Settled => Some(Disposition::Keep),
            Quiescent::Closing => Some(Disposition::Stop(StopCause::Shutdown)),
            Quiescent::Idle | Quiescent::Queued => None,
        }
    }

    pub(super) fn progress(self) -> Progress {
        match self {
            Quiescent::Settled => Progress::Started,
            Quiescent::Queued => Progress::Coming,
            Quiescent::Idle | Quiescent::Closing => Progress::NotWanted,
        }
    }

    /// Whether it waits for other processes.
    pub(super) fn is_waiting(self) -> bool {
        matches!(self, Quiescent::Queued | Quiescent::Closing)
    }
}
