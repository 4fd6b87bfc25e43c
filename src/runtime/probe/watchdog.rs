//! The watchdog of a run: signs of life must come within a time that the program was told (`sd_watchdog_enabled(3)`).

use reconcile::span::Span;
use reconcile::spec::Liveness;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Waits for signs of life.
#[derive(Debug)]
pub(super) struct Watchdog {
    state: Mutex<WatchdogState>,
    changed: Notify,
}

#[derive(Debug)]
struct WatchdogState {
    limit: Duration,
    last: Instant,
    /// The program asked to be taken for dead.
    is_triggered: bool,
}

impl Watchdog {
    /// With the limit that the program is told at its start, and that holds until it asks for another one: it beats at
    /// the pace that it was told.
    pub(super) fn new(liveness: &Liveness) -> Watchdog {
        let limit = liveness.interval.saturating_mul(liveness.failures);
        Watchdog { state: Mutex::new(WatchdogState { limit, last: Instant::now(), is_triggered: false }), changed: Notify::new() }
    }

    pub(super) fn limit(&self) -> Duration {
        self.lock().limit
    }

    /// A sign of life.
    pub(super) fn alive(&self) {
        self.lock().last = Instant::now();
    }

    /// The program asks for another limit, from now on.
    pub(super) fn set_limit(&self, limit: Duration) {
        let mut state = self.lock();
        (state.limit, state.last) = (limit, Instant::now());
        drop(state);
        self.changed.notify_one();
    }

    /// The program asks to be taken for dead.
    pub(super) fn trigger(&self) {
        self.lock().is_triggered = true;
        self.changed.notify_one();
    }

    /// Waits until no sign of life has come for too long, and says so.
    pub(super) async fn expired(&self) -> String {
        loop {
            let (due, limit, is_triggered) = {
                let state = self.lock();
                (state.last + state.limit, state.limit, state.is_triggered)
            };
            if is_triggered {
                return "it asked for it by `WATCHDOG=trigger`".to_owned();
            }
            if Instant::now() >= due {
                return format!("no `WATCHDOG=1` for {}", Span(limit));
            }
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.changed.notified() => {}
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, WatchdogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn watchdog() -> Arc<Watchdog> {
        let (interval, timeout) = (Duration::from_secs(10), Duration::from_secs(1));
        Arc::new(Watchdog::new(&Liveness { probe: None, interval, timeout, failures: 3 }))
    }

    #[tokio::test(start_paused = true)]
    async fn it_bites_when_no_sign_of_life_has_come_for_interval_times_failures() {
        let (watchdog, begun) = (watchdog(), Instant::now());
        let expired = tokio::spawn({
            let watchdog = Arc::clone(&watchdog);
            async move { watchdog.expired().await }
        });
        for _ in 0..5 {
            sleep_until(Instant::now() + Duration::from_secs(29)).await;
            watchdog.alive();
        }
        assert_eq!(expired.await.expect("it expired"), "no `WATCHDOG=1` for 30s");
        assert_eq!(begun.elapsed().as_secs(), 5 * 29 + 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_may_shorten_the_time_or_give_itself_up() {
        let (watchdog, begun) = (watchdog(), Instant::now());
        watchdog.set_limit(Duration::from_secs(4));
        assert_eq!(watchdog.expired().await, "no `WATCHDOG=1` for 4s");
        assert_eq!(begun.elapsed().as_secs(), 4);
        watchdog.alive();
        watchdog.trigger();
        assert_eq!(watchdog.expired().await, "it asked for it by `WATCHDOG=trigger`");
        assert_eq!(begun.elapsed().as_secs(), 4);
    }
}
