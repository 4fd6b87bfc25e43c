//! Where fixtures lie: the cases of a folder below `fixtures/`, and their texts.

use std::fs;
use std::path::{Path, PathBuf};

/// Every case of a folder, sorted. A folder without cases is a mistake, not a success.
pub(crate) fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(folder);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut cases: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display())).path())
        .filter(|path| !path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.')))
        .collect();
    assert!(!cases.is_empty(), "{}: no case in here", folder.display());
    cases.sort();
    cases
}

/// The text of a fixture.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
