//! What the loop owns: the engine, the views and events for clients, and the clients that wait.

use super::dates;
use super::event_stream::EventHistory;
use super::former_life::RecordedLife;
use super::host::{Host, Perform};
use super::inbox::{HandoverOrder, ReloadOutcome};
use super::interrupts::Interrupts;
use super::orphans::FormerProcesses;
use super::pending_orders::{OrderOutcome, PendingOrders};
use super::readers::{Published, Readers};
use super::shown_plan::ShownPlan;
use super::shutdown_notice::ShutdownNotice;
use super::view::File;
use crate::runtime::{CATCH_UP, PAUSE};
use crate::source::Ticket;
use jiff::Timestamp;
use reconcile::engine::Engine;
use reconcile::event::{Event, RunId};
use reconcile::spec::Spec;
use reconcile::time::Time;
use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The loop and what it owns.
pub struct Supervisor<P, S> {
    pub(super) engine: Engine,
    pub(super) epoch: Instant,
    /// When the engine was stepped last.
    pub(super) stepped: Time,
    /// After a pause of navigator the engine's clock stands still until then.
    pub(super) catch_up: Option<Instant>,
    pub(super) performer: P,
    pub(super) host: S,
    pub(super) interrupts: Interrupts,
    pub(super) shutdown_notice: ShutdownNotice,
    pub(super) file: File,
    pub(super) history: EventHistory,
    pub(super) readers: Readers,
    pub(super) orders: PendingOrders,
    pub(super) waiting: WaitingClients,
    pub(super) shown_plan: ShownPlan,
    pub(super) watching: Watching,
    /// How long the machine has been suspended since its boot.
    pub(super) suspended: Duration,
    pub(super) handover: Option<PendingHandover>,
    /// When the service manager was last told that the loop turns.
    pub(super) pinged: Option<Instant>,
}

/// The definitions for which the source watches files, if those aren't the ones that it delivered last.
#[derive(Default)]
pub(super) struct Watching {
    instead: Option<Vec<Arc<Spec>>>,
    /// The source has delivered a configuration since, and watches for that.
    is_over: bool,
}

/// Clients that wait for something other than the outcome of an order to the engine.
#[derive(Default)]
pub(super) struct WaitingClients {
    /// For a check of the files, in the order of their requests.
    pub(super) file_checks: VecDeque<oneshot::Sender<()>>,
    /// For a reading of the configuration that answers this ticket.
    pub(super) reloads: Vec<(Ticket, oneshot::Sender<ReloadOutcome>)>,
    /// For a process that re-reads its own files.
    pub(super) process_reloads: Vec<(RunId, oneshot::Sender<OrderOutcome>)>,
}

/// A handover that waits until nothing is under way.
pub(super) struct PendingHandover {
    pub(super) order: Box<HandoverOrder>,
    /// Receives the reason if it fails.
    pub(super) reply: oneshot::Sender<String>,
    pub(super) until: Instant,
}

impl Watching {
    /// The source has delivered a configuration.
    pub(super) fn end(&mut self) {
        self.is_over = self.instead.is_some();
    }
}

/// What a former navigator of the instance left.
#[derive(Clone, Debug, Default)]
pub enum FormerNavigator {
    /// Nothing.
    #[default]
    None,
    /// Processes to be ended before anything starts.
    End(FormerProcesses),
    /// Processes and facts to go on from.
    TakeOver(Box<RecordedLife>),
}

impl<P: Perform, S: Host> Supervisor<P, S> {
    /// A loop without a configuration. `epoch`: when the engine's time begins.
    pub fn new(performer: P, host: S, published: Published, epoch: Instant) -> Supervisor<P, S> {
        let file = File { path: host.config(), ..File::default() };
        Supervisor {
            engine: Engine::new().with_ordered_execs(),
            epoch,
            stepped: Time::ZERO,
            catch_up: None,
            performer,
            host,
            interrupts: Interrupts::default(),
            shutdown_notice: ShutdownNotice::default(),
            file,
            history: EventHistory::new(),
            readers: Readers::new(published),
            orders: PendingOrders::default(),
            waiting: WaitingClients::default(),
            shown_plan: ShownPlan::default(),
            watching: Watching::default(),
            suspended: dates::suspended_since_boot(),
            handover: None,
            pinged: None,
        }
    }

    /// Has the source watch what the definitions in force name, after a step.
    pub(super) fn update_watching(&mut self) {
        let instead = self.engine.watching_instead();
        if self.watching.is_over || instead != self.watching.instead {
            self.host.source().watch_for(instead.clone());
            self.watching = Watching { instead, is_over: false };
        }
    }

    /// Tells the service manager that navigator is ready, and what is in force.
    pub(super) fn say_ready(&self) {
        let (generation, count) = (self.engine.generation(), self.engine.desired().entries().len());
        let plural = if count == 1 { "" } else { "es" };
        let rejected = if self.file.errors.is_empty() { "" } else { "; the file on disk is rejected, see `navigator status`" };
        self.host.service_manager().ready(&format!("generation {generation}, {count} process{plural}{rejected}"));
    }

    /// When the service manager wants to hear next that the loop turns.
    pub(super) fn ping_due(&self) -> Option<Instant> {
        let interval = self.host.service_manager().interval()?;
        Some(self.pinged.map_or_else(Instant::now, |last| last + interval))
    }

    /// Tells the service manager that the loop turns.
    pub(super) fn ping(&mut self) {
        self.pinged = Some(Instant::now());
        self.host.service_manager().ping();
    }

    /// The time by the engine's clock.
    pub(super) fn now(&self) -> Time {
        if self.catch_up.is_some() { self.stepped } else { Time::after_epoch(self.epoch.elapsed()) }
    }

    /// This moment by both clocks.
    pub(super) fn date(&self) -> dates::Now {
        dates::Now { time: Time::after_epoch(self.epoch.elapsed()), wall: Timestamp::now() }
    }

    /// The dates to come, after the wall clock may have been set.
    pub(super) fn renewed_dates(&mut self) -> Vec<Event> {
        let before = mem::replace(&mut self.suspended, dates::suspended_since_boot());
        dates::renewed(&self.engine, self.date(), self.suspended.saturating_sub(before))
    }

    /// The loop is awake, and meant to step the engine at `wake_at` at the latest. If navigator was paused, the clock stands still
    /// for a moment: exits, announcements and answers that came meanwhile count before any deadline.
    pub(super) fn woke(&mut self, wake_at: Option<Instant>) {
        let now = Instant::now();
        match self.catch_up {
            Some(until) => self.catch_up = Some(until).filter(|until| now < *until),
            None if wake_at.is_some_and(|at| now >= at + PAUSE) => self.catch_up = Some(now + CATCH_UP),
            None => {}
        }
    }
}
