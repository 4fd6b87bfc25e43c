//! Follows the files that processes watch: reads them when they change and their writers are done, like the configuration.
//!
//! It doesn't decide what a change leads to.

use super::debounce::{Debounce, DebounceDecision};
use super::file::WriterCheck;
use super::file_digests::{FileDigests, MAX_BYTES, MAX_FILES, WatchRequest};
use super::file_stat::FileStats;
use super::fs_events::FsEvent;
use super::revision::Contents;
use super::watch_paths::WatchPaths;
use crate::access::identity::Identity;
use reconcile::spec::Spec;
use rustix::process::geteuid;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tracing::warn;

/// What each process watches. A process with an unknown user can't be started, and watches nothing.
fn watch_requests<'s>(definitions: impl Iterator<Item = &'s Arc<Spec>>) -> Vec<WatchRequest> {
    let request = |spec: &Arc<Spec>| {
        let identity = if geteuid().is_root() { Some(Identity::of(&spec.exec).ok()?.0) } else { None };
        Some(WatchRequest { name: spec.name.clone(), watch: spec.watch.clone(), identity })
    };
    definitions.filter(|spec| !spec.watch.is_empty()).filter_map(request).collect()
}

/// The files that processes watch.
#[derive(Debug)]
pub(super) struct Watched {
    has_writer: WriterCheck,
    requests: Vec<WatchRequest>,
    digests: FileDigests,
    debounce: Debounce,
    paths: WatchPaths,
    /// When to check, even without an event.
    next_check: Option<Instant>,
}

impl Watched {
    /// Watches nothing yet.
    pub(super) fn new(has_writer: WriterCheck) -> Watched {
        let debounce = Debounce::new(FileStats::default(), false);
        Watched {
            has_writer,
            requests: Vec::new(),
            digests: FileDigests::default(),
            debounce,
            paths: WatchPaths::default(),
            next_check: None,
        }
    }

    /// Watches what these definitions name. Returns the current contents.
    pub(super) fn set_definitions<'s>(&mut self, definitions: impl Iterator<Item = &'s Arc<Spec>>) -> Contents {
        self.requests = watch_requests(definitions);
        let digests = self.read_digests();
        self.accept(digests);
        self.digests.contents.clone()
    }

    /// Whether a change of this name may change watched files.
    pub(super) fn concerns(&self, name: &Path) -> bool {
        self.paths.concerns(name)
    }

    /// Records an event about a watched file.
    pub(super) fn record(&mut self, event: FsEvent, now: Instant) {
        self.debounce.record(event, now);
    }

    /// The directories where a change can be seen now.
    pub(super) fn directories(&mut self) -> &BTreeSet<PathBuf> {
        self.paths = WatchPaths::of(&self.digests.inputs);
        self.paths.directories()
    }

    pub(super) fn next_check(&self) -> Option<Instant> {
        self.next_check
    }

    /// Checks for changes, and reads what is ready. Returns the contents that changed.
    pub(super) fn check(&mut self, now: Instant) -> Contents {
        self.next_check = None;
        if self.requests.is_empty() {
            return Contents::new();
        }
        let seen = self.debounce.stat_again();
        match self.debounce.decide(seen.clone(), now) {
            DebounceDecision::Same => Contents::new(),
            DebounceDecision::Wait(until) => {
                self.next_check = Some(until);
                Contents::new()
            }
            DebounceDecision::Read => {
                let digests = self.read_digests();
                let held_until = self.debounce.hold_for_writer(&digests.record, now);
                self.next_check = match held_until {
                    _ if !digests.record.is_stable(&seen) => Some(now),
                    Some(until) if now < until => Some(until),
                    _ => return self.accept(digests),
                };
                Contents::new()
            }
        }
    }

    /// Reads the watched files, except those known to be unchanged.
    fn read_digests(&self) -> FileDigests {
        FileDigests::read(&self.requests, &self.digests.cache, self.has_writer)
    }

    /// Stores new digests. Returns the contents that differ from the previous ones.
    fn accept(&mut self, digests: FileDigests) -> Contents {
        let previous = std::mem::replace(&mut self.digests, digests);
        for name in self.digests.over_limit.difference(&previous.over_limit) {
            warn!(target: "managed_processes", %name, files = MAX_FILES, bytes = MAX_BYTES, "Watched files exceed the limits");
        }
        self.debounce = Debounce::new(self.digests.record.stats.clone(), !self.digests.record.is_fresh);
        self.paths = WatchPaths::of(&self.digests.inputs);
        // A change during the reading is found by another check.
        self.next_check = Some(Instant::now());
        self.digests.contents.iter().filter(|content| !previous.contents.contains(content)).cloned().collect()
    }
}
