//! Files in memory: alone, or over those on the disk.

use navigator::config::{Disk, Files};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Files by their paths.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) files: BTreeMap<PathBuf, Vec<u8>>,
    /// Where all other files are, if there are any.
    pub(crate) below: Option<Disk>,
}

impl Memory {
    /// The same with this file in it.
    #[must_use]
    pub(crate) fn with(mut self, path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Memory {
        self.files.insert(path.into(), content.into());
        self
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match (self.files.get(path), &self.below) {
            (Some(content), _) => Ok(content.clone()),
            (None, Some(below)) => below.read(path),
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        let inside = self.files.keys().filter(|path| path.parent() == Some(directory));
        let mut names: BTreeSet<OsString> = inside.filter_map(|path| path.file_name()).map(OsString::from).collect();
        if let Some(below) = &self.below {
            names.extend(below.list(directory)?);
        }
        Ok(names.into_iter().collect())
    }
}
