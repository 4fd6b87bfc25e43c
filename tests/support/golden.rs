//! Golden files: what a test found is compared with a file of `fixtures/`, or written into it.
//!
//! `UPDATE_FIXTURES=1` writes. It knows nothing of what the files mean.

use similar::TextDiff;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Every case of a folder below `fixtures/`, sorted. A folder without cases is a mistake, not a success.
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

/// Compares each golden file with what was found, and shows every difference at once.
pub(crate) fn compare(found: impl IntoIterator<Item = (PathBuf, String)>) {
    let update = env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1");
    let mut differences = String::new();
    for (path, found) in found {
        let expected = if path.exists() { read(&path) } else { String::new() };
        if found == expected {
            continue;
        }
        if update {
            fs::write(&path, &found).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        } else {
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(&path).display();
            let diff = TextDiff::from_lines(&expected, &found);
            let (before, after) = (format!("{name} (expected)"), format!("{name} (found)"));
            // Writing into a string can't fail.
            let _ = write!(differences, "\n{}", diff.unified_diff().header(&before, &after));
        }
    }
    assert!(differences.is_empty(), "{differences}\nif this is what it should be: UPDATE_FIXTURES=1 rewrites it");
}
