//! What clients see of a running navigator: what `status` shows, in the form in which it is sent.
//!
//! It is made when a client asks, of one moment between two steps of the engine, so it is never torn. It holds texts
//! that people may see, and no value of a secret.

mod cause;
mod event;
mod moment;
pub mod plan;

pub use cause::Cause;
pub use event::{EventDetails, StreamEvent};
pub use moment::Moment;
pub use plan::PlanReport;

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
    /// The file.
    pub config: Config,
    /// Whether the file on disk is in force and everything is as it says.
    pub converged: bool,
    /// Every process of the file, in its order, and those that are still going.
    pub processes: Vec<ProcessSnapshot>,
}

/// The configuration on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// Its real path.
    #[serde(serialize_with = "crate::path_text::serialize")]
    pub path: PathBuf,
    /// Whether what stands in it now is in force.
    pub state: ConfigState,
    /// How changes are found.
    pub watch: Watch,
    /// Why it is rejected; or what it was accepted with a warning for.
    pub diagnostics: Vec<ConfigProblem>,
    /// Since when it is rejected; `None`: it isn't.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected_at: Option<Moment>,
}

/// Whether what stands in the configuration is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigState {
    /// It is.
    Accepted,
    /// It is wrong; the last accepted one is in force.
    Rejected,
}

/// How changes of the configuration are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Watch {
    /// The kernel tells.
    Events,
    /// By looking every two seconds.
    Poll,
    /// Only when asked to.
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
    /// The line that it is about; `None`: there is none to show.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<ProblemExcerpt>,
}

/// A line of a file as it may be shown: cropped around a place, values of variables replaced by `…`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProblemExcerpt {
    /// The line.
    pub text: String,
    /// How many characters of it come before the place.
    pub start: usize,
    /// How many characters the place has, at least 1.
    pub length: usize,
}

/// A process at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSnapshot {
    /// Its name.
    pub name: String,
    /// The list in the file that it stands in.
    #[serde(with = "TierWord")]
    pub tier: Tier,
    /// Its state, in the words of the contract.
    #[serde(with = "StateWord")]
    pub state: ProcessState,
    /// The leader of what runs.
    pub pid: Option<u32>,
    /// Whether it runs and is ready.
    pub ready: bool,
    /// Whether it runs, on purpose, what is no longer in the file.
    pub stale: bool,
    /// The generation whose definition it runs.
    pub generation: u64,
    /// How often it was started again after it ended by itself.
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
    /// Since when it is in its state; `None`: that is not known.
    #[serde(default)]
    pub entered_at: Option<Moment>,
    /// How often in a row it has ended by itself.
    #[serde(default)]
    pub failures: u32,
    /// What it waits for; `None`: nothing.
    pub waiting: Option<String>,
    /// The last lines that it wrote, where it has failed or backs off.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output: Vec<String>,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// With this status.
    Code(i32),
    /// By this signal.
    Signal(String),
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

/// The words for states, which are those of [`State::as_str`].
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
