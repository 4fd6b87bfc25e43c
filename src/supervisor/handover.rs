//! Has another program take over this process, once that is possible without losing anything.

use super::host::{Host, Perform};
use super::inbox::HandoverOrder;
use super::log_events;
use super::state::{PendingHandover, Supervisor};
use reconcile::event::{Event, RunId};
use reconcile::observed::Run;
use reconcile::spec::Announce;
use reconcile::text::Name;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::task::yield_now;
use tokio::time::Instant;

/// How long to wait for starts, and then for output to be written.
const QUIET_WITHIN: Duration = Duration::from_secs(1);

/// Why this program goes on, in words.
enum Obstacle {
    /// It may be over soon.
    ForNow(String),
    Lasting(String),
}

impl<P: Perform, S: Host> Supervisor<P, S> {
    /// Begins a handover, unless there is a reason against it.
    pub(super) fn begin_handover(&mut self, order: Box<HandoverOrder>, reply: oneshot::Sender<String>) {
        let refusal = if self.engine.orders().closing().is_some() {
            "navigator is shutting down"
        } else if self.handover.is_some() {
            "another upgrade is under way"
        } else {
            log_events::handing_over(&order.version, &order.program.path);
            self.handover = Some(PendingHandover { order, reply, until: Instant::now() + QUIET_WITHIN });
            return;
        };
        let _not_awaited = reply.send(refusal.to_owned());
    }

    /// When to give up a handover.
    pub(super) fn handover_due(&self) -> Option<Instant> {
        self.handover.as_ref().map(|pending| pending.until)
    }

    /// Hands over if nothing is under way; gives up if that takes too long. Returns only if this program goes on.
    ///
    /// `has_heard_all`: whether the loop has received everything that was sent to it. What it doesn't handle would be lost, such as
    /// the end of a process that is reaped.
    pub(super) async fn hand_over_if_quiet(&mut self, has_heard_all: impl Fn() -> bool) {
        let Some(pending) = self.handover.take() else { return };
        let why = match self.try_hand_over(&pending.order, has_heard_all).await {
            Obstacle::ForNow(_) if Instant::now() < pending.until => {
                self.handover = Some(pending);
                return;
            }
            Obstacle::ForNow(why) | Obstacle::Lasting(why) => why,
        };
        log_events::handover_failed(&why);
        let _not_awaited = pending.reply.send(why);
    }

    async fn try_hand_over(&self, order: &HandoverOrder, has_heard_all: impl Fn() -> bool) -> Obstacle {
        if let Some(why) = self.obstacle() {
            return Obstacle::ForNow(why);
        }
        let paused = self.performer.pause_output(QUIET_WITHIN).await;
        // The tasks that have been woken meanwhile send what they know.
        yield_now().await;
        match paused {
            // Much may have happened meanwhile.
            Ok(_) if !has_heard_all() || self.performer.has_events() => Obstacle::ForNow("too much happens at once".to_owned()),
            Ok(output) => Obstacle::Lasting(self.host.hand_over(order, output)),
            Err(stuck) => Obstacle::Lasting(stuck),
        }
    }

    /// What the next program could not go on with.
    fn obstacle(&self) -> Option<String> {
        // The next program reads the file first of all.
        if self.host.source().has_pending_change() {
            return Some("a change of the configuration is being read".to_owned());
        }
        if !self.file.errors.is_empty() {
            return Some(
                "the configuration on disk is rejected: mend it first, `navigator status` says what is wrong".to_owned(),
            );
        }
        let listed = |names: Vec<Name>| names.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        let starting = self.performer.starting();
        if !starting.is_empty() {
            return Some(format!("a start hangs in its exec: {}", listed(starting)));
        }
        let all = self.engine.observed().processes().values().flat_map(|process| &process.runs);
        let announces = |announce: Option<Announce>| matches!(announce, Some(Announce::Fd(_)));
        let unready = all.filter(|run| run.ready.is_none() && run.is_undisturbed() && announces(run.spec.exec.announce));
        let unready: Vec<Name> = unready.map(|run| run.spec.name.clone()).collect();
        (!unready.is_empty()).then(|| format!("a process has not announced yet that it is ready: {}", listed(unready)))
    }

    /// The processes with a run that goes on. `since`: what has happened to others.
    pub(super) fn undisturbed(&self, since: &[Event]) -> Vec<Name> {
        let ended: Vec<RunId> = since.iter().filter_map(Event::run).collect();
        let is_well = |run: &Run| run.is_undisturbed() && run.up.is_some() && !ended.contains(&run.id);
        let processes = self.engine.observed().processes().iter();
        let goes_on = processes.filter(|(_, process)| process.runs.iter().any(is_well));
        goes_on.map(|(name, _)| name.clone()).collect()
    }

    /// Says that a former life was taken over, after the first step. `before`: its processes that went on.
    pub(super) fn finish_take_over(&self, before: &[Name]) {
        self.performer.take_over_done();
        let processes = self.engine.observed().processes();
        let goes_on = |name: &&Name| {
            processes.get(*name).is_some_and(|process| process.runs.iter().all(|run| run.is_undisturbed() && run.up.is_some()))
        };
        let same = before.iter().filter(goes_on).count();
        self.host.taken_over(before.len(), before.len() - same);
    }
}
