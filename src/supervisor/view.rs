//! What readers see: one moment of the loop, immutable and shared. The loop publishes the facts of that moment, which costs it little;
//! whatever is derived from them is derived by the reader that first asks for it, on the reader's thread.

use super::orphans;
use crate::snapshot::{self, Cause, ConfigProblem, ConfigState, Exit, Moment, PlanReport, Snapshot, Watch};
use jiff::Timestamp;
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::order_progress::Goal;
use reconcile::pending_reason::Waits;
use reconcile::state::{ProcessState, ProcessStatus};
use reconcile::text::Name;
use reconcile::time::Time;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many of its last lines are shown of a process that failed.
const GLANCE: u64 = 5;

/// For how long what was derived of a moment is shown again. Only times that are left, and last lines, change within one; nobody
/// reads those more exactly.
const FRESH: Duration = Duration::from_millis(100);

/// One moment of the loop.
#[derive(Debug)]
pub struct LoopView {
    /// How many moments there were before it that differed.
    version: u64,
    engine: Engine,
    /// When it was: by the engine's clock, the loop's, and the wall's.
    at: (Time, Instant, Timestamp),
    file: File,
    /// While what a killed navigator left is ended: what is wanted afterwards.
    after: Option<Arc<Desired>>,
    waits: OnceLock<Waits>,
    converged: OnceLock<bool>,
    shown: Mutex<Option<(Instant, Arc<RenderedSnapshot>)>>,
}

/// What the loop knows of the configuration on disk.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// Warnings of the one that was accepted last.
    pub(super) warnings: Arc<[ConfigProblem]>,
    /// Why what is in the file is not in force; empty: it is.
    pub(super) errors: Arc<[ConfigProblem]>,
    /// Since when it isn't.
    pub(super) rejected_at: Option<Timestamp>,
}

/// What a view doesn't hold, because it changes without the loop.
pub trait LiveData {
    /// How changes of the configuration are found.
    fn watch(&self) -> Watch;

    /// The last lines that a process wrote, as many as these or as are kept.
    fn last_lines(&self, name: &Name, lines: u64) -> Vec<String>;
}

/// A snapshot, and its text.
#[derive(Debug)]
pub struct RenderedSnapshot {
    snapshot: Snapshot,
    json: OnceLock<Result<Vec<u8>, String>>,
}

impl RenderedSnapshot {
    /// How everything stands.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// The same as one line of JSON.
    ///
    /// # Errors
    /// It can't be written as JSON, and why.
    pub fn json(&self) -> Result<&[u8], &str> {
        let json = self.json.get_or_init(|| {
            let mut text = serde_json::to_vec(&self.snapshot).map_err(|error| error.to_string())?;
            // For people who look at it on a terminal.
            text.push(b'\n');
            Ok(text)
        });
        json.as_deref().map_err(String::as_str)
    }
}

impl LoopView {
    pub(super) fn new(version: u64, engine: Engine, now: Time, file: File, after: Option<Arc<Desired>>) -> LoopView {
        LoopView {
            version,
            engine,
            at: (now, Instant::now(), Timestamp::now()),
            file,
            after,
            waits: OnceLock::new(),
            converged: OnceLock::new(),
            shown: Mutex::new(None),
        }
    }

    /// Tells apart what readers have seen from what is newer.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many processes there are in the configuration in force.
    pub fn processes(&self) -> usize {
        self.engine.desired().entries().len()
    }

    /// Whether a process is in the file, or still going.
    pub fn knows(&self, name: &str) -> bool {
        self.names().any(|known| known.as_str() == name)
    }

