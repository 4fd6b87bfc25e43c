//! `navigator check`: reports every problem in configurations, or counts their processes.

use super::arguments::CheckFormat;
use super::console::{FAILURE, OK, USAGE, print, print_error, print_json};
use super::reports::{self, CheckOutcome, CheckedFile, MachineFormat};
use crate::config::{self, Disk, Environment, Files, Loaded, Rejected, RejectedKind, render_all};
use crate::terminal::{TerminalStyle, escape, plural};
use reconcile::spec::Tier;
use std::ffi::OsString;
use std::io::{self, stderr, stdin};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// How to check.
#[derive(Debug)]
pub(super) struct CheckOptions {
    pub(super) format: CheckFormat,
    /// Checks the file as if it were at this path.
    pub(super) place: Option<PathBuf>,
    /// The configurations are for another machine.
    pub(super) elsewhere: bool,
}

/// Checks configurations. The exit code is that of the worst.
pub(super) fn check(paths: Vec<PathBuf>, options: &CheckOptions) -> ExitCode {
    let environment = Environment::current();
    let environment = if options.elsewhere { environment.elsewhere() } else { environment };
    let format = options.format.machine_format();
    let mut worst = OK;
    let mut checked = Vec::new();
    for path in paths {
        let place = options.place.as_deref().unwrap_or(&path);
        let result = config::load_in_place(&path, place, &DiskAndInput, &environment);
        worst = worst.max(result.as_ref().err().map_or(OK, exit_code));
        match result {
            Ok(loaded) if format.is_none() => {
                print_error(&render_all(&loaded.warnings, 0, TerminalStyle::of(stderr())));
                print(&format!("{}: {}\n", escape(&path.to_string_lossy()), contents(&loaded)));
            }
            Err(rejected) if format.is_none() => {
                reject(&rejected);
            }
            Ok(loaded) => {
                checked.push(CheckedFile { path, outcome: CheckOutcome::Valid, diagnostics: loaded.warnings, omitted: 0 });
            }
            Err(Rejected { diagnostics, omitted, kind, .. }) => {
                let outcome = match kind {
                    RejectedKind::Invalid => CheckOutcome::Invalid,
                    RejectedKind::Unreadable => CheckOutcome::Unreadable,
                };
                checked.push(CheckedFile { path, outcome, diagnostics, omitted });
            }
        }
    }
    if let Some(format) = format {
        let report = reports::report(format, &checked, &std::env::current_dir().unwrap_or_default());
        let is_json = !matches!(format, MachineFormat::Github | MachineFormat::Junit);
        if is_json { print_json(&report) } else { print(&report) }
    }
    worst.into()
}

impl CheckFormat {
    fn machine_format(self) -> Option<MachineFormat> {
        match self {
            CheckFormat::Text => None,
            CheckFormat::Json => Some(MachineFormat::Json),
            CheckFormat::Github => Some(MachineFormat::Github),
            CheckFormat::Gitlab => Some(MachineFormat::Gitlab),
            CheckFormat::Sarif => Some(MachineFormat::Sarif),
            CheckFormat::Junit => Some(MachineFormat::Junit),
        }
    }
}

/// The name of standard input. Paths in it are relative to the working directory.
pub(super) const STANDARD_INPUT: &str = "-";

/// The file system, with standard input in the place of a file.
pub(super) struct DiskAndInput;

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
