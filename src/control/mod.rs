//! How a running navigator is found, and how it makes sure that it is the only one for its configuration.
//!
//! Orders to a running navigator come in as signals; the rooms for a socket and its clients are here.

mod holder;
mod instance;

pub use holder::{Claim, ClaimError, send};
pub use instance::{Instance, InstanceError, StateDir};