    /// The names of all processes that are in the file, or still going.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let desired = self.after.as_deref().unwrap_or(self.engine.desired());
        let going = self.engine.observed().processes().iter().filter(|(name, process)| {
            let is_wanted = desired.get(name).is_some();
            !is_wanted && !process.runs.is_empty()
        });
        desired.entries().iter().map(|entry| &entry.spec.name).chain(going.map(|(name, _)| name))
    }

    /// Whether the file on disk is in force, and these processes, or all if none is named, are as it says.
    pub fn is_converged(&self, names: &[Name]) -> bool {
        if !self.file.errors.is_empty() || self.after.is_some() {
            return false;
        }
        if names.is_empty() {
            return *self.converged.get_or_init(|| self.engine.is_converged());
        }
        names.iter().all(|name| self.engine.is_as_wanted(name))
    }

    /// Why what was ordered doesn't come about by itself; `None`: it does.
    pub(super) fn stuck(&self, goal: &Goal) -> Option<String> {
        let now = self.now();
        goal.stuck(&self.engine, self.waits.get_or_init(|| self.engine.waits(now)))
    }

    /// What a configuration would change.
    pub fn plan(&self, wanted: &Desired) -> PlanReport {
        PlanReport::of(&self.engine, self.at.0, wanted)
    }

    /// How everything stands.
    pub fn shown(&self, beside: &impl LiveData) -> Arc<RenderedSnapshot> {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, shown)) = &*shown
            && at.elapsed() < FRESH
        {
            return Arc::clone(shown);
        }
        let new = Arc::new(RenderedSnapshot { snapshot: self.snapshot(beside), json: OnceLock::new() });
        *shown = Some((Instant::now(), Arc::clone(&new)));
        new
    }

    /// The time by the engine's clock.
    fn now(&self) -> Time {
        self.at.0 + self.at.1.elapsed()
    }

    fn snapshot(&self, beside: &impl LiveData) -> Snapshot {
        let File { path, warnings, errors, rejected_at } = &self.file;
        let is_accepted = errors.is_empty();
        let processes = match &self.after {
            Some(wanted) => orphans::processes(self, wanted),
            None => self.all(beside),
        };
        Snapshot {
            // The one that left it had others.
            generation: if self.after.is_some() { 0 } else { self.engine.generation() },
            pid: std::process::id(),
            config: snapshot::Config {
                path: path.clone(),
                state: if is_accepted { ConfigState::Accepted } else { ConfigState::Rejected },
                watch: beside.watch(),
                diagnostics: if is_accepted { warnings } else { errors }.to_vec(),
                rejected_at: rejected_at.map(Moment),
            },
            converged: is_accepted && self.after.is_none() && processes.iter().all(|process| process.as_wanted),
            processes,
        }
    }

    /// Every process of the file, in its order, and those that are still going.
    fn all(&self, beside: &impl LiveData) -> Vec<snapshot::ProcessSnapshot> {
        let mut standings = self.engine.statuses();
        standings.sort_by_key(|standing| standing.position.unwrap_or(usize::MAX));
        let of = |standing: &ProcessStatus| {
            let is_down = matches!(standing.state, ProcessState::Failed | ProcessState::Backoff);
            let output = if is_down { beside.last_lines(&standing.name, GLANCE) } else { Vec::new() };
            snapshot::ProcessSnapshot { output, ..self.process(standing) }
        };
        standings.iter().map(of).collect()
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// How a process stands, without its output.
    pub(super) fn process(&self, standing: &ProcessStatus) -> snapshot::ProcessSnapshot {
        let (at, _, wall) = self.at;
        let on_wall = |time: Time| Moment(wall - at.since(time));
        let waits = self.waits.get_or_init(|| self.engine.waits(self.now()));
        snapshot::ProcessSnapshot {
            name: standing.name.to_string(),
            tier: standing.tier,
            state: standing.state,
            pid: standing.pid.map(|pid| pid.0),
            ready: standing.ready,
            stale: standing.stale,
            generation: standing.generation,
            restarts: standing.restarts,
            started_at: standing.since.map(on_wall),
            last_exit: standing.last_exit.as_ref().and_then(Exit::of),
            reason: Cause::from(&standing.reason),
            as_wanted: standing.as_wanted,
            entered_at: standing.entered.map(on_wall),
            failures: standing.failures,
            waiting: self.engine.wait_in_words(&standing.name, waits, self.now()),
            output: Vec::new(),
        }
    }
}
