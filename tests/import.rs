//! Imports the files of other supervisors in `fixtures/import/KIND/CASE/`, and compares the configuration and the report with
//! `navigator.yml` and `report.txt` there. `UPDATE_FIXTURES=1` writes them. Each configuration loads, without a warning.

#[path = "support/golden.rs"]
mod golden;

use golden::settle;
use navigator::config::{Disk, Environment, load, render_all};
use navigator::import::{ImportRequest, Imported, Kind, import};
use navigator::terminal::TerminalStyle;
use std::fs;
use std::path::{Path, PathBuf};

/// What is compared.
const GOLDEN: [&str; 2] = ["navigator.yml", "report.txt"];

/// The environment of all imports.
fn environment() -> Environment {
    [("HOME", "/home/deploy"), ("PATH", "/usr/bin:/bin"), ("USER", "deploy"), ("HOSTNAME", "shop")].into_iter().collect()
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Every case, with the name of its kind.
fn cases() -> Vec<(String, PathBuf)> {
    let name = |path: &Path| path.file_name().expect("a name").to_string_lossy().into_owned();
    let kinds = entries(Path::new("fixtures/import"));
    kinds.iter().flat_map(|kind| entries(kind).into_iter().map(|case| (name(kind), case))).collect()
}

/// The files that a case imports: all but those that others name, and the results.
fn files(kind: &str, case: &Path) -> Vec<PathBuf> {
    let is_given = |path: &PathBuf| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let is_result = GOLDEN.contains(&name.as_str()) || name.starts_with('.');
        !is_result && (path.is_file() || kind == "s6")
    };
    entries(case).into_iter().filter(is_given).collect()
}

fn imported(kind: &str, case: &Path, from: Option<Kind>) -> Imported {
    let paths = files(kind, case);
    import(ImportRequest { paths: &paths, kind: from, out: None }, &environment())
        .unwrap_or_else(|error| panic!("{}: {error}", case.display()))
}

/// Paths of this checkout are shown as `/REPOSITORY`.
fn veiled(text: &str) -> String {
    text.replace(env!("CARGO_MANIFEST_DIR"), "/REPOSITORY")
}

#[test]
fn files_of_other_programs_become_configurations() {
    let cases = cases();
    assert!(cases.len() >= 29, "only {} cases", cases.len());
    let mut failures = Vec::new();
    for (kind, case) in cases {
        let Imported { text, report } = imported(&kind, &case, None);
        settle(&case.join("navigator.yml"), &veiled(&text), &mut failures);
        settle(&case.join("report.txt"), &veiled(&report), &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn what_is_written_passes_check() {
    let mut failures = Vec::new();
    for (kind, case) in cases() {
        let path = case.join("navigator.yml");
        let outcome = load(&path, &Disk, &environment());
        let found = match &outcome {
            Ok(loaded) => render_all(&loaded.warnings, 0, TerminalStyle::PLAIN),
            Err(rejected) => render_all(&rejected.diagnostics, 0, TerminalStyle::PLAIN),
        };
        if !found.is_empty() {
            failures.push(format!("{kind}: {found}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_guessed_kind_is_the_named_one() {
    for (kind, case) in cases() {
        let (_, from) = Kind::ALL.into_iter().find(|(name, _)| *name == kind).unwrap_or_else(|| panic!("no kind {kind}"));
        assert_eq!(imported(&kind, &case, Some(from)).text, imported(&kind, &case, None).text, "{}", case.display());
    }
}
