//! Facts about the dates of scheduled tasks.
//!
//! A date that has come is *served* by the next start. Until then it stays a fact, so a date that is missed, because the task still
//! runs or nothing could be started, is made up for once.

use crate::engine::Engine;
use crate::observed::ProcessFacts;
use crate::reason::Reason;
use crate::schedule::{NextDate, Schedule};
use crate::spec::Spec;
use crate::text::Name;
use crate::time::Time;
use alloc::boxed::Box;
use alloc::sync::Arc;

impl Engine {
    /// The scheduled tasks that are to run, each with its facts.
    pub fn scheduled(&self) -> impl Iterator<Item = (&Arc<Spec>, &Schedule, Option<&ProcessFacts>)> {
        let specs = self.desired.scheduled().iter().map(|index| &self.desired.entries()[*index].spec);
        specs.filter(|spec| self.orders.let_run(spec)).filter_map(|spec| {
            Some((spec, spec.schedule.as_deref()?, self.observed.processes().get(&spec.name).map(|process| &**process)))
        })
    }

    /// A date of another schedule than the one in force is late, and ignored.
    pub(crate) fn fold_next_date(&mut self, name: &Name, next: NextDate) {
        let is_current = |spec: &Spec| spec.schedule.as_deref() == Some(&next.schedule);
        if self.desired.get(name).is_some_and(|entry| is_current(&entry.spec)) {
            self.observed.process_or_new(name).next_date = Some(Box::new(next));
        }
    }
}

impl ProcessFacts {
    /// The next date of the schedule of this definition, if it is known.
    pub fn next_date_of(&self, spec: &Spec) -> Option<&NextDate> {
        self.next_date.as_deref().filter(|next| Some(&next.schedule) == spec.schedule.as_deref())
    }

    /// A start that begins now serves the date that has come.
    pub(crate) fn serve_date(&mut self, now: Time) {
        if let Some(next) = self.next_date.take_if(|next| next.at <= now) {
            self.served_date = Some(next.date);
        }
    }

    /// Whether a start of a scheduled task was requested: by its date, by hand, or because a run was stopped to be restarted.
    pub(crate) fn is_called(&self) -> bool {
        let is_call = |cue: &Reason| matches!(cue, Reason::Scheduled | Reason::StartedByHand) || cue.replaces();
        self.cue.as_ref().is_some_and(is_call)
    }

    /// A run has ended that was stopped for this reason. A scheduled task that is to be restarted doesn't wait for its date.
    pub(crate) fn call_again(&mut self, why: &Reason) {
        if why.replaces() && !self.is_called() {
            self.cue = Some(why.clone());
        }
    }
}
