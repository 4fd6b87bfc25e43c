//! The tasks that wake the reaper and send its events: one for runs, one for orphans of earlier navigators.
//!
//! Which processes have ended, and of which run, is decided in [`super::reaper`] and [`super::orphans`].

use super::commands::Commands;
use super::loop_state::LoopState;
use super::output::set_more_log_expected;
use super::pause::{CATCH_UP, PAUSE};
use super::probe::Prober;
use super::reaper::Reaper;
use super::sockets::SocketTask;
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

/// How soon to check again when a process is in the middle of an exec. Its end causes no wake-up.
pub(super) const RECHECK_INTERVAL: Duration = Duration::from_millis(2);
/// How often orphans are polled where pidfds are refused.
const UNHELD_POLL_INTERVAL: Duration = Duration::from_secs(1);
/// The longest that the outcome of a start is held back. While many starts are in progress, the outcomes of half of them are
/// reported together, because each report costs a planning pass. The other half keeps the spawners busy meanwhile.
const REPORT_BATCH_DELAY: Duration = Duration::from_millis(1);

/// The longest that log lines are held back while starts are in progress, so that they are written together.
const LOG_DELAY: Duration = Duration::from_millis(5);

/// The sources that wake the reaper's task.
pub(super) struct ReapSignals {
    /// `SIGCHLD`: a child has ended.
    pub(super) child_signal: Signal,
    /// Children of keepers have ended.
    pub(super) kept_ends: Arc<AsyncFd<OwnedFd>>,
    /// Main processes have ended.
    pub(super) main_exits: Arc<AsyncFd<OwnedFd>>,
    /// A watched control group is empty.
    pub(super) emptied_groups: Arc<AsyncFd<OwnedFd>>,
    /// Results of the spawners' tasks.
    pub(super) outcomes: UnboundedReceiver<TaskOutcome>,
}

/// Why the reaper's task is awake.
enum WakeCause {
    /// `SIGCHLD`s, here or in a keeper, with the pids that they name. Each may stand for several children.
    ChildSignals(Vec<u32>),
    /// Main processes have ended.
    MainExits,
    /// All children have to be checked.
    FullScan,
    /// Nothing else is pending: there is time to clean up.
    Idle,
    /// A spawner has tried to remove control groups.
    CleanedUp { are_all: bool },
    /// A spawner has reported a start.
    StartReported,
    /// A start may be overdue.
    StartOverdue,
    /// Something else may have happened.
    Other,
}

