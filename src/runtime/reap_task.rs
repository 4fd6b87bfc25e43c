//! When the reaper looks, and what comes of it: its task, and the one that looks after what former navigators left.
//!
//! What there is to be seen, and whose it is, is [`super::reaper`]'s and [`super::left`]'s affair.

use super::commands::Commands;
use super::loop_state::LoopState;
use super::output::set_more_log_expected;
use super::probe::Prober;
use super::reaper::Reaper;
use super::spawners::{SpawnReport, Spawners, TaskOutcome};
use crate::sys;
use reconcile::event::Event;
use rustix::fd::OwnedFd;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::Signal;
use tokio::sync::mpsc::{Sender, UnboundedReceiver};
use tokio::sync::watch;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

/// How long an exec may take before it's looked at again, where nothing tells of its end.
pub(super) const ANOTHER_LOOK: Duration = Duration::from_millis(2);
/// How often those are looked at whose end nothing tells, where pidfds are refused.
const LOOK_AT_UNHELD: Duration = Duration::from_secs(1);
/// Where many starts are under way, the outcomes of half of them are told together: each time the whole plan is looked at, and
/// the other half keeps the spawners busy meanwhile. None of them waits longer than this to be told.
const TOGETHER_WITHIN: Duration = Duration::from_millis(1);

/// While starts are under way there will be more lines of the log in a moment. None of them waits longer than this to be written.
const LOGGED_WITHIN: Duration = Duration::from_millis(5);

/// What the reaper looks up for.
pub(super) struct ReapSignals {
    /// A child has ended.
    pub(super) ended: Signal,
    /// Leaders have ended.
    pub(super) ends: Arc<AsyncFd<OwnedFd>>,
    /// A control group may be empty.
    pub(super) emptied: Arc<AsyncFd<OwnedFd>>,
    /// The spawners have done something.
    pub(super) done: UnboundedReceiver<TaskOutcome>,
}

/// What the reaper is woken by.
enum WakeCause {
    /// A child has ended; whose end it is, if that is known.
    Ended(Option<u32>),
    /// Leaders have ended.
    Told,
    /// It is time to ask for every child that has ended, for which the kernel looks at each.
    Look,
    /// There is time for what nobody waits for.
    Quiet,
    /// Control groups have been removed; whether all could be.
    Tidied { are_all: bool },
    /// A start has an outcome.
    Reported,
    /// A start may be overdue.
    Overdue,
    /// Something else may have changed what is known.
    Other,
}

/// The reaper's task: looks after every `SIGCHLD` and every outcome of a start, and tells the news.
pub(super) async fn reap(
    shared: Arc<LoopState>,
    companions: RunObservers,
    spawners: Arc<Spawners>,
    signals: ReapSignals,
    news: Sender<Event>,
    looked: watch::Sender<()>,
) {
    let ReapSignals { mut ended, ends, emptied, mut done } = signals;
    let mut has_failed = false;
    let mut is_new = false;
    let mut to_look = PendingLookups::default();
    let mut untold: Vec<SpawnReport> = Vec::new();
    let mut told_by = Instant::now();
    let mut chatter = LogCoalescer::default();
    loop {
        let logged_by = chatter.goes_on_by(shared.lock().is_any_starting());
        let wants_another_look = has_failed || shared.lock().wants_another_look();
        let starts_due = shared.lock().starts_due().map(Instant::from_std);
        let is_untidy = is_new && shared.lock().is_untidy();
        let wake = tokio::select! {
            _ = ended.recv() => WakeCause::Ended(sys::last_ended()),
            Some(done) = done.recv() => match done {
                TaskOutcome::Start(report) => {
                    untold.push(report);
                    WakeCause::Reported
                }
                TaskOutcome::Remove(kept) => {
                    let are_all = kept.is_empty();
                    shared.lock().removed(kept);
                    WakeCause::Tidied { are_all }
                }
            },
            () = shared.news.notified() => WakeCause::Other,
            ready = ends.readable() => {
                // An error is the end of the event loop itself.
                let Ok(mut ready) = ready else { return };
                ready.clear_ready();
                WakeCause::Told
            }
            ready = emptied.readable() => {
                // An error is the end of the event loop itself.
                let Ok(mut ready) = ready else { return };
                ready.clear_ready();
                WakeCause::Other
            }
            // Whoever has heard the last news acts on it first. That is not a task, but what the runtime blocks on: to be woken
            // at once would be too early, and to yield isn't.
            () = yield_now(), if to_look.are_more_told && !is_untidy => WakeCause::Told,
            () = yield_now(), if to_look.at_all => WakeCause::Look,
            () = yield_now(), if is_untidy => WakeCause::Quiet,
            () = sleep_until(starts_due.unwrap_or(told_by)), if starts_due.is_some() => WakeCause::Overdue,
            () = sleep_until(told_by), if !untold.is_empty() => WakeCause::Other,
            () = sleep_until(logged_by.unwrap_or(told_by)), if logged_by.is_some() => {
                chatter.falls_silent();
                continue;
            }
            () = sleep_until(Instant::now() + ANOTHER_LOOK), if wants_another_look => WakeCause::Look,
        };
        chatter.is_stirred = true;
        // What can't be removed is tried again when something has happened.
        is_new = match wake {
            WakeCause::Quiet => false,
            WakeCause::Tidied { are_all: false } => is_new,
            _ => true,
        };
        if let WakeCause::Reported = wake {
            if untold.len() == 1 {
                told_by = Instant::now() + TOGETHER_WITHIN;
            }
            if untold.len() < shared.lock().under_way() / 2 {
                continue;
            }
        }
        for report in untold.drain(..) {
            shared.lock().reported(report);
        }
        if let WakeCause::Overdue = wake {
            shared.lock().kill_overdue(Instant::now().into_std());
        }
        if let WakeCause::Quiet = wake {
            let mut reaper = shared.lock();
            // Whoever has heard the news may have begun a start.
            if reaper.is_untidy()
                && let Some(spent) = reaper.tidy()
            {
                spawners.remove(spent);
            }
            continue;
        }
        let reaped = to_look.reap(&mut shared.lock(), &wake);
        if let Err(error) = &reaped
            && !has_failed
        {
            tracing::error!(target: "managed_processes", %error, "Child processes can't be waited for");
        }
        has_failed = reaped.is_err();
        shared.lock().settle();
        loop {
            let Some(event) = shared.lock().next_news() else { break };
            companions.tell(event, &news).await;
        }
        looked.send_replace(());
    }
}

