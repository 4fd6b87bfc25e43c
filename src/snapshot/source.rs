//! A followed repository in JSON.

use super::Moment;
use serde::{Deserialize, Serialize};

/// A followed repository, as `status` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceSnapshot {
    /// `git`.
    pub kind: String,
    /// The address of the repository, without the name of a user.
    pub url: String,
    /// The branch, the tag, or the pattern of tags.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The file in the repository.
    pub path: String,
    /// The commit in force.
    pub in_force: Option<InForceSnapshot>,
    /// The newest commit.
    pub newest: Option<NewestSnapshot>,
    /// Following is suspended.
    pub suspended: Option<SuspensionSnapshot>,
    /// The commit that is pinned.
    pub pinned: Option<String>,
    /// What differs from the commit in force.
    pub drift: Vec<String>,
    /// When the repository was last fetched.
    pub fetched_at: Option<Moment>,
    /// When it is looked at next.
    pub next_at: Option<Moment>,
    /// The state in short.
    pub conditions: Vec<ConditionSnapshot>,
}

/// The commit in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InForceSnapshot {
    /// Its id.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// The author, with address.
    pub author: String,
    /// Since when.
    pub since: Moment,
}

/// The newest commit, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewestSnapshot {
    /// Its id.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// The author, with address.
    pub author: String,
    /// `good`, `unchanged`, `rejected`, `held` or `failed`.
    pub outcome: String,
    /// Why it is not in force, in one word.
    pub reason: Option<String>,
    /// Why, for people.
    pub message: Option<String>,
    /// Since when.
    pub since: Moment,
}

/// Following is suspended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspensionSnapshot {
    /// Until when; `None`: until `resume`.
    pub until: Option<Moment>,
    /// Why.
    pub reason: Option<String>,
}

/// One part of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConditionSnapshot {
    /// `Fetched`, `Synced` or `Healthy`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
    /// Since when.
    pub since: Option<Moment>,
}

impl SourceSnapshot {
    /// A condition by its name.
    pub fn condition(&self, kind: &str) -> Option<&ConditionSnapshot> {
        self.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// The same with the condition of the processes.
    #[must_use]
    pub fn with_health(mut self, is_healthy: bool) -> SourceSnapshot {
        let (status, reason, message) = match (&self.in_force, is_healthy) {
            (None, _) => ("Unknown", "NoCommit", "no commit is in force yet"),
            (Some(_), true) => ("True", "AsWanted", ""),
            (Some(_), false) => ("False", "NotAsWanted", "not every process is as the commit says"),
        };
        let [kind, status, reason, message] = ["Healthy", status, reason, message].map(str::to_owned);
        self.conditions.push(ConditionSnapshot { kind, status, reason, message, since: None });
        self
    }

    /// Whether the newest commit is in force, or a person holds it back.
    pub fn is_synced(&self) -> bool {
        self.condition("Synced").is_some_and(|synced| synced.status == "True" || BY_HAND.contains(&synced.reason.as_str()))
    }

    /// Whether the newest commit won't be in force without help.
    pub fn is_refused(&self) -> bool {
        !self.is_synced() && self.newest.as_ref().is_some_and(|newest| newest.reason.is_some())
    }
}

/// The reasons for which a person holds a commit back.
const BY_HAND: [&str; 4] = ["Suspended", "Pinned", "RolledBack", "AwaitingApproval"];
