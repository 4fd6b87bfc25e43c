//! The restart policy: whether a process that ended by itself is started again, and when.
//!
//! The first failure after a healthy run is restarted at once. Every other one is restarted after a delay that grows from
//! `initial` by `factor` up to `max`, varied by `jitter` so that many processes don't restart at the same moment.

use crate::spec::{Backoff, ProcessKind, Restart, Spec};
use crate::time::Time;
use alloc::vec::Vec;
use core::time::Duration;

/// A number of ends in a row, without a healthy run in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Streak {
    /// How many, at least one.
    pub length: u32,
    /// Whether the first came after a healthy run, and so is restarted at once.
    pub after_health: bool,
}

/// What the restart policy decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartDecision {
    /// No restart: it has completed.
    Completed,
    /// No restart: it has failed.
    Failed,
    /// Another run, at this time.
    Again(Time),
}

/// How a process ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// It exited successfully, and wasn't stopped for a failure.
    pub success: bool,
    /// Its program wasn't there to be started.
    pub missing: bool,
    /// When.
    pub at: Time,
}

/// Decides about a process that ended by itself.
///
/// `dice` is any number that differs between ends; it varies the delay.
pub fn due(spec: &Spec, End { success, missing, at }: End, streak: Streak, dice: u64) -> RestartDecision {
    let again = match spec.restart {
        Restart::Never => false,
        Restart::OnFailure => !success,
        Restart::Always => !success || spec.exec.kind == ProcessKind::Service,
    };
    let is_exhausted = !success && spec.max_restarts.is_some_and(|most| streak.length > most);
    match (again, success) {
        (true, _) if !is_exhausted && missing => RestartDecision::Again(at + delay_of_missing(&spec.backoff, streak, dice)),
        (true, _) if !is_exhausted => RestartDecision::Again(at + delay(&spec.backoff, streak, dice)),
        (_, true) => RestartDecision::Completed,
        (_, false) => RestartDecision::Failed,
    }
}

/// How long to wait before the restart that follows the last end of a streak.
pub fn delay(backoff: &Backoff, streak: Streak, dice: u64) -> Duration {
    let step = streak.length - u32::from(streak.after_health && backoff.first_at_once);
    if step == 0 {
        return Duration::ZERO;
    }
    let mut delay = backoff.initial.min(backoff.max);
    for _ in 1..step {
        let next = backoff.max.as_secs_f64().min(delay.as_secs_f64() * backoff.factor);
        let next = Duration::from_secs_f64(next);
        if next <= delay {
            break;
        }
        delay = next;
    }
    delay.mul_f64(1.0 + backoff.jitter * unit(dice))
}

/// The same where the program is missing: after a second attempt the longest delay, because it rarely appears by itself.
fn delay_of_missing(backoff: &Backoff, streak: Streak, dice: u64) -> Duration {
    if streak.length <= 1 { delay(backoff, streak, dice) } else { backoff.max.mul_f64(1.0 + backoff.jitter * unit(dice)) }
}

/// The restarts of a process for its watched files. More than `AT_ONCE` within `WINDOW` are
/// slowed down, until its files stay as they are for that long: the process may write what it watches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchRestarts {
    /// The last ones, oldest first.
    recent: Vec<Time>,
    /// How many in a row were slowed down.
    slowed: u32,
}

impl WatchRestarts {
    const AT_ONCE: usize = 5;
    /// The time within which restarts are counted.
    pub const WINDOW: Duration = Duration::from_secs(10);

    /// When a restart that is wanted at `now` may come; `None`: at once.
    pub fn due(&self, backoff: &Backoff, now: Time, dice: u64) -> Option<Time> {
        let is_slow = self.slowed > 0 || (self.recent.len() == Self::AT_ONCE && now < self.recent[0] + Self::WINDOW);
        let last = self.recent.last().filter(|_| is_slow)?;
        let streak = Streak { length: self.slowed.saturating_add(1), after_health: false };
        Some(*last + delay(backoff, streak, dice)).filter(|due| now < *due)
    }

    /// Counts a restart. Returns true if it is the first that was slowed down.
    pub fn count(&mut self, now: Time) -> bool {
        let is_slow = self.slowed > 0 || (self.recent.len() == Self::AT_ONCE && now < self.recent[0] + Self::WINDOW);
        self.slowed = if is_slow { self.slowed.saturating_add(1) } else { 0 };
        if self.recent.len() == Self::AT_ONCE {
            self.recent.remove(0);
        }
        self.recent.push(now);
        self.slowed == 1
    }

    /// The files changed. If they had stayed as they were for long enough, former restarts no longer count.
    pub fn files_changed(&mut self, now: Time) {
        if self.recent.last().is_some_and(|last| now >= *last + Self::WINDOW) {
            *self = WatchRestarts::default();
        }
    }
}

