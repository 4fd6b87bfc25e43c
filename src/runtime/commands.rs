//! Programs that run beside a run, in its surroundings: what checks it, reloads it or stops it.
//!
//! To spawners and reaper each is a run like any other, with a tree of its own, under a number that the core never gives.
//! Its news stays here. A run isn't told to be gone while a command beside it is there: what comes next must not meet it.

use super::loop_state::LoopState;
use super::spawn_extras::SpawnExtras;
use super::spawners::{SpawnRequest, Spawners};
use reconcile::event::{Event, ExitStatus, Pid, Refusal, RunId};
use reconcile::human_duration::HumanDuration;
use reconcile::spec::{Exec, Output, Spec};
use reconcile::text::Text;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Numbers of commands begin here; those of the core's runs stay far below.
const FIRST: u64 = 1 << 63;
/// How long what was killed may take to be gone before it's no longer waited for.
const LAST_KILL: Duration = Duration::from_secs(5);

/// The run that a command runs beside.
#[derive(Clone, Debug)]
pub(super) struct CommandContext {
    /// The run.
    pub(super) run: RunId,
    /// The definition that it goes by.
    pub(super) spec: Arc<Spec>,
    /// Its leader, once its program runs.
    pub(super) leader: Option<Pid>,
}

/// What a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To say how the run is.
    Check,
    /// To have it read its own files again.
    Reload,
    /// To stop it. Goes on when the run has ended: it may have something left to do.
    Stop,
}

/// How a command ended.
type CommandOutcome = Result<ExitStatus, Refusal>;

/// Starts commands, and takes their news. Clones are the same.
#[derive(Clone)]
pub(super) struct Commands {
    shared: Arc<LoopState>,
    spawners: Arc<Spawners>,
    table: Arc<Mutex<CommandTable>>,
}

#[derive(Default)]
struct CommandTable {
    last: u64,
    open: HashMap<RunId, OpenCommand>,
    /// Runs that are gone, and not yet told to be.
    withheld: HashSet<RunId>,
}

struct OpenCommand {
    beside: RunId,
    purpose: Purpose,
    status: Option<ExitStatus>,
    /// Who waits for its end. Nobody, once it was killed for the sake of its run.
    done: Option<oneshot::Sender<CommandOutcome>>,
}

impl Commands {
    pub(super) fn new(shared: Arc<LoopState>, spawners: Arc<Spawners>) -> Commands {
        Commands { shared, spawners, table: Arc::default() }
    }

    /// Starts a command beside a run.
    pub(super) fn start(
        &self,
        beside: &CommandContext,
        purpose: Purpose,
        command: &[Text],
        passed: SpawnExtras,
    ) -> StartedCommand {
        let (done, ended) = oneshot::channel();
        let id = self.enter(OpenCommand { beside: beside.run, purpose, status: None, done: Some(done) });
        let spec = Arc::new(definition(beside, purpose, command));
        let (mark, slot, leaf) = self.shared.lock().expect(id, &spec);
        let passed = SpawnExtras { variables: [variables(beside), passed.variables].concat(), ..passed };
        self.spawners.submit(SpawnRequest { run: id, spec, mark, slot, leaf, passed, after: Vec::new() });
        self.shared.news.notify_one();
        StartedCommand { id, commands: self.clone(), ended }
    }

    fn enter(&self, open: OpenCommand) -> RunId {
        let mut table = self.lock();
        table.last += 1;
        let id = RunId(FIRST + table.last);
        table.open.insert(id, open);
        id
    }

    /// Takes the news of commands, and passes all other news on; of a run that is gone, once every command beside it is.
    pub(super) fn route(&self, event: Event) -> Option<Event> {
        match event.run() {
            Some(RunId(number)) if number >= FIRST => self.take(event),
            Some(run) if matches!(event, Event::Gone { .. }) => {
                self.end_beside(run, |purpose| purpose != Purpose::Stop);
                let mut table = self.lock();
                if !table.has_any_beside(run) {
                    return Some(event);
                }
                table.withheld.insert(run);
                None
            }
            _ => Some(event),
        }
    }

