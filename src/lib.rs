//! Navigator makes the processes of one host be what a YAML file says, and keeps them so.
//!
//! The floors, from the ground up: `reconcile` (the pure core, a crate of its own), [`config`] (text → desired),
//! [`journal`] (what is remembered of runs), [`signals`] and [`terminal`] (text for terminals), [`source`] and [`runtime`] (the file and the system),
//! [`supervisor`] (the loop), [`control`] (how an instance is found), [`cli`] (the command line). A floor imports only
//! lower ones.

pub mod access;
pub mod cli;
pub mod config;
pub mod control;
pub mod journal;
mod path_text;
pub mod runtime;
pub mod signals;
pub mod snapshot;
pub mod source;
pub mod supervisor;
mod sys;
pub mod terminal;
pub mod utc;