/// A pseudorandom number from -1 to 1 for a seed.
///
/// Source of the mixing: Steele, Lea, Flood, "Fast splittable pseudorandom number generators" (2014), `SplitMix64`.
fn unit(dice: u64) -> f64 {
    let mut mixed = dice.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^= mixed >> 31;
    let upper = u32::try_from(mixed >> 32).unwrap_or(u32::MAX);
    f64::from(upper) / f64::from(u32::MAX) * 2.0 - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEADY: Backoff = Backoff {
        initial: Duration::from_millis(500),
        factor: 2.0,
        max: Duration::from_secs(3),
        jitter: 0.0,
        reset_after: Duration::from_secs(10),
        first_at_once: true,
    };

    fn delays(after_health: bool) -> [u128; 5] {
        [1, 2, 3, 4, 5].map(|length| delay(&STEADY, Streak { length, after_health }, 0).as_millis())
    }

    #[test]
    fn delays_grow_to_the_maximum() {
        assert_eq!(delays(false), [500, 1_000, 2_000, 3_000, 3_000]);
    }

    #[test]
    fn the_first_failure_after_health_is_restarted_at_once() {
        assert_eq!(delays(true), [0, 500, 1_000, 2_000, 3_000]);
    }

    #[test]
    fn jitter_stays_within_its_share_and_varies() {
        let backoff = Backoff { jitter: 0.1, ..STEADY };
        let mut seen = alloc::collections::BTreeSet::new();
        for dice in 0..1_000 {
            let delay = delay(&backoff, Streak { length: 1, after_health: false }, dice).as_micros();
            assert!((450_000..=550_000).contains(&delay), "{delay}");
            seen.insert(delay);
        }
        assert!(seen.len() > 900);
    }

    #[test]
    fn a_flat_or_huge_factor_needs_few_iterations() {
        for factor in [1.0, 1e300] {
            let backoff = Backoff { factor, ..STEADY };
            assert!(delay(&backoff, Streak { length: u32::MAX, after_health: false }, 0) <= STEADY.max);
        }
    }

    #[test]
    fn each_policy_restarts_what_it_says() {
        let mut spec = Spec::new("a", "a");
        spec.backoff = STEADY;
        let streak = Streak { length: 1, after_health: true };
        let mut check = |restart, success| {
            spec.restart = restart;
            due(&spec, End { success, missing: false, at: Time::ZERO }, streak, 0)
        };
        assert_eq!(check(Restart::Never, false), RestartDecision::Failed);
        assert_eq!(check(Restart::Never, true), RestartDecision::Completed);
        assert_eq!(check(Restart::OnFailure, false), RestartDecision::Again(Time::ZERO));
        assert_eq!(check(Restart::OnFailure, true), RestartDecision::Completed);
        assert_eq!(check(Restart::Always, true), RestartDecision::Again(Time::ZERO));
    }

    #[test]
    fn a_limit_of_restarts_counts_failures_in_a_row() {
        let mut spec = Spec::new("a", "a");
        (spec.restart, spec.max_restarts) = (Restart::OnFailure, Some(2));
        let end = End { success: false, missing: false, at: Time::ZERO };
        let at = |length| due(&spec, end, Streak { length, after_health: false }, 0);
        assert!(matches!(at(2), RestartDecision::Again(_)));
        assert_eq!(at(3), RestartDecision::Failed);
    }

    #[test]
    fn a_steady_delay_comes_before_every_restart() {
        let steady = Backoff::steady(Duration::from_secs(5));
        for streak in [(1, true), (1, false), (2, true), (9, false)] {
            let (length, after_health) = streak;
            assert_eq!(delay(&steady, Streak { length, after_health }, 7), Duration::from_secs(5), "{streak:?}");
        }
    }

    #[test]
    fn a_missing_program_is_retried_soon_once_and_then_rarely() {
        let spec = Spec { restart: Restart::Always, backoff: STEADY, ..Spec::new("a", "a") };
        let end = End { success: false, missing: true, at: Time::ZERO };
        let again = |length| due(&spec, end, Streak { length, after_health: false }, 0);
        assert_eq!(again(1), RestartDecision::Again(Time::ZERO + STEADY.initial));
        assert_eq!(again(2), RestartDecision::Again(Time::ZERO + STEADY.max));
    }

    #[test]
    fn many_restarts_for_watched_files_are_slowed_down() {
        let seconds = |seconds| Time::after_epoch(Duration::from_secs(seconds));
        let mut restarts = WatchRestarts::default();
        for second in 0..5 {
            assert_eq!(restarts.due(&STEADY, seconds(second), 0), None);
            assert!(!restarts.count(seconds(second)));
            restarts.files_changed(seconds(second));
        }
        let due = restarts.due(&STEADY, seconds(4), 0).expect("the sixth within ten seconds is slowed down");
        assert_eq!(due, seconds(4) + STEADY.initial);
        assert_eq!(restarts.clone().due(&STEADY, seconds(10), 0), None, "not within ten seconds");
        assert!(restarts.count(due));
        assert_eq!(restarts.due(&STEADY, due, 0), Some(due + STEADY.initial * 2));
        restarts.files_changed(due + WatchRestarts::WINDOW);
        assert_eq!(restarts, WatchRestarts::default());
    }
}
