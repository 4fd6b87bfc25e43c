//! The threads that start programs. `vfork` holds its caller until the exec, and an exec may wait for a slow disk or
//! server; so it's never the loop that is held, and slow starts leave a thread for the others. They make the control groups, and
//! remove them where there are many.

use super::environment::Inherited;
use super::group::Leaf;
use super::launcher::Launcher;
use super::output::Outputs;
use super::proc::{self, Stat};
use super::queue::SpawnQueue;
use super::spawn::{self, NotSpawned, SpawnContext, SpawnParameters, SpawnSlot};
use super::spawn_extras::SpawnExtras;
use super::tree;
use crate::journal::{Journal, JournalEntry, Started};
use crate::sys::slot::Slot;
use reconcile::event::{Refusal, RunId};
use reconcile::spec::Spec;
use reconcile::text::Text;
use rustix::fd::{AsFd, OwnedFd};
use std::io;
use std::sync::{Arc, Mutex, Once, PoisonError};
use tokio::sync::mpsc::UnboundedSender;

/// How many starts of one user may be under way at the same moment. Most of a start is waiting: the child that is to execute its
/// program is often queued behind one that has just done so, while another processor has nothing to do. Another thread gives it
/// something; more than four are no faster.
const OF_ONE_USER: usize = 4;

/// How many threads there may be. A user can make each of its starts hang in the exec, so all starts of one user take no more than
/// half. Those beyond the first half are made when they are needed: on most hosts nothing hangs.
const THREADS: usize = 2 * OF_ONE_USER;

/// A start to make.
pub(super) struct SpawnRequest {
    /// The run.
    pub(super) run: RunId,
    /// What to start.
    pub(super) spec: Arc<Spec>,
    /// What marks its processes.
    pub(super) mark: String,
    /// Where the kernel writes its leader's number.
    pub(super) slot: Arc<Slot>,
    /// The control group to make for it.
    pub(super) leaf: Option<Leaf>,
    /// What it is passed beyond its definition.
    pub(super) passed: SpawnExtras,
    /// The starts that must be over before its exec.
    pub(super) after: Vec<Arc<Slot>>,
}

/// What became of a start.
pub(super) struct SpawnReport {
    /// The run.
    pub(super) run: RunId,
    /// Its leader, or why there is none.
    pub(super) outcome: Result<RunningProcess, NotSpawned>,
}

/// A leader that runs.
pub(super) struct RunningProcess {
    /// Its number.
    pub(super) pid: u32,
    /// A descriptor of it, where the kernel has such.
    pub(super) pidfd: Option<OwnedFd>,
}

/// What is left of runs that are gone.
#[derive(Default)]
pub(super) struct FinishedRuns {
    /// Their control groups.
    pub(super) leaves: Vec<Leaf>,
    /// Descriptors of their leaders, to be closed.
    pub(super) pidfds: Vec<Arc<OwnedFd>>,
}

impl FinishedRuns {
    /// Closes descriptors and removes control groups; those stay in which somebody is, or the kernel has yet to count the end of the
    /// last one.
    pub(super) fn remove(&mut self) {
        self.pidfds.clear();
        self.leaves.retain(|leaf| !leaf.remove_if_empty());
    }
}

/// What there is to do for a thread.
enum SpawnerTask {
    Start(SpawnRequest),
    Remove(FinishedRuns),
}

/// What a thread has done.
pub(super) enum TaskOutcome {
    /// A start has an outcome.
    Start(SpawnReport),
    /// Control groups are removed, but for these: the kernel has yet to count the end of the last one in them.
    Remove(Vec<Leaf>),
}

/// The owner of a share of the threads: the user of a process, as its definition has it; `None` is navigator's own.
type User = Option<Text>;

/// Hands work to the threads. Dropping it ends them, each after the work that it is at.
pub(super) struct Spawners {
    work: Arc<SpawnQueue<SpawnerTask, User>>,
    tools: SpawnerContext,
    threads: Mutex<usize>,
}

/// What each thread works with.
#[derive(Clone)]
struct SpawnerContext {
    launcher: Launcher,
    environment: Inherited,
    outputs: Outputs,
    journal: Journal,
    done: UnboundedSender<TaskOutcome>,
}

impl Spawners {
    /// # Errors
    /// No memory for a stack, or no thread.
    pub(super) fn start(
        launcher: Launcher,
        environment: &Inherited,
        outputs: &Outputs,
        journal: &Journal,
        done: &UnboundedSender<TaskOutcome>,
    ) -> io::Result<Spawners> {
        let (environment, outputs, journal, done) = (environment.clone(), outputs.clone(), journal.clone(), done.clone());
        let tools = SpawnerContext { launcher, environment, outputs, journal, done };
        let spawners = Spawners { work: Arc::new(SpawnQueue::new(OF_ONE_USER)), tools, threads: Mutex::new(0) };
        spawners.employ(OF_ONE_USER)?;
        Ok(spawners)
    }

