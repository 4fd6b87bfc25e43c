//! Views of the loop for readers: immutable, shared copies of its facts at one moment.
//!
//! Making one is cheap for the loop. What is shown is derived from it on the thread of the reader that first asks.

use super::log_events::ORPHANED;
use crate::schedule;
use crate::snapshot::{
    self, Cause, ConfigProblem, ConfigState, Exit, KeeperSnapshot, Moment, PlanReport, Snapshot, SourceSnapshot, Watch,
};
use jiff::Timestamp;
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::observed::ObservedProcess;
use reconcile::order_progress::Goal;
use reconcile::pending_reason::Waits;
use reconcile::reason::Reason;
use reconcile::replica::{self, bounds};
use reconcile::rollback::RolloutState;
use reconcile::run_status::{RunStatus, SocketStatus};
use reconcile::spec::{OnChange, Spec};
use reconcile::state::{ProcessState, ProcessStatus};
use reconcile::text::Name;
use reconcile::time::Time;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How many of its last lines are shown for a process that failed.
const LAST_LINES: u64 = 5;

/// How many dates to come are shown of a schedule.
const NEXT_RUNS: usize = 3;

/// How long a snapshot of a view is reused. Within one view, only remaining times and last lines change.
const FRESH: Duration = Duration::from_millis(100);

/// The facts of the loop at one moment.
#[derive(Debug)]
pub struct LoopView {
    /// Grows with every change.
    version: u64,
    engine: Engine,
    /// When it was made: by the engine's clock, the monotonic clock and the wall clock.
    at: (Time, Instant, Timestamp),
    file: File,
    /// While orphans are being ended: the configuration that is to be put in force afterwards.
    upcoming: Option<Arc<Desired>>,
    waits: OnceLock<Waits>,
    converged: OnceLock<bool>,
    rendered: Mutex<Option<(Instant, Arc<RenderedSnapshot>)>>,
}

/// The state of the configuration on disk.
#[derive(Clone, Debug, Default)]
pub(super) struct File {
    pub(super) path: PathBuf,
    /// The warnings of the last accepted configuration.
    pub(super) warnings: Arc<[ConfigProblem]>,
    /// Why the file is rejected; empty: it is in force.
    pub(super) errors: Arc<[ConfigProblem]>,
    /// Since when it is rejected.
    pub(super) rejected_at: Option<Timestamp>,
    /// The repository that is followed.
    pub(super) source: Option<Arc<SourceSnapshot>>,
    /// It was rejected until just now.
    pub(super) is_mended: bool,
}

/// What a view doesn't hold because it changes outside the loop.
pub trait LiveData {
    /// How changes of the configuration are found.
    fn watch(&self) -> Watch;

    /// Whether a change of it was seen that is not in force yet.
    fn has_pending_change(&self) -> bool;

    /// The keeper.
    fn keeper(&self) -> KeeperSnapshot;

    /// The last lines of a process's output, at most this many.
    fn last_lines(&self, name: &Name, lines: u64) -> Vec<String>;
}

/// A snapshot with its JSON text.
#[derive(Debug)]
pub struct RenderedSnapshot {
    snapshot: Snapshot,
    json: OnceLock<Result<Vec<u8>, String>>,
}

impl RenderedSnapshot {
    /// The snapshot as one line of JSON.
    ///
    /// # Errors
    /// Why it can't be written as JSON.
    pub fn json(&self) -> Result<&[u8], &str> {
        let json = self.json.get_or_init(|| {
            let mut text = serde_json::to_vec(&self.snapshot).map_err(|error| error.to_string())?;
            // So that a shell prompt after it begins a new line.
            text.push(b'\n');
            Ok(text)
        });
        json.as_deref().map_err(String::as_str)
    }
}

impl LoopView {
    pub(super) fn new(version: u64, engine: Engine, now: Time, file: File, upcoming: Option<Arc<Desired>>) -> LoopView {
        LoopView {
            version,
            engine,
            at: (now, Instant::now(), Timestamp::now()),
            file,
            upcoming,
            waits: OnceLock::new(),
            converged: OnceLock::new(),
            rendered: Mutex::new(None),
        }
    }

