//! The pure core of navigator: desired state, observed state, and what to do about the difference.
//!
//! *Desired* is what the file says, *observed* is what happened. One total function, [`plan::plan`], compares them. It returns what to
//! do now, what is waited for and why, and when to plan again. The [`engine::Engine`] takes events into the observed facts, and
//! plans. It never acts, never waits and never reads a clock.
//!
//! Nothing here touches the outside world. The crate is `no_std` without dependencies, so the compiler refuses clocks, files,
//! environment variables, threads, output, and the random order of a `HashMap`.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod backoff;
mod begin_step;
mod content;
mod dates;
pub mod desired;
pub mod diff;
pub mod engine;
pub mod event;
pub mod fields;
mod fold;
pub mod forecast;
pub mod graph;
pub mod human_duration;
mod invalid_desired;
mod merge_lookup;
pub mod observed;
pub mod order_progress;
pub mod orders;
mod past;
pub mod pending_reason;
pub mod plan;
pub mod preview;
mod put_back;
pub mod reason;
pub mod replica;
pub mod report;
pub mod resources;
pub mod rollback;
pub mod rollout;
pub mod run_status;
pub mod schedule;
pub mod socket;
pub mod spec;
pub mod state;
pub mod take_over;
pub mod text;
pub mod time;
pub mod variables;
mod watched;
