//! Removes what may be gone already: a command of a navigator that was killed may still use it.

use std::fs;
use std::io;
use std::path::Path;

/// Removes a file or a directory with everything in it; a missing one is no error.
///
/// # Errors
/// It can't be removed.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(stat) if stat.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}
