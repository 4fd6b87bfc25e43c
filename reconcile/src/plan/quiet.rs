//! What a process may be at when there is nothing to do about it by itself. Of one that is at nothing else, a plan looks at no
//! more than this: on a host of thousands that is nearly every process at nearly every moment, also in the middle of a start or
//! a shutdown of all of them.
//!
//! It says what is there, and decides nothing. Whatever else there is to know of a process makes it one to be looked at.

use super::outlook::{Rest, rest_in};
use crate::desired::Entry;
use crate::observed::Process;
use crate::orders::Orders;
use crate::time::Time;

/// What a wanted process is at that nobody has to look at by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// All that runs of it is one run, which is what is wanted and ready, and of which nothing else is known.
    #[default]
    Settled,
    /// It isn't to run, and nothing of it does.
    AtRest,
    /// It is to be started as soon as those before it have been, and waits for nothing else.
    InLine,
    /// It is as if settled, and is to stop with everything else. Whoever is what is wanted has the place that is wanted, too.
    Held,
}

impl Quiet {
    /// What a process is at; `None`: it has to be looked at.
    pub(super) fn of(process: Option<&Process>, entry: &Entry, orders: &Orders, now: Time) -> Option<Quiet> {
        let spec = &entry.spec;
        if orders.let_entry_run(entry) {
            let process = process?;
            let is_due = process.due_since.is_some_and(|since| now >= since + spec.start_delay);
            let is_in_line = || process.runs.is_empty() && is_due && entry.needs.is_empty();
            if process.is_settled(spec) {
                Some(Quiet::Settled)
            } else {
                (is_in_line() && rest_in(Some(process), spec) == Rest::Fresh).then_some(Quiet::InLine)
            }
        } else {
            let Some(process) = process.filter(|process| process.due_since.is_some() || !process.runs.is_empty()) else {
                return Some(Quiet::AtRest);
            };
            let is_held = orders.closing().is_some() && process.due_since.is_none() && process.is_settled(spec);
            is_held.then_some(Quiet::Held)
        }
    }

    /// Whether it is to run.
    pub(super) fn is_wanted(self) -> bool {
        matches!(self, Quiet::Settled | Quiet::InLine)
    }

    /// How many runs it has.
    pub(super) fn count(self) -> usize {
        match self {
            Quiet::Settled | Quiet::Held => 1,
            Quiet::AtRest | Quiet::InLine => 0,
        }
    }
}