    /// Makes threads until there are as many, or all that there may be.
    fn employ(&self, wanted: usize) -> io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while *threads < wanted.min(THREADS) {
            let (queue, tools, cradle) = (Arc::clone(&self.work), self.tools.clone(), SpawnSlot::new()?);
            let name = format!("spawner {}", *threads + 1);
            std::thread::Builder::new().name(name).spawn(move || work(&queue, &tools, cradle))?;
            *threads += 1;
        }
        Ok(())
    }

    /// Has a program started, in the order of the calls. The outcome is a [`Done::Start`].
    pub(super) fn submit(&self, request: SpawnRequest) {
        let wanted = self.work.push(Some(request.spec.exec.user.clone()), SpawnerTask::Start(request));
        // Where there can't be another thread, those that there are come to it when they can.
        let _fewer = self.employ(wanted);
    }

    /// Has removed what is left of runs; [`Done::Remove`] tells when.
    pub(super) fn remove(&self, spent: FinishedRuns) {
        let _same_threads = self.work.push(None, SpawnerTask::Remove(spent));
    }
}

/// A thread, until there is nothing to do any more.
fn work(queue: &SpawnQueue<SpawnerTask, User>, tools: &SpawnerContext, mut cradle: SpawnSlot) {
    let ground = SpawnContext { launcher: &tools.launcher, environment: &tools.environment };
    while let Some((taken, work)) = queue.next() {
        let done = match work {
            // With the request go our copies of what it was passed: a reader of those waits for them to be closed.
            SpawnerTask::Start(request) => {
                TaskOutcome::Start(start(&request, &ground, &mut cradle, &tools.outputs, &tools.journal))
            }
            SpawnerTask::Remove(mut spent) => {
                spent.remove();
                TaskOutcome::Remove(spent.leaves)
            }
        };
        drop(taken);
        // Nothing listens any more once the runtime has finished, and then nothing is to be done either.
        if tools.done.send(done).is_err() {
            return;
        }
    }
}

impl Drop for Spawners {
    fn drop(&mut self) {
        self.work.close();
    }
}

/// Makes a start, and notes it.
fn start(
    request: &SpawnRequest,
    ground: &SpawnContext<'_>,
    cradle: &mut SpawnSlot,
    outputs: &Outputs,
    journal: &Journal,
) -> SpawnReport {
    let outcome = perform(request, ground, cradle, outputs);
    request.slot.end();
    // Before anybody counts it as started.
    let outcome = outcome.inspect(|up| note(journal, request, up));
    SpawnReport { run: request.run, outcome }
}

/// Brings a program into the world.
fn perform(
    request: &SpawnRequest,
    ground: &SpawnContext<'_>,
    cradle: &mut SpawnSlot,
    outputs: &Outputs,
) -> Result<RunningProcess, NotSpawned> {
    if request.slot.is_cancelled() {
        let (stage, error) = ("starting".to_owned(), "it was killed before its child was made".to_owned());
        return Err(NotSpawned { had_child: false, why: Refusal::Failed { stage, error } });
    }
    let exec = &request.spec.exec;
    let group = request.leaf.as_ref().and_then(|leaf| leaf.make().inspect_err(without_group).ok());
    let SpawnRequest { mark, slot, passed, after, .. } = request;
    let start = SpawnParameters { mark, slot, group: group.as_ref().map(AsFd::as_fd), passed, after };
    spawn::spawn(exec, &start, ground, cradle).map(|spawned| {
        if let Some(error) = spawned.not_in_group {
            without_group(&io::Error::from_raw_os_error(error));
        }
        match spawned.output {
            Some(pipes) => {
                outputs.read(&request.spec.name, &exec.output, request.passed.log_matcher.as_ref(), &spawned.identity, pipes);
            }
            None => outputs.mark_silent(&request.spec.name),
        }
        RunningProcess { pid: spawned.pid, pidfd: spawned.pidfd.or_else(|| hold(spawned.pid)) }
    })
}

/// Says, once, that a process has no control group of its own, which it can do without.
fn without_group(error: &io::Error) {
    static SAID: Once = Once::new();
    SAID.call_once(|| tracing::warn!(target: "navigator", %error, "Processes get no control groups of their own"));
}

/// Notes a leader, by all that tells it from a later process with its number.
fn note(journal: &Journal, request: &SpawnRequest, &RunningProcess { pid, ref pidfd }: &RunningProcess) {
    let inode = pidfd.as_ref().and_then(tree::inode);
    let ticks = if inode.is_some() { None } else { started(pid) };
    journal.note_and_wait(JournalEntry::Started(Started {
        key: journal.key(request.run.0),
        name: request.spec.name.to_string(),
        pid,
        ticks,
        inode,
        leaf: request.leaf.as_ref().map(|leaf| leaf.directory().display().to_string()),
    }));
}

/// When a child was started. It may have ended and have been reaped by now: whoever has its number then is not our child.
fn started(pid: u32) -> Option<u64> {
    proc::stat(pid).filter(is_ours)?.started
}

/// A descriptor of a child, where the kernel gave none with it, under the same condition.
fn hold(pid: u32) -> Option<OwnedFd> {
    tree::try_open(pid).ok().filter(|_| proc::stat(pid).as_ref().is_some_and(is_ours))
}

fn is_ours(stat: &Stat) -> bool {
    stat.parent == std::process::id()
}
