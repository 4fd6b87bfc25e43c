//! `navigator config`: prints the effective configuration.

use super::arguments::ConfigFormat;
use super::check::reject;
use super::console::{FAILURE, OK, fail, print, print_error, print_json};
use crate::config::{self, Disk, EffectiveError, EffectiveRequest, Environment, effective};
use std::path::Path;
use std::process::ExitCode;

/// Prints a configuration with includes, defaults and anchors resolved.
pub(super) fn config(path: &Path, names: &[String], defaults: bool, notation: ConfigFormat) -> ExitCode {
    let written_as = match notation {
        ConfigFormat::Yaml => config::Notation::Yaml,
        ConfigFormat::Json => config::Notation::Json,
    };
    let request = EffectiveRequest { names, defaults, notation: written_as };
    let effective = match effective(path, &Disk, &Environment::current(), request) {
        Ok(effective) => effective,
        Err(EffectiveError::Rejected(rejected)) => return reject(&rejected),
        Err(EffectiveError::Unknown(name, hint)) => {
            let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
            return fail(FAILURE, &format!("no process `{name}` in the file{hint}"));
        }
        Err(EffectiveError::Differs(what)) => {
            return fail(FAILURE, &format!("failed to write a configuration with the same meaning: {what}"));
        }
    };
    match notation {
        ConfigFormat::Yaml => print(&effective.text),
        ConfigFormat::Json => print_json(&effective.text),
    }
    if !effective.secrets.is_empty() {
        let names: Vec<&str> = effective.secrets.keys().map(String::as_str).collect();
        print_error(&format!(
            "navigator: secrets in the file are not printed; to use the output, set these variables to them: {}\n",
            names.join(", ")
        ));
    }
    OK.into()
}
