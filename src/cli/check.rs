//! `navigator check`: reports every problem in a configuration, or counts its processes.

use super::arguments::ReportFormat;
use super::console::{FAILURE, OK, USAGE, plural, print, print_error, print_json};
use crate::config::{Environment, Loaded, Rejected, RejectedKind, render_all};
use crate::source::FileSource;
use crate::terminal::{TerminalStyle, escape};
use reconcile::spec::Tier;
use std::io::stderr;
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks a configuration.
pub(super) fn check(path: PathBuf, format: ReportFormat) -> ExitCode {
    let shown = path.display().to_string();
    let result = FileSource::new(path, Environment::current()).read().revision;
    match format {
        ReportFormat::Text => match &result {
            Ok(loaded) => {
                print_error(&render_all(&loaded.warnings, 0, TerminalStyle::of(stderr())));
                print(&format!("{}: {}\n", escape(&shown), contents(loaded)));
            }
            Err(rejected) => return reject(rejected),
        },
        ReportFormat::Json => {
            let (diagnostics, omitted) = match &result {
                Ok(loaded) => (&loaded.warnings, 0),
                Err(rejected) => (&rejected.diagnostics, rejected.omitted),
            };
            let mut report = serde_json::json!({ "diagnostics": diagnostics });
            if omitted > 0 {
                report["omitted"] = omitted.into();
            }
            print_json(&format!("{report}\n"));
        }
    }
    result.err().map_or(OK.into(), |rejected| exit_code(&rejected))
}

/// The exit code for a rejected configuration, here and at start.
fn exit_code(rejected: &Rejected) -> ExitCode {
    match rejected.kind {
        RejectedKind::Invalid => FAILURE.into(),
        RejectedKind::Unreadable => USAGE.into(),
    }
}

/// Prints every problem in a rejected configuration. Returns its exit code.
pub(super) fn reject(rejected: &Rejected) -> ExitCode {
    print_error(&render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle::of(stderr())));
    exit_code(rejected)
}

fn contents(loaded: &Loaded) -> String {
    let count = |tier| loaded.desired.entries().iter().filter(|entry| entry.spec.tier == tier).count();
    let (managed, applications) = (count(Tier::Managed), count(Tier::Application));
    let mut parts = vec![plural(managed, "managed process", "managed processes")];
    if applications > 0 {
        parts.push(plural(applications, "application", "applications"));
    }
    if !loaded.warnings.is_empty() {
        parts.push(plural(loaded.warnings.len(), "warning", "warnings"));
    }
    format!("valid: {}", parts.join(", "))
}
