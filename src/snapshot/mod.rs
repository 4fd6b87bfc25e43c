//! The JSON that `status` shows: a running navigator at one moment between two steps of the engine.
//!
//! It holds no value of a secret.

mod cause;
mod event;
mod moment;
pub mod plan;
mod source;

pub use cause::Cause;
pub use event::{EventDetails, StreamEvent};
pub use moment::Moment;
pub use plan::PlanReport;
pub use source::{ConditionSnapshot, InForceSnapshot, NewestSnapshot, SourceSnapshot, SuspensionSnapshot};

use reconcile::spec::Tier;
use reconcile::state::ProcessState;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A running navigator at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The generation in force.
    pub generation: u64,
    /// Navigator's own pid.
    pub pid: u32,
    /// When it took over the processes of a former navigator that was killed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken_over_at: Option<Moment>,
    /// Its keeper.
    #[serde(default)]
    pub keeper: KeeperSnapshot,
    /// Its configuration.
    pub config: Config,
    /// Whether the file on disk is in force and every process is as it says.
    pub converged: bool,
    /// The repository that is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceSnapshot>,
    /// What has become of the configuration, if it asks for rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<RolloutSnapshot>,
    /// Every process of the file, in its order, then removed ones that still run.
    pub processes: Vec<ProcessSnapshot>,
}

/// The keeper: the process that starts processes for navigator, and keeps how they end if navigator is killed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperSnapshot {
    /// Whether there is one.
    pub state: KeeperState,
    /// Its pid.
    pub pid: Option<u32>,
    /// The version of its program.
    pub version: Option<String>,
}

/// Whether a keeper runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeeperState {
    /// It runs.
    Holding,
    /// It was lost, and no other could be started.
    Lost,
    /// There was none.
    #[default]
    None,
}

/// The configuration on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// The path that navigator was started with, made absolute.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub path: PathBuf,
    /// Whether its current content is in force.
    pub state: ConfigState,
    /// How changes are found.
    pub watch: Watch,
    /// The errors of a rejected configuration, or the warnings of an accepted one.
    pub diagnostics: Vec<ConfigProblem>,
    /// Since when it is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_at: Option<Moment>,
    /// How the configuration of the file was undone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rolled_back: Option<RolledBack>,
    /// Whether a change was seen that is not in force yet: its files are still being written, or were saved a moment ago.
    #[serde(default)]
    pub pending: bool,
}

/// Whether the content of the configuration is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigState {
    /// It is.
    Accepted,
    /// It is wrong; the last accepted one is in force.
    Rejected,
    /// It failed soon after it was saved; the last good one is in force.
    #[serde(rename = "rolled_back")]
    RolledBack,
}

/// How a configuration was undone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolledBack {
    /// Its generation.
    pub generation: u64,
    /// The generation that was good, and is in force again.
    pub to: u64,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Moment,
}

/// The state of a configuration that has `rollback`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutSnapshot {
    /// The generation in force.
    pub generation: u64,
    /// `rolling`: a new run has yet to take the place of an old one; `trial`; `good`; `bad`.
    pub state: String,
    /// When it is good if everything is as it says now and nothing fails, or else bad; `None`: it is not on trial.
    #[serde(default)]
    pub until: Option<Moment>,
}

/// How changes of the configuration are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Watch {
    /// By events of the kernel.
    Events,
    /// By polling every two seconds.
    Poll,
    /// On request only.
    Off,
}

/// A problem of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigProblem {
    /// The file, as it was named.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub file: PathBuf,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// The source line, if there is one to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<ProblemExcerpt>,
}

/// A source line for display: cropped around the problem, values of variables replaced by `…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemExcerpt {
    /// The line.
    pub text: String,
    /// How many characters come before the problem.
    pub start: usize,
    /// How many characters the problem has, at least 1.
    pub length: usize,
}

/// A process at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSnapshot {
    /// Its name.
    pub name: String,
    /// The list in the file that defines it.
    #[serde(with = "TierWord")]
    pub tier: Tier,
    /// Its state.
    #[serde(with = "StateWord")]
    pub state: ProcessState,
    /// The pid of its main process.
    pub pid: Option<u32>,
    /// Whether it runs and is ready.
    pub ready: bool,
    /// Whether it keeps running an older definition: because of `on_change: none`, or because the new one can't take over.
    pub stale: bool,
    /// The generation of the definition that it runs.
    pub generation: u64,
    /// How often navigator restarted it after it ended on its own.
    pub restarts: u32,
    /// Since when its program runs.
    pub started_at: Option<Moment>,
    /// How it last ended.
    pub last_exit: Option<Exit>,
    /// Why it is in its state.
    pub reason: Cause,
    /// Whether it is as the file says.
    #[serde(default)]
    pub as_wanted: bool,
    /// Since when it is in its state, if known.
    #[serde(default)]
    pub entered_at: Option<Moment>,
    /// How often in a row it has ended on its own.
    #[serde(default)]
    pub failures: u32,
    /// What it waits for; `None`: nothing.
    pub waiting: Option<String>,
    /// The next dates of its schedule, the first of which may have passed if it waits for something else; empty: it has none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next_runs: Vec<Moment>,
    /// Its number, if it is one of several replicas of a definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replica: Option<u32>,
    /// Its runs that are not gone, oldest first, if there are several, or if it is replaced by rolling or has sockets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunSnapshot>,
    /// The sockets that navigator holds for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sockets: Vec<SocketSnapshot>,
    /// The last lines of its output, in the states `failed` and `backoff`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
}

/// One run of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSnapshot {
    /// The pid of its main process.
    pub pid: Option<u32>,
    /// The generation of its definition.
    pub generation: u64,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it finishes its work before it is told to end.
    pub draining: bool,
    /// Its state.
    #[serde(with = "StateWord")]
    pub state: ProcessState,
    /// Why it is in its state.
    pub reason: Cause,
    /// Whether it has yet to take the place of another run.
    #[serde(default)]
    pub is_new: bool,
    /// Since when its program runs.
    #[serde(default)]
    pub started_at: Option<Moment>,
}

/// A socket that navigator holds for a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketSnapshot {
    /// Its name in `LISTEN_FDNAMES`.
    pub name: String,
    /// Its address.
    pub address: String,
    /// The pid of a process that keeps it, if that is known.
    pub kept_by: Option<u32>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(String),
    /// In a way that is not known, because navigator was away. The value is `true`.
    Unknown(bool),
}

/// The names of the lists, as the file has them.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Tier")]
enum TierWord {
    #[serde(rename = "managed_processes")]
    Managed,
    #[serde(rename = "applications")]
    Application,
}

/// The names of states, as [`ProcessState::as_str`] has them.
#[derive(Serialize, Deserialize)]
#[serde(remote = "ProcessState", rename_all = "lowercase")]
enum StateWord {
    Pending,
    Starting,
    Running,
    Stopping,
    Backoff,
    Completed,
    Failed,
    Stopped,
}
