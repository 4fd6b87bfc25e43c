//! The documents say what the program does: their configurations load, and the reference names every key.

use navigator::config::{Change, Disk, Environment, Files, Key, Look, Shape, load, process_keys, render_all, top_keys};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// A single file, and empty directories.
struct Alone(PathBuf, Vec<u8>);

impl Files for Alone {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.0 { Ok(self.1.clone()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn list(&self, _: &Path) -> io::Result<Vec<OsString>> {
        Ok(Vec::new())
    }
}

/// A fenced block of a document: where it begins, what it is tagged with, and its text without the fence's indentation.
struct Block {
    line: usize,
    tag: String,
    text: String,
}

fn blocks(document: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<(Block, usize)> = None;
    for (number, line) in document.lines().enumerate() {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(tag)) => {
                let indent = line.len() - line.trim_start().len();
                open = Some((Block { line: number + 1, tag: tag.trim().to_owned(), text: String::new() }, indent));
            }
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(block, _)| block)),
            (Some((block, indent)), None) => {
                block.text.push_str(line.get(*indent..).unwrap_or(line.trim_start()));
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is never closed");
    blocks
}

fn documents() -> BTreeMap<PathBuf, String> {
    let entries = fs::read_dir("docs").expect("the folder of documents can be listed");
    let paths = entries.map(|entry| entry.expect("an entry of the folder").path());
    let paths = paths.chain(Some(PathBuf::from("README.md")).filter(|path| path.exists()));
    let markdown = paths.filter(|path| path.extension().is_some_and(|extension| extension == "md"));
    markdown.map(|path| (path.clone(), fs::read_to_string(&path).expect("a document can be read"))).collect()
}

#[test]
fn configurations_in_documents_load() {
    let mut count = 0;
    for (path, document) in documents() {
        for Block { line, tag, text } in blocks(&document) {
            let outcome = load(&path, &Alone(path.clone(), text.into_bytes()), &Environment::default());
            let found = outcome
                .as_ref()
                .map_or_else(|rejected| render_all(&rejected.diagnostics, 0, Look::PLAIN), |_| "it loads".to_owned());
            let is_as_said = match tag.as_str() {
                "yaml" => outcome.is_ok(),
                "yaml,bad" => outcome.is_err(),
                // Nothing is wrong with it but that this version can't do it yet; once it can, the block is `yaml`.
                "yaml,later" => outcome.is_err_and(|rejected| {
                    rejected.omitted == 0 && rejected.diagnostics.iter().all(|one| one.message.ends_with("is not supported yet"))
                }),
                _ => continue,
            };
            assert!(is_as_said, "the block at line {line} of {} is tagged `{tag}`: {found}", path.display());
            count += 1;
        }
    }
    assert!(count >= 10, "only {count} blocks were found");
}

#[test]
fn every_row_of_the_table_of_dependents_has_its_scenario() {
    let document = fs::read_to_string("docs/dependencies.md").expect("the document can be read");
    let (_, table) = document.split_once("## What becomes of dependents").expect("the section of the table");
    let rows: Vec<&str> = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1).collect();
    let mut told = BTreeSet::new();
    for row in rows.iter().take_while(|line| line.starts_with('|')) {
        let (_, link) = row.split_once("](../").unwrap_or_else(|| panic!("the row names no scenario: {row}"));
        let (path, _) = link.split_once(')').expect("the end of a link");
        let scenario = fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        // Each column is a process of the scenario.
        for dependent in ["by-started", "by-ready", "by-completed", "follows", "loosely", "listed"] {
            assert!(scenario.contains(&format!("=  {dependent} ")), "{path} doesn't say what becomes of `{dependent}`");
        }
        assert_eq!(row.matches(" | ").count(), 6, "a cell for each column: {row}");
        told.insert(path.trim_start_matches("fixtures/scenario/").to_owned());
    }
    let entries = fs::read_dir("fixtures/scenario").expect("the folder of scenarios can be listed");
    let names = entries.map(|entry| entry.expect("an entry of the folder").file_name().to_string_lossy().into_owned());
    let scenarios: BTreeSet<String> = names.filter(|name| name.starts_with("dependents-when-it-")).collect();
    assert_eq!(told, scenarios, "the table and the scenarios tell of the same");
}

