//! Monotonic time: the distance from the engine's own epoch. The core gets it as an argument.
//!
//! It can't be converted into wall-clock time; the owner of the clock does that.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// A moment, in nanoseconds since the engine's epoch; monotonic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// The engine's epoch.
    pub const ZERO: Time = Time(0);

    /// The moment `distance` after the epoch, at most 584 years.
    pub fn after_epoch(distance: Duration) -> Time {
        Time(u64::try_from(distance.as_nanos()).unwrap_or(u64::MAX))
    }

    /// The moment `millis` milliseconds after the epoch.
    pub const fn from_millis(millis: u64) -> Time {
        Time(millis.saturating_mul(1_000_000))
    }

    /// How long after the epoch this moment is.
    pub const fn since_epoch(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// The time from `earlier` to this moment; zero if `earlier` is later.
    pub const fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, distance: Duration) -> Time {
        Time(self.0.saturating_add(u64::try_from(distance.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Time {
    /// Seconds with milliseconds, as scenario fixtures write them: `0.320s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0 / 1_000_000;
        write!(f, "{}.{:03}s", millis / 1_000, millis % 1_000)
    }
}
