//! Commands that check, reload or stop a run, each with the run's environment, directory, user and limits.
//!
//! Spawners and reaper treat a command as a run with its own tree, under an id that the core never uses. Its events end here.
//! A run is not reported gone while one of its commands runs: the next run must not meet it.

use super::loop_state::LoopState;
use super::secret_filter::SecretFilter;
use super::sockets::SocketTask;
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

/// Ids of commands begin here; the core's run ids stay far below.
const FIRST_COMMAND_ID: u64 = 1 << 63;
/// How long to wait for the end of a command that was killed.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// Whether the run of this number is a command, and none of the core's.
pub fn is_command(run: u64) -> bool {
    run >= FIRST_COMMAND_ID
}

/// The run that a command is for.
#[derive(Clone, Debug)]
pub(super) struct CommandContext {
    /// The run.
    pub(super) run: RunId,
    /// Its definition.
    pub(super) spec: Arc<Spec>,
    /// Its main process, once its program runs.
    pub(super) main_pid: Option<Pid>,
}

/// What a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Probes the run.
    Check,
    /// Makes the run read its own files again.
    Reload,
    /// Makes the run finish its work.
    Drain,
    /// Stops the run. It may outlive the run, to finish its work.
    Stop,
}

/// How a command ended.
type CommandOutcome = Result<ExitStatus, Refusal>;

/// Starts commands and takes their events. Clones share one table.
#[derive(Clone)]
pub(super) struct Commands {
    shared: Arc<LoopState>,
    spawners: Arc<Spawners>,
    secrets: SecretFilter,
    table: Arc<Mutex<CommandTable>>,
}

#[derive(Default)]
struct CommandTable {
    last: u64,
    running: HashMap<RunId, OpenCommand>,
    /// Runs that are gone, and not reported gone yet, because a command runs.
    withheld: HashSet<RunId>,
}

struct OpenCommand {
    run: RunId,
    purpose: Purpose,
    status: Option<ExitStatus>,
    /// Receives the outcome; `None` once it was killed because its run ends.
    done: Option<oneshot::Sender<CommandOutcome>>,
}

impl Commands {
    pub(super) fn new(shared: Arc<LoopState>, spawners: Arc<Spawners>, secrets: SecretFilter) -> Commands {
        Commands { shared, spawners, secrets, table: Arc::default() }
    }

    /// What a run or this command of it has written, without the values of its secrets, see [`SecretFilter::apply`].
    pub(super) fn without_secrets(&self, text: &str, is_cut: bool, context: &CommandContext, command: &[Text]) -> String {
        self.secrets.apply(text, is_cut, &context.spec.exec, command)
    }

