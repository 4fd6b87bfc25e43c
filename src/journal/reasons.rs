//! Reasons and exit statuses in the record. Each type has the variants of the core's, which is without a library for formats.

use crate::signals;
use reconcile::event::{ExitStatus, Refusal};
use reconcile::reason::{BoundAddress, Reason};
use reconcile::spec::Signal;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a main process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedStatus {
    Code(i32),
    Signal(String),
    OutOfMemory,
    NotStarted(#[serde(with = "RecordedRefusal")] Refusal),
    Lost,
}

/// Why something was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordedReason {
    Added,
    Removed,
    Changed(Vec<String>),
    Enabled,
    Disabled,
    With(String),
    StoppedByHand,
    StartedByHand,
    RestartedByHand,
    Scheduled,
    Ended(RecordedStatus),
    Unready(Duration, Option<String>),
    Unhealthy(String),
    Watched(String),
    PutBack { why: Box<RecordedReason>, generation: u64, bound: Option<(String, bool)> },
    Left,
    Shutdown,
}

/// Why a run could not be started. These texts may be shown: they never contain the value of a secret.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Refusal", rename_all = "snake_case")]
enum RecordedRefusal {
    CommandNotFound { command: String, path: String },
    FileNotFound { command: String },
    NotExecutable { command: String },
    IsDirectory { command: String },
    InterpreterMissing { command: String, interpreter: String },
    NotAProgram { command: String },
    Busy { command: String },
    TooLong { command: String },
    DirectoryMissing { directory: String },
    NotADirectory { directory: String },
    DirectoryDenied { directory: String },
    UnknownUser { user: String },
    UnknownGroup { group: String },
    Exhausted { what: String },
    Listen { address: String, why: String },
    Failed { stage: String, error: String },
}

impl From<&ExitStatus> for RecordedStatus {
    fn from(status: &ExitStatus) -> RecordedStatus {
        match status {
            ExitStatus::Code(code) => RecordedStatus::Code(*code),
            ExitStatus::Signal(signal) => RecordedStatus::Signal(signal.0.to_owned()),
            ExitStatus::OutOfMemory => RecordedStatus::OutOfMemory,
            ExitStatus::NotStarted(why) => RecordedStatus::NotStarted(why.clone()),
            ExitStatus::Lost => RecordedStatus::Lost,
        }
    }
}

impl From<&RecordedStatus> for ExitStatus {
    fn from(status: &RecordedStatus) -> ExitStatus {
        match status {
            RecordedStatus::Code(code) => ExitStatus::Code(*code),
            RecordedStatus::Signal(name) => ExitStatus::Signal(signals::parse(name).unwrap_or(Signal::KILL)),
            RecordedStatus::OutOfMemory => ExitStatus::OutOfMemory,
            RecordedStatus::NotStarted(why) => ExitStatus::NotStarted(why.clone()),
            RecordedStatus::Lost => ExitStatus::Lost,
        }
    }
}

impl From<&Reason> for RecordedReason {
    fn from(reason: &Reason) -> RecordedReason {
        match reason {
            Reason::Added => RecordedReason::Added,
            Reason::Removed => RecordedReason::Removed,
            Reason::Changed(fields) => RecordedReason::Changed(fields.clone()),
            Reason::Enabled => RecordedReason::Enabled,
            Reason::Disabled => RecordedReason::Disabled,
            Reason::With(name) => RecordedReason::With(name.to_string()),
            Reason::StoppedByHand => RecordedReason::StoppedByHand,
            Reason::StartedByHand => RecordedReason::StartedByHand,
            Reason::RestartedByHand => RecordedReason::RestartedByHand,
            Reason::Scheduled => RecordedReason::Scheduled,
            Reason::Ended(status) => RecordedReason::Ended(status.into()),
            Reason::Unready(deadline, why) => RecordedReason::Unready(*deadline, why.clone()),
            Reason::Unhealthy(why) => RecordedReason::Unhealthy(why.clone()),
            Reason::Watched(path) => RecordedReason::Watched(path.clone()),
            Reason::PutBack { why, generation, bound } => {
                let bound = bound.as_ref().map(|bound| (bound.address.to_string(), bound.is_of_replica));
                RecordedReason::PutBack { why: Box::new((&**why).into()), generation: *generation, bound }
            }
            Reason::Left => RecordedReason::Left,
            Reason::Shutdown => RecordedReason::Shutdown,
        }
    }
}

impl From<&RecordedReason> for Reason {
    fn from(reason: &RecordedReason) -> Reason {
        match reason {
            RecordedReason::Added => Reason::Added,
            RecordedReason::Removed => Reason::Removed,
            RecordedReason::Changed(fields) => Reason::Changed(fields.clone()),
            RecordedReason::Enabled => Reason::Enabled,
            RecordedReason::Disabled => Reason::Disabled,
            RecordedReason::With(name) => Reason::With(name.as_str().into()),
            RecordedReason::StoppedByHand => Reason::StoppedByHand,
            RecordedReason::StartedByHand => Reason::StartedByHand,
            RecordedReason::RestartedByHand => Reason::RestartedByHand,
            RecordedReason::Scheduled => Reason::Scheduled,
            RecordedReason::Ended(status) => Reason::Ended(status.into()),
            RecordedReason::Unready(deadline, why) => Reason::Unready(*deadline, why.clone()),
            RecordedReason::Unhealthy(why) => Reason::Unhealthy(why.clone()),
            RecordedReason::Watched(path) => Reason::Watched(path.clone()),
            RecordedReason::PutBack { why, generation, bound } => {
                let bound = bound.as_ref().map(|(address, is_of_replica)| {
                    let (address, is_of_replica) = (address.as_str().into(), *is_of_replica);
                    BoundAddress { address, is_of_replica }
                });
                Reason::PutBack { why: Box::new((&**why).into()), generation: *generation, bound }
            }
            RecordedReason::Left => Reason::Left,
            RecordedReason::Shutdown => Reason::Shutdown,
        }
    }
}
