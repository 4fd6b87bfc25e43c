//! The pure core of navigator: what is wanted, what happened, and what to do about the difference.
//!
//! *Desired* (what the file wants) and *observed* (what happened) are two values. One total function, [`plan::plan`],
//! compares them and says what to do now, what is waited for and why, and when to look again. The [`engine::Engine`]
//! folds news into the observed facts and plans; it never acts, never waits and never asks the time.
//!
//! This crate is *not* the place for anything that touches the world. `no_std` without dependencies is the proof: the
//! compiler itself refuses a clock, a file, an environment variable, a thread, a print, and a `HashMap`'s random order.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod backoff;
pub mod desired;
pub mod diff;
pub mod engine;
pub mod event;
pub mod fields;
mod fold;
pub mod forecast;
pub mod graph;
pub mod human_duration;
mod merge_lookup;
pub mod observed;
pub mod order_progress;
pub mod orders;
pub mod pending_reason;
pub mod plan;
pub mod preview;
pub mod reason;
pub mod report;
pub mod spec;
pub mod state;
pub mod text;
pub mod time;
pub mod variables;