    /// A newer view has a greater version.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many processes the configuration in force has.
    pub fn processes(&self) -> usize {
        self.engine.desired().entries().len()
    }

    /// The processes that a name means, of those that are in the file or still run: one process, or all replicas of a definition.
    pub fn named(&self, name: &str) -> Vec<Name> {
        let desired = self.newest();
        let [first, end] = bounds(name);
        let observed = self.engine.observed().processes();
        let replicas = observed.range::<str, _>((Bound::Included(&*first), Bound::Excluded(&*end)));
        let removed = observed.get_key_value(name).into_iter().chain(replicas).filter(|found| is_removed(desired, *found));
        let wanted = desired.entries()[desired.named(name)].iter().map(|entry| &entry.spec.name);
        wanted.chain(removed.map(|(name, _)| name)).cloned().collect()
    }

    /// The definitions that are in force, or will be once the orphans are gone.
    fn newest(&self) -> &Desired {
        self.upcoming.as_deref().unwrap_or(self.engine.desired())
    }

    /// The names of all processes that are in the file or still run.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let desired = self.newest();
        let removed = self.engine.observed().processes().iter().filter(|found| is_removed(desired, *found));
        desired.entries().iter().map(|entry| &entry.spec.name).chain(removed.map(|(name, _)| name))
    }

    /// Whether the file on disk is in force, and the named processes are as it says. Without names: all processes.
    pub fn is_converged(&self, names: &[Name]) -> bool {
        if !self.file.errors.is_empty() || self.upcoming.is_some() || !self.is_synced() {
            return false;
        }
        if names.is_empty() {
            return *self.converged.get_or_init(|| self.engine.is_converged());
        }
        if self.engine.is_rolled_back() {
            return false;
        }
        names.iter().all(|name| self.engine.is_as_wanted(name))
    }

    /// Whether no followed repository has a newer commit that should be in force.
    fn is_synced(&self) -> bool {
        self.file.source.as_ref().is_none_or(|source| source.is_synced())
    }

    /// Whether the named processes, without names all, won't be as the file says without help: the file is rejected, or one of
    /// them has failed or was put back, or all was rolled back.
    pub fn is_hopeless(&self, names: &[Name]) -> bool {
        let has_failed = |name: &Name| {
            let is_failed = |status: ProcessStatus| status.state == ProcessState::Failed;
            self.engine.put_back(name).is_some() || self.engine.status(name).is_some_and(is_failed)
        };
        !self.file.errors.is_empty()
            || self.engine.is_rolled_back()
            || self.file.source.as_ref().is_some_and(|source| source.is_refused())
            || (self.upcoming.is_none()
                && if names.is_empty() { self.names().any(has_failed) } else { names.iter().any(has_failed) })
    }

    /// Why an order can't be done without help; `None`: it is on its way.
    pub(super) fn stuck(&self, goal: &Goal) -> Option<String> {
        let now = self.now();
        goal.stuck(&self.engine, self.waits.get_or_init(|| self.engine.waits(now)))
    }

    /// What a configuration would change.
    pub fn plan(&self, wanted: &Desired) -> PlanReport {
        PlanReport::of(&self.engine, self.at.0, wanted)
    }

    /// The snapshot of this view. Taken from a cache if that is recent.
    pub fn render(&self, live: &impl LiveData) -> Arc<RenderedSnapshot> {
        let mut cached = self.rendered.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, rendered)) = &*cached
            && at.elapsed() < FRESH
            && rendered.snapshot.config.pending == live.has_pending_change()
            && rendered.snapshot.keeper == live.keeper()
        {
            return Arc::clone(rendered);
        }
        let new = Arc::new(RenderedSnapshot { snapshot: self.snapshot(live), json: OnceLock::new() });
        *cached = Some((Instant::now(), Arc::clone(&new)));
        new
    }

    /// A snapshot of the named processes alone. The others cost nothing.
    pub fn snapshot_of(&self, names: &BTreeSet<Name>, live: &impl LiveData) -> Snapshot {
        let processes = match &self.upcoming {
            Some(upcoming) => {
                let mut processes = self.orphans_and(upcoming);
                processes.retain(|process| names.contains(process.name.as_str()));
                processes
            }
            None => self.processes_of(names.iter().filter_map(|name| self.engine.status(name)).collect(), live),
        };
        self.snapshot_with(processes, live)
    }

    /// The path of the configuration.
    pub fn config(&self) -> &Path {
        &self.file.path
    }

    /// The current time by the engine's clock.
    fn now(&self) -> Time {
        self.at.0 + self.at.1.elapsed()
    }

    fn snapshot(&self, live: &impl LiveData) -> Snapshot {
        let processes = match &self.upcoming {
            Some(upcoming) => self.orphans_and(upcoming),
            None => self.processes_of(self.engine.statuses(), live),
        };
        self.snapshot_with(processes, live)
    }

    fn snapshot_with(&self, processes: Vec<snapshot::ProcessSnapshot>, live: &impl LiveData) -> Snapshot {
        let File { path, warnings, errors, rejected_at, .. } = &self.file;
        let is_accepted = errors.is_empty();
        let is_pending = live.has_pending_change();
        let rollout = self.engine.rollout();
        let rolled_back = self.rolled_back(rollout.as_ref());
        let is_in_force = is_accepted && rolled_back.is_none() && !is_pending && self.upcoming.is_none() && self.is_synced();
        let is_healthy = processes.iter().all(|process| process.as_wanted);
        Snapshot {
            // The generations of the former navigator don't count.
            generation: if self.upcoming.is_some() { 0 } else { self.engine.generation() },
            pid: std::process::id(),
            taken_over_at: self.engine.taken_over_at().map(|at| self.on_wall(at)),
            keeper: live.keeper(),
            config: snapshot::Config {
                path: path.clone(),
                state: match &rolled_back {
                    _ if !is_accepted => ConfigState::Rejected,
                    Some(_) => ConfigState::RolledBack,
                    None => ConfigState::Accepted,
                },
                watch: live.watch(),
                diagnostics: if is_accepted { warnings } else { errors }.to_vec(),
                rejected_at: rejected_at.map(Moment),
                rolled_back,
                pending: is_pending,
            },
            rollout: self.rollout_of(rollout),
            source: self.file.source.as_ref().map(|source| SourceSnapshot::clone(source).with_health(is_healthy)),
            converged: is_in_force && is_healthy,
            processes,
        }
    }

    /// The runs of a process, if there are several or it is one that may have several.
    fn runs_of(&self, name: &Name) -> Vec<RunStatus> {
        let runs = self.engine.runs(name);
        let spec = self.engine.desired().get(name).map(|entry| &entry.spec);
        let may_have_several = |spec: &Arc<Spec>| spec.on_change == OnChange::Rolling || !spec.exec.sockets.is_empty();
        if runs.len() > 1 || spec.is_some_and(may_have_several) { runs } else { Vec::new() }
    }

    fn rolled_back(&self, rollout: Option<&RolloutState>) -> Option<snapshot::RolledBack> {
        let Some(RolloutState::RolledBack { generation, to, why, at }) = rollout else { return None };
        Some(snapshot::RolledBack { generation: *generation, to: *to, reason: why.clone(), at: self.on_wall(*at) })
    }

    fn rollout_of(&self, state: Option<RolloutState>) -> Option<snapshot::RolloutSnapshot> {
        let rolls = || self.names().any(|name| self.engine.runs(name).iter().any(|run| run.is_new));
        let (state, until) = match state? {
            RolloutState::Trial { .. } if rolls() => ("rolling", None),
            RolloutState::Trial { until } => ("trial", Some(self.on_wall(until))),
            RolloutState::Good | RolloutState::RolledBack { .. } => ("good", None),
            RolloutState::Bad { .. } => ("bad", None),
        };
        Some(snapshot::RolloutSnapshot { generation: self.engine.generation(), state: state.to_owned(), until })
    }

    /// A time of the engine's clock by the wall clock.
    fn on_wall(&self, time: Time) -> Moment {
        let (at, _, wall) = self.at;
        Moment(if time > at { wall + time.since(at) } else { wall - at.since(time) })
    }

    /// Processes in the order of the file, then removed ones that still run.
    fn processes_of(&self, mut statuses: Vec<ProcessStatus>, live: &impl LiveData) -> Vec<snapshot::ProcessSnapshot> {
        statuses.sort_by_key(|status| status.position.unwrap_or(usize::MAX));
        let snapshot = |status: &ProcessStatus| {
            let is_down = matches!(status.state, ProcessState::Failed | ProcessState::Backoff);
            let output = if is_down { live.last_lines(&status.name, LAST_LINES) } else { Vec::new() };
            snapshot::ProcessSnapshot { output, ..self.process(status) }
        };
        statuses.iter().map(snapshot).collect()
    }

    /// The processes of the upcoming configuration, then the remaining orphans.
    fn orphans_and(&self, upcoming: &Desired) -> Vec<snapshot::ProcessSnapshot> {
        let observed = self.engine.observed().processes();
        let is_orphan = |name: &Name| observed.get(name).is_some_and(|process| !process.runs.is_empty());
        let orphan = |name: &Name| {
            // The former navigator knew the start time and the generation; this one doesn't.
            self.engine.status(name).map(|status| snapshot::ProcessSnapshot {
                reason: Cause::Other(ORPHANED.to_owned()),
                as_wanted: false,
                started_at: None,
                generation: 0,
                ..self.process(&status)
            })
        };
        let mut entries: Vec<_> = upcoming.entries().iter().collect();
        entries.sort_by_key(|entry| entry.position);
        let listed = entries.iter().map(|entry| match &entry.spec.name {
            name if is_orphan(name) => orphan(name),
            _ => Some(not_started(&entry.spec)),
        });
        let others = observed.keys().filter(|name| is_orphan(name) && upcoming.get(name).is_none());
        listed.chain(others.map(orphan)).flatten().collect()
    }

    /// The snapshot of a process, without its output.
    fn process(&self, status: &ProcessStatus) -> snapshot::ProcessSnapshot {
        let on_wall = |time: Time| self.on_wall(time);
        let waits = self.waits.get_or_init(|| self.engine.waits(self.now()));
        snapshot::ProcessSnapshot {
            name: status.name.to_string(),
            tier: status.tier,
            state: status.state,
            pid: status.pid.map(|pid| pid.0),
            ready: status.ready,
            stale: status.stale,
            generation: status.generation,
            restarts: status.restarts,
            started_at: status.since.map(on_wall),
            last_exit: status.last_exit.as_ref().and_then(Exit::of),
            reason: Cause::from(&status.reason),
            as_wanted: status.as_wanted,
            entered_at: status.entered.map(on_wall),
            failures: status.failures,
            waiting: self.engine.wait_in_words(&status.name, waits, self.now()),
            replica: replica::number(&status.name),
            runs: self.runs_of(&status.name).iter().map(|run| run_snapshot(run, on_wall)).collect(),
            sockets: self.engine.sockets(&status.name).iter().map(socket_snapshot).collect(),
            output: Vec::new(),
            next_runs: self.next_runs(&status.name),
        }
    }

    /// The next dates of a scheduled task that is to run.
    fn next_runs(&self, name: &Name) -> Vec<Moment> {
        let spec = self.engine.desired().get(name).map(|entry| &entry.spec).filter(|spec| self.engine.orders().let_run(spec));
        let Some((spec, schedule)) = spec.and_then(|spec| Some((spec, spec.schedule.as_deref()?))) else { return Vec::new() };
        let next = self.engine.observed().processes().get(name).and_then(|process| process.next_date_of(spec));
        let next = next.map(|next| next.date);
        let later = next.into_iter().flat_map(|next| schedule::dates_after(schedule, schedule::moment(next)));
        next.into_iter().chain(later).take(NEXT_RUNS).map(|date| Moment(schedule::moment(date))).collect()
    }
}

