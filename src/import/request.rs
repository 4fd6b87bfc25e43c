//! What is asked of an import, and what comes of it.

use super::Kind;
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
