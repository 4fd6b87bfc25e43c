//! The keeper: a small process beside navigator that is the parent of everything that navigator starts.
//!
//! It decides nothing. It makes children as navigator says, answers which of them have ended, and reaps those that navigator names.
//! It also holds the descriptors that must outlive navigator: read ends of pipes, and sockets. So when navigator is killed, its
//! processes keep their parent, and those that end wait unreaped until the next navigator asks for them. When the keeper is killed,
//! the kernel hands its children, ended ones included, to navigator, which is the next subreaper above it.
//!
//! The main thread answers navigator ([`protocol`]); other threads make children ([`starts`]), because an exec may hang.
//! `docs/design/keeper.md` describes the messages.

mod held;
mod launch;
mod link;
mod message;
mod order;
mod protocol;
mod serve;
mod socket;
mod starts;

pub(crate) use launch::{KeeperProcess, is_keeper, launch, names, remove};
pub(crate) use link::{KeeperLink, KeptWithChild, SocketLink, StartLink, StartLinkError, look};
pub(crate) use serve::main;
pub(crate) use socket::LinkError;

use std::ffi::CStr;

/// The first argument of a keeper.
const ARGUMENT: &str = "__keeper";
/// Its name, in the list of processes.
const NAME: &CStr = c"nav-keeper";
/// The number of the descriptor that it listens on.
const LISTENER: i32 = 3;
