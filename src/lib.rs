//! Navigator keeps the processes on a host in sync with a YAML file.
//!
//! The layers, from bottom to top: `reconcile` (the pure core, its own crate), [`config`] (text to desired state), [`journal`]
//! (persistent records of runs), [`schedule`], [`signals`] and [`terminal`] (text output), [`source`] and [`runtime`] (files and the
//! operating system), [`import`] (files of other supervisors), [`supervisor`] (the loop), [`control`] (how commands find and ask an instance), [`cli`] (the command
//! line). A layer imports only lower ones.

pub mod access;
mod byte_text;
mod checksum;
pub mod cli;
pub mod config;
pub mod control;
pub mod errand;
mod error_text;
mod handover;
pub mod import;
pub mod journal;
mod keeper;
pub mod ledger;
mod path_text;
mod paths;
pub mod runtime;
pub mod schedule;
pub mod service_manager;
pub mod signals;
pub mod snapshot;
pub mod source;
mod suggest;
pub mod supervisor;
mod sys;
pub mod terminal;