    /// Makes another process of a run's tree its main process.
    ///
    /// # Errors
    /// Why it can't be.
    pub(super) fn change_main(&self, run: RunId, pid: u32) -> Result<(), &'static str> {
        let changed = self.shared.lock().change_main(run, pid);
        self.shared.news.notify_one();
        changed
    }

    /// Has it found out which processes of a run keep its sockets.
    pub(super) fn find_keepers(&self, context: &CommandContext) {
        let pids = self.shared.lock().pids(context.run);
        self.spawners.submit_sockets(SocketTask::FindKeepers(context.run, pids, context.spec.exec.sockets.clone()));
    }

    /// Has it found out where a run listens by sockets of its own.
    pub(super) fn find_own_sockets(&self, context: &CommandContext) {
        let pids = self.shared.lock().pids(context.run);
        self.spawners.submit_sockets(SocketTask::FindOwn(context.run, pids));
    }

    /// Starts a command for a run.
    pub(super) fn start(
        &self,
        context: &CommandContext,
        purpose: Purpose,
        command: &[Text],
        extras: SpawnExtras,
    ) -> StartedCommand {
        let (done, ended) = oneshot::channel();
        let id = self.register(OpenCommand { run: context.run, purpose, status: None, done: Some(done) });
        let spec = Arc::new(command_spec(context, purpose, command));
        let (mark, slot, leaf) = self.shared.lock().register_start(id, &spec);
        let variables = [variables(context), extras.variables].concat();
        // Nothing waits for the outcome of a check any more.
        let extras = SpawnExtras { variables, ends_with_navigator: purpose == Purpose::Check, ..extras };
        self.spawners.submit(SpawnRequest { run: id, spec, mark, slot, leaf, extras, sockets: None, after: Vec::new() });
        self.shared.news.notify_one();
        StartedCommand { id, commands: self.clone(), ended }
    }

    fn register(&self, open: OpenCommand) -> RunId {
        let mut table = self.lock();
        table.last += 1;
        let id = RunId(FIRST_COMMAND_ID + table.last);
        table.running.insert(id, open);
        id
    }

    /// Takes the events of commands and returns all others. Withholds a run's [`Event::Gone`] while a command of it runs.
    pub(super) fn route(&self, event: Event) -> Option<Event> {
        match event.run() {
            Some(RunId(number)) if is_command(number) => self.handle(event),
            Some(run) if matches!(event, Event::Gone { .. }) => {
                self.kill_matching(run, |purpose| purpose != Purpose::Stop);
                let mut table = self.lock();
                if !table.has_any_for(run) {
                    return Some(event);
                }
                table.withheld.insert(run);
                None
            }
            _ => Some(event),
        }
    }

    fn handle(&self, event: Event) -> Option<Event> {
        match event {
            Event::Exited { run, status } => {
                if let Some(open) = self.lock().running.get_mut(&run) {
                    open.status = Some(status);
                }
                // Processes that it leaves behind serve nothing.
                self.kill(run);
                None
            }
            Event::Gone { run } => self.close(run, None),
            Event::NotSpawned { run, why } => self.close(run, Some(why)),
            _ => None,
        }
    }

    /// Removes a command. Returns the event that was withheld for it.
    fn close(&self, id: RunId, refusal: Option<Refusal>) -> Option<Event> {
        let mut table = self.lock();
        let OpenCommand { run, status, done, .. } = table.running.remove(&id)?;
        if let Some(done) = done {
            let outcome = refusal.map_or_else(|| Ok(status.unwrap_or(ExitStatus::Lost)), Err);
            // The caller may have timed out.
            let _dropped = done.send(outcome);
        }
        let is_last = !table.has_any_for(run);
        (is_last && table.withheld.remove(&run)).then_some(Event::Gone { run })
    }

    /// Kills every command of a run.
    pub(super) fn kill_for_run(&self, run: RunId) {
        self.kill_matching(run, |_| true);
    }

    fn kill_matching(&self, run: RunId, which: impl Fn(Purpose) -> bool) {
        let mut ended = Vec::new();
        for (&id, open) in &mut self.lock().running {
            if open.run == run && which(open.purpose) {
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
    fn has_any_for(&self, run: RunId) -> bool {
        self.running.values().any(|open| open.run == run)
    }
}

/// A command that was started. Dropping it kills its tree.
pub(super) struct StartedCommand {
    id: RunId,
    commands: Commands,
    ended: oneshot::Receiver<CommandOutcome>,
}

impl StartedCommand {
    /// Waits until the command is gone. Kills it at the timeout, which is a failure. `None`: it was killed because its run ends.
    pub(super) async fn outcome(&mut self, within: Duration) -> Option<Result<(), String>> {
        if let Ok(ended) = timeout(within, &mut self.ended).await {
            return Some(to_result(ended.ok()?));
        }
        self.commands.kill(self.id);
        // The next one must not overlap it.
        match timeout(KILL_TIMEOUT, &mut self.ended).await {
            Ok(Err(_for_its_run)) => None,
            _ => Some(Err(format!("no end within {}", HumanDuration(within)))),
        }
    }

    /// Waits without a timeout until the command is gone. `None`: it was killed because its run ends.
    pub(super) async fn end(&mut self) -> Option<Result<(), String>> {
        Some(to_result((&mut self.ended).await.ok()?))
    }
}

impl Drop for StartedCommand {
    fn drop(&mut self) {
        if self.commands.lock().running.contains_key(&self.id) {
            self.commands.kill(self.id);
        }
    }
}

fn to_result(outcome: CommandOutcome) -> Result<(), String> {
    match outcome {
        Ok(ExitStatus::Code(0)) => Ok(()),
        Ok(status) => Err(status.to_string()),
        Err(refusal) => Err(refusal.to_string()),
    }
}

/// The definition of a command: with the environment, directory, user and limits of its run.
fn command_spec(context: &CommandContext, purpose: Purpose, command: &[Text]) -> Spec {
    let run_exec = &context.spec.exec;
    let (program, args) = command.split_first().map_or((Text::default(), &[][..]), |(first, rest)| (first.clone(), rest));
    let output = if purpose == Purpose::Check { Output::Null } else { run_exec.output.clone() };
    // Sockets are for the program alone.
    let (announce, sockets) = (None, Vec::new());
    let exec = Exec { command: program, args: args.to_vec(), output, announce, sockets, ..run_exec.clone() };
    let mut spec = Spec::new(&context.spec.name, "");
    spec.exec = exec;
    spec
}

/// The variables that hold the main process's pid.
fn variables(context: &CommandContext) -> Vec<(&'static str, String)> {
    let main_pid = context.main_pid.iter();
    main_pid.flat_map(|pid| ["NAVIGATOR_PID", "MAINPID"].map(|name| (name, pid.to_string()))).collect()
}
