//! The runtime on this very kernel: real programs, real signals, real pipes.
//!
//! Nothing here waits for a fixed time. Programs that are to run "until stopped" sleep for an hour; if one is ever left,
//! the check at the end of each test says so.

mod announcements;
mod commands;
mod cost;
mod crowd;
mod host;
mod inherited;
mod output;
mod panics;
#[path = "../e2e/harness/ports.rs"]
mod ports;
mod probes;
mod records;
mod refused;
mod server;
mod socket_paths;
mod sockets;
mod tidy;
mod trees;
mod turns;
