//! `navigator schema`: prints the JSON Schema of configurations, for editors.

use super::console::{OK, print_json};
use crate::config::schema;
use std::process::ExitCode;

/// Prints the schema.
pub(super) fn print_schema() -> ExitCode {
    print_json(&format!("{:#}\n", schema()));
    OK.into()
}
