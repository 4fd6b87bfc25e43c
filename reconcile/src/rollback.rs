//! Rollback: a configuration that fails soon after it was saved is undone as a whole, and isn't tried again.
//!
//! A new generation is *on trial* until everything has been as it says for a while. Then it is *good*. It is *bad* when
//! something that it changed fails before that. Then the last good configuration is put in force again, as a generation of its
//! own that is never undone.

use crate::desired::Desired;
use crate::engine::Engine;
use crate::human_duration::HumanDuration;
use crate::report::{Report, Transition, TransitionKind};
use crate::text::Name;
use crate::time::Time;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use alloc::{format, vec};
use core::time::Duration;

/// When a configuration is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rollback {
    /// How long everything has to stay as the configuration says until it is good.
    pub bake: Duration,
    /// If it isn't good after this time, it is bad.
    pub deadline: Duration,
}

impl Default for Rollback {
    fn default() -> Rollback {
        Rollback { bake: Duration::from_secs(30), deadline: Duration::from_mins(10) }
    }
}

/// What is known about the configurations of the file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rollout {
    /// The last good configuration, and its generation.
    good: Option<(Arc<Desired>, u64)>,
    trial: Option<Trial>,
    /// The configuration of the file, if it is bad.
    bad: Option<Bad>,
}

/// A configuration on trial.
#[derive(Clone, Debug)]
struct Trial {
    since: Time,
    settings: Rollback,
    /// Since when everything is as it says.
    converged: Option<Time>,
}

#[derive(Clone, Debug)]
struct Bad {
    file: Arc<Desired>,
    generation: u64,
    /// The good generation that was wanted instead; `None`: there was none.
    to: Option<u64>,
    why: String,
    at: Time,
}

/// The state of the configuration of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RolloutState {
    /// The configuration in force is on trial. At this time it is good if everything is as it says now, or else bad.
    Trial {
        /// That time.
        until: Time,
    },
    /// The configuration in force is good.
    Good,
    /// The configuration in force is bad, and there was no good one before.
    Bad {
        /// Why.
        why: String,
    },
    /// The configuration of the file is bad, and a former one is in force.
    RolledBack {
        /// The generation of the bad one.
        generation: u64,
        /// The generation that was good.
        to: u64,
        /// Why.
        why: String,
        /// When.
        at: Time,
    },
}

impl Engine {
    /// The state of the configuration of the file, if it has `rollback`.
    pub fn rollout(&self) -> Option<RolloutState> {
        if let Some(Bad { generation, to, why, at, .. }) = &self.rollout.bad {
            return Some(match to {
                Some(to) => RolloutState::RolledBack { generation: *generation, to: *to, why: why.clone(), at: *at },
                None => RolloutState::Bad { why: why.clone() },
            });
        }
        if let Some(trial) = &self.rollout.trial {
            return Some(RolloutState::Trial { until: trial.until() });
        }
        let is_good = self.rollout.good.as_ref().is_some_and(|(good, _)| Arc::ptr_eq(good, &self.file));
        is_good.then_some(RolloutState::Good)
    }

    /// Whether a configuration is known to be bad, so that it isn't tried again.
    pub fn is_known_bad(&self, wanted: &Desired) -> bool {
        self.rollout.bad.as_ref().is_some_and(|bad| bad.is_undone() && *bad.file == *wanted)
    }

    /// Whether the configuration of the file was undone.
    pub fn is_rolled_back(&self) -> bool {
        self.rollout.bad.as_ref().is_some_and(Bad::is_undone)
    }

    /// Records that the file no longer has a bad configuration.
    pub(crate) fn end_rollback(&mut self) {
        self.rollout.bad.take_if(|bad| bad.is_undone());
    }

    /// Begins the trial of a new configuration, right before it is put in force.
    pub(crate) fn begin_trial(&mut self, now: Time, wanted: &Desired) {
        let Some(settings) = wanted.rollback() else {
            self.rollout = Rollout::default();
            return;
        };
        // A configuration without `rollback` was in force. It counts as good if everything is as it says.
        if self.rollout.good.is_none() && self.generation > 0 && self.rollout.trial.is_none() && self.all_as_wanted() {
            self.rollout.good = Some((self.file.clone(), self.generation));
        }
        self.rollout.bad = None;
        self.rollout.trial = Some(Trial { since: now, settings, converged: None });
    }

