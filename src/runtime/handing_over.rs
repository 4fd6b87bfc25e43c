//! What the runtime does while another program takes over this process, or is tried out before that.

use super::Runtime;
use super::errands::NAME;
use super::output::{OutputHistory, PausedReader, flush_deferred_log};
use super::spawn_extras::SpawnExtras;
use crate::handover::{BegunLine, HandedOutput, InheritedDescriptors};
use reconcile::human_duration::HumanDuration;
use reconcile::spec::Spec;
use reconcile::text::{Name, Text};
use std::mem;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

/// What another program in this process has handed over.
#[derive(Debug, Default)]
pub struct HandedOver {
    /// What it left open; `None`: there was none.
    pub(crate) inherited: Option<Arc<InheritedDescriptors>>,
    /// What it had in memory of the output of processes.
    pub(crate) output: HandedOutput,
}

impl HandedOver {
    /// What was left open, and the output in memory.
    pub(crate) fn new(inherited: Option<Arc<InheritedDescriptors>>, output: HandedOutput) -> HandedOver {
        HandedOver { inherited, output }
    }
}

/// The output of all processes, everything of it passed on. No more is read for as long as this exists.
pub struct PausedOutput {
    _reader: PausedReader,
    unfinished: Vec<BegunLine>,
    history: OutputHistory,
}

impl PausedOutput {
    /// What is still in memory. Call it once.
    pub(crate) fn take_rest(&mut self) -> HandedOutput {
        HandedOutput { unfinished: mem::take(&mut self.unfinished), last_lines: self.history.hand_over() }
    }
}

impl Runtime {
    /// The processes that are just being started.
    pub fn starting(&self) -> Vec<Name> {
        self.shared.lock().starting()
    }

    /// Whether something has happened that was not reported yet.
    pub fn has_events(&self) -> bool {
        self.shared.lock().has_events() || self.observers.prober.has_unreported()
    }

    /// Passes on all output that was read, writes it, and reads no more.
    ///
    /// # Errors
    /// It is not written in time.
    pub async fn pause_output(&self, within: Duration) -> Result<PausedOutput, String> {
        let until = Instant::now() + within;
        let stuck = || format!("output can't be written within {}: a terminal or disk is stuck", HumanDuration(within));
        let (reader, unfinished) = timeout_at(until, self.outputs.pause()).await.map_err(|_| stuck())?;
        flush_deferred_log();
        timeout_at(until, self.printer.flush()).await.map_err(|_| stuck())?;
        Ok(PausedOutput { _reader: reader, unfinished, history: self.history.clone() })
    }

    /// Everything of a former life is taken over, and the first actions are begun: what they don't use of it is closed.
    pub fn take_over_done(&self) {
        self.sockets.settle_one();
    }

    /// Runs another program and answers how it ended. It is killed if it takes too long.
    pub fn run_program(
        &self,
        program: &Path,
        arguments: &[String],
        within: Duration,
        reply: oneshot::Sender<Result<(), String>>,
    ) {
        let words = [program.to_string_lossy().into_owned()].into_iter().chain(arguments.iter().cloned());
        let command: Vec<Text> = words.map(|word| Text::plain(&word)).collect();
        let answer = move |end| drop(reply.send(end));
        self.run_beside(Spec::new(NAME, NAME), &command, SpawnExtras::default(), within, answer);
    }
}
