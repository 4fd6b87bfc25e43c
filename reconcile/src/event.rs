//! The input and output of the core: events, orders and actions.
//!
//! An [`Event`] says what happened. An [`Action`] says exactly what to do. Decisions are made in [`crate::plan`] alone.

pub use crate::content::Content;

use crate::desired::Desired;
use crate::schedule::NextDate;
use crate::socket::{Listener, SocketChange};
use crate::spec::{Signal, SignalOrCommand, Spec, StopScope};
use crate::text::{Name, Text};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

/// The number of one execution of a process. It is never reused, so an event of an unknown run is late, not wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(pub u64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A pid, for people and for the runtime. The core decides nothing by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid(pub u32);

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What happened: the input of the engine.
#[derive(Clone, Debug)]
pub enum Event {
    /// A configuration was accepted.
    Wanted(Desired),
    /// An operator gave an order.
    Order(Order),
    /// The run's program has been executed.
    Spawned {
        /// The run.
        run: RunId,
        /// Its main process.
        pid: Pid,
    },
    /// The run could not be started, and no process of it is left.
    NotSpawned {
        /// The run.
        run: RunId,
        /// Why.
        why: Refusal,
    },
    /// The run's probe passed, or it announced that it is ready.
    Ready {
        /// The run.
        run: RunId,
    },
    /// The run's probe doesn't pass: not yet, or no longer.
    Unready {
        /// The run.
        run: RunId,
        /// The failure of the probe, such as `connection refused`.
        why: String,
    },
    /// The run's liveness probe has failed too often. This doesn't count before the run was ready for the first time: until then
    /// the readiness deadline decides.
    Unhealthy {
        /// The run.
        run: RunId,
        /// The failure of the probe.
        why: String,
    },
    /// A reload, see [`Action::Reload`], has succeeded or failed.
    Reloaded {
        /// The run.
        run: RunId,
        /// Why it failed; `None`: it succeeded.
        failure: Option<String>,
    },
    /// The content of the files that a process watches: once after the configuration names them, then after each change, whether
    /// or not the process runs.
    Content {
        /// The process.
        name: Name,
        /// What they contain now.
        content: Content,
    },
    /// The next date of a schedule: once for each definition and after each date that was served, and again when the clock was set.
    NextDate {
        /// The process.
        name: Name,
        /// The date.
        next: NextDate,
    },
    /// The outcome of an [`Action::Hold`].
    Held {
        /// The process.
        name: Name,
        /// The sockets of that action.
        listeners: Vec<Listener>,
        /// Why one of them isn't held; `None`: all are.
        refusal: Option<Refusal>,
    },
    /// Something happened to a socket of a process.
    Socket {
        /// The process.
        name: Name,
        /// The address, as shown to people.
        address: String,
        /// What happened.
        what: SocketChange,
    },
    /// Which processes of a run's tree keep its sockets, found out once when it is ready.
    SocketsKept {
        /// The run.
        run: RunId,
        /// For each socket of its definition, in order: a process that keeps it.
        by: Vec<Option<Pid>>,
    },
    /// A run that is to be replaced while it runs listens by sockets of its own, found out once when it is ready.
    Listens {
        /// The run.
        run: RunId,
        /// The address; several are separated by commas.
        on: String,
    },
    /// The command of an [`Action::Drain`] failed.
    NotDrained {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// Processes of the run may not be killed.
    KillRefused {
        /// The run.
        run: RunId,
        /// Which, and the system's words for why.
        why: String,
    },
    /// Another process of the run's tree is its main process now.
    MainChanged {
        /// The run.
        run: RunId,
        /// The new main process.
        pid: Pid,
    },
    /// The run's main process has ended. Orphans may be left.
    Exited {
        /// The run.
        run: RunId,
        /// How it ended.
        status: ExitStatus,
    },
    /// No process of the run is left. Comes after `Exited`.
    Gone {
        /// The run.
        run: RunId,
    },
}

/// An order of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Run it, even if it was stopped by hand, failed, or completed.
    Start(Name),
    /// Stop it, and keep it stopped.
    Stop(Name),
    /// Stop it if it runs, then start it.
    Restart(Name),
    /// The same; it stops first, even if its definition asks for a rolling replacement.
    RestartStopFirst(Name),
    /// Try every definition again of which a run was put back.
    Retry,
    /// Shut down: stop everything, in order.
    Shutdown,
    /// Shut down: kill everything now.
    Hurry,
}

