//! What must hold for every input of a fuzz target, and within which limits.
//!
//! `fuzz/` throws inputs at it that nobody thought of, with a nightly compiler; `tests/fuzz/main.rs` what is known already, in
//! every test run. Each check goes in by the front door, `navigator::config::load`, and compares what comes out with an idea of
//! its own of what is right.

mod dotenv;
mod files;
mod glob;
pub(crate) mod limits;
mod load;
mod plan;
mod scalars;
mod substitute;

pub(crate) use limits::limited;

/// Panics if something doesn't hold for an input.
pub(crate) type Check = fn(&[u8]);

/// The targets, by name.
pub(crate) const TARGETS: [(&str, Check); 6] = [
    ("load", load::check),
    ("substitute", substitute::check),
    ("scalars", scalars::check),
    ("dotenv", dotenv::check),
    ("glob", glob::check),
    ("plan", plan::check),
];
