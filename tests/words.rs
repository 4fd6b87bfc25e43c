//! The words of code and documents: software is a thing, so words that mean people stay out; and the glossary stays short.

use std::fs;
use std::path::{Path, PathBuf};

/// Words for people.
const PEOPLE: [&str; 7] = ["who", "whose", "whom", "whoever", "nobody", "somebody", "anybody"];

/// Lines in which these words mean people, or are names: the file, and a part of the line.
const ALLOWED: [(&str, &str); 0] = [];

/// The glossary holds no more words than this.
const GLOSSARY: usize = 40;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every text file below a path.
fn files(path: PathBuf) -> Vec<PathBuf> {
    if path.is_file() {
        return vec![path];
    }
    let entries = fs::read_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut found: Vec<PathBuf> = entries.flat_map(|entry| files(entry.expect("a directory of the repository").path())).collect();
    found.retain(|file| file.extension().is_some_and(|extension| extension == "rs" || extension == "md"));
    found.sort();
    found
}

fn words(line: &str) -> impl Iterator<Item = String> {
    line.split(|character: char| !character.is_alphanumeric()).map(str::to_lowercase)
}

fn has_people(line: &str) -> bool {
    words(line).any(|word| PEOPLE.contains(&word.as_str()))
}

/// The lines below these paths that speak of software as of people: `(file, number, line)`.
fn lines_with_people(paths: &[&str]) -> Vec<(String, usize, String)> {
    let files = paths.iter().flat_map(|path| files(root().join(path)));
    files
        .flat_map(|file| {
            let path = file.strip_prefix(root()).expect("it lies in the repository").display().to_string();
            let text = fs::read_to_string(&file).expect("a text file");
            let lines: Vec<_> =
                text.lines().enumerate().map(|(index, line)| (path.clone(), index + 1, line.to_owned())).collect();
            lines
        })
        .filter(|(_, _, line)| has_people(line))
        .collect()
}

#[test]
fn words_for_people_mean_people() {
    let found =
        lines_with_people(&["src", "reconcile/src", "docs", "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"]);
    let is_allowed =
        |(path, _, line): &&(String, usize, String)| ALLOWED.iter().any(|(file, part)| path == file && line.contains(part));
    let wrong: Vec<String> =
        found.iter().filter(|line| !is_allowed(line)).map(|(path, number, line)| format!("{path}:{number}: {line}")).collect();
    assert!(wrong.is_empty(), "say what it is instead (a client, a thread, the caller …):\n{}", wrong.join("\n"));
    for (file, part) in ALLOWED {
        let is_there = found.iter().any(|(path, _, line)| path == file && line.contains(part));
        assert!(is_there, "`{part}` is no longer in {file}: take it out of the list");
    }
}

#[test]
fn only_whole_words_count() {
    assert!(has_people("// Whoever reads this"));
    assert!(has_people("nobody's"));
    assert!(!has_people("the whole wholesome anybodys"));
}

#[test]
fn the_glossary_is_short() {
    let glossary = fs::read_to_string(root().join("docs/glossary.md")).expect("the glossary");
    let entries = glossary.lines().filter(|line| line.starts_with("| **")).count();
    assert!((1..=GLOSSARY).contains(&entries), "{entries} entries, and {GLOSSARY} are allowed");
}