/// What the runtime is to do. The outcome comes back as an [`Event`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a run. Answered by `Spawned` or `NotSpawned`.
    Spawn {
        /// The run.
        run: RunId,
        /// What to start.
        spec: Arc<Spec>,
        /// A run that is being started, if any. Its exec must have succeeded or failed before this run's exec.
        after: Option<RunId>,
    },
    /// Hold exactly these sockets for a process: open those that it doesn't have yet, then close all others. A socket that is held
    /// for another process too stays open for it. Answered by `Held`.
    Hold {
        /// The process.
        name: Name,
        /// The sockets.
        listeners: Vec<Listener>,
    },
    /// Tell the main process of a run to finish its work. Answered by `Exited` and `Gone`, perhaps never, or by `NotDrained`.
    Drain {
        /// The run.
        run: RunId,
        /// How.
        by: SignalOrCommand,
    },
    /// Tell a run to stop. Answered by `Exited` and `Gone`, perhaps never.
    Stop {
        /// The run.
        run: RunId,
        /// How.
        by: StopBy,
        /// Which of its processes get the signal.
        scope: StopScope,
    },
    /// Tell the processes that a run's main process left behind to stop. Answered by `Gone`, perhaps never.
    StopRest {
        /// The run.
        run: RunId,
        /// How.
        signal: Signal,
    },
    /// Use this definition from now on; only its upkeep differs. Not answered, but results of a changed probe are reported,
    /// even if they are the same as those of the former probe.
    Update {
        /// The run.
        run: RunId,
        /// Its definition.
        spec: Arc<Spec>,
    },
    /// Tell a run to read its own files again. Answered by `Reloaded`.
    Reload {
        /// The run.
        run: RunId,
        /// How.
        by: SignalOrCommand,
    },
    /// Kill every process of the run's tree. Answered by `Exited` (unless it came before) and `Gone`.
    Kill {
        /// The run.
        run: RunId,
    },
}

impl Event {
    /// The run that it is about, if it is about one.
    pub fn run(&self) -> Option<RunId> {
        match self {
            Event::Wanted(_)
            | Event::Order(_)
            | Event::Content { .. }
            | Event::NextDate { .. }
            | Event::Held { .. }
            | Event::Socket { .. } => None,
            Event::Spawned { run, .. }
            | Event::NotSpawned { run, .. }
            | Event::Ready { run }
            | Event::Unready { run, .. }
            | Event::Unhealthy { run, .. }
            | Event::Reloaded { run, .. }
            | Event::SocketsKept { run, .. }
            | Event::Listens { run, .. }
            | Event::NotDrained { run, .. }
            | Event::KillRefused { run, .. }
            | Event::MainChanged { run, .. }
            | Event::Exited { run, .. }
            | Event::Gone { run } => Some(*run),
        }
    }
}

impl Action {
    /// The run that it is about, if it is about one.
    pub fn run(&self) -> Option<RunId> {
        match self {
            Action::Hold { .. } => None,
            Action::Spawn { run, .. }
            | Action::Stop { run, .. }
            | Action::StopRest { run, .. }
            | Action::Update { run, .. }
            | Action::Reload { run, .. }
            | Action::Drain { run, .. }
            | Action::Kill { run } => Some(*run),
        }
    }
}

/// How a run is told to stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopBy {
    /// By this signal, then `CONT`.
    Signal(Signal),
    /// By a command. If that fails, by the signal after all.
    Command(Vec<Text>, Signal),
}

/// How a main process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExitStatus {
    /// It exited with this status.
    Code(i32),
    /// It was ended by this signal.
    Signal(Signal),
    /// The kernel ended it by `KILL`, because memory ran out: that of its control group, or the host's.
    OutOfMemory,
    /// It was never started.
    NotStarted(Refusal),
    /// It ended, and its status is unknown.
    Lost,
}

impl ExitStatus {
    /// Whether it is a success of a process with this definition.
    pub fn is_success(&self, spec: &Spec) -> bool {
        match (self, &spec.success_exit_codes) {
            (ExitStatus::Code(code), None) => *code == 0,
            (ExitStatus::Code(code), Some(successes)) => successes.iter().any(|success| i32::from(*success) == *code),
            (ExitStatus::Signal(_) | ExitStatus::OutOfMemory | ExitStatus::NotStarted(_) | ExitStatus::Lost, _) => false,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ExitStatus::Code(code) => write!(f, "exit status {code}"),
            ExitStatus::Signal(signal) => write!(f, "killed by {signal}"),
            ExitStatus::OutOfMemory => f.write_str("out of memory"),
            ExitStatus::NotStarted(why) => why.fmt(f),
            ExitStatus::Lost => f.write_str("exit status unknown"),
        }
    }
}

