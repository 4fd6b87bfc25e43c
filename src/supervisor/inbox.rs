//! What comes into the loop apart from the events of runs: revisions, file changes, signals and clients' requests.

use super::event_stream::EventSubscription;
use super::pending_orders::TrackedOrder;
use super::view::LoopView;
use crate::errand::Errand;
use crate::handover::Program;
use crate::snapshot::{ConfigProblem, SourceSnapshot};
use crate::source::Revision;
use reconcile::event::Content;
use reconcile::spec::Signal;
use reconcile::text::Name;
use rustix::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// How many messages may wait for the loop. A faster producer waits until there is room.
pub const INBOX: usize = 1024;

/// A message to the loop.
#[derive(Debug)]
pub enum News {
    /// A configuration was read.
    Revision(Revision),
    /// The content of files that these processes watch has changed.
    Contents(Vec<(Name, Content)>),
    /// A requested check of the files is done. Everything that was saved before the request has been delivered.
    FilesChecked,
    /// The wall clock was set, or the machine was suspended.
    ClockChanged,
    /// A program is to be run.
    Errand(Errand),
    /// The state of the followed repository has changed; `None`: none is followed.
    Source(Option<Box<SourceSnapshot>>),
    /// Navigator received a signal.
    Signal(NavigatorSignal),
    /// A client asks for something.
    Request(Request),
}

/// A signal to navigator, named by its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NavigatorSignal {
    /// `TERM`: shut down in order.
    Terminate,
    /// `INT`: shut down in order; a second one kills everything.
    Interrupt,
    /// `QUIT`: kill everything.
    Quit,
    /// `HUP`: reload the configuration.
    Hangup,
    /// `HUP` because navigator's terminal was closed: shut down in order.
    TerminalClosed,
    /// `USR2`: reopen log files.
    Reopen,
    /// Any other: it has no effect.
    Other(Signal),
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// By `TERM`.
    Terminated,
    /// By `INT` or `QUIT`.
    Interrupted,
    /// By the end of a process with `shutdown_on`; with the exit code.
    Caused(u8),
    /// Processes are left that survive `KILL`.
    Incomplete,
}

/// A client's request.
#[derive(Debug)]
pub enum Request {
    /// The current view; with a version, the first view that is newer.
    View(Option<u64>, oneshot::Sender<Arc<LoopView>>),
    /// A manual order for all of these processes, applied in one step. The answer comes at once; it tracks the outcomes.
    Order(ManualOrder, Vec<Name>, oneshot::Sender<Vec<TrackedOrder>>),
    /// Reload the configuration. Answered when it is in force or rejected.
    Reload(oneshot::Sender<ReloadOutcome>),
    /// Try every definition again of which a run was put back. Answered once that has begun.
    Retry(oneshot::Sender<()>),
    /// Follow the stream of events; with a generation, past events since then come first.
    Follow(Option<u64>, oneshot::Sender<EventSubscription>),
    /// Run a program for at most this long. Answered when it has ended.
    RunProgram(PathBuf, Vec<String>, Duration, oneshot::Sender<Result<(), String>>),
    /// Have another program take over this process. Answered only if that fails, with the reason.
    HandOver(Box<HandoverOrder>, oneshot::Sender<String>),
    /// Check the files for changes. Answered when everything saved before the request has been handled.
    CheckFiles(oneshot::Sender<()>),
}

/// A program that is to take over this process.
#[derive(Debug)]
pub struct HandoverOrder {
    /// The program.
    pub(crate) program: Program,
    /// Its version.
    pub(crate) version: String,
    /// The connection of the client, which is answered by the program that goes on.
    pub(crate) client: OwnedFd,
}

/// What a client orders for a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ManualOrder {
    /// Start it, even if it was stopped by hand, failed or completed.
    Start,
    /// Stop it, and keep it stopped.
    Stop,
    /// Replace its run with a new one, as its definition asks for.
    Restart,
    /// Stop its run, then start a new one.
    RestartStopFirst,
    /// Send this signal to its main process.
    Signal(Signal),
    /// Make it re-read its own files.
    Reload,
}

/// The outcome of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReloadOutcome {
    /// The configuration is in force as this generation; `true`: its meaning has changed.
    Accepted(u64, bool),
    /// The configuration is wrong.
    Rejected(Vec<ConfigProblem>),
    /// Navigator is shutting down, and reads nothing any more.
    Closing,
}
