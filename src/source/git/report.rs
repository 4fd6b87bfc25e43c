//! The state of a followed repository as it is shown.

use super::thread::Following;
use super::unopened::{blank, condition};
use crate::ledger::TakenCommit;
use crate::snapshot::{ConditionSnapshot, InForceSnapshot, Moment, SourceSnapshot, SuspensionSnapshot};
use jiff::Timestamp;
use std::time::Duration;

/// So long without a fetch, and the repository counts as not fetched.
const STALE_AFTER: Duration = Duration::from_mins(15);

fn moment(milliseconds: i64) -> Moment {
    Moment(Timestamp::from_millisecond(milliseconds).unwrap_or(Timestamp::UNIX_EPOCH))
}

impl Following {
    /// The state now.
    pub(super) fn snapshot(&self) -> SourceSnapshot {
        let git = &self.source.git;
        let in_force = |taken: &TakenCommit| InForceSnapshot {
            commit: taken.commit.id.clone(),
            subject: taken.commit.subject.clone(),
            author: taken.commit.author.clone(),
            since: moment(taken.since),
        };
        let suspended = self.ledger.suspended.as_ref();
        let until = suspended.and_then(|suspended| suspended.until).map(moment);
        SourceSnapshot {
            in_force: self.ledger.in_force.as_ref().map(in_force),
            newest: self.seen.newest.clone(),
            suspended: suspended
                .map(|suspended| SuspensionSnapshot { until: suspended.until.map(moment), reason: suspended.reason.clone() }),
            pinned: self.ledger.pinned.clone(),
            drift: self.seen.drift.iter().map(|file| format!("{file} was edited, and restored")).collect(),
            fetched_at: self.seen.fetched_at.map(Moment),
            next_at: self.seen.next_at.map(Moment).into_iter().chain(until).min_by_key(|at| at.0),
            conditions: vec![self.fetched(), self.synced()],
            ..blank(git)
        }
    }

    fn fetched(&self) -> ConditionSnapshot {
        let now = Timestamp::now();
        let is_stale =
            |since: Timestamp| Duration::try_from(now.duration_since(since)).is_ok_and(|elapsed| elapsed >= STALE_AFTER);
        let (fetched, failing) = (self.seen.fetched_at, self.seen.failing_since);
        let status = match (fetched, failing) {
            (Some(at), _) if is_stale(at) => "False",
            (Some(_), _) => "True",
            (None, Some(_)) => "False",
            (None, None) => "Unknown",
        };
        let (reason, message) = match (&self.seen.trouble, failing) {
            (Some(trouble), Some(_)) => ("FetchFailed", trouble.clone()),
            _ if fetched.is_some() => ("Fetched", String::new()),
            _ => ("NotYet", "not fetched yet".to_owned()),
        };
        condition("Fetched", status, reason, message, failing.or(fetched))
    }

    fn synced(&self) -> ConditionSnapshot {
        let newest = self.seen.newest.as_ref();
        let since = newest.map(|newest| newest.since.0);
        if let (Some(trouble), None) = (&self.seen.trouble, self.seen.failing_since) {
            // A newer commit may have been fetched that this host can't put in force now.
            return condition("Synced", "Unknown", "Trouble", trouble.clone(), None);
        }
        match (newest, &self.ledger.in_force) {
            (Some(newest), _) if newest.reason.is_some() => {
                let reason = newest.reason.as_deref().unwrap_or_default();
                condition("Synced", "False", reason, newest.message.clone().unwrap_or_default(), since)
            }
            (Some(newest), Some(in_force)) if newest.commit == in_force.commit.id => {
                condition("Synced", "True", "InForce", String::new(), since)
            }
            (_, None) => {
                let why = self.seen.trouble.clone().unwrap_or_else(|| "no commit is in force yet".to_owned());
                condition("Synced", "False", "NoCommit", why, None)
            }
            (_, Some(_)) => match &self.seen.trouble {
                Some(trouble) => condition("Synced", "Unknown", "Trouble", trouble.clone(), None),
                None => condition("Synced", "Unknown", "NotYet", "not fetched yet".to_owned(), None),
            },
        }
    }
}