/// The reaper's task: reaps children, takes the outcomes of starts, and sends the events.
pub(super) async fn reap(
    shared: Arc<LoopState>,
    observers: RunObservers,
    spawners: Arc<Spawners>,
    signals: ReapSignals,
    news: Sender<Event>,
    pass_done: watch::Sender<()>,
) {
    let ReapSignals { mut child_signal, kept_ends, main_exits, emptied_groups, mut outcomes } = signals;
    let mut has_failed = false;
    let mut has_new_event = false;
    let mut pending = PendingLookups::default();
    let mut reports: Vec<SpawnReport> = Vec::new();
    let mut report_by = Instant::now();
    let mut log_hold = LogCoalescer::default();
    let mut overdue = OverdueCheck::default();
    loop {
        let log_due = log_hold.hold_until(shared.lock().is_any_starting());
        let needs_recheck = has_failed || shared.lock().needs_recheck();
        let starts_due = overdue.due(shared.lock().starts_due());
        let needs_cleanup = has_new_event && shared.lock().needs_cleanup();
        let wake = tokio::select! {
            _ = child_signal.recv() => WakeCause::ChildSignals(sys::last_ended().into_iter().collect()),
            is_open = has_news(&kept_ends) => {
                if !is_open { return }
                WakeCause::ChildSignals(shared.lock().parents().reported())
            }
            Some(outcome) = outcomes.recv() => match outcome {
                TaskOutcome::Start(report) => {
                    reports.push(report);
                    WakeCause::StartReported
                }
                TaskOutcome::Sockets(events) => {
                    shared.lock().add_events(events);
                    WakeCause::Other
                }
                TaskOutcome::Remove(kept) => {
                    let are_all = kept.is_empty();
                    shared.lock().removal_done(kept);
                    WakeCause::CleanedUp { are_all }
                }
            },
            () = shared.news.notified() => WakeCause::Other,
            is_open = has_news(&main_exits) => {
                if !is_open { return }
                WakeCause::MainExits
            }
            is_open = has_news(&emptied_groups) => {
                if !is_open { return }
                WakeCause::Other
            }
            // Yield first, so that the loop handles the events sent last: it is the future that the runtime blocks on.
            () = yield_now(), if pending.more_exits && !needs_cleanup => WakeCause::MainExits,
            () = yield_now(), if pending.full_scan => WakeCause::FullScan,
            () = yield_now(), if needs_cleanup => WakeCause::Idle,
            () = sleep_until(starts_due.unwrap_or(report_by)), if starts_due.is_some() => WakeCause::StartOverdue,
            () = sleep_until(report_by), if !reports.is_empty() => WakeCause::Other,
            () = sleep_until(log_due.unwrap_or(report_by)), if log_due.is_some() => {
                log_hold.release();
                continue;
            }
            () = sleep_until(Instant::now() + RECHECK_INTERVAL), if needs_recheck => WakeCause::FullScan,
        };
        log_hold.has_new_events = true;
        // Groups that can't be removed are retried after the next event.
        has_new_event = match wake {
            WakeCause::Idle => false,
            WakeCause::CleanedUp { are_all: false } => has_new_event,
            _ => true,
        };
        if let WakeCause::StartReported = wake {
            if reports.len() == 1 {
                report_by = Instant::now() + REPORT_BATCH_DELAY;
            }
            if reports.len() < shared.lock().starts_in_progress() / 2 {
                continue;
            }
        }
        for report in reports.drain(..) {
            shared.lock().start_reported(report);
        }
        if let WakeCause::StartOverdue = wake
            && overdue.is_timely(starts_due)
        {
            shared.lock().kill_overdue(Instant::now().into_std());
        }
        if let WakeCause::Idle = wake {
            clean_up(&shared, &spawners);
            continue;
        }
        let reaped = pending.reap(&mut shared.lock(), &wake);
        if let Err(error) = &reaped
            && !has_failed
        {
            tracing::error!(target: "managed_processes", %error, "Failed to wait for child processes");
        }
        has_failed = reaped.is_err();
        shared.lock().report_finished();
        shared.search_for_taken_over();
        loop {
            let Some(event) = shared.lock().next_event() else { break };
            observers.deliver(event, &news).await;
        }
        pass_done.send_replace(());
    }
}

fn clean_up(shared: &LoopState, spawners: &Spawners) {
    let mut reaper = shared.lock();
    // The loop may have begun a start.
    if reaper.needs_cleanup()
        && let Some(finished) = reaper.clean_up()
    {
        spawners.remove(finished);
    }
}

/// Waits until a set of descriptors is readable. Returns false at the end of the event loop itself.
async fn has_news(set: &AsyncFd<OwnedFd>) -> bool {
    set.readable().await.map(|mut ready| ready.clear_ready()).is_ok()
}

/// When to look for overdue starts.
#[derive(Default)]
struct OverdueCheck {
    /// Navigator was paused, and its spawners with it. They get this long to report.
    postponed: Option<Instant>,
}

impl OverdueCheck {
    fn due(&self, due: Option<std::time::Instant>) -> Option<Instant> {
        due.map(|due| self.postponed.unwrap_or(Instant::from_std(due)))
    }

    /// Whether the check that was due then can be made now. Otherwise it is postponed.
    fn is_timely(&mut self, due: Option<Instant>) -> bool {
        let was_paused = self.postponed.is_none() && due.is_some_and(|due| Instant::now() >= due + PAUSE);
        self.postponed = was_paused.then(|| Instant::now() + CATCH_UP);
        !was_paused
    }
}

/// Checks of children that are still to be made.
#[derive(Default)]
struct PendingLookups {
    full_scan: bool,
    more_exits: bool,
}

