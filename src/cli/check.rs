//! `navigator check`: every problem of a configuration, or what is in it.

use super::arguments::ReportFormat;
use super::{INVALID, OK, USAGE, plural, print, print_error};
use crate::config::{Environment, Loaded, Rejected, RejectedKind, render_all};
use crate::source::FileSource;
use reconcile::spec::Tier;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

/// Checks a configuration and reports.
pub(super) fn check(path: PathBuf, format: ReportFormat) -> ExitCode {
    let shown = path.display().to_string();
    let result = FileSource::new(path, Environment::current()).read().revision;
    match format {
        ReportFormat::Text => match &result {
            Ok(loaded) => {
                print_error(&render_all(&loaded.warnings, 0, wants_color()));
                print(&format!("{shown}: {}\n", contents(loaded)));
            }
            Err(rejected) => print_error(&render_all(&rejected.diagnostics, rejected.omitted, wants_color())),
        },
        ReportFormat::Json => {
            let diagnostics = match &result {
                Ok(loaded) => &loaded.warnings,
                Err(rejected) => &rejected.diagnostics,
            };
            print(&format!("{}\n", serde_json::json!({ "diagnostics": diagnostics })));
        }
    }
    result.err().map_or(OK.into(), |rejected| exit_code(&rejected))
}

/// The exit code that a rejected configuration leads to, here and at start.
pub(super) fn exit_code(rejected: &Rejected) -> ExitCode {
    match rejected.kind {
        RejectedKind::Invalid => INVALID.into(),
        RejectedKind::Unreadable => USAGE.into(),
    }
}

/// Whether diagnostics on standard error are coloured.
pub(super) fn wants_color() -> bool {
    std::io::stderr().is_terminal() && super::color_is_welcome()
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
