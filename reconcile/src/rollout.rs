//! Which commit of a followed repository this host takes, and why it doesn't take another.
//!
//! Facts in, decisions out. A verdict belongs to what was read, not to the commit: a commit that reads the same as a rejected one is
//! not tried again. A commit must descend from the newest one that was ever taken.

use alloc::string::String;
use alloc::vec::Vec;

/// What became of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is in force.
    Good,
    /// Nothing that this host reads differs from what was in force.
    Unchanged,
    /// It must not be in force.
    Rejected,
    /// It may be in force, but not now.
    Held,
    /// It was tried, and didn't work.
    Failed,
}

impl CommitOutcome {
    /// Every outcome.
    const ALL: [CommitOutcome; 5] =
        [CommitOutcome::Good, CommitOutcome::Unchanged, CommitOutcome::Rejected, CommitOutcome::Held, CommitOutcome::Failed];

    /// Its name in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            CommitOutcome::Good => "good",
            CommitOutcome::Unchanged => "unchanged",
            CommitOutcome::Rejected => "rejected",
            CommitOutcome::Held => "held",
            CommitOutcome::Failed => "failed",
        }
    }

    /// The outcome with this name.
    pub fn named(name: &str) -> Option<CommitOutcome> {
        CommitOutcome::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }
}

/// Why a commit is not in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitReason {
    /// It doesn't descend from the newest commit that was taken.
    HistoryRewritten,
    /// A tag that was taken leads to another commit now.
    TagMoved,
    /// Its configuration is wrong.
    Invalid,
    /// It has no file at the path.
    PathMissing,
    /// Following is suspended.
    Suspended,
    /// Another commit is pinned.
    Pinned,
    /// It reads the same as a commit that was left by hand.
    RolledBack,
    /// It comes from another repository than the commits before.
    AwaitingApproval,
    /// Navigator ended twice while it was put in force.
    Interrupted,
}

impl CommitReason {
    /// Every reason.
    const ALL: [CommitReason; 9] = [
        CommitReason::HistoryRewritten,
        CommitReason::TagMoved,
        CommitReason::Invalid,
        CommitReason::PathMissing,
        CommitReason::Suspended,
        CommitReason::Pinned,
        CommitReason::RolledBack,
        CommitReason::AwaitingApproval,
        CommitReason::Interrupted,
    ];

    /// Its name in files and answers.
    pub fn as_str(self) -> &'static str {
        match self {
            CommitReason::HistoryRewritten => "HistoryRewritten",
            CommitReason::TagMoved => "TagMoved",
            CommitReason::Invalid => "Invalid",
            CommitReason::PathMissing => "PathMissing",
            CommitReason::Suspended => "Suspended",
            CommitReason::Pinned => "Pinned",
            CommitReason::RolledBack => "RolledBack",
            CommitReason::AwaitingApproval => "AwaitingApproval",
            CommitReason::Interrupted => "Interrupted",
        }
    }

    /// The reason with this name.
    pub fn named(name: &str) -> Option<CommitReason> {
        CommitReason::ALL.into_iter().find(|reason| reason.as_str() == name)
    }

    /// Whether a person holds the commit back. Then the host is as it is meant to be.
    pub fn is_by_hand(self) -> bool {
        use CommitReason::{AwaitingApproval, Pinned, RolledBack, Suspended};
        matches!(self, Suspended | Pinned | RolledBack | AwaitingApproval)
    }
}

/// What is known about the commits of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommitFacts {
    /// The commit in force, and what was read of it.
    pub in_force: Option<(String, String)>,
    /// The newest commit that was ever taken.
    pub floor: Option<String>,
    /// Following is suspended.
    pub is_suspended: bool,
    /// The commit to stay at.
    pub pinned: Option<String>,
    /// What was read of the commit that was left by hand.
    pub left: Option<String>,
    /// What was read of commits that can't be in force.
    pub verdicts: Vec<(String, CommitOutcome, CommitReason)>,
    /// What is being put in force, and how often that was begun.
    pub attempt: Option<(String, u32)>,
}

/// A commit, as far as it is known without reading it.
#[derive(Clone, Copy, Debug)]
pub struct SeenCommit<'a> {
    /// Its id.
    pub id: &'a str,
    /// Whether it descends from the newest commit that was taken.
    pub descends: bool,
    /// Whether its tag led to another commit when it was taken.
    pub is_moved_tag: bool,
    /// Whether it comes from another repository than the commit in force.
    pub is_from_elsewhere: bool,
}

/// What was read of a commit.
#[derive(Clone, Copy, Debug)]
pub struct ReadCommit<'a> {
    /// Identifies everything that was read.
    pub read: &'a str,
    /// Why it can't be in force; `None`: it is valid.
    pub wrong: Option<CommitReason>,
}

/// What to do about a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitStep {
    /// Nothing: it is in force.
    Stay,
    /// Don't take it.
    Refuse(CommitOutcome, CommitReason),
    /// Read it, and ask again.
    Read,
    /// Move on to it: nothing that this host reads differs.
    Move,
    /// Put it in force.
    Apply,
}

/// How often an attempt is made that navigator's end interrupts.
const ATTEMPTS: u32 = 2;

impl CommitFacts {
    /// The pinned commit, if it is not in force yet.
    pub fn pinned_to_apply(&self) -> Option<&str> {
        let pinned = self.pinned.as_deref()?;
        self.in_force.as_ref().is_none_or(|(commit, _)| commit != pinned).then_some(pinned)
    }

