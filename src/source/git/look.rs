//! A look at the repository: what is newest, whether it is taken, and how it is put in force.

use super::Reloaded;
use super::answers::{LookOutcome, RefusedCommit};
use super::commit_files::{Checkout, KnownFiles, load_checkout, short};
use super::mirror::Newest;
use super::setup::FollowSetup;
use super::thread::Following;
use crate::config::{Diagnostic, Loaded, Rejected};
use crate::error_text::words;
use crate::ledger::{Attempted, BegunAttempt, CommitInfo, TakenCommit, Verdict};
use jiff::Timestamp;
use reconcile::rollout::{CommitFacts, CommitOutcome, CommitReason, CommitStep, ReadCommit, SeenCommit};
use std::io;
use std::time::Instant;
use tracing::{info, warn};

/// A commit that was read.
pub(super) struct CandidateCommit {
    pub(super) info: CommitInfo,
    pub(super) outcome: Result<Loaded, Rejected>,
    pub(super) known: KnownFiles,
    /// Identifies everything that was read.
    pub(super) read: String,
}

impl Following {
    /// Looks for the newest commit, and puts it in force if it is wanted.
    pub(super) fn look(&mut self, setup: &FollowSetup) -> LookOutcome {
        self.try_look(setup).unwrap_or_else(LookOutcome::Trouble)
    }

    /// Looks. A damaged clone is made anew, once.
    fn try_look(&mut self, setup: &FollowSetup) -> Result<LookOutcome, String> {
        match self.look_once(setup) {
            Err(why) if self.mirror.is_damaged(&why) => {
                warn!(target: "source", reason = why, "Cloning again");
                self.mirror.make()?;
                self.look_once(setup)
            }
            outcome => outcome,
        }
    }

    fn look_once(&mut self, setup: &FollowSetup) -> Result<LookOutcome, String> {
        self.mirror.prepare()?;
        let now = Timestamp::now();
        if let Err(why) = self.mirror.fetch() {
            self.seen.failing_since.get_or_insert(now);
            return Err(why);
        }
        (self.seen.fetched_at, self.seen.failing_since) = (Some(now), None);
        let newest = self.mirror.newest()?;
        match self.facts().pinned_to_apply() {
            Some(pinned) => self.consider(setup, &Newest { commit: pinned.to_owned(), tag: None }),
            None => self.consider(setup, &newest),
        }
    }

    /// Judges a commit, and puts it in force if it is wanted.
    pub(super) fn consider(&mut self, setup: &FollowSetup, newest: &Newest) -> Result<LookOutcome, String> {
        let facts = self.facts();
        let info = self.mirror.info(&newest.commit)?;
        if !self.is_seen(newest) {
            info!(target: "source", commit = newest.commit, subject = info.subject, "Commit fetched");
        }
        let descends = match &self.ledger.floor {
            Some(floor) => self.mirror.descends(&newest.commit, floor)?,
            None => true,
        };
        let is_moved = |tag: &String| self.ledger.tags.get(tag).is_some_and(|taken| *taken != newest.commit);
        let seen = SeenCommit {
            id: &newest.commit,
            descends,
            is_moved_tag: newest.tag.as_ref().is_some_and(is_moved),
            is_from_elsewhere: self.ledger.url.as_ref().is_some_and(|url| !self.source.git.urls.contains(url)),
        };
        match facts.before_reading(seen) {
            CommitStep::Stay => Ok(self.stay(&info)),
            CommitStep::Refuse(outcome, reason) => {
                self.restore_current();
                let message = self.message(reason);
                Ok(self.refuse(newest, &info, outcome, reason, message, Vec::new()))
            }
            CommitStep::Read | CommitStep::Move | CommitStep::Apply => {
                let candidate = self.candidate(setup, info)?;
                self.decide(setup, &facts, newest, candidate)
            }
        }
    }

