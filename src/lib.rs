//! Navigator makes the processes of one host be what a YAML file says, and keeps them so.
//!
//! The floors, from the ground up: `reconcile` (the pure core, a crate of its own), [`config`] (text → desired),
//! [`runtime`] (performs actions on this system), then the loop and the command line.

pub mod config;
pub mod runtime;
pub mod signals;
