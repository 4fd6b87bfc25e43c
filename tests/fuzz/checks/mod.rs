//! What must hold for every input of a fuzz target, and within which limits.
//!
//! `fuzz/` runs these checks on new inputs, with a nightly compiler; `tests/fuzz/main.rs` runs them on known inputs, in every
//! test run. Most checks call `navigator::config::load`; `terminal` calls the escaper. Each compares the result with an
//! implementation or rules of its own.

mod dotenv;
mod files;
mod glob;
pub(crate) mod limits;
mod load;
mod plan;
mod scalars;
mod substitute;
mod terminal;

pub(crate) use limits::limited;

/// Panics if a rule doesn't hold for an input.
pub(crate) type Check = fn(&[u8]);

/// The targets, by name.
pub(crate) const TARGETS: [(&str, Check); 7] = [
    ("load", load::check),
    ("substitute", substitute::check),
    ("scalars", scalars::check),
    ("dotenv", dotenv::check),
    ("glob", glob::check),
    ("plan", plan::check),
    ("terminal", terminal::check),
];
