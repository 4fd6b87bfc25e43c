//! How a running navigator is found, and how it makes sure that it is the only one for its configuration.
//!
//! Orders to a running navigator come in as signals, and through a unix socket that speaks HTTP with JSON under `/v1/`: one
//! end of it is here for navigator, the other for its clients.

mod answers;
mod arrival;
mod client;
mod holder;
mod instance;
mod routes;
mod server;
mod socket;

pub use client::{Client, ClientError};
pub use holder::{ClaimError, HeldLock, SendError, send};
pub use instance::{Instance, InstanceError, LOCK, StateDir};
pub use routes::{LoopAccess, routes};
pub use server::Server;
