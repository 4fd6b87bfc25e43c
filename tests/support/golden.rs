//! Golden files: what a test found is compared with a file of `fixtures/`, or written into it.
//!
//! `UPDATE_FIXTURES=1` writes. It knows nothing of what the files mean.

use similar::TextDiff;
use std::fmt::Write;
use std::path::PathBuf;
use std::{env, fs, io};

/// Compares each golden file with what was found, and shows every difference at once. A file that isn't there is empty.
pub(crate) fn compare(found: impl IntoIterator<Item = (PathBuf, String)>) {
    let update = env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1");
    let mut differences = String::new();
    for (path, found) in found {
        let expected = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
        };
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
