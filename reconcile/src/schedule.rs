//! When a task runs: its schedule, and the dates of that.
//!
//! The core knows no calendar and no time zone. Its caller finds each next date, and reports it as a time of the engine.

use crate::human_duration::HumanDuration;
use crate::text::Text;
use crate::time::Time;
use alloc::format;
use alloc::string::{String, ToString};
use core::time::Duration;

/// When a task runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Schedule {
    /// At the dates of a cron expression.
    Cron {
        /// The expression, as in the file.
        expression: Text,
        /// The IANA name of the time zone that it is meant in; `None`: the host's.
        timezone: Option<Text>,
    },
    /// Each time that this has passed.
    Every(Duration),
}

impl Schedule {
    /// What tells it from others, without secrets.
    pub fn shown(&self) -> String {
        match self {
            Schedule::Cron { expression, timezone: None } => expression.shown().to_string(),
            Schedule::Cron { expression, timezone: Some(zone) } => format!("{} {}", expression.shown(), zone.shown()),
            Schedule::Every(interval) => format!("every {}", HumanDuration(*interval)),
        }
    }
}

/// A date by the wall clock, in milliseconds since 1970 in UTC. The core decides nothing by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallDate(pub i64);

/// The next date of a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextDate {
    /// The schedule.
    pub schedule: Schedule,
    /// The date.
    pub date: WallDate,
    /// When that is by the engine's clock.
    pub at: Time,
}
