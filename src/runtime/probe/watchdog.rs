//! The watchdog of a run: keep-alive messages must arrive within a time limit (`sd_watchdog_enabled(3)`).

use super::super::pause::PAUSE;
use reconcile::human_duration::HumanDuration;
use reconcile::spec::Liveness;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

/// Waits for keep-alives.
#[derive(Debug)]
pub(super) struct Watchdog {
    state: Mutex<WatchdogState>,
    changed: Notify,
}

#[derive(Debug)]
struct WatchdogState {
    limit: Duration,
    last: Instant,
    /// The program sent `WATCHDOG=trigger`.
    is_triggered: bool,
}

impl Watchdog {
    /// The limit is passed to the program at its start, and holds until the program sets another one.
    pub(super) fn new(liveness: &Liveness) -> Watchdog {
        let limit = liveness.interval.saturating_mul(liveness.failures);
        Watchdog { state: Mutex::new(WatchdogState { limit, last: Instant::now(), is_triggered: false }), changed: Notify::new() }
    }

    pub(super) fn limit(&self) -> Duration {
        self.lock().limit
    }

    /// Records a keep-alive message (`WATCHDOG=1`).
    pub(super) fn keep_alive(&self) {
        self.lock().last = Instant::now();
    }

    /// Sets the limit that the program asks for (`WATCHDOG_USEC=`).
    pub(super) fn set_limit(&self, limit: Duration) {
        let mut state = self.lock();
        (state.limit, state.last) = (limit, Instant::now());
        drop(state);
        self.changed.notify_one();
    }

    /// Records that the program asks to be failed (`WATCHDOG=trigger`).
    pub(super) fn trigger(&self) {
        self.lock().is_triggered = true;
        self.changed.notify_one();
    }

    /// Waits until a keep-alive message is overdue; returns why it failed.
    pub(super) async fn expired(&self) -> String {
        loop {
            let (due, limit, is_triggered) = {
                let state = self.lock();
                (state.last + state.limit, state.limit, state.is_triggered)
            };
            if is_triggered {
                return "it sent `WATCHDOG=trigger`".to_owned();
            }
            tokio::select! {
                () = sleep_until(due) => {}
                () = self.changed.notified() => continue,
            }
            // What waits in the socket is read first.
            yield_now().await;
            let mut state = self.lock();
            let now = Instant::now();
            if state.is_triggered || now < state.last + state.limit {
                continue;
            }
            if now < due + PAUSE {
                return format!("no `WATCHDOG=1` for {}", HumanDuration(limit));
            }
            // Navigator was paused, perhaps with the process.
            state.last = now;
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
    async fn it_expires_without_a_keep_alive_for_interval_times_failures() {
        let (watchdog, begun) = (watchdog(), Instant::now());
        let expired = tokio::spawn({
            let watchdog = Arc::clone(&watchdog);
            async move { watchdog.expired().await }
        });
        for _ in 0..5 {
            sleep_until(Instant::now() + Duration::from_secs(29)).await;
            watchdog.keep_alive();
        }
        assert_eq!(expired.await.expect("it expired"), "no `WATCHDOG=1` for 30s");
        assert_eq!(begun.elapsed().as_secs(), 5 * 29 + 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_program_may_shorten_the_limit_or_trigger_the_watchdog() {
        let (watchdog, begun) = (watchdog(), Instant::now());
        watchdog.set_limit(Duration::from_secs(4));
        assert_eq!(watchdog.expired().await, "no `WATCHDOG=1` for 4s");
        assert_eq!(begun.elapsed().as_secs(), 4);
        watchdog.keep_alive();
        watchdog.trigger();
        assert_eq!(watchdog.expired().await, "it sent `WATCHDOG=trigger`");
        assert_eq!(begun.elapsed().as_secs(), 4);
    }
}