    fn take(&self, event: Event) -> Option<Event> {
        match event {
            Event::Exited { run, status } => {
                if let Some(open) = self.lock().open.get_mut(&run) {
                    open.status = Some(status);
                }
                // What it leaves behind has nobody to answer to.
                self.kill(run);
                None
            }
            Event::Gone { run } => self.close(run, None),
            Event::NotSpawned { run, why } => self.close(run, Some(why)),
            _ => None,
        }
    }

    /// Strikes out a command; answers with the news that was held back for it.
    fn close(&self, id: RunId, refusal: Option<Refusal>) -> Option<Event> {
        let mut table = self.lock();
        let OpenCommand { beside, status, done, .. } = table.open.remove(&id)?;
        if let Some(done) = done {
            let outcome = refusal.map_or_else(|| Ok(status.unwrap_or(ExitStatus::Lost)), Err);
            // Who asked may have lost patience.
            let _unheard = done.send(outcome);
        }
        let is_last = !table.has_any_beside(beside);
        (is_last && table.withheld.remove(&beside)).then_some(Event::Gone { run: beside })
    }

    /// Kills every command beside a run.
    pub(super) fn kill_beside(&self, run: RunId) {
        self.end_beside(run, |_| true);
    }

    fn end_beside(&self, run: RunId, which: impl Fn(Purpose) -> bool) {
        let mut ended = Vec::new();
        for (&id, open) in &mut self.lock().open {
            if open.beside == run && which(open.purpose) {
                open.done = None;
                ended.push(id);
            }
        }
        for id in ended {
            self.kill(id);
        }
    }

    fn kill(&self, id: RunId) {
        self.shared.lock().kill(id);
        self.shared.news.notify_one();
    }

    /// Never held across an await, and never while the reaper's lock is waited for.
    fn lock(&self) -> MutexGuard<'_, CommandTable> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CommandTable {
    fn has_any_beside(&self, run: RunId) -> bool {
        self.open.values().any(|open| open.beside == run)
    }
}

/// A command that was started. Dropping it kills what is left of it.
pub(super) struct StartedCommand {
    id: RunId,
    commands: Commands,
    ended: oneshot::Receiver<CommandOutcome>,
}

impl StartedCommand {
    /// Waits until the command is gone; past this time it is killed, which is a failure. `None`: it was killed because the
    /// run beside which it runs is ending.
    pub(super) async fn outcome(&mut self, within: Duration) -> Option<Result<(), String>> {
        if let Ok(ended) = timeout(within, &mut self.ended).await {
            return Some(in_words(ended.ok()?));
        }
        self.commands.kill(self.id);
        // Another one must not be started beside it.
        match timeout(LAST_KILL, &mut self.ended).await {
            Ok(Err(_for_its_run)) => None,
            _ => Some(Err(format!("no end within {}", HumanDuration(within)))),
        }
    }

    /// Waits until the command is gone, however long that takes.
    pub(super) async fn end(&mut self) -> Option<Result<(), String>> {
        Some(in_words((&mut self.ended).await.ok()?))
    }
}

impl Drop for StartedCommand {
    fn drop(&mut self) {
        if self.commands.lock().open.contains_key(&self.id) {
            self.commands.kill(self.id);
        }
    }
}

fn in_words(outcome: CommandOutcome) -> Result<(), String> {
    match outcome {
        Ok(status) if status.is_success() => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// A command as a definition: with the environment, the directory, the user and the limits of its run.
fn definition(beside: &CommandContext, purpose: Purpose, command: &[Text]) -> Spec {
    let of_run = &beside.spec.exec;
    let (program, args) = command.split_first().map_or((Text::default(), &[][..]), |(first, rest)| (first.clone(), rest));
    let output = if purpose == Purpose::Check { Output::Null } else { of_run.output.clone() };
    let exec = Exec { command: program, args: args.to_vec(), output, announce: None, ..of_run.clone() };
    let mut spec = Spec::new(&beside.spec.name, "");
    spec.exec = exec;
    spec
}

/// What tells a command which process it is about.
fn variables(beside: &CommandContext) -> Vec<(&'static str, String)> {
    let leader = beside.leader.iter();
    leader.flat_map(|pid| ["NAVIGATOR_PID", "MAINPID"].map(|name| (name, pid.to_string()))).collect()
}
