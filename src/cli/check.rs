//! `navigator check`: reports every problem in configurations, or counts their processes.

use super::arguments::ReportFormat;
use super::console::{FAILURE, OK, USAGE, print, print_error, print_json};
use crate::config::{self, Disk, Environment, Files, Loaded, Rejected, RejectedKind, render_all};
use crate::source::FileSource;
use crate::terminal::{TerminalStyle, escape, plural};
use reconcile::spec::Tier;
use std::ffi::OsString;
use std::io::{self, stderr, stdin};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Checks configurations. The exit code is that of the worst.
pub(super) fn check(paths: Vec<PathBuf>, format: ReportFormat) -> ExitCode {
    let mut worst = OK;
    let mut all = Vec::new();
    let mut omitted = 0;
    for path in paths {
        let shown = path.display().to_string();
        let result = if path == Path::new(STANDARD_INPUT) {
            config::load(&path, &DiskAndInput, &Environment::current())
        } else {
            FileSource::new(path, Environment::current()).read().revision
        };
        worst = worst.max(result.as_ref().err().map_or(OK, exit_code));
        match (format, result) {
            (ReportFormat::Text, Ok(loaded)) => {
                print_error(&render_all(&loaded.warnings, 0, TerminalStyle::of(stderr())));
                print(&format!("{}: {}\n", escape(&shown), contents(&loaded)));
            }
            (ReportFormat::Text, Err(rejected)) => {
                reject(&rejected);
            }
            (ReportFormat::Json, Ok(loaded)) => all.extend(loaded.warnings),
            (ReportFormat::Json, Err(rejected)) => {
                all.extend(rejected.diagnostics);
                omitted += rejected.omitted;
            }
        }
    }
    if format == ReportFormat::Json {
        let mut report = serde_json::json!({ "diagnostics": all });
        if omitted > 0 {
            report["omitted"] = omitted.into();
        }
        print_json(&format!("{report}\n"));
    }
    worst.into()
}

/// The name of standard input. Paths in it are relative to the working directory.
const STANDARD_INPUT: &str = "-";

/// The file system, with standard input in the place of a file.
struct DiskAndInput;

impl Files for DiskAndInput {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path != Path::new(STANDARD_INPUT) {
            return Disk.read(path);
        }
        let mut content = Vec::new();
        Disk::read_chunks(&stdin().as_fd().try_clone_to_owned()?, |chunk| content.extend_from_slice(chunk))?;
        Ok(content)
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        Disk.list(directory)
    }
}

/// The exit code for a rejected configuration, here and at start.
fn exit_code(rejected: &Rejected) -> u8 {
    match rejected.kind {
        RejectedKind::Invalid => FAILURE,
        RejectedKind::Unreadable => USAGE,
    }
}

/// Prints every problem in a rejected configuration. Returns its exit code.
pub(super) fn reject(rejected: &Rejected) -> ExitCode {
    print_error(&render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle::of(stderr())));
    exit_code(rejected).into()
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
