//! Processes about which there is nothing to do by themselves. What a plan says about one is known beforehand, so its facts need
//! not be read.

use crate::desired::{Desired, DesiredProcess};
use crate::observed::{ObservedProcess, Run};
use crate::orders::Orders;
use crate::plan::disposition::{Disposition, StopCause, is_same};
use crate::plan::progress::{Progress, RestingState, resting_state};
use crate::spec::OnChange;
use crate::text::Name;
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
    /// Its only run is of another program. That stops as soon as the processes after it are gone, and then it is started again.
    Outdated,
    /// Navigator ends. It has one run as in `Settled`, which stops as soon as the processes after it are gone.
    Closing,
}

impl Quiescent {
    /// The state of a process; `None`: its facts have to be read.
    pub(super) fn of(
        process: Option<&ObservedProcess>,
        entry: &DesiredProcess,
        desired: &Desired,
        orders: &Orders,
        now: Time,
    ) -> Option<Quiescent> {
        let spec = &entry.spec;
        if orders.let_entry_run(entry) {
            let process = process?;
            if process.is_settled(spec) {
                return Some(Quiescent::Settled);
            }
            let delay_is_over = process.due_since.is_some_and(|since| now >= since + spec.start_delay);
            if !delay_is_over || !entry.needs.is_empty() {
                return None;
            }
            return match &process.runs[..] {
                [] => (resting_state(Some(process), spec) == RestingState::Fresh).then_some(Quiescent::Queued),
                [run] => is_outdated(run, entry, desired).then_some(Quiescent::Outdated),
                _ => None,
            };
        }
        let Some(process) = process.filter(|process| process.due_since.is_some() || !process.runs.is_empty()) else {
            return Some(Quiescent::Idle);
        };
        let is_closing = orders.closing().is_some() && process.due_since.is_none() && process.is_settled(spec);
        is_closing.then_some(Quiescent::Closing)
    }

    /// What becomes of its run, if it has one.
    pub(super) fn dispositions(self) -> &'static [Disposition<'static>] {
        match self {
            Quiescent::Settled => &[Disposition::Keep],
            Quiescent::Outdated => &[Disposition::Stop(StopCause::Changed)],
            Quiescent::Closing => &[Disposition::Stop(StopCause::Shutdown)],
            Quiescent::Idle | Quiescent::Queued => &[],
        }
    }

    pub(super) fn progress(self) -> Progress {
        match self {
            Quiescent::Settled => Progress::Started,
            Quiescent::Queued | Quiescent::Outdated => Progress::Coming,
            Quiescent::Idle | Quiescent::Closing => Progress::NotWanted,
        }
    }

    /// Whether it waits for other processes.
    pub(super) fn is_waiting(self) -> bool {
        matches!(self, Quiescent::Queued | Quiescent::Outdated | Quiescent::Closing)
    }
}

/// Whether the only run of a process has to stop because its program changed, and no place that it had is another one now.
fn is_outdated(run: &Run, entry: &DesiredProcess, desired: &Desired) -> bool {
    let spec = &entry.spec;
    let is_changed = || spec.on_change == OnChange::Restart && !is_same(run, spec);
    let keeps_its_place = || {
        let is_wanted = |name: &Name| entry.comes_after().any(|on| desired.entries()[on].spec.name == *name);
        run.waits.iter().all(is_wanted)
    };
    run.up.is_some() && run.is_undisturbed() && !run.unwanted_by_hand && is_changed() && keeps_its_place()
}