/// Whether a process is no longer in the file, and still runs.
fn is_removed(desired: &Desired, (name, process): (&Name, &ObservedProcess)) -> bool {
    !process.runs.is_empty() && desired.get(name).is_none()
}

fn run_snapshot(run: &RunStatus, on_wall: impl Fn(Time) -> Moment) -> snapshot::RunSnapshot {
    snapshot::RunSnapshot {
        pid: run.pid.map(|pid| pid.0),
        generation: run.generation,
        ready: run.ready,
        draining: run.draining,
        state: run.state,
        reason: Cause::from(&run.reason),
        is_new: run.is_new,
        started_at: run.since.map(on_wall),
    }
}

fn socket_snapshot(socket: &SocketStatus<'_>) -> snapshot::SocketSnapshot {
    snapshot::SocketSnapshot {
        name: socket.listener.name.shown().to_owned(),
        address: socket.listener.shown.shown().to_owned(),
        kept_by: socket.kept_by.map(|pid| pid.0),
    }
}

/// A process that is started after the orphans are gone.
fn not_started(spec: &Spec) -> snapshot::ProcessSnapshot {
    let (state, reason) =
        if spec.enabled { (ProcessState::Pending, Reason::Added) } else { (ProcessState::Stopped, Reason::Disabled) };
    snapshot::ProcessSnapshot {
        name: spec.name.to_string(),
        tier: spec.tier,
        state,
        pid: None,
        ready: false,
        stale: false,
        generation: 0,
        restarts: 0,
        started_at: None,
        last_exit: None,
        reason: Cause::from(&reason),
        as_wanted: !spec.enabled,
        entered_at: None,
        failures: 0,
        waiting: spec.enabled.then(|| "waits for processes left by a killed navigator to end".to_owned()),
        replica: replica::number(&spec.name),
        runs: Vec::new(),
        sockets: Vec::new(),
        output: Vec::new(),
        next_runs: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::event::{Action, Event, Refusal};
    use std::cell::RefCell;

    /// Counts the questions for lines of output.
    #[derive(Default)]
    struct Asked(RefCell<Vec<String>>);

    impl LiveData for Asked {
        fn watch(&self) -> Watch {
            Watch::Events
        }

        fn has_pending_change(&self) -> bool {
            false
        }

        fn keeper(&self) -> KeeperSnapshot {
            KeeperSnapshot::default()
        }

        fn last_lines(&self, name: &Name, _: u64) -> Vec<String> {
            self.0.borrow_mut().push(name.to_string());
            Vec::new()
        }
    }

    #[test]
    fn a_snapshot_of_named_processes_makes_no_others() {
        let specs = ["web", "db", "mailer", "cache"].map(|name| {
            let mut spec = Spec::new(name, "no-such-program");
            spec.depends_on = Some(std::collections::BTreeMap::new());
            spec
        });
        let desired = Desired::new(specs.to_vec(), Duration::ZERO).expect("it is valid");
        let mut engine = Engine::new();
        let mut actions = engine.step(Time::ZERO, [Event::Wanted(desired)]).actions;
        while let Some(Action::Spawn { run, .. }) = actions.pop() {
            let why = Refusal::FileNotFound { command: "no-such-program".to_owned() };
            actions.extend(engine.step(Time::ZERO, [Event::NotSpawned { run, why }]).actions);
        }
        let view = LoopView::new(1, engine, Time::ZERO, File::default(), None);
        let (asked, names) = (Asked::default(), ["db", "web", "gone"].map(Name::from).into());
        let snapshot = view.snapshot_of(&names, &asked);
        // In the order of the file.
        assert_eq!(snapshot.processes.iter().map(|process| process.name.as_str()).collect::<Vec<_>>(), ["web", "db"]);
        assert_eq!(*asked.0.borrow(), ["web", "db"]);
        assert_eq!(snapshot.processes, view.snapshot(&asked).processes[..2]);
    }
}
