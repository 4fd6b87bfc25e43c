//! Makes a configuration of the files of another supervisor (`navigator import`). Nothing of them is run, but JavaScript by `node`,
//! and no link is followed.
//!
//! `kind` recognizes the files. A module for each kind fills a `model` of our fields, with notes on what has no equivalent.
//! `document` writes it. The result is loaded before it is returned, so it always passes `navigator check`.

mod circus;
mod compose;
mod context;
mod document;
mod files;
mod first;
mod ini;
mod interpolation;
mod kind;
mod model;
mod pebble;
mod pm2;
mod process_compose;
mod procfile;
mod report;
mod s6;
mod supervisord;
mod systemd;
mod web_server;
mod words;

pub use first::{FirstConfiguration, first};
pub use kind::Kind;

use crate::config::{Environment, Files, MAX_BYTES, load};
use context::{Context, finish};
use files::DiskWithoutLinks;
use model::Stack;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What to import.
#[derive(Clone, Copy, Debug)]
pub struct ImportRequest<'r> {
    /// The files and directories, in this order.
    pub paths: &'r [PathBuf],
    /// Their kind, if it isn't to be guessed.
    pub kind: Option<Kind>,
    /// Where the result is to be; paths in it are relative to its directory. By default it is beside the first file.
    pub out: Option<&'r Path>,
}

/// An imported configuration.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The configuration.
    pub text: String,
    /// What was imported, and what could not be carried over.
    pub report: String,
}

/// Why nothing was imported.
#[derive(Debug, Error)]
pub enum ImportError {
    /// A file can't be read.
    #[error("failed to read `{}`: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No kind is recognized, or several are.
    #[error("{0}")]
    Unrecognized(String),
    /// The file isn't of its kind, or has nothing to import.
    #[error("{place}: {reason}")]
    Invalid {
        /// The file, perhaps with a line.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

/// Imports files.
///
/// # Errors
/// A file can't be read, or nothing in it can be imported.
pub fn import(request: ImportRequest<'_>, environment: &Environment) -> Result<Imported, ImportError> {
    let files = &DiskWithoutLinks;
    let (sources, kind) = kind::sources(request, files)?;
    let first = sources.iter().find(|source| !source.is_env_file()).unwrap_or(&sources[0]);
    let beside = first.directory().join("navigator.yml");
    let out = crate::paths::absolute(request.out.unwrap_or(&beside));
    let context = Context::new(files, environment, &out);
    let mut stack = Stack::default();
    kind.read(&context, &sources, &mut stack)?;
    finish(&mut stack, first)?;
    let notes = std::mem::take(&mut stack.notes);
    let shown = first.shown();
    let count = stack.processes.len();
    let header = format!("Imported from {shown} ({}) by `navigator import`. See docs/migrating.md.", kind.title());
    let text = document::written(stack, &header).map_err(|reason| ImportError::Invalid { place: shown.to_owned(), reason })?;
    let overlay = WithResult { out: &out, text: &text, files };
    if let Err(rejected) = load(&out, &overlay, &environment.clone().elsewhere()) {
        let reason = format!("the result is not valid, which is a mistake of `navigator import`: {}", rejected.summary());
        return Err(ImportError::Invalid { place: shown.to_owned(), reason });
    }
    Ok(Imported { text, report: report::report(&notes, count, shown, kind) })
}

/// Files with the result in its place.
struct WithResult<'i> {
    out: &'i Path,
    text: &'i str,
    files: &'i dyn Files,
}

impl Files for WithResult<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path == self.out {
            true if self.text.len() as u64 > MAX_BYTES => Err(io::ErrorKind::FileTooLarge.into()),
            true => Ok(self.text.as_bytes().to_vec()),
            false => self.files.read(path),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.files.list(directory)
    }
}
