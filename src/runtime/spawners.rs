//! The threads that start programs, make control groups, and remove them where there are many.
//!
//! `vfork` blocks its caller until the exec, which may wait for a slow disk or server. So the loop never starts a program itself,
//! and slow starts of one user leave threads for the others.

use super::child_maker::StartPlace;
use super::environment::Inherited;
use super::group::Leaf;
use super::launcher::Launcher;
use super::output::Outputs;
use super::proc;
use super::queue::SpawnQueue;
use super::resources;
use super::sockets::{SocketTask, Sockets, SocketsRequest};
use super::spawn::{self, NotSpawned, SpawnContext, SpawnParameters, SpawnSlot, Spawned};
use super::spawn_extras::SpawnExtras;
use super::tree;
use crate::journal::{Journal, JournalEntry, Started};
use crate::sys::slot::Slot;
use reconcile::event::{Event, Refusal, RunId};
use reconcile::spec::Spec;
use reconcile::text::Text;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::fstat;
use std::io;
use std::sync::{Arc, Mutex, Once, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// How many starts of one user may be in progress at once. Most of a start is waiting, often for a processor while another one is
/// idle; more than four threads are no faster.
const PER_USER: usize = 4;

/// The most threads. A user can make its starts hang in the exec, so the starts of one user take at most half of the threads.
/// The second half is made when it is needed: on most hosts nothing hangs.
const MAX_THREADS: usize = 2 * PER_USER;

/// A start to make.
pub(super) struct SpawnRequest {
    /// The run.
    pub(super) run: RunId,
    /// What to start.
    pub(super) spec: Arc<Spec>,
    /// The mark of its processes.
    pub(super) mark: String,
    /// Where the kernel writes the pid of its main process.
    pub(super) slot: Arc<Slot>,
    /// The control group to make for it.
    pub(super) leaf: Option<Leaf>,
    /// What it is passed beyond its definition.
    pub(super) extras: SpawnExtras,
    /// The sockets to pass to it; `None` if its definition names none.
    pub(super) sockets: Option<Box<SocketsRequest>>,
    /// The starts that must be over before its exec.
    pub(super) after: Vec<Arc<Slot>>,
}

/// The outcome of a start.
pub(super) struct SpawnReport {
    /// The run.
    pub(super) run: RunId,
    /// Its main process, or why there is none.
    pub(super) outcome: Result<RunningProcess, NotSpawned>,
}

/// A main process that runs.
pub(super) struct RunningProcess {
    /// Its pid.
    pub(super) pid: u32,
    /// Its pidfd, where the kernel has them.
    pub(super) pidfd: Option<OwnedFd>,
}

/// Resources of runs that are gone, to be released.
#[derive(Default)]
pub(super) struct FinishedRuns {
    /// Their control groups.
    pub(super) leaves: Vec<Leaf>,
    /// Pidfds of their main processes.
    pub(super) pidfds: Vec<Arc<OwnedFd>>,
}

impl FinishedRuns {
    /// Closes the descriptors and removes the control groups. Keeps those that aren't empty: a process is in them, or the kernel
    /// hasn't counted the end of the last one yet.
    pub(super) fn remove(&mut self) {
        self.pidfds.clear();
        self.leaves.retain(|leaf| !leaf.remove_if_empty());
    }
}

/// Work for a thread.
enum SpawnerTask {
    Start(SpawnRequest),
    Remove(FinishedRuns),
    Sockets(SocketTask),
}

/// The result of a thread's work.
pub(super) enum TaskOutcome {
    /// The outcome of a start.
    Start(SpawnReport),
    /// Control groups are removed, except for these, which aren't empty yet.
    Remove(Vec<Leaf>),
    /// What happened to sockets.
    Sockets(Vec<Event>),
}

/// The user of a process, as in its definition, for the limit of threads; `None` is navigator's own.
type User = Option<Text>;

/// Hands work to the threads. Dropping it ends them, each after its current work.
pub(super) struct Spawners {
    queue: Arc<SpawnQueue<SpawnerTask, User>>,
    context: SpawnerContext,
    threads: Mutex<usize>,
}

/// What each thread needs.
#[derive(Clone)]
struct SpawnerContext {
    launcher: Launcher,
    environment: Inherited,
    outputs: Outputs,
    journal: Journal,
    sockets: Sockets,
    place: Arc<StartPlace>,
    outcomes: UnboundedSender<TaskOutcome>,
}

impl Spawners {
    /// # Errors
    /// No memory for a stack, or no thread.
    pub(super) fn start(
        launcher: Launcher,
        environment: &Inherited,
        outputs: &Outputs,
        journal: &Journal,
        sockets: &Sockets,
        place: Arc<StartPlace>,
        outcomes: &UnboundedSender<TaskOutcome>,
    ) -> io::Result<Spawners> {
        let (environment, outputs, journal, outcomes) = (environment.clone(), outputs.clone(), journal.clone(), outcomes.clone());
        let context = SpawnerContext { launcher, environment, outputs, journal, sockets: sockets.clone(), place, outcomes };
        let spawners = Spawners { queue: Arc::new(SpawnQueue::new(PER_USER)), context, threads: Mutex::new(0) };
        spawners.ensure_threads(PER_USER)?;
        Ok(spawners)
    }

    /// Makes threads until there are `wanted`, or [`MAX_THREADS`].
    fn ensure_threads(&self, wanted: usize) -> io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while *threads < wanted.min(MAX_THREADS) {
            let (queue, context, slot) =
                (Arc::clone(&self.queue), self.context.clone(), SpawnSlot::new(Arc::clone(&self.context.place))?);
            let name = format!("spawner {}", *threads + 1);
            std::thread::Builder::new().name(name).spawn(move || run_thread(&queue, &context, slot))?;
            *threads += 1;
        }
        Ok(())
    }

    /// Starts a program, in the order of the calls. The outcome is a [`TaskOutcome::Start`].
    pub(super) fn submit(&self, request: SpawnRequest) {
        let wanted = self.queue.push(Some(request.spec.exec.user.clone()), SpawnerTask::Start(request));
        // If no other thread can be made, an existing one does it later.
        let _fewer = self.ensure_threads(wanted);
    }

    /// Works on sockets. The result is a [`TaskOutcome::Sockets`].
    pub(super) fn submit_sockets(&self, task: SocketTask) {
        // What takes long is to look up users and hosts: as for starts, that leaves threads for others.
        let _same_threads = self.queue.push(Some(None), SpawnerTask::Sockets(task));
    }

    /// Releases the resources of finished runs. The result is a [`TaskOutcome::Remove`].
    pub(super) fn remove(&self, finished: FinishedRuns) {
        let _same_threads = self.queue.push(None, SpawnerTask::Remove(finished));
    }
}