/// Why a run could not be started: the stage that failed, in words that a person understands.
///
/// Texts in here may be shown ([`crate::text::Text::shown`]). They never contain the value of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A command without a slash is in no directory of the process's `PATH`.
    CommandNotFound {
        /// The command.
        command: String,
        /// The `PATH` that was searched.
        path: String,
    },
    /// A command with a slash doesn't exist.
    FileNotFound {
        /// The command.
        command: String,
    },
    /// The file may not be executed: no `x` permission, or a file system mounted `noexec`.
    NotExecutable {
        /// The command.
        command: String,
    },
    /// The command is a directory.
    IsDirectory {
        /// The command.
        command: String,
    },
    /// A script names an interpreter (`#!`) that doesn't exist.
    InterpreterMissing {
        /// The script.
        command: String,
        /// The interpreter that its first line names.
        interpreter: String,
    },
    /// Neither a program of this machine's kind nor a script with `#!`.
    NotAProgram {
        /// The command.
        command: String,
    },
    /// The program is open for writing.
    Busy {
        /// The command.
        command: String,
    },
    /// The arguments and environment together are longer than the kernel accepts. (A single one that is too long is found
    /// earlier.)
    TooLong {
        /// The command.
        command: String,
    },
    /// `working_dir` doesn't exist.
    DirectoryMissing {
        /// The directory.
        directory: String,
    },
    /// `working_dir` is a file.
    NotADirectory {
        /// The directory.
        directory: String,
    },
    /// `working_dir` may not be entered by the process's user.
    DirectoryDenied {
        /// The directory.
        directory: String,
    },
    /// `user` is not known on this host.
    UnknownUser {
        /// The user.
        user: String,
    },
    /// `group` is not known on this host.
    UnknownGroup {
        /// The group.
        group: String,
    },
    /// The host can't start another process now: it is out of descriptors, processes or memory.
    Exhausted {
        /// What is used up, and which setting limits it.
        what: String,
    },
    /// A socket can't be had.
    Listen {
        /// Its address.
        address: String,
        /// Why.
        why: String,
    },
    /// Anything else, with the stage that failed and the system's words for it.
    Failed {
        /// What was attempted, such as `setting limits.nofile`.
        stage: String,
        /// The system's words for the error.
        error: String,
    },
}

impl Refusal {
    /// The text with everything that is known, for the place where there is room for it.
    pub fn in_detail(&self) -> String {
        match self {
            Refusal::CommandNotFound { command, path } => {
                format!("command not found: `{command}` is in no directory of its PATH `{path}`")
            }
            other => other.to_string(),
        }
    }

    /// Whether the program, or what its definition names, isn't there. That changes rarely.
    pub fn is_missing(&self) -> bool {
        !matches!(self, Refusal::Busy { .. } | Refusal::Exhausted { .. } | Refusal::Listen { .. } | Refusal::Failed { .. })
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The whole `PATH` would fill the line of every retry.
            Refusal::CommandNotFound { command, .. } => {
                write!(f, "command not found: `{command}` is in no directory of its PATH; `navigator doctor` shows them")
            }
            Refusal::FileNotFound { command } => write!(f, "command not found: `{command}` does not exist"),
            Refusal::NotExecutable { command } => {
                write!(
                    f,
                    "not executable: `{command}` may not be executed by its user; `chmod +x` allows it, a `noexec` mount doesn't"
                )
            }
            Refusal::IsDirectory { command } => write!(f, "not executable: `{command}` is a directory"),
            Refusal::InterpreterMissing { command, interpreter } => {
                write!(f, "interpreter missing: `{command}` wants `{interpreter}`, which does not exist")?;
                if interpreter.ends_with("\\r") { f.write_str("; save the script with unix line ends") } else { Ok(()) }
            }
            Refusal::NotAProgram { command } => {
                write!(f, "not a program: `{command}` is no binary of this machine's kind, and a script begins with `#!/bin/sh`")
            }
            Refusal::Busy { command } => {
                write!(
                    f,
                    "text file busy: `{command}` is open for writing; replace a program by renaming the new one to its name"
                )
            }
            Refusal::TooLong { command } => write!(
                f,
                "argument list too long: the arguments and variables of `{command}` together take more than a quarter of `limits.stack`"
            ),
            Refusal::DirectoryMissing { directory } => write!(f, "working_dir does not exist: `{directory}`"),
            Refusal::NotADirectory { directory } => write!(f, "working_dir is not a directory: `{directory}`"),
            Refusal::DirectoryDenied { directory } => write!(f, "working_dir may not be entered by its user: `{directory}`"),
            Refusal::UnknownUser { user } => write!(f, "unknown user: `{user}` has no account on this host"),
            Refusal::UnknownGroup { group } => write!(f, "unknown group: `{group}` does not exist on this host"),
            Refusal::Exhausted { what } => write!(f, "host exhausted: {what}"),
            Refusal::Listen { address, why } => write!(f, "can't listen on {address}: {why}"),
            Refusal::Failed { stage, error } => write!(f, "{stage}: {error}"),
        }
    }
}
