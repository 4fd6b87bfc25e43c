//! How a run is told to stop, or to read its own files again: by a signal, or by a command that runs beside it.

use super::commands::{CommandContext, Commands, Purpose};
use super::loop_state::LoopState;
use super::spawn_extras::SpawnExtras;
use crate::error_text::words;
use crate::signals;
use reconcile::event::{Event, RunId};
use reconcile::spec::{Reload, Signal};
use reconcile::text::Text;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::Sender;
use tracing::{debug, warn};

/// Tells runs what to do, where more than a signal may be needed. Clones are the same.
#[derive(Clone)]
pub(super) struct RunOrders {
    shared: Arc<LoopState>,
    commands: Commands,
    news: Sender<Event>,
    /// Runs that are being reloaded by a command, and what was asked for meanwhile.
    reloads: Arc<Mutex<HashMap<RunId, Option<PendingReload>>>>,
}

/// A reload by a command.
type PendingReload = (CommandContext, Vec<Text>);

impl RunOrders {
    pub(super) fn new(shared: Arc<LoopState>, commands: Commands, news: Sender<Event>) -> RunOrders {
        RunOrders { shared, commands, news, reloads: Arc::default() }
    }

    /// Tells a run to stop by a command; by this signal after all, if that fails. How long it may take is for others to
    /// say, who then kill the run, and what runs beside it.
    pub(super) fn stop(&self, principal: CommandContext, command: &[Text], signal: Signal) {
        let mut command = self.commands.start(&principal, Purpose::Stop, command, SpawnExtras::default());
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let name = principal.spec.name.as_str();
            match command.end().await {
                Some(Err(reason)) => {
                    warn!(target: "managed_processes", name, reason, signal = signal.0, "Stop command failed");
                    shared.lock().stop(&[(principal.run, signals::number(signal))]);
                    shared.news.notify_one();
                }
                Some(Ok(())) => debug!(target: "managed_processes", name, "Stop command ended"),
                None => debug!(target: "managed_processes", name, "Stop command was killed"),
            }
        });
    }

    /// Tells a run to read its own files again.
    pub(super) fn reload(&self, principal: CommandContext, by: Reload) {
        match by {
            Reload::Signal(signal) => {
                let told = self.shared.lock().signal_leader(principal.run, signals::number(signal));
                let news = self.news.clone();
                tokio::spawn(async move { tell(&news, principal.run, told.err().map(|error| words(&error))).await });
            }
            Reload::Command(command) => self.reload_by_command(principal, command),
        }
    }

    /// One after the other. Of those that are asked for while one is at it, the last is enough.
    fn reload_by_command(&self, principal: CommandContext, command: Vec<Text>) {
        let run = principal.run;
        if let Some(meanwhile) = self.lock().get_mut(&run) {
            *meanwhile = Some((principal, command));
            return;
        }
        self.lock().insert(run, None);
        let orders = self.clone();
        tokio::spawn(async move {
            let mut next = Some((principal, command));
            while let Some((principal, command)) = next {
                let mut command = orders.commands.start(&principal, Purpose::Reload, &command, SpawnExtras::default());
                let Some(outcome) = command.outcome(principal.spec.stop.timeout).await else { break };
                tell(&orders.news, run, outcome.err()).await;
                next = orders.lock().get_mut(&run).and_then(Option::take);
            }
            orders.lock().remove(&run);
        });
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<RunId, Option<PendingReload>>> {
        self.reloads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn tell(news: &Sender<Event>, run: RunId, failure: Option<String>) {
    // Whoever listens has gone.
    let _unheard = news.send(Event::Reloaded { run, failure }).await;
}
