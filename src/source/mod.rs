//! Where a revision's text comes from. It knows files and nothing of processes.

mod file;

pub use file::{Asker, FileSource};