    /// Judges the configuration on trial after a step with these reports. Returns whether another one is wanted now.
    pub(crate) fn judge(&mut self, now: Time, reports: &mut Vec<Report>) -> bool {
        let Some(trial) = self.rollout.trial.clone().filter(|_| self.orders.closing().is_none()) else { return false };
        if let Some(why) = reports.iter().find_map(|report| self.failure(report)) {
            return self.undo(now, why, reports);
        }
        let is_converged = self.all_as_wanted();
        if is_converged && trial.converged.is_some_and(|since| now >= since + trial.settings.bake) {
            self.rollout.trial = None;
            self.rollout.good = Some((self.file.clone(), self.generation));
            reports.push(Report::Good(self.generation));
            return false;
        }
        if now >= trial.since + trial.settings.deadline {
            let deadline = HumanDuration(trial.settings.deadline);
            return self.undo(now, format!("not good within {deadline}"), reports);
        }
        let converged = if is_converged { trial.converged.or(Some(now)) } else { None };
        self.rollout.trial = Some(Trial { converged, ..trial });
        false
    }

    /// When the configuration on trial has to be judged again, if nothing happens before.
    pub(crate) fn next_judgement(&self) -> Option<Time> {
        self.rollout.trial.as_ref().filter(|_| self.orders.closing().is_none()).map(Trial::until)
    }

    /// Tries the configuration of the file again, if it was undone.
    pub(crate) fn retry_rollout(&mut self, now: Time, reports: &mut Vec<Report>) {
        if let Some(bad) = self.rollout.bad.take_if(|bad| bad.is_undone()) {
            self.begin_trial(now, &bad.file);
            self.adopt(bad.file, reports);
        }
    }

    /// The failure in a report, if the configuration on trial is to blame: of a process that it changed, or of one that depends
    /// on such a process.
    fn failure(&self, report: &Report) -> Option<String> {
        let Report::Process(Transition { name, what, generation, .. }) = report else { return None };
        let why = match what {
            TransitionKind::Crashed(status) => status.to_string(),
            TransitionKind::NotStarted(why) | TransitionKind::Failed(why) | TransitionKind::PutBack(why) => why.to_string(),
            TransitionKind::Stopping(why) if why.is_failure() => why.to_string(),
            _ => return None,
        };
        (*generation == self.generation || self.is_touched(name)).then(|| format!("{name}: {why}"))
    }

    /// Whether the generation in force changed a process, or one that it depends on.
    fn is_touched(&self, name: &Name) -> bool {
        let Some(index) = self.desired.index(name) else { return false };
        let entries = self.desired.entries();
        let (mut seen, mut next) = (vec![false; entries.len()], vec![index]);
        while let Some(index) = next.pop() {
            if core::mem::replace(&mut seen[index], true) {
                continue;
            }
            if self.since.get(&entries[index].spec.name) == Some(&self.generation) {
                return true;
            }
            next.extend(entries[index].needs.iter().map(|need| need.on));
        }
        false
    }

    /// Puts the last good configuration in force again, if there is one. Returns whether there is.
    fn undo(&mut self, now: Time, why: String, reports: &mut Vec<Report>) -> bool {
        self.rollout.trial = None;
        let (file, generation) = (self.file.clone(), self.generation);
        let good = self.rollout.good.clone();
        let to = good.as_ref().map(|(_, generation)| *generation);
        self.rollout.bad = Some(Bad { file, generation, to, why: why.clone(), at: now });
        reports.push(Report::RolledBack { generation, to, why });
        if let Some((good, _)) = good {
            self.adopt(good.clone(), reports);
            self.rollout.good = Some((good, self.generation));
            return true;
        }
        false
    }
}

impl Bad {
    /// Whether another configuration is in force instead.
    fn is_undone(&self) -> bool {
        self.to.is_some()
    }
}

impl Trial {
    /// When it is good if everything is as it says, or else bad.
    fn until(&self) -> Time {
        let deadline = self.since + self.settings.deadline;
        self.converged.map_or(deadline, |converged| (converged + self.settings.bake).min(deadline))
    }
}