impl PendingLookups {
    /// Reaps the children that this wake-up is about.
    fn reap(&mut self, reaper: &mut Reaper, wake: &WakeCause) -> io::Result<()> {
        match wake {
            WakeCause::ChildSignals(pids) => {
                // Another child may have ended with the same signal.
                self.full_scan |= reaper.needs_full_scans();
                reaper.reap_main_of(pids).and_then(|()| reaper.reap_adopted())
            }
            WakeCause::MainExits => {
                let has_more = reaper.reap_mains();
                self.more_exits = matches!(has_more, Ok(true));
                has_more.map(drop)
            }
            WakeCause::FullScan => {
                self.full_scan = false;
                reaper.reap_all()
            }
            WakeCause::Idle
            | WakeCause::CleanedUp { .. }
            | WakeCause::StartReported
            | WakeCause::StartOverdue
            | WakeCause::Other => Ok(()),
        }
    }
}

/// Holds the loop's log lines back while starts are in progress, because more lines follow soon.
#[derive(Default)]
struct LogCoalescer {
    until: Option<Instant>,
    /// Something has happened since the last release.
    has_new_events: bool,
}

impl LogCoalescer {
    /// Until when the log is held back; `None` if it isn't.
    fn hold_until(&mut self, is_any_starting: bool) -> Option<Instant> {
        self.until = self.until.filter(|_| is_any_starting);
        if is_any_starting && self.has_new_events {
            self.until.get_or_insert_with(|| Instant::now() + LOG_DELAY);
        }
        set_more_log_expected(self.until.is_some());
        self.until
    }

    /// The delay is over. A start may hang, so lines are held back again only after the next event.
    fn release(&mut self) {
        *self = LogCoalescer::default();
    }
}

impl Drop for LogCoalescer {
    fn drop(&mut self) {
        set_more_log_expected(false);
    }
}

/// The task that reports the end of orphans.
pub(super) async fn watch_orphans(shared: Arc<LoopState>, exits: Arc<AsyncFd<OwnedFd>>, news: Sender<Event>) {
    loop {
        let (has_unheld, needs_recheck) = {
            let orphans = shared.orphans();
            (orphans.has_unheld(), orphans.needs_recheck())
        };
        let pause = if needs_recheck { RECHECK_INTERVAL } else { UNHELD_POLL_INTERVAL };
        tokio::select! {
            ready = exits.readable() => {
                // An error is the end of the event loop itself.
                let Ok(mut ready) = ready else { return };
                ready.clear_ready();
            }
            () = sleep_until(Instant::now() + pause), if has_unheld || needs_recheck => {}
        }
        let gone = shared.orphans().check_gone();
        for event in gone {
            let _dropped = news.send(event).await;
        }
    }
}

/// Commands and probes, which see each event before the loop does.
#[derive(Clone)]
pub(super) struct RunObservers {
    pub(super) commands: Commands,
    pub(super) prober: Prober,
    pub(super) spawners: Arc<Spawners>,
}

impl RunObservers {
    /// Hands an event to commands and probes, and sends it to the loop unless it is a command's.
    async fn deliver(&self, event: Event, news: &Sender<Event>) {
        let Some(event) = self.commands.route(event) else { return };
        if let Event::Exited { run, .. } | Event::Gone { run } = &event
            && self.prober.has_sockets(*run)
        {
            self.spawners.submit_sockets(SocketTask::Restore);
        }
        match &event {
            Event::Exited { run, .. } => self.prober.end(*run),
            Event::MainChanged { run, pid } => self.prober.main_changed(*run, *pid),
            Event::Gone { run } | Event::NotSpawned { run, .. } => self.prober.forget(*run),
            _ => {}
        }
        let spawned = if let Event::Spawned { run, pid } = &event { Some((*run, *pid)) } else { None };
        // If the receiver is gone, children are reaped all the same.
        let _dropped = news.send(event).await;
        // Only now, so that no probe reports on a run before its `Spawned`.
        if let Some((run, pid)) = spawned {
            self.prober.start(run, pid);
        }
    }
}
