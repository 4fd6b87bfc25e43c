//! `navigator check`: every problem of a configuration, or what is in it.

use super::arguments::ReportFormat;
use super::{INVALID, OK, USAGE, plural, print, print_error};
use crate::config::{Environment, Loaded, Look, Rejected, RejectedKind, render_all};
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
                print_error(&render_all(&loaded.warnings, 0, look()));
                print(&format!("{shown}: {}\n", contents(loaded)));
            }
            Err(rejected) => print_error(&render_all(&rejected.diagnostics, rejected.omitted, look())),
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
            print(&format!("{report}\n"));
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

/// How diagnostics look on standard error: on a terminal no line is wider than it, elsewhere they are as long as they are.
pub(super) fn look() -> Look {
    let stderr = std::io::stderr();
    if !stderr.is_terminal() {
        return Look::PLAIN;
    }
    // A terminal may not know its size, such as a serial line; it then says 0.
    let width = rustix::termios::tcgetwinsize(&stderr).ok().map(|size| usize::from(size.ws_col)).filter(|&width| width > 0);
    Look { color: super::color_is_welcome(), width }
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