/// Whom there is still to look at.
#[derive(Default)]
struct PendingLookups {
    at_all: bool,
    are_more_told: bool,
}

impl PendingLookups {
    /// Reaps whoever has ended, as far as this wake is about that.
    fn reap(&mut self, reaper: &mut Reaper, wake: &WakeCause) -> io::Result<()> {
        match wake {
            WakeCause::Ended(pid) => {
                // Another end may have been told by the same signal.
                self.at_all |= reaper.needs_looks();
                pid.map_or(Ok(()), |pid| reaper.reap_leader(pid)).and_then(|()| reaper.reap_others())
            }
            WakeCause::Told => {
                let are_more = reaper.reap_told();
                self.are_more_told = matches!(are_more, Ok(true));
                are_more.map(drop)
            }
            WakeCause::Look => {
                self.at_all = false;
                reaper.reap()
            }
            WakeCause::Quiet | WakeCause::Tidied { .. } | WakeCause::Reported | WakeCause::Overdue | WakeCause::Other => Ok(()),
        }
    }
}

/// Holds the loop's log back while there will be more lines in a moment.
#[derive(Default)]
struct LogCoalescer {
    until: Option<Instant>,
    /// Something has happened since it last fell silent.
    is_stirred: bool,
}

impl LogCoalescer {
    /// Until when the log is held back, if it is: while starts are under way.
    fn goes_on_by(&mut self, is_any_starting: bool) -> Option<Instant> {
        self.until = self.until.filter(|_| is_any_starting);
        if is_any_starting && self.is_stirred {
            self.until.get_or_insert_with(|| Instant::now() + LOGGED_WITHIN);
        }
        set_more_log_expected(self.until.is_some());
        self.until
    }

    /// The time is over. A start may hang, so that nothing happens for long.
    fn falls_silent(&mut self) {
        *self = LogCoalescer::default();
    }
}

impl Drop for LogCoalescer {
    fn drop(&mut self) {
        set_more_log_expected(false);
    }
}

/// The task that notices the end of what former navigators left.
pub(super) async fn watch_left(shared: Arc<LoopState>, ends: Arc<AsyncFd<OwnedFd>>, news: Sender<Event>) {
    loop {
        let (has_unheld, wants_another_look) = {
            let left = shared.left();
            (left.has_unheld(), left.wants_another_look())
        };
        let pause = if wants_another_look { ANOTHER_LOOK } else { LOOK_AT_UNHELD };
        tokio::select! {
            ready = ends.readable() => {
                // An error is the end of the event loop itself.
                let Ok(mut ready) = ready else { return };
                ready.clear_ready();
            }
            () = sleep_until(Instant::now() + pause), if has_unheld || wants_another_look => {}
        }
        let gone = shared.left().look();
        for event in gone {
            let _unheard = news.send(event).await;
        }
    }
}

/// What accompanies runs, and hears of what happens to them before anybody else does.
#[derive(Clone)]
pub(super) struct RunObservers {
    pub(super) commands: Commands,
    pub(super) prober: Prober,
}

impl RunObservers {
    /// Takes news in, and passes on what isn't theirs alone.
    async fn tell(&self, event: Event, news: &Sender<Event>) {
        let Some(event) = self.commands.route(event) else { return };
        match &event {
            Event::Exited { run, .. } => self.prober.end(*run),
            Event::Gone { run } | Event::NotSpawned { run, .. } => self.prober.forget(*run),
            _ => {}
        }
        let spawned = if let Event::Spawned { run, pid } = &event { Some((*run, *pid)) } else { None };
        // Whoever listens has gone; then what happens is nobody's news, and children are reaped all the same.
        let _unheard = news.send(event).await;
        // Only now, so that nothing is said of a run before that it runs.
        if let Some((run, pid)) = spawned {
            self.prober.start(run, pid);
        }
    }
}
