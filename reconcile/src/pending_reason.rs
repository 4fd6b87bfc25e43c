//! What a process waits for, as text.
//!
//! The waits come from the plan. This module adds why a dependency isn't as it must be.

use crate::engine::Engine;
use crate::human_duration::HumanDuration;
use crate::plan::{Block, Waiting};
use crate::spec::Condition;
use crate::text::Name;
use crate::time::Time;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// What processes wait for, found by name.
#[derive(Clone, Debug, Default)]
pub struct Waits {
    /// Sorted by name.
    all: Vec<(Name, Waiting)>,
}

impl Waits {
    /// What a process waits for, its stops before its start.
    pub fn of(&self, name: &Name) -> impl Iterator<Item = &Waiting> {
        let first = self.all.partition_point(|(other, _)| other < name);
        self.all[first..].iter().take_while(move |(other, _)| other == name).map(|(_, waiting)| waiting)
    }
}

impl Engine {
    /// What each process waits for, as of the last step.
    pub fn waits(&self, now: Time) -> Waits {
        let mut all = self.waiting(now);
        // The sort is stable, so the waits of one process keep their order.
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        Waits { all }
    }

    /// What a process waits for, with times relative to `now` and with the reason why a dependency isn't as it must be:
    /// `waits for redis: not ready: connection refused`. `None`: it waits for nothing.
    pub fn wait_in_words(&self, name: &Name, waits: &Waits, now: Time) -> Option<String> {
        let Some(waiting) = waits.of(name).next() else {
            let left = rounded(self.proven_at(name)?.since(now));
            return Some(format!("it failed before, and counts as healthy in {left}"));
        };
        let Waiting::Dependency { on, why, .. } = waiting else { return Some(relative_to(waiting, now)) };
        let deeper = match why {
            Block::Coming => match waits.of(on).next() {
                Some(Waiting::Readiness { why, .. }) => why.clone(),
                _ => None,
            },
            Block::Failed | Block::BackingOff => self.status(on).map(|status| status.reason.to_string()),
            Block::Disabled | Block::StoppedByHand | Block::Ended | Block::Scheduled | Block::Stuck | Block::Unready => None,
        };
        Some(deeper.map_or_else(|| waiting.to_string(), |deeper| format!("{waiting}: {deeper}")))
    }
}

/// A wait with times relative to `now`: `next start in 4s`.
fn relative_to(waiting: &Waiting, now: Time) -> String {
    match waiting {
        Waiting::Delay(until) => format!("starts in {}", rounded(until.since(now))),
        Waiting::Backoff(until) => format!("next start in {}", rounded(until.since(now))),
        Waiting::Date(at) => format!("next run in {}", rounded(at.since(now))),
        Waiting::Drain(until, signal) => format!("draining, {} until {signal}", rounded(until.since(now))),
        Waiting::Grace(until) => format!("is killed in {} if it has not stopped", rounded(until.since(now))),
        Waiting::Readiness { until: Some(until), why } => {
            let why = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
            format!("is not ready yet{why}; counts as failed in {}", rounded(until.since(now)))
        }
        Waiting::Readiness { until: None, .. } => format!("is {waiting}"),
        Waiting::Stable(until) => format!("is ready, and takes over in {}", rounded(until.since(now))),
        other => other.to_string(),
    }
}

/// A remaining time, rounded up to a second or, below a second, to a tenth.
fn rounded(left: Duration) -> HumanDuration {
    let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let step = if millis < 1_000 { 100 } else { 1_000 };
    HumanDuration(Duration::from_millis(millis.div_ceil(step).saturating_mul(step)))
}

/// Says which processes survive being killed.
pub(crate) fn survivors(which: Option<&str>) -> String {
    match which {
        Some(which) => format!("it can't be killed: {which}"),
        None => "it survives being killed".to_string(),
    }
}

impl Block {
    /// The state of the dependency.
    pub fn words(self) -> &'static str {
        match self {
            Block::Coming => "on its way",
            Block::Disabled => "disabled",
            Block::StoppedByHand => "stopped by hand",
            Block::Failed => "failed",
            Block::BackingOff => "backing off",
            Block::Ended => "ended",
            Block::Scheduled => "scheduled, and has not completed yet",
            Block::Stuck => "itself blocked",
            Block::Unready => "not ready again within its deadline",
        }
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Waiting::Dependency { on, condition, why } => {
                let why = match why {
                    Block::Coming => match condition {
                        Condition::Started => "not started",
                        Condition::Ready => "not ready",
                        Condition::Completed => "not completed",
                    },
                    other => other.words(),
                };
                write!(f, "waits for {on}: {why}")
            }
            Waiting::Order(name) => write!(f, "waits for {name}, which comes before it"),
            Waiting::Delay(until) => write!(f, "delayed until {until}"),
            Waiting::Backoff(until) => write!(f, "backs off until {until}"),
            Waiting::Date(at) => write!(f, "runs at {at}"),
            Waiting::Removed(name) => write!(f, "waits for {name}, which is no longer to run, to be gone"),
            Waiting::Sockets(None) => f.write_str("waits for its sockets"),
            Waiting::Sockets(Some(why)) => why.fmt(f),
            Waiting::Turn => f.write_str("waits for its turn"),
            Waiting::Replica(name) => write!(f, "is replaced after {name}"),
            Waiting::Exec => f.write_str("is being started"),
            Waiting::Readiness { until, why } => {
                f.write_str(if until.is_some() { "not ready yet" } else { "not ready any more" })?;
                why.iter().try_for_each(|why| write!(f, ": {why}"))?;
                until.iter().try_for_each(|until| write!(f, ", until {until}"))
            }
            Waiting::Stable(until) => write!(f, "takes over if it stays ready until {until}"),
            Waiting::Dependent(name) => write!(f, "waits for {name} to be gone first"),
            Waiting::Drain(until, signal) => write!(f, "draining, {signal} at {until}"),
            Waiting::Grace(until) => write!(f, "may stop until {until}"),
            Waiting::Kill => f.write_str("is being killed"),
            Waiting::Survivors(which) => f.write_str(&survivors(which.as_deref())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remaining_time_is_rounded_up() {
        for (millis, text) in [(0, "0s"), (1, "100ms"), (950, "1s"), (1_000, "1s"), (3_001, "4s"), (59_100, "1m")] {
            assert_eq!(rounded(Duration::from_millis(millis)).to_string(), text);
        }
    }
}
