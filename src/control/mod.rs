//! The control socket, its server and its client; and the lock that allows one navigator per configuration.
//!
//! The socket is a unix socket that speaks HTTP with JSON under `/v1/`.

mod answers;
mod arrival;
mod client;
mod following;
mod holder;
mod instance;
mod known;
mod loop_access;
mod routes;
mod server;
mod socket;
mod state_dir;
mod upgrade;

pub use client::{Client, ClientError};
pub use holder::{ClaimError, HeldLock, SendError, send};
pub use instance::Instance;
pub use known::KnownInstance;
pub use loop_access::LoopAccess;
pub use routes::routes;
pub use server::Server;
pub use state_dir::{InstanceError, StateDir};
pub(crate) use upgrade::UpgradeAnswer;
pub use upgrade::{TrialReport, TrialRestart, trial_of};
