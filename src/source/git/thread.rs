//! The thread that follows a repository: looks at intervals and on request, one thing after the other.

use super::Reloaded;
use super::answers::{LookOutcome, OrderReply, SourceOrder};
use super::checkouts::{Checkouts, in_force_at_start};
use super::command::Git;
use super::mirror::{Mirror, Newest};
use super::setup::FollowSetup;
use super::unopened::UnopenedSource;
use crate::checksum::fnv1a;
use crate::config::HostSource;
use crate::ledger::{CommitInfo, DataDir, Ledger};
use crate::snapshot::NewestSnapshot;
use jiff::Timestamp;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tracing::{error, info, warn};

/// How soon to try a data directory again: a command of a navigator that was killed may use it for a moment.
const DATA_RETRY: Duration = Duration::from_millis(500);
/// The longest time between two looks after failures.
const MAX_BACKOFF: Duration = Duration::from_mins(10);

/// A request to the thread.
pub(super) enum FollowRequest {
    /// Follow this from now on.
    Source(Option<Arc<HostSource>>),
    /// Look now.
    Look(Option<oneshot::Sender<LookOutcome>>),
    /// Carry out an order of a person.
    Order(SourceOrder, oneshot::Sender<OrderReply>),
}

/// The thread.
pub(super) struct FollowThread {
    pub(super) setup: FollowSetup,
    pub(super) following: Option<Following>,
    /// What is to be followed as soon as the data directory can be used.
    unopened: Option<UnopenedSource>,
    /// How many looks were made; for their phases.
    looks: u64,
    /// How many looks failed in a row.
    failures: u32,
    next: Option<Instant>,
}

/// A repository that is followed.
pub(super) struct Following {
    pub(super) source: Arc<HostSource>,
    pub(super) data: DataDir,
    pub(super) ledger: Ledger,
    pub(super) mirror: Mirror,
    pub(super) checkouts: Checkouts,
    pub(super) seen: SeenState,
}

/// What was seen since the start.
#[derive(Default)]
pub(super) struct SeenState {
    /// When the repository was fetched last.
    pub(super) fetched_at: Option<Timestamp>,
    /// When the first fetch failed of those that failed since.
    pub(super) failing_since: Option<Timestamp>,
    /// What the host is in trouble with.
    pub(super) trouble: Option<String>,
    /// The newest commit, and what became of it.
    pub(super) newest: Option<NewestSnapshot>,
    /// When it is looked at next.
    pub(super) next_at: Option<Timestamp>,
    /// Files that were edited by hand, at the last look.
    pub(super) drift: Vec<String>,
}

impl FollowThread {
    pub(super) fn new(setup: FollowSetup) -> FollowThread {
        FollowThread { setup, following: None, unopened: None, looks: 0, failures: 0, next: None }
    }

