//! Carries out what people ask of a followed repository beside a look.

use super::answers::{LookOutcome, OrderReply, ReadRevision, SourceOrder};
use super::commit_files::short;
use super::mirror::Newest;
use super::setup::FollowSetup;
use super::thread::{FollowThread, Following};
use crate::ledger::{Attempted, Suspension};
use jiff::Timestamp;
use reconcile::rollout::CommitReason;
use std::time::Duration;
use tracing::info;

impl FollowThread {
    /// Carries out an order.
    pub(super) fn carry_out(&mut self, order: SourceOrder) -> OrderReply {
        if let Err(why) = self.open_data() {
            self.wait_for_data(why.clone());
            return OrderReply::Refused(why);
        }
        let Some(following) = &mut self.following else {
            return OrderReply::Refused("no repository is followed".to_owned());
        };
        let done = match order {
            SourceOrder::Suspend(within, reason) => following.suspend(within, reason).map(|()| OrderReply::Done),
            SourceOrder::History => {
                let history = Attempted::all(&following.data).map(OrderReply::History);
                history.map_err(|error| format!("failed to read the history: {error}"))
            }
            SourceOrder::Read(revision) => following.read(&self.setup, &revision),
            SourceOrder::Resume => {
                let resumed = following.resume();
                return self.looked(resumed);
            }
            SourceOrder::Retry => {
                let retried = following.retry();
                return self.looked(retried);
            }
            SourceOrder::Pin(revision) => following.pin(&self.setup, &revision).map(OrderReply::Looked),
            SourceOrder::Rollback(revision) => following.roll_back(&self.setup, revision.as_deref()).map(OrderReply::Looked),
            SourceOrder::Accept(revision) => following.accept(&self.setup, &revision).map(OrderReply::Looked),
        };
        self.report();
        done.unwrap_or_else(OrderReply::Refused)
    }

    /// Looks after an order that succeeded.
    fn looked(&mut self, order: Result<(), String>) -> OrderReply {
        match order {
            Ok(()) => OrderReply::Looked(self.look()),
            Err(why) => OrderReply::Refused(why),
        }
    }
}

impl Following {
    fn suspend(&mut self, within: Option<Duration>, reason: Option<String>) -> Result<(), String> {
        let until = within.and_then(|within| Timestamp::now().checked_add(within).ok());
        info!(target: "source", until = until.map(tracing::field::display), reason, "Suspended");
        self.ledger.suspended = Some(Suspension { until: until.map(Timestamp::as_millisecond), reason });
        self.write_ledger()
    }

    fn resume(&mut self) -> Result<(), String> {
        if self.ledger.suspended.is_none() && self.ledger.pinned.is_none() {
            return Err("following is neither suspended, nor is a commit pinned".to_owned());
        }
        (self.ledger.suspended, self.ledger.pinned) = (None, None);
        info!(target: "source", "Resumed");
        self.write_ledger()
    }

    fn retry(&mut self) -> Result<(), String> {
        self.ledger.verdicts.clear();
        (self.ledger.left, self.ledger.attempt, self.seen.newest) = (None, None, None);
        self.write_ledger()
    }

    /// Reads a revision; changes nothing.
    fn read(&self, setup: &FollowSetup, revision: &str) -> Result<OrderReply, String> {
        self.mirror.prepare()?;
        let commit = self.mirror.resolve(revision)?;
        let candidate = self.candidate(setup, self.mirror.info(&commit)?)?;
        self.remove_old_checkouts();
        let subject = candidate.info.subject;
        Ok(OrderReply::Read(Box::new(ReadRevision { commit, subject, outcome: candidate.outcome })))
    }

    fn pin(&mut self, setup: &FollowSetup, revision: &str) -> Result<LookOutcome, String> {
        self.mirror.prepare()?;
        let commit = self.mirror.resolve(revision)?;
        let outcome = self.take_by_hand(setup, &commit, false, |following| following.ledger.pinned = Some(commit.clone()))?;
        info!(target: "source", commit, "Pinned");
        Ok(outcome)
    }

    fn roll_back(&mut self, setup: &FollowSetup, revision: Option<&str>) -> Result<LookOutcome, String> {
        self.mirror.prepare()?;
        let in_force = self.ledger.in_force.clone().ok_or("no commit is in force")?;
        let commit = if let Some(revision) = revision {
            self.mirror.resolve(revision)?
        } else {
            let former = self.ledger.former.iter().rev().find(|former| former.read != in_force.read);
            former.ok_or("no other commit was in force before")?.commit.id.clone()
        };
        let left = in_force.read.clone();
        let outcome = self.take_by_hand(setup, &commit, false, |following| following.ledger.left = Some(left.clone()))?;
        info!(target: "source", commit, from = in_force.commit.id, "Rolled back");
        let reason = CommitReason::RolledBack;
        let message = format!("it was left for {} by `navigator rollback`; `navigator retry` tries it again", short(&commit));
        self.note_newest(&in_force.commit, "held", Some(reason.as_str()), Some(&message));
        Ok(outcome)
    }

    fn accept(&mut self, setup: &FollowSetup, revision: &str) -> Result<LookOutcome, String> {
        self.mirror.prepare()?;
        let commit = self.mirror.resolve(revision)?;
        let outcome = self.take_by_hand(setup, &commit, true, |_| {})?;
        info!(target: "source", commit, "Accepted");
        Ok(outcome)
    }

    /// Puts a commit in force that a person chose; `note` is remembered with it.
    fn take_by_hand(
        &mut self,
        setup: &FollowSetup,
        commit: &str,
        is_floor: bool,
        note: impl Fn(&mut Following),
    ) -> Result<LookOutcome, String> {
        let candidate = self.candidate(setup, self.mirror.info(commit)?)?;
        if let Err(rejected) = &candidate.outcome {
            return Err(format!("the configuration of {} is wrong: {}", short(commit), rejected.summary()));
        }
        let tag = self.mirror.newest().ok().filter(|newest| newest.commit == commit).and_then(|newest| newest.tag);
        note(self);
        self.take(setup, &Newest { commit: commit.to_owned(), tag }, candidate, is_floor)
    }
}
