//! From the main file to everything it names.

use super::{Environment, Files, Loaded, Rejected};
use std::path::Path;

/// Reads a configuration and everything it names.
///
/// # Errors
/// Every problem that keeps it from being put in force.
pub fn load(main: &Path, files: &dyn Files, environment: &Environment) -> Result<Loaded, Rejected> {
    let _ = (main, files, environment);
    todo!()
}
