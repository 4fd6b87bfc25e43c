//! Start delays, from the contract: each counts from when the dependencies of its process hold.

use crate::facts::Facts;
use crate::rules::{Moment, Rest, rest};
use crate::wishes::MOST;
use reconcile::time::Time;

impl Facts {
    /// Since when the dependencies of each process hold.
    pub(crate) fn delays(&self) -> [Option<Time>; MOST] {
        self.processes.each_ref().map(|process| process.due_since)
    }

    /// Takes back that some don't hold any more.
    pub(crate) fn keep_delays(&mut self, delays: &[Option<Time>; MOST]) {
        for (process, since) in self.processes.iter_mut().zip(delays) {
            process.due_since = process.due_since.or(*since);
        }
    }

    /// Notes for each process since when its dependencies hold.
    pub(crate) fn count_delays(&mut self, moment: &Moment) {
        for process in 0..MOST {
            let stays = moment.current(self, process).is_some();
            let rests = matches!(rest(self, process), Rest::Completed | Rest::Failed);
            let counts = moment.wanted(self, process) && (stays || rests || moment.is_due(self, process));
            let since = &mut self.processes[process].due_since;
            if !counts {
                *since = None;
            } else if !stays && !rests {
                since.get_or_insert(moment.now());
            }
        }
    }
}