/// Runs a thread until the queue is closed.
fn run_thread(queue: &SpawnQueue<SpawnerTask, User>, context: &SpawnerContext, mut slot: SpawnSlot) {
    let spawn_context = SpawnContext { launcher: &context.launcher, environment: &context.environment };
    while let Some((permit, task)) = queue.next() {
        let outcome = match task {
            // Dropping the request closes our copies of the passed descriptors. Their readers wait for that.
            SpawnerTask::Start(request) => {
                let (sockets, events) =
                    request.sockets.as_ref().map_or((Ok(Vec::new()), Vec::new()), |wanted| context.sockets.for_start(wanted));
                if !events.is_empty() {
                    // As below.
                    let _finished = context.outcomes.send(TaskOutcome::Sockets(events));
                }
                TaskOutcome::Start(start(&request, sockets, &spawn_context, &mut slot, context))
            }
            SpawnerTask::Sockets(task) => TaskOutcome::Sockets(context.sockets.perform(task)),
            SpawnerTask::Remove(mut finished) => {
                finished.remove();
                TaskOutcome::Remove(finished.leaves)
            }
        };
        drop(permit);
        // The receiver is gone once the runtime has finished.
        if context.outcomes.send(outcome).is_err() {
            return;
        }
    }
}

impl Drop for Spawners {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Makes a start and records it.
fn start(
    request: &SpawnRequest,
    sockets: Result<Vec<Arc<OwnedFd>>, Refusal>,
    spawn_context: &SpawnContext<'_>,
    spawn_slot: &mut SpawnSlot,
    context: &SpawnerContext,
) -> SpawnReport {
    let outcome = sockets
        .map_err(|why| NotSpawned { has_child: false, why })
        .and_then(|sockets| start_program(request, &sockets, spawn_context, spawn_slot, context));
    if let Err(NotSpawned { why: Refusal::CommandNotFound { command, path }, .. }) = &outcome {
        tracing::debug!(target: "managed_processes", name = request.spec.name.as_str(), command, path, "Searched PATH");
    }
    request.slot.end();
    let outcome = outcome.map(|(running, started)| {
        // Before it counts as started.
        context.journal.record_and_wait(JournalEntry::Started(started));
        running
    });
    SpawnReport { run: request.run, outcome }
}

/// Makes the control group, starts the program in it, and has its output read. Also returns what is to be recorded.
fn start_program(
    request: &SpawnRequest,
    sockets: &[Arc<OwnedFd>],
    spawn_context: &SpawnContext<'_>,
    spawn_slot: &mut SpawnSlot,
    context: &SpawnerContext,
) -> Result<(RunningProcess, Started), NotSpawned> {
    if request.slot.is_cancelled() {
        let (stage, error) = ("starting".to_owned(), "it was killed before its child was made".to_owned());
        return Err(NotSpawned { has_child: false, why: Refusal::Failed { stage, error } });
    }
    let exec = &request.spec.exec;
    let group = request.leaf.as_ref().and_then(|leaf| leaf.make().inspect_err(log_missing_group).ok());
    if !exec.resources.is_unlimited() {
        let leaf = request.leaf.as_ref().filter(|_| group.is_some()).ok_or_else(|| io::Error::other("no control groups here"));
        let _runs_anyway = leaf
            .and_then(|leaf| resources::limit(leaf.directory(), &exec.resources, &context.place.parents()))
            .inspect_err(log_unlimited);
    }
    let SpawnRequest { mark, slot, extras, after, .. } = request;
    let start = SpawnParameters { mark, slot, group: group.as_ref().map(AsFd::as_fd), extras, sockets, after };
    spawn::spawn(exec, &start, spawn_context, spawn_slot).map(|mut spawned| {
        spawned.pidfd = spawned.pidfd.or_else(|| open_child(spawned.pid, &context.place));
        if let Some(error) = spawned.group_error {
            log_missing_group(&io::Error::from_raw_os_error(error));
        }
        let started = record_of(request, context, &spawned);
        let (name, outputs) = (&request.spec.name, &context.outputs);
        match spawned.output {
            Some(pipes) => outputs.read(name, &exec.output, extras.log_matcher.as_ref(), &spawned.identity, pipes),
            None => outputs.mark_silent(name),
        }
        (RunningProcess { pid: spawned.pid, pidfd: spawned.pidfd }, started)
    })
}

/// Logs, once, that a process has no control group of its own. It runs all the same.
fn log_missing_group(error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| tracing::warn!(target: "navigator", %error, "Running processes without control groups"));
}

