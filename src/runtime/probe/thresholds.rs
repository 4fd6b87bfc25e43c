//! Decides from consecutive check results whether a run is ready, and when the next check is due. Pure: no clock, no socket.

use reconcile::text::Name;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

/// Consecutive failures that make a ready process unready: a single one may be an overload.
const FAILURES_TO_UNREADY: u32 = 3;
/// Once a process has been ready, its checks are this many times rarer,
const READY_INTERVAL_FACTOR: u32 = 10;
/// but at least this far apart.
const MIN_READY_INTERVAL: Duration = Duration::from_secs(2);

/// The check results of a process so far.
#[derive(Debug)]
pub(super) struct Thresholds {
    interval: Duration,
    spread_fraction: f64,
    /// At least one check has passed.
    has_passed: bool,
    is_ready: bool,
    failures: u32,
    /// The next pause is the first long one.
    spreads_next: bool,
}

/// What a check result means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeVerdict {
    /// It is ready.
    Ready,
    /// It isn't ready, or no longer.
    Unready,
    /// It failed, but stays ready so far.
    Tolerated,
}

impl Thresholds {
    /// Checks every `interval` until it is ready. The first long pause is shorter by the fraction `spread_fraction`, which
    /// spreads the checks of processes that became ready together.
    pub(super) fn new(interval: Duration, spread_fraction: f64, is_ready: bool) -> Thresholds {
        Thresholds { interval, spread_fraction, has_passed: is_ready, is_ready, failures: 0, spreads_next: is_ready }
    }

    /// Records a result.
    pub(super) fn record(&mut self, has_passed: bool) -> ProbeVerdict {
        if has_passed {
            self.spreads_next |= !self.has_passed;
            (self.has_passed, self.is_ready, self.failures) = (true, true, 0);
            return ProbeVerdict::Ready;
        }
        self.failures = self.failures.saturating_add(1);
        if self.is_ready && self.failures < FAILURES_TO_UNREADY {
            return ProbeVerdict::Tolerated;
        }
        self.is_ready = false;
        ProbeVerdict::Unready
    }

    /// The pause before the next check.
    pub(super) fn pause(&mut self) -> Duration {
        if !self.has_passed {
            return self.interval;
        }
        let pause = self.interval.saturating_mul(READY_INTERVAL_FACTOR).max(MIN_READY_INTERVAL);
        if std::mem::take(&mut self.spreads_next) { pause.mul_f64(1.0 - self.spread_fraction) } else { pause }
    }
}

/// From 0 to below 0.5: stable for a name, and evenly distributed over names.
pub(super) fn spread_fraction(name: &Name) -> f64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    let [first, ..] = hasher.finish().to_be_bytes();
    f64::from(first) / 512.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(200);
    const SLOW: Duration = Duration::from_secs(2);

    #[test]
    fn a_starting_process_is_checked_often_and_a_ready_one_rarely() {
        let mut thresholds = Thresholds::new(INTERVAL, 0.25, false);
        for _ in 0..5 {
            assert_eq!((thresholds.record(false), thresholds.pause()), (ProbeVerdict::Unready, INTERVAL));
        }
        assert_eq!((thresholds.record(true), thresholds.pause()), (ProbeVerdict::Ready, SLOW.mul_f64(0.75)));
        assert_eq!((thresholds.record(true), thresholds.pause()), (ProbeVerdict::Ready, SLOW));
        let mut slow = Thresholds::new(Duration::from_secs(1), 0.0, true);
        assert_eq!((slow.record(true), slow.pause()), (ProbeVerdict::Ready, Duration::from_secs(10)));
    }

    #[test]
    fn three_consecutive_failures_make_it_unready_and_one_success_makes_it_ready() {
        let mut thresholds = Thresholds::new(INTERVAL, 0.0, false);
        thresholds.record(true);
        assert_eq!([false, false, true, false, false].map(|passed| thresholds.record(passed)), {
            use ProbeVerdict::{Ready, Tolerated};
            [Tolerated, Tolerated, Ready, Tolerated, Tolerated]
        });
        assert_eq!((thresholds.record(false), thresholds.record(false)), (ProbeVerdict::Unready, ProbeVerdict::Unready));
        assert_eq!(thresholds.pause(), SLOW, "it has been ready: it isn't starting");
        assert_eq!(thresholds.record(true), ProbeVerdict::Ready);
        assert_eq!(thresholds.record(false), ProbeVerdict::Tolerated);
    }

    #[test]
    fn a_process_that_is_already_ready_is_checked_as_such() {
        let mut thresholds = Thresholds::new(INTERVAL, 0.5, true);
        assert_eq!((thresholds.record(false), thresholds.pause()), (ProbeVerdict::Tolerated, Duration::from_secs(1)));
        assert_eq!((thresholds.record(false), thresholds.record(false)), (ProbeVerdict::Tolerated, ProbeVerdict::Unready));
    }

    #[test]
    fn names_spread_evenly_over_half_of_the_interval() {
        let shares: Vec<f64> = (0..1000).map(|number| spread_fraction(&Name::from(format!("web-{number}")))).collect();
        assert!(shares.iter().all(|spread_fraction| (0.0..0.5).contains(spread_fraction)));
        for quarter in 0..4 {
            let from = f64::from(quarter) / 8.0;
            let within = shares.iter().filter(|spread_fraction| (from..from + 0.125).contains(*spread_fraction)).count();
            assert!((150..350).contains(&within), "{within} of 1000 from {from}");
        }
        assert!((spread_fraction(&"web".into()) - spread_fraction(&"web".into())).abs() < f64::EPSILON);
    }
}
