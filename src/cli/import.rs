//! `navigator import`: another tool's files as a configuration.

use super::console::{FAILURE, OK, USAGE, fail, print, print_error};
use crate::config::Environment;
use crate::error_text::words;
use crate::import::{ImportError, ImportRequest, Kind, import};
use crate::terminal::escape_lines;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The kind that `--from` names.
pub(super) fn kind(text: &str) -> Result<Kind, String> {
    let known = Kind::ALL.iter().find(|(name, _)| *name == text);
    known.map(|(_, kind)| *kind).ok_or_else(|| {
        let names: Vec<&str> = Kind::ALL.iter().map(|(name, _)| *name).collect();
        format!("write one of {}", names.join(", "))
    })
}

/// Imports files, to standard output or to a new file.
pub(super) fn import_files(paths: &[PathBuf], kind: Option<Kind>, out: Option<&Path>) -> ExitCode {
    let imported = match import(ImportRequest { paths, kind, out }, &Environment::current()) {
        Ok(imported) => imported,
        Err(error) => {
            let code = if matches!(error, ImportError::Invalid { .. }) { FAILURE } else { USAGE };
            return fail(code, &error.to_string());
        }
    };
    match out {
        None => print(&imported.text),
        Some(path) => {
            if let Err(error) = write_new(path, &imported.text) {
                return fail(FAILURE, &error);
            }
        }
    }
    print_error(&escape_lines(&imported.report));
    OK.into()
}

/// Writes a file that only its owner can read, because it may hold secrets. An existing file stays.
pub(super) fn write_new(path: &Path, text: &str) -> Result<(), String> {
    let shown = path.display();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| match error {
        rustix::io::Errno::EXIST => format!("`{shown}` exists already: remove it, or name another file"),
        error => format!("failed to create `{shown}`: {}", words(&error.into())),
    })?;
    let mut file = File::from(file);
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.map_err(|error| {
        drop(std::fs::remove_file(path));
        format!("failed to write `{shown}`: {}", words(&error))
    })
}
