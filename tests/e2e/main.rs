//! The program from outside: the real binary, real processes, real servers.
//!
//! Every test holds it to what a user reads in the documentation, and none knows its code. Each starts navigator in a
//! directory of its own and ends with the check that no process is left.

mod cli;
mod demo;
mod environment;
mod harness;
mod output;
mod policies;
mod ready;
mod reload;
mod saves;
mod seed;
mod signals;
mod stack;
mod trees;
mod watch;
