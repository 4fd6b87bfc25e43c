//! A repository that can't be followed yet, because the data directory can't be used.

use super::command::shown_url;
use crate::config::{GitSource, HostSource};
use crate::snapshot::{ConditionSnapshot, Moment, SourceSnapshot};
use jiff::Timestamp;
use std::sync::Arc;

/// A repository that can't be followed yet.
pub(super) struct UnopenedSource {
    pub(super) source: Arc<HostSource>,
    /// Why, once that was tried.
    pub(super) message: Option<String>,
    /// When it is tried next.
    pub(super) next_at: Option<Timestamp>,
}

impl UnopenedSource {
    /// The state now.
    pub(super) fn snapshot(&self) -> SourceSnapshot {
        let synced = match &self.message {
            Some(message) => condition("Synced", "False", "Trouble", message.clone(), None),
            None => condition("Synced", "Unknown", "NotYet", "not fetched yet".to_owned(), None),
        };
        let fetched = condition("Fetched", "Unknown", "NotYet", "not fetched yet".to_owned(), None);
        SourceSnapshot { next_at: self.next_at.map(Moment), conditions: vec![fetched, synced], ..blank(&self.source.git) }
    }
}

/// The state of a repository of which nothing is known.
pub(super) fn blank(git: &GitSource) -> SourceSnapshot {
    SourceSnapshot {
        kind: "git".to_owned(),
        url: git.urls.first().map(|url| shown_url(url)).unwrap_or_default(),
        reference: git.reference.name().to_owned(),
        path: git.path.clone(),
        in_force: None,
        newest: None,
        suspended: None,
        pinned: None,
        drift: Vec::new(),
        fetched_at: None,
        next_at: None,
        conditions: Vec::new(),
    }
}

/// A condition.
pub(super) fn condition(kind: &str, status: &str, reason: &str, message: String, since: Option<Timestamp>) -> ConditionSnapshot {
    let since = since.map(Moment);
    ConditionSnapshot { kind: kind.to_owned(), status: status.to_owned(), reason: reason.to_owned(), message, since }
}