    fn decide(
        &mut self,
        setup: &FollowSetup,
        facts: &CommitFacts,
        newest: &Newest,
        candidate: CandidateCommit,
    ) -> Result<LookOutcome, String> {
        let wrong = match &candidate.outcome {
            Ok(_) => None,
            Err(_) if !self.mirror.has_file(&newest.commit, &self.source.git.path)? => Some(CommitReason::PathMissing),
            Err(_) => Some(CommitReason::Invalid),
        };
        match facts.after_reading(ReadCommit { read: &candidate.read, wrong }) {
            CommitStep::Refuse(outcome, reason) => {
                let (message, diagnostics) = match &candidate.outcome {
                    Err(rejected) if reason == CommitReason::Invalid => (rejected.summary(), rejected.diagnostics.clone()),
                    _ => (self.message(reason), Vec::new()),
                };
                let verdict = Verdict {
                    read: candidate.read,
                    outcome: outcome.as_str().to_owned(),
                    reason: reason.as_str().to_owned(),
                    message: message.clone(),
                };
                if outcome != CommitOutcome::Held {
                    self.ledger.attempt.take_if(|attempt| attempt.read == verdict.read);
                    self.ledger.judge(verdict);
                    self.write_ledger()?;
                }
                Ok(self.refuse(newest, &candidate.info, outcome, reason, message, diagnostics))
            }
            _ => self.take(setup, newest, candidate, self.ledger.pinned.is_none()),
        }
    }

    /// Reads a commit as if it were in force.
    pub(super) fn candidate(&self, setup: &FollowSetup, info: CommitInfo) -> Result<CandidateCommit, String> {
        self.checkouts.make(&self.mirror, &info.id)?;
        let host = setup.files.read_host().map_err(|rejected| format!("the host's own file is wrong: {}", rejected.summary()))?;
        let path = self.checkouts.path(&info.id);
        let current = self.data.current();
        let checkout = Checkout { commit: &info.id, path: &path, directory: &current };
        let (outcome, known) =
            setup.files.read_with(|files, environment| load_checkout(&host, &self.source, checkout, files, environment));
        let content = match &outcome {
            Ok(loaded) => loaded.content,
            Err(rejected) => *rejected.content,
        };
        let read = format!("{}-{content}", host.content);
        Ok(CandidateCommit { info, outcome, known, read })
    }

    /// Puts a valid commit in force. With `is_floor`, those that follow must descend from it.
    pub(super) fn take(
        &mut self,
        setup: &FollowSetup,
        newest: &Newest,
        candidate: CandidateCommit,
        is_floor: bool,
    ) -> Result<LookOutcome, String> {
        let CandidateCommit { info, outcome, known, read } = candidate;
        let begun = self.ledger.attempt.as_ref().filter(|attempt| attempt.read == read).map_or(0, |attempt| attempt.begun) + 1;
        self.ledger.attempt = Some(BegunAttempt { commit: info.id.clone(), read: read.clone(), begun });
        self.write_ledger()?;
        let (started, at) = (Instant::now(), Timestamp::now());
        let plan = outcome.ok().and_then(|loaded| setup.host.plan(&loaded.desired));
        let former = setup.in_force.get();
        let files = self.checkouts.put_in_force(&info.id, known).map_err(|error| unwritable(&error))?;
        setup.in_force.set(Some(files));
        let (generation, is_changed) = match setup.host.reload() {
            Reloaded::Accepted(generation, is_changed) => (generation, is_changed),
            Reloaded::Closing | Reloaded::Rejected(_) if former.is_none() => {
                setup.in_force.set(None);
                return Err(NOT_TAKEN.to_owned());
            }
            Reloaded::Closing | Reloaded::Rejected(_) => {
                // The host's files have changed meanwhile: the next look reads everything again.
                let back = former.as_ref().map(|former| self.checkouts.reopen(&former.commit));
                setup.in_force.set(former);
                drop(setup.host.reload());
                self.ledger.attempt = None;
                self.write_ledger()?;
                back.transpose().map_err(|error| unwritable(&error))?;
                return Err(NOT_TAKEN.to_owned());
            }
        };
        let since = Timestamp::now().as_millisecond();
        self.ledger.take(TakenCommit { commit: info.clone(), read, since });
        if is_floor {
            self.ledger.left = None;
            self.raise_floor(newest);
        }
        self.write_ledger()?;
        let outcome = if is_changed { CommitOutcome::Good } else { CommitOutcome::Unchanged };
        info!(target: "source", commit = info.id, subject = info.subject, generation, outcome = outcome.as_str(), "Commit applied");
        self.note_newest(&info, outcome.as_str(), None, None);
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let attempted = Attempted {
            at: at.as_millisecond(),
            commit: info.id.clone(),
            subject: info.subject,
            author: info.author,
            outcome: outcome.as_str().to_owned(),
            reason: None,
            message: None,
            generation: Some(generation),
            duration_ms,
            plan: plan.filter(|_| is_changed),
        };
        self.tidy(&attempted);
        Ok(LookOutcome::InForce { generation: Some(generation), changed: is_changed })
    }

