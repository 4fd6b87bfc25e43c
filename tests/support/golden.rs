//! Golden files: what a test found is compared with a file of `fixtures/`, or written into it.
//!
//! `UPDATE_FIXTURES=1` writes. It knows nothing of what the files mean.

use similar::TextDiff;
use std::path::Path;
use std::{env, fs, io};

/// Compares what was found with a file, or writes it there; a difference becomes a failure that people can read. A file that
/// isn't there is empty.
pub(crate) fn settle(path: &Path, found: &str, failures: &mut Vec<String>) {
    let expected = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.unwrap_or_else(|error| panic!("{}: {error}", path.display())),
    };
    if found == expected {
        return;
    }
    if env::var_os("UPDATE_FIXTURES").is_some_and(|value| value == "1") {
        return fs::write(path, found).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
    let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap_or(path).display();
    let diff = TextDiff::from_lines(expected.as_str(), found);
    let diff = diff.unified_diff().header(&format!("{name} (expected)"), &format!("{name} (found)")).to_string();
    failures.push(format!("{diff}if this is as it should be, UPDATE_FIXTURES=1 writes it\n"));
}
