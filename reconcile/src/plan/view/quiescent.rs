//! Processes for which there is nothing to do because of their own facts. What a plan says about one is known beforehand, so
//! its facts need not be read.

use crate::desired::{Desired, DesiredProcess};
use crate::observed::{ObservedProcess, Run};
use crate::orders::Orders;
use crate::plan::disposition::{Disposition, StopCause, is_same, rolls};
use crate::plan::progress::{Progress, RestingState, resting_state};
use crate::plan::sockets::are_settled;
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
    /// The same, of a run that is to be replaced by hand.
    Restarted,
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
        let has_sockets = !spec.exec.sockets.is_empty() || process.is_some_and(|process| process.sockets.is_some());
        if orders.let_entry_run(entry) {
            let process = process?;
            if process.is_settled(spec) && (!has_sockets || are_settled(process, spec)) {
                return Some(Quiescent::Settled);
            }
            let delay_is_over = process.due_since.is_some_and(|since| now >= since + spec.start_delay);
            // A replica may have to wait for others.
            if !delay_is_over || !entry.needs.is_empty() || has_sockets || spec.replica.is_some() {
                return None;
            }
            return match &process.runs[..] {
                [] => (resting_state(Some(process), spec) == RestingState::Fresh).then_some(Quiescent::Queued),
                [run] if !waits_in_its_place(run, entry, desired) => None,
                [run] if run.unwanted.is_some() => (!rolls(spec, run)).then_some(Quiescent::Restarted),
                [run] => (spec.on_change == OnChange::Restart && !is_same(run, spec)).then_some(Quiescent::Outdated),
                _ => None,
            };
        }
        let is_busy = |process: &&ObservedProcess| process.due_since.is_some() || !process.runs.is_empty();
        let Some(process) = process.filter(|process| is_busy(process) || process.sockets.is_some()) else {
            return Some(Quiescent::Idle);
        };
        let is_closing = !has_sockets && orders.closing().is_some() && process.due_since.is_none() && process.is_settled(spec);
        is_closing.then_some(Quiescent::Closing)
    }

    /// What becomes of its run, if it has one.
    pub(super) fn dispositions(self) -> &'static [Disposition<'static>] {
        match self {
            Quiescent::Settled => &[Disposition::Keep],
            Quiescent::Outdated => &[Disposition::Stop(StopCause::Changed)],
            Quiescent::Restarted => &[Disposition::Stop(StopCause::Unwanted)],
            Quiescent::Closing => &[Disposition::Stop(StopCause::Shutdown)],
            Quiescent::Idle | Quiescent::Queued => &[],
        }
    }

    pub(super) fn progress(self) -> Progress {
        match self {
            Quiescent::Settled => Progress::Started,
            Quiescent::Queued | Quiescent::Outdated | Quiescent::Restarted => Progress::Coming,
            Quiescent::Idle | Quiescent::Closing => Progress::NotWanted,
        }
    }

    /// Whether it waits for other processes.
    pub(super) fn is_waiting(self) -> bool {
        self.is_coming() || self.is_stopping()
    }

    /// Whether it is on its way to run.
    pub(super) fn is_coming(self) -> bool {
        self.progress() == Progress::Coming
    }

    /// Whether its run has to stop.
    pub(super) fn is_stopping(self) -> bool {
        matches!(self.dispositions(), [Disposition::Stop(_)])
    }
}

/// Whether a run goes on until it is told to stop, and still comes after everything that it came after when it was started.
fn waits_in_its_place(run: &Run, entry: &DesiredProcess, desired: &Desired) -> bool {
    let is_wanted = |name: &Name| entry.comes_after().any(|on| desired.entries()[on].spec.name == *name);
    run.up.is_some() && run.is_undisturbed() && run.waits.iter().all(is_wanted)
}