    /// From now on, commits must descend from this one.
    pub(super) fn raise_floor(&mut self, newest: &Newest) {
        self.ledger.floor = Some(newest.commit.clone());
        self.ledger.url = self.source.git.urls.first().cloned();
        if let Some(tag) = &newest.tag {
            self.ledger.tags.insert(tag.clone(), newest.commit.clone());
        }
    }

    /// What is done after a commit is in force. It is in force even if this fails.
    fn tidy(&self, attempted: &Attempted) {
        self.remember(attempted);
        let in_force = attempted.commit.as_str();
        let floor = self.ledger.floor.as_deref().unwrap_or(in_force);
        if let Err(reason) = self.mirror.keep(in_force, floor) {
            warn!(target: "source", reason, "Failed to keep commits");
        }
        self.remove_old_checkouts();
    }

    fn remember(&self, attempted: &Attempted) {
        if let Err(error) = attempted.write(&self.data) {
            warn!(target: "source", reason = unwritable(&error), "Failed to write the history");
        }
    }

    /// Removes checkouts that are no longer of use.
    pub(super) fn remove_old_checkouts(&self) {
        let wanted: Vec<&str> =
            self.ledger.in_force.iter().chain(self.ledger.former.last()).map(|taken| &*taken.commit.id).collect();
        if let Err(error) = self.checkouts.remove_old(&wanted) {
            warn!(target: "source", reason = words(&error), "Failed to remove old checkouts");
        }
    }

    /// The wanted commit is in force.
    fn stay(&mut self, info: &CommitInfo) -> LookOutcome {
        self.restore_current();
        let outcome = self.seen.newest.as_ref().filter(|known| known.commit == info.id && known.reason.is_none());
        let outcome = outcome.map_or_else(|| CommitOutcome::Good.as_str().to_owned(), |known| known.outcome.clone());
        self.note_newest(info, &outcome, None, None);
        LookOutcome::InForce { generation: None, changed: false }
    }

    /// Puts files of the checkout in force back that were edited.
    fn restore_current(&mut self) {
        let Some(in_force) = &self.ledger.in_force else { return };
        match self.checkouts.make(&self.mirror, &in_force.commit.id) {
            Ok(changed) => {
                for file in &changed {
                    warn!(target: "source", commit = in_force.commit.id, file, "Drift");
                }
                self.seen.drift = changed;
            }
            Err(reason) => warn!(target: "source", reason, "Failed to put the checkout in order"),
        }
    }

