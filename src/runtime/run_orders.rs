//! Stops a run by a command, and reloads or drains a run by a signal or a command.

use super::commands::{CommandContext, Commands, Purpose};
use super::loop_state::LoopState;
use super::spawn_extras::SpawnExtras;
use crate::error_text::words;
use crate::signals;
use reconcile::event::{Event, RunId};
use reconcile::spec::{Signal, SignalOrCommand, StopScope};
use reconcile::text::Text;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::Sender;
use tracing::{debug, warn};

/// Stops, drains and reloads runs where that may take a command. Clones share one state.
#[derive(Clone)]
pub(super) struct RunOrders {
    shared: Arc<LoopState>,
    commands: Commands,
    news: Sender<Event>,
    /// Runs that are being reloaded by a command, each with the latest reload requested meanwhile.
    reloads: Arc<Mutex<HashMap<RunId, Option<PendingReload>>>>,
}

/// A reload by a command.
type PendingReload = (CommandContext, Vec<Text>);

impl RunOrders {
    pub(super) fn new(shared: Arc<LoopState>, commands: Commands, news: Sender<Event>) -> RunOrders {
        RunOrders { shared, commands, news, reloads: Arc::default() }
    }

    /// Stops a run by a command; if that fails, by this signal. There is no timeout here: the core kills the run and its
    /// commands in the end.
    pub(super) fn stop(&self, context: CommandContext, command: &[Text], signal: Signal) {
        let mut command = self.commands.start(&context, Purpose::Stop, command, SpawnExtras::default());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let name = context.spec.name.as_str();
            match command.end().await {
                Some(Err(reason)) => {
                    warn!(target: "managed_processes", name, reason, signal = signal.0, "Stop command failed");
                    let number = signals::number(signal);
                    match context.spec.stop.scope {
                        StopScope::Tree => shared.lock().stop(&[(context.run, number)]),
                        StopScope::Main => shared.lock().stop_main(context.run, number),
                    }
                    shared.news.notify_one();
                }
                Some(Ok(())) => debug!(target: "managed_processes", name, "Stop command ended"),
                None => debug!(target: "managed_processes", name, "Stop command was killed"),
            }
        });
    }

    /// Makes a run finish its work. There is no timeout here: the core stops the run in the end, and the command ends with it.
    pub(super) fn drain(&self, context: CommandContext, by: SignalOrCommand) {
        match by {
            SignalOrCommand::Signal(signal) => {
                let sent = self.shared.lock().signal_main(context.run, signals::number(signal));
                if let Err(error) = sent {
                    self.report_not_drained(context.run, words(&error));
                }
            }
            SignalOrCommand::Command(command) => {
                let mut command = self.commands.start(&context, Purpose::Drain, &command, SpawnExtras::default());
                let orders = self.clone();
                tokio::spawn(async move {
                    if let Some(Err(reason)) = command.end().await {
                        let name = context.spec.name.as_str();
                        warn!(target: "managed_processes", name, reason, "Drain command failed");
                        orders.report_not_drained(context.run, reason);
                    }
                });
            }
        }
    }

    /// Reports that a run does not finish its work by itself.
    pub(super) fn report_not_drained(&self, run: RunId, why: String) {
        let news = self.news.clone();
        // The receiver may be gone.
        tokio::spawn(async move { drop(news.send(Event::NotDrained { run, why }).await) });
    }

    /// Makes a run read its own files again.
    pub(super) fn reload(&self, context: CommandContext, by: SignalOrCommand) {
        match by {
            SignalOrCommand::Signal(signal) => {
                let sent = self.shared.lock().signal_main(context.run, signals::number(signal));
                let news = self.news.clone();
                tokio::spawn(async move { send_reloaded(&news, context.run, sent.err().map(|error| words(&error))).await });
            }
            SignalOrCommand::Command(command) => self.reload_by_command(context, command),
        }
    }

    /// Runs reload commands one after the other. Of those requested while one runs, only the last is run.
    fn reload_by_command(&self, context: CommandContext, command: Vec<Text>) {
        let run = context.run;
        if let Some(meanwhile) = self.lock().get_mut(&run) {
            *meanwhile = Some((context, command));
            return;
        }
        self.lock().insert(run, None);
        let orders = self.clone();
        tokio::spawn(async move {
            let mut next = Some((context, command));
            while let Some((context, command)) = next {
                let mut command = orders.commands.start(&context, Purpose::Reload, &command, SpawnExtras::default());
                let Some(outcome) = command.outcome(context.spec.stop.timeout).await else { break };
                send_reloaded(&orders.news, run, outcome.err()).await;
                next = orders.lock().get_mut(&run).and_then(Option::take);
            }
            orders.lock().remove(&run);
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Option<PendingReload>>> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send_reloaded(news: &Sender<Event>, run: RunId, failure: Option<String>) {
    // The receiver may be gone.
    let _dropped = news.send(Event::Reloaded { run, failure }).await;
}