    /// What to do about the wanted commit. A pinned one was chosen by hand, and need not descend from another.
    pub fn before_reading(&self, seen: SeenCommit<'_>) -> CommitStep {
        use CommitOutcome::{Held, Rejected};
        let is_pinned = self.pinned.as_deref() == Some(seen.id);
        if self.in_force.as_ref().is_some_and(|(commit, _)| commit == seen.id) {
            CommitStep::Stay
        } else if self.is_suspended {
            CommitStep::Refuse(Held, CommitReason::Suspended)
        } else if is_pinned {
            CommitStep::Read
        } else if self.pinned.is_some() {
            CommitStep::Refuse(Held, CommitReason::Pinned)
        } else if seen.is_from_elsewhere {
            CommitStep::Refuse(Held, CommitReason::AwaitingApproval)
        } else if seen.is_moved_tag {
            CommitStep::Refuse(Rejected, CommitReason::TagMoved)
        } else if self.floor.is_some() && !seen.descends {
            CommitStep::Refuse(Rejected, CommitReason::HistoryRewritten)
        } else {
            CommitStep::Read
        }
    }

    /// What to do about a commit that was read.
    pub fn after_reading(&self, commit: ReadCommit<'_>) -> CommitStep {
        use CommitOutcome::{Failed, Held, Rejected};
        let known = self.verdicts.iter().find(|(read, ..)| read == commit.read);
        if self.in_force.as_ref().is_some_and(|(_, read)| read == commit.read) {
            CommitStep::Move
        } else if let Some((_, outcome, reason)) = known {
            CommitStep::Refuse(*outcome, *reason)
        } else if let Some(reason) = commit.wrong {
            CommitStep::Refuse(Rejected, reason)
        } else if self.left.as_deref() == Some(commit.read) {
            CommitStep::Refuse(Held, CommitReason::RolledBack)
        } else if self.attempt.as_ref().is_some_and(|(read, begun)| read == commit.read && *begun >= ATTEMPTS) {
            CommitStep::Refuse(Failed, CommitReason::Interrupted)
        } else {
            CommitStep::Apply
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> CommitFacts {
        CommitFacts { in_force: Some(("a".into(), "read-a".into())), floor: Some("a".into()), ..CommitFacts::default() }
    }

    const SEEN: SeenCommit<'_> = SeenCommit { id: "b", descends: true, is_moved_tag: false, is_from_elsewhere: false };

    #[test]
    fn names_lead_back() {
        for outcome in CommitOutcome::ALL {
            assert_eq!(CommitOutcome::named(outcome.as_str()), Some(outcome));
        }
        for reason in CommitReason::ALL {
            assert_eq!(CommitReason::named(reason.as_str()), Some(reason));
        }
    }

    #[test]
    fn a_commit_is_read_unless_it_must_not_be_taken() {
        use CommitOutcome::{Held, Rejected};
        use CommitReason::{AwaitingApproval, HistoryRewritten, Pinned, Suspended, TagMoved};
        let pinned = |id: &str| CommitFacts { pinned: Some(id.into()), ..facts() };
        let suspended = CommitFacts { is_suspended: true, ..facts() };
        for (facts, seen, expected) in [
            (facts(), SEEN, CommitStep::Read),
            (facts(), SeenCommit { id: "a", ..SEEN }, CommitStep::Stay),
            (facts(), SeenCommit { descends: false, ..SEEN }, CommitStep::Refuse(Rejected, HistoryRewritten)),
            (CommitFacts::default(), SeenCommit { descends: false, ..SEEN }, CommitStep::Read),
            (facts(), SeenCommit { is_moved_tag: true, ..SEEN }, CommitStep::Refuse(Rejected, TagMoved)),
            (facts(), SeenCommit { is_from_elsewhere: true, ..SEEN }, CommitStep::Refuse(Held, AwaitingApproval)),
            (suspended.clone(), SEEN, CommitStep::Refuse(Held, Suspended)),
            (suspended, SeenCommit { id: "a", ..SEEN }, CommitStep::Stay),
            (pinned("a"), SEEN, CommitStep::Refuse(Held, Pinned)),
            (pinned("b"), SeenCommit { descends: false, ..SEEN }, CommitStep::Read),
        ] {
            assert_eq!(facts.before_reading(seen), expected, "{facts:?} {seen:?}");
        }
        assert_eq!(pinned("b").pinned_to_apply(), Some("b"));
        assert_eq!((pinned("a").pinned_to_apply(), facts().pinned_to_apply()), (None, None));
    }

    #[test]
    fn a_verdict_belongs_to_what_was_read() {
        use CommitOutcome::{Failed, Held, Rejected};
        use CommitReason::{Interrupted, Invalid, RolledBack};
        let good = |read| ReadCommit { read, wrong: None };
        let verdicts = alloc::vec![("read-x".into(), Failed, Interrupted)];
        let attempt = |begun| CommitFacts { attempt: Some(("read-b".into(), begun)), ..facts() };
        for (facts, commit, expected) in [
            (facts(), good("read-b"), CommitStep::Apply),
            (facts(), good("read-a"), CommitStep::Move),
            (facts(), ReadCommit { read: "read-b", wrong: Some(Invalid) }, CommitStep::Refuse(Rejected, Invalid)),
            (CommitFacts { verdicts, ..facts() }, good("read-x"), CommitStep::Refuse(Failed, Interrupted)),
            (CommitFacts { left: Some("read-b".into()), ..facts() }, good("read-b"), CommitStep::Refuse(Held, RolledBack)),
            (CommitFacts { left: Some("read-b".into()), ..facts() }, good("read-c"), CommitStep::Apply),
            (attempt(1), good("read-b"), CommitStep::Apply),
            (attempt(2), good("read-b"), CommitStep::Refuse(Failed, Interrupted)),
            (attempt(2), good("read-c"), CommitStep::Apply),
        ] {
            assert_eq!(facts.after_reading(commit), expected, "{facts:?} {commit:?}");
        }
    }
}
