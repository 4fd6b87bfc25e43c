//! What the loop needs from outside: something that performs actions, and its host.

use super::inbox::HandoverOrder;
use crate::config::{Diagnostic, Loaded};
use crate::errand::Errand;
use crate::journal::FactUpdate;
use crate::runtime::{FormerRun, PausedOutput, TakenOver};
use crate::service_manager::ServiceManager;
use crate::snapshot::PlanReport;
use crate::source::Source;
use reconcile::event::{Action, Pid, RunId};
use reconcile::spec::Signal;
use reconcile::text::Name;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::oneshot;

/// Performs actions. The outcome of each comes back as an [`Event`](reconcile::event::Event).
pub trait Perform {
    /// Performs these actions in order, and returns at once.
    fn perform(&self, actions: Vec<Action>);

    /// Sends a signal to the main process of a run.
    ///
    /// # Errors
    /// It isn't permitted, or the process is gone.
    fn signal(&self, run: RunId, signal: Signal) -> io::Result<()>;

    /// The living processes of a run, for log lines.
    fn pids(&self, run: RunId) -> Vec<Pid>;

    /// Drops the kept output of every process for which `is_there` returns false.
    fn retain_lines(&self, is_there: &dyn Fn(&Name) -> bool);

    /// Takes over a run of a former life of navigator.
    fn take_over(&self, former: &FormerRun) -> TakenOver;

    /// Makes the orphans of a process the processes of this run, to be stopped. Returns one of their pids; `None`: all have ended.
    fn bind_orphans(&self, run: RunId, name: &Name) -> Option<Pid>;

    /// The processes that are just being started.
    fn starting(&self) -> Vec<Name>;

    /// Whether something has happened that was not reported yet.
    fn has_events(&self) -> bool;

    /// Passes on all output that was read, and reads no more as long as what is returned exists.
    ///
    /// # Errors
    /// It can't be written in time.
    fn pause_output(&self, within: Duration) -> impl Future<Output = Result<PausedOutput, String>>;

    /// Everything of a former life is taken over, and the first actions are begun.
    fn take_over_done(&self);

    /// Runs another program for at most this long, and answers how it ended.
    fn run_program(&self, program: &Path, arguments: &[String], within: Duration, reply: oneshot::Sender<Result<(), String>>);

    /// Runs a program for another part of navigator.
    fn run_errand(&self, errand: Errand);

    /// Ends the adoption of orphans. A process with an orphan that survived is never started beside it.
    fn release_orphans(&self);
}

/// The program around the loop, apart from the processes.
pub trait Host {
    /// Where revisions of the configuration come from. It delivers them as [`News`](super::News).
    fn source(&self) -> &dyn Source;

    /// The real path of the configuration.
    fn config(&self) -> PathBuf;

    /// Applies the settings of a configuration that is accepted as this generation. Its processes are the engine's.
    fn apply(&self, loaded: &Loaded, generation: u64);

    /// Records what has changed about processes, for the next life of navigator.
    fn record(&self, updates: Vec<FactUpdate>);

    /// Shows diagnostics on a terminal, in more detail than the log does. `omitted` counts the problems that are left out.
    fn explain(&self, diagnostics: &[Diagnostic], omitted: usize);

    /// Whether the log is shown on a terminal, where plans are shown too.
    fn is_watched(&self) -> bool;

    /// Shows on the terminal what a configuration that has just been accepted changes.
    fn show_plan(&self, plan: &PlanReport);

    /// Shows a line on the terminal that is not part of the log.
    fn show_notice(&self, text: &str);

    /// Reopens every log file.
    fn reopen(&self);

    /// The service manager that started navigator.
    fn service_manager(&self) -> &ServiceManager;

    /// Has another program take over this process. Returns only if that fails, with the reason.
    fn hand_over(&self, order: &HandoverOrder, output: PausedOutput) -> String;

    /// What a former life has left is taken over. `taken`: its running processes; `restarted`: those of them that are replaced.
    fn taken_over(&self, taken: usize, restarted: usize);
}
