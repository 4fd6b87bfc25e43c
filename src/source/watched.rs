//! The files that processes watch, followed: they are read when they change and their writers are done, just as the
//! configuration itself. What another content leads to is not decided here.

use super::debounce::{Debounce, DebounceDecision};
use super::file::AskForWriter;
use super::file_digests::{FileDigests, MOST_BYTES, MOST_FILES, WatchRequest};
use super::file_stat::FileStats;
use super::fs_events::FsEvent;
use super::revision::Contents;
use super::watch_paths::WatchPaths;
use crate::access::identity::Identity;
use reconcile::desired::Desired;
use reconcile::spec::Spec;
use rustix::process::geteuid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tracing::warn;

/// What each process watches, if it watches anything. A process with an unknown user can't be started, and watches nothing.
fn wanted(desired: &Desired) -> Vec<WatchRequest> {
    let specs = desired.entries().iter().map(|entry| &entry.spec).filter(|spec| !spec.watch.is_empty());
    let wanted = |spec: &Arc<Spec>| {
        let identity = if geteuid().is_root() { Some(Identity::of(&spec.exec).ok()?.0) } else { None };
        Some(WatchRequest { name: spec.name.clone(), watch: spec.watch.clone(), identity })
    };
    specs.filter_map(wanted).collect()
}

/// Watched files, followed.
#[derive(Debug)]
pub(super) struct Watched {
    has_writer: AskForWriter,
    wanted: Vec<WatchRequest>,
    survey: FileDigests,
    look: Debounce,
    places: WatchPaths,
    /// When there may be something to read, before anybody hints at it.
    look_at: Option<Instant>,
}

impl Watched {
    /// Nothing, yet.
    pub(super) fn new(has_writer: AskForWriter) -> Watched {
        let look = Debounce::new(FileStats::default(), false);
        Watched {
            has_writer,
            wanted: Vec::new(),
            survey: FileDigests::default(),
            look,
            places: WatchPaths::default(),
            look_at: None,
        }
    }

    /// Watches what this configuration wants to be watched; answers with what that contains now.
    pub(super) fn want(&mut self, desired: &Desired) -> Contents {
        self.wanted = wanted(desired);
        let survey = self.survey();
        self.take(survey);
        self.survey.contents.clone()
    }

    /// Whether a change of this name may change what a process watches.
    pub(super) fn concern(&self, name: &Path) -> bool {
        self.places.concern(name)
    }

    /// Takes a hint in that is about something watched.
    pub(super) fn note(&mut self, hint: FsEvent, now: Instant) {
        self.look.note(hint, now);
    }

    /// Where a change can be seen, as things stand now.
    pub(super) fn directories(&mut self) -> &BTreeSet<PathBuf> {
        self.places = WatchPaths::of(&self.survey.inputs);
        self.places.directories()
    }

    /// When to look again, with or without a hint, if there is reason to.
    pub(super) fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// Looks, and reads what changed and is ready to be read; answers with what has another content now.
    pub(super) fn look(&mut self, now: Instant) -> Contents {
        self.look_at = None;
        if self.wanted.is_empty() {
            return Contents::new();
        }
        let seen = self.look.again();
        match self.look.judge(seen.clone(), now) {
            DebounceDecision::Same => Contents::new(),
            DebounceDecision::Wait(until) => {
                self.look_at = Some(until);
                Contents::new()
            }
            DebounceDecision::Read => {
                let survey = self.survey();
                let unfinished = self.look.unfinished(&survey.evidence, now);
                self.look_at = match unfinished {
                    _ if !survey.evidence.is_steady(&seen) => Some(now),
                    Some(until) if now < until => Some(until),
                    _ => return self.take(survey),
                };
                Contents::new()
            }
        }
    }

    /// Reads what is wanted, as far as it may differ from what is known.
    fn survey(&self) -> FileDigests {
        FileDigests::make(&self.wanted, &self.survey.known, self.has_writer)
    }

    /// Takes a survey for what there is; answers with what differs from the one before.
    fn take(&mut self, survey: FileDigests) -> Contents {
        let former = std::mem::replace(&mut self.survey, survey);
        for name in self.survey.beyond.difference(&former.beyond) {
            warn!(target: "managed_processes", %name, files = MOST_FILES, bytes = MOST_BYTES, "Watched files are beyond what is read");
        }
        self.look = Debounce::new(self.survey.evidence.stamps.clone(), !self.survey.evidence.is_fresh);
        self.places = WatchPaths::of(&self.survey.inputs);
        // What changed while it was read is seen by another look.
        self.look_at = Some(Instant::now());
        self.survey.contents.iter().filter(|content| !former.contents.contains(content)).cloned().collect()
    }
}