#[test]
fn the_reference_has_every_key() {
    let reference = fs::read_to_string("docs/reference.md").expect("the reference can be read");
    for key in top_keys().iter().chain(&process_keys()) {
        assert_row(&reference, key.name);
        for part in parts(key) {
            assert_row(&reference, part.name);
        }
        if let Shape::Limits(names) = key.shape {
            for name in names {
                assert!(reference.contains(&format!("`{name}`")), "the reference doesn't name the limit `{name}`");
            }
        }
    }
}

fn assert_row(reference: &str, key: &str) {
    let row = format!("| `{key}` |");
    assert!(reference.lines().any(|line| line.starts_with(&row)), "the reference has no row for `{key}`");
}

fn parts(key: &Key) -> Vec<Key> {
    match key.shape {
        Shape::Part(keys) | Shape::Edges(keys) | Shape::WordsOrPart(_, keys) => keys(),
        _ => Vec::new(),
    }
}

fn in_words(key: &Key) -> &'static str {
    match key.change {
        Change::Restart => "restart",
        Change::InPlace => "in place",
        Change::StartsOrStops => "starts or stops",
        Change::AnotherProcess => "another process",
        Change::None => panic!("`{}` is a field of processes", key.name),
    }
}

#[test]
fn the_reference_says_what_a_change_does() {
    let reference = fs::read_to_string("docs/reference.md").expect("the reference can be read");
    let (_, fields) = reference.split_once("## Fields of a process").expect("the section of fields");
    for key in process_keys() {
        let row = fields.lines().find(|line| line.starts_with(&format!("| `{}` |", key.name)));
        let row = row.unwrap_or_else(|| panic!("the reference has no row for `{}`", key.name));
        let change = in_words(&key);
        assert!(row.trim_end().ends_with(&format!("| {change} |")), "a change of `{}` means {change}: {row}", key.name);
    }
}

#[test]
fn hot_reload_says_what_a_change_of_each_supported_field_does() {
    let document = fs::read_to_string("docs/hot-reload.md").expect("the document can be read");
    let (_, table) = document.split_once("## What a change of each field does").expect("the section of fields");
    let later: Vec<&str> = navigator::config::not_yet().collect();
    for key in process_keys().into_iter().filter(|key| !later.contains(&key.name)) {
        let mut rows = table.lines().filter(|line| line.starts_with('|')).filter_map(|line| line.rsplit_once(" | "));
        let row = rows.find(|(names, _)| names.contains(&format!("`{}`", key.name)));
        let (_, says) = row.unwrap_or_else(|| panic!("hot-reload.md has no row for `{}`", key.name));
        let change = in_words(&key);
        assert!(says.starts_with(change), "a change of `{}` means {change}: {says}", key.name);
    }
}

#[test]
fn the_reference_names_what_is_not_supported_yet() {
    let reference = fs::read_to_string("docs/reference.md").expect("the reference can be read");
    let (_, list) = reference.split_once("These are checked but not supported yet").expect("the sentence");
    let (list, _) = list.split_once("\n\n").expect("the end of the paragraph");
    let found: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(found, navigator::config::not_yet().collect::<Vec<_>>());
}

#[test]
fn what_check_says_in_documents_is_what_it_says() {
    for document in ["README.md", "docs/reference.md"] {
        let text = fs::read_to_string(document).expect("the document can be read");
        let (_, shown) = text.split_once("$ navigator check ").unwrap_or_else(|| panic!("no example of a check in {document}"));
        let (shown, _) = shown.split_once("```").expect("the end of the example");
        let (path, said) = shown.split_once('\n').expect("what is said about the file");
        let rejected = load(Path::new(path), &Disk, &Environment::default()).expect_err("the example is a file that is wrong");
        assert_eq!(said, render_all(&rejected.diagnostics, rejected.omitted, Look::PLAIN), "{document}");
    }
}
