//! Rate limits of the messages of one run: how many are read, and how many log lines they cause.

use rustix::net::UCred;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Budget of a run for each [`INTERVAL`]. An assignment costs one, and so does a message without any.
const BUDGET: u32 = 100;
/// See [`BUDGET`].
const INTERVAL: Duration = Duration::from_millis(100);
/// The cost of a change between ready and unready, which is logged and affects other processes.
pub(super) const CHANGE_COST: u32 = 50;
/// How often ignored messages are reported.
const REPORT_EVERY: Duration = Duration::from_mins(1);

/// The rest of a run's budget. Beyond it, messages stay in the socket, which holds a few.
#[derive(Debug)]
pub(super) struct MessageBudget {
    left: u32,
    until: Instant,
}

impl MessageBudget {
    pub(super) fn new() -> MessageBudget {
        MessageBudget { left: BUDGET, until: Instant::now() + INTERVAL }
    }

    /// Spends some of it; waits for the next interval if it is used up.
    pub(super) async fn spend(&mut self, cost: u32) {
        if self.left < cost && Instant::now() < self.until {
            sleep_until(self.until).await;
        }
        if Instant::now() >= self.until {
            *self = MessageBudget::new();
        }
        self.left = self.left.saturating_sub(cost);
    }
}

/// Counts messages of processes that don't belong to the run. The first is reported at once, later ones once a minute.
#[derive(Debug, Default)]
pub(super) struct Ignored {
    count: u64,
    /// No report before this time.
    quiet_until: Option<Instant>,
}

impl Ignored {
    /// Counts a message; logs it unless one was logged in the last minute.
    pub(super) fn add(&mut self, name: &str, sender: UCred) {
        self.count += 1;
        if self.quiet_until.is_none() {
            let (pid, user) = (sender.pid.as_raw_nonzero().get(), sender.uid.as_raw());
            self.report(name, Some((pid, user)));
        }
    }

    /// Waits until the next report is due.
    pub(super) async fn until_due(&self) {
        match self.quiet_until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    }

    /// Reports messages counted since the last report, if any.
    pub(super) fn report_due(&mut self, name: &str) {
        self.quiet_until = None;
        if self.count > 0 {
            self.report(name, None);
        }
    }

    /// Only the first report names the sender: later ones are about many messages.
    fn report(&mut self, name: &str, sender: Option<(i32, u32)>) {
        let (pid, user, count) = (sender.map(|(pid, _)| pid), sender.map(|(_, user)| user), self.count);
        tracing::warn!(target: "managed_processes", name, count, sender = pid, user, "Ignored notifications of other processes");
        (self.count, self.quiet_until) = (0, Some(Instant::now() + REPORT_EVERY));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{getgid, getpid, getuid};

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_read_at_the_pace_of_the_budget() {
        let (mut budget, begun) = (MessageBudget::new(), Instant::now());
        for _ in 0..BUDGET {
            budget.spend(1).await;
        }
        assert_eq!(begun.elapsed(), Duration::ZERO, "a burst is read at once");
        for _ in 0..BUDGET * 9 {
            budget.spend(1).await;
        }
        // The timer counts in milliseconds, and never fires early.
        assert!((INTERVAL * 9..INTERVAL * 10).contains(&begun.elapsed()), "{:?}", begun.elapsed());
        let begun = Instant::now();
        for _ in 0..20 {
            budget.spend(CHANGE_COST).await;
        }
        assert!((INTERVAL * 9..INTERVAL * 12).contains(&begun.elapsed()), "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn unspent_budget_does_not_accumulate() {
        let mut budget = MessageBudget::new();
        sleep_until(Instant::now() + INTERVAL * 50).await;
        let begun = Instant::now();
        for _ in 0..=BUDGET {
            budget.spend(1).await;
        }
        assert!(begun.elapsed() >= INTERVAL);
    }

    #[tokio::test(start_paused = true)]
    async fn messages_of_others_are_reported_at_once_and_then_once_a_minute() {
        let (mut ignored, begun) = (Ignored::default(), Instant::now());
        let sender = UCred { pid: getpid(), uid: getuid(), gid: getgid() };
        for _ in 0..1_000 {
            ignored.add("web", sender);
        }
        assert_eq!((ignored.count, ignored.quiet_until), (999, Some(begun + REPORT_EVERY)));
        ignored.until_due().await;
        assert_eq!(begun.elapsed(), REPORT_EVERY);
        ignored.report_due("web");
        assert_eq!((ignored.count, ignored.quiet_until), (0, Some(begun + REPORT_EVERY * 2)));
        // After a minute without messages, the next one is reported at once.
        ignored.until_due().await;
        ignored.report_due("web");
        assert_eq!(ignored.quiet_until, None);
        ignored.add("web", sender);
        assert_eq!((ignored.count, ignored.quiet_until), (0, Some(begun + REPORT_EVERY * 3)));
    }
}