    /// A commit is not taken. It is logged once.
    fn refuse(
        &mut self,
        newest: &Newest,
        info: &CommitInfo,
        outcome: CommitOutcome,
        reason: CommitReason,
        message: String,
        diagnostics: Vec<Diagnostic>,
    ) -> LookOutcome {
        if !self.is_known(newest, outcome.as_str(), reason.as_str()) {
            let (commit, detail) = (newest.commit.as_str(), message.as_str());
            match outcome {
                CommitOutcome::Held => info!(target: "source", commit, reason = reason.as_str(), detail, "Commit held"),
                CommitOutcome::Failed => warn!(target: "source", commit, reason = reason.as_str(), detail, "Commit failed"),
                _ => warn!(target: "source", commit, reason = reason.as_str(), detail, "Commit rejected"),
            }
            let attempted = Attempted {
                at: Timestamp::now().as_millisecond(),
                commit: info.id.clone(),
                subject: info.subject.clone(),
                author: info.author.clone(),
                outcome: outcome.as_str().to_owned(),
                reason: Some(reason.as_str().to_owned()),
                message: Some(message.clone()),
                generation: None,
                duration_ms: 0,
                plan: None,
            };
            self.remember(&attempted);
            self.remove_old_checkouts();
        }
        self.note_newest(info, outcome.as_str(), Some(reason.as_str()), Some(&message));
        LookOutcome::Refused(RefusedCommit { commit: info.id.clone(), outcome, reason, message, diagnostics })
    }

    fn is_seen(&self, newest: &Newest) -> bool {
        self.seen.newest.as_ref().is_some_and(|seen| seen.commit == newest.commit)
            || self.ledger.in_force.as_ref().is_some_and(|in_force| in_force.commit.id == newest.commit)
    }

    /// Why a commit is not in force, for people.
    fn message(&self, reason: CommitReason) -> String {
        let floor = self.ledger.floor.as_deref().map(short).unwrap_or_default();
        match reason {
            CommitReason::HistoryRewritten => {
                format!("it does not descend from {floor}, which was in force; `navigator accept` takes it all the same")
            }
            CommitReason::TagMoved => "its tag led to another commit before; `navigator accept` takes it all the same".to_owned(),
            CommitReason::Invalid => "its configuration is wrong".to_owned(),
            CommitReason::PathMissing => format!("it has no file `{}`", self.source.git.path),
            CommitReason::Suspended => {
                let why = self.ledger.suspended.as_ref().and_then(|suspended| suspended.reason.as_deref());
                let why = why.map(|why| format!(": {why}")).unwrap_or_default();
                format!("following is suspended{why}; `navigator resume` ends that")
            }
            CommitReason::Pinned => {
                let pinned = self.ledger.pinned.as_deref().map(short).unwrap_or_default();
                format!("{pinned} is pinned; `navigator resume` ends that")
            }
            CommitReason::RolledBack => "it was left by `navigator rollback`; `navigator retry` tries it again".to_owned(),
            CommitReason::AwaitingApproval => {
                "it comes from another repository than the commits before; `navigator accept` takes it".to_owned()
            }
            CommitReason::Interrupted => {
                "navigator ended twice while it was put in force; `navigator retry` tries it again".to_owned()
            }
        }
    }

    /// What the decision goes by.
    pub(super) fn facts(&self) -> CommitFacts {
        let ledger = &self.ledger;
        let verdict = |verdict: &Verdict| {
            let outcome = CommitOutcome::named(&verdict.outcome)?;
            Some((verdict.read.clone(), outcome, CommitReason::named(&verdict.reason)?))
        };
        CommitFacts {
            in_force: ledger.in_force.as_ref().map(|taken| (taken.commit.id.clone(), taken.read.clone())),
            floor: ledger.floor.clone(),
            is_suspended: ledger.suspended.is_some(),
            pinned: ledger.pinned.clone(),
            left: ledger.left.clone(),
            verdicts: ledger.verdicts.iter().filter_map(verdict).collect(),
            attempt: ledger.attempt.as_ref().map(|attempt| (attempt.read.clone(), attempt.begun)),
        }
    }

    pub(super) fn write_ledger(&self) -> Result<(), String> {
        self.ledger.write(&self.data).map_err(|error| unwritable(&error))
    }
}

/// Why nothing was judged, if the host's own files changed or navigator ends.
const NOT_TAKEN: &str = "the host's own files are wrong, or navigator is shutting down";

fn unwritable(error: &io::Error) -> String {
    format!("failed to write navigator's data: {}", words(error))
}