    pub(super) fn run(&mut self, requests: &Receiver<FollowRequest>) {
        loop {
            let suspended_until = self.following.as_ref().and_then(Following::suspended_until);
            let request = match self.next.into_iter().chain(suspended_until).min() {
                Some(next) => requests.recv_timeout(next.saturating_duration_since(Instant::now())),
                None => requests.recv().map_err(RecvTimeoutError::from),
            };
            match request {
                Ok(FollowRequest::Source(source)) => self.set_source(source),
                Ok(FollowRequest::Look(reply)) => {
                    let outcome = self.look();
                    let outcome = self.read_host_too(outcome);
                    // The client may have gone.
                    let _not_awaited = reply.map(|reply| reply.send(outcome));
                }
                Ok(FollowRequest::Order(order, reply)) => {
                    let answer = self.carry_out(order);
                    let _not_awaited = reply.send(answer);
                }
                Err(RecvTimeoutError::Timeout) => drop(self.look()),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Has the host's own file read as well, unless that was done.
    fn read_host_too(&self, outcome: LookOutcome) -> LookOutcome {
        if matches!(outcome, LookOutcome::InForce { generation: Some(_), .. }) {
            return outcome;
        }
        match (self.setup.host.reload(), outcome) {
            (Reloaded::Accepted(generation, changed), LookOutcome::InForce { .. }) => {
                LookOutcome::InForce { generation: Some(generation), changed }
            }
            (Reloaded::Rejected(problem), LookOutcome::InForce { .. }) => {
                LookOutcome::Trouble(format!("the host's own file is wrong: {problem}"))
            }
            (Reloaded::Closing, LookOutcome::InForce { .. }) => LookOutcome::Trouble("navigator is shutting down".to_owned()),
            (_, outcome) => outcome,
        }
    }

    fn set_source(&mut self, source: Option<Arc<HostSource>>) {
        let Some(source) = source else {
            (self.following, self.unopened, self.next) = (None, None, None);
            self.setup.host.report(None);
            info!(target: "source", "Following no repository any more");
            return;
        };
        // Its lock is released before the directory is opened again.
        self.following = None;
        self.unopened = Some(UnopenedSource { source, message: None, next_at: None });
        self.failures = 0;
        drop(self.look());
    }

    /// Opens the data directory if that wasn't possible before.
    pub(super) fn open_data(&mut self) -> Result<(), String> {
        let Some(unopened) = &self.unopened else { return Ok(()) };
        let following = self.open(&unopened.source)?;
        let is_unread = self.setup.in_force.get().is_none() && following.ledger.in_force.is_some();
        if is_unread {
            // The commit that was in force when a repository was followed last.
            in_force_at_start(&following.data, &self.setup.in_force)?;
        }
        (self.following, self.unopened) = (Some(following), None);
        // The first fetch may take long.
        self.report();
        if is_unread && self.setup.host.reload() == Reloaded::Closing {
            return Err("navigator is shutting down".to_owned());
        }
        Ok(())
    }

    /// Notes that the data directory can't be used, and when that is tried again.
    pub(super) fn wait_for_data(&mut self, message: String) -> LookOutcome {
        if let Some(unopened) = &mut self.unopened {
            if unopened.message.as_ref() != Some(&message) {
                error!(target: "source", reason = message, "Failed to follow the repository");
            }
            self.failures += 1;
            self.looks += 1;
            let delay = delay(&unopened.source, DATA_RETRY, self.failures, self.looks);
            self.next = Some(Instant::now() + delay);
            unopened.next_at = Timestamp::now().checked_add(delay).ok();
            unopened.message = Some(message.clone());
        }
        self.report();
        LookOutcome::Trouble(message)
    }

    /// Goes on with what is remembered of a repository.
    fn open(&self, source: &Arc<HostSource>) -> Result<Following, String> {
        let data = DataDir::open(&self.setup.data, &self.setup.config, self.setup.trust).map_err(|error| error.to_string())?;
        let ledger =
            Ledger::read(&data).map_err(|error| format!("failed to read the ledger in `{}`: {error}", data.path().display()))?;
        let git = Git::new(Arc::clone(&self.setup.host), data.mirror(), source.git.clone());
        let mirror = Mirror::new(git, data.mirror(), source.git.clone());
        let checkouts = Checkouts::new(data.clone());
        let in_force = ledger.in_force.as_ref().map(|taken| taken.commit.id.as_str());
        let removed = checkouts.remove_leftovers(in_force);
        removed.map_err(|error| format!("failed to remove unfinished files in `{}`: {error}", data.path().display()))?;
        Ok(Following { source: Arc::clone(source), data, ledger, mirror, checkouts, seen: SeenState::default() })
    }

    /// Looks for the newest commit and does what follows from it.
    pub(super) fn look(&mut self) -> LookOutcome {
        if let Err(message) = self.open_data() {
            return self.wait_for_data(message);
        }
        let Some(following) = &mut self.following else { return LookOutcome::Trouble("no repository is followed".to_owned()) };
        following.end_suspension();
        let outcome = following.look(&self.setup);
        let had_trouble = following.seen.trouble.is_some();
        if let LookOutcome::Trouble(message) = &outcome {
            if following.seen.trouble.as_deref() != Some(message) {
                warn!(target: "source", reason = message, "Look failed");
            }
            following.seen.trouble = Some(message.clone());
            self.failures += 1;
        } else {
            if had_trouble {
                info!(target: "source", "Looking again");
            }
            following.seen.trouble = None;
            self.failures = 0;
        }
        self.looks += 1;
        let delay = delay(&following.source, following.source.git.interval, self.failures, self.looks);
        self.next = Some(Instant::now() + delay);
        following.seen.next_at = Timestamp::now().checked_add(delay).ok();
        self.report();
        outcome
    }

    /// Shows the state.
    pub(super) fn report(&self) {
        let unopened = || self.unopened.as_ref().map(UnopenedSource::snapshot);
        self.setup.host.report(self.following.as_ref().map(Following::snapshot).or_else(unopened));
    }
}

impl Following {
    /// Ends a suspension when its time is over.
    fn end_suspension(&mut self) {
        let now = Timestamp::now().as_millisecond();
        let is_over = self.ledger.suspended.as_ref().is_some_and(|suspended| suspended.until.is_some_and(|until| until <= now));
        if is_over {
            self.ledger.suspended = None;
            info!(target: "source", "Resumed");
        }
    }

    /// When a suspension ends by itself.
    fn suspended_until(&self) -> Option<Instant> {
        let until = self.ledger.suspended.as_ref()?.until?;
        let left = until.saturating_sub(Timestamp::now().as_millisecond());
        Instant::now().checked_add(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }

    /// Notes the newest commit and what became of it.
    pub(super) fn note_newest(&mut self, info: &CommitInfo, outcome: &str, reason: Option<&str>, message: Option<&str>) {
        let CommitInfo { id, subject, author } = info.clone();
        let (reason, message) = (reason.map(str::to_owned), message.map(str::to_owned));
        let former = self.seen.newest.take();
        let is_same = |former: &NewestSnapshot| former.commit == id && former.outcome == outcome && former.reason == reason;
        let since = former.filter(is_same).map_or_else(|| crate::snapshot::Moment(Timestamp::now()), |former| former.since);
        self.seen.newest =
            Some(NewestSnapshot { commit: id, subject, author, outcome: outcome.to_owned(), reason, message, since });
    }

    /// Whether this is what became of the newest commit at the last look, too.
    pub(super) fn is_known(&self, newest: &Newest, outcome: &str, reason: &str) -> bool {
        let known = self.seen.newest.as_ref();
        known.is_some_and(|known| {
            known.commit == newest.commit && known.outcome == outcome && known.reason.as_deref() == Some(reason)
        })
    }
}

/// The time until the next look. Hosts have different phases, and failures make it longer.
fn delay(source: &HostSource, interval: Duration, failures: u32, looks: u64) -> Duration {
    let backoff = interval.saturating_mul(1 << failures.min(10)).min(MAX_BACKOFF.max(interval));
    let phase = fnv1a(format!("{} {looks}", source.host).as_bytes()) % 2001;
    // From nine tenths to eleven tenths.
    backoff.mul_f64(0.9 + f64::from(u32::try_from(phase).unwrap_or(0)) / 10_000.0)
}