/// Logs, once, that the `resources` of processes can't be limited. They run all the same.
fn log_unlimited(error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| tracing::warn!(target: "navigator", %error, "Running processes without limits of resources"));
}

/// The record of a main process: what tells it from a later process with the same pid, and what connects it with navigator.
fn record_of(request: &SpawnRequest, context: &SpawnerContext, spawned: &Spawned) -> Started {
    let inode = spawned.pidfd.as_ref().and_then(tree::inode);
    let pipe_inodes = |[out, err]: &[OwnedFd; 2]| Some([fstat(out).ok()?.st_ino, fstat(err).ok()?.st_ino]);
    Started {
        key: context.journal.key(request.run.0),
        name: request.spec.name.to_string(),
        pid: spawned.pid,
        ticks: if inode.is_some() { None } else { start_time(spawned.pid, &context.place) },
        inode,
        leaf: request.leaf.as_ref().map(|leaf| leaf.directory().display().to_string()),
        uid: Some(spawned.identity.user.unwrap_or_else(|| rustix::process::geteuid().as_raw())),
        pipes: spawned.output.as_ref().and_then(pipe_inodes),
        notify: request.extras.socket.as_ref().map(|path| path.display().to_string()),
    }
}

/// The start time of a child. It may have been reaped by now; a later process with its pid is not our child.
fn start_time(pid: u32, place: &StartPlace) -> Option<u64> {
    proc::stat(pid).filter(|stat| place.is_parent(stat.parent))?.started
}

/// A pidfd of a child, where the clone returned none, under the same condition.
fn open_child(pid: u32, place: &StartPlace) -> Option<OwnedFd> {
    tree::try_open(pid).ok().filter(|_| proc::stat(pid).is_some_and(|stat| place.is_parent(stat.parent)))
}
