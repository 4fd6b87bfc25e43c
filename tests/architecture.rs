//! The house stands: floors import only lower ones, no files import in circles, a type name means one thing, `unsafe` lives in
//! one room, the core is pure, every module says what it is, and no file has grown beyond reading.
//!
//! Reads the source as text, line by line. It knows nothing of Rust beyond what its rules need, so that a failure points
//! at a line that a person can look at.

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/names.rs"]
mod names;

use std::fs;
use std::path::{Path, PathBuf};

/// The floor of each room: a module at the top of `src/`. A room imports rooms of lower floors only.
const FLOORS: [(&str, u8); 25] = [
    ("cli", 6),
    ("control", 5),
    ("supervisor", 4),
    ("source", 3),
    ("import", 3),
    ("runtime", 3),
    ("config", 2),
    ("handover", 2),
    ("journal", 2),
    ("keeper", 2),
    ("snapshot", 2),
    ("access", 1),
    ("ledger", 2),
    ("byte_text", 0),
    ("checksum", 0),
    ("errand", 0),
    ("error_text", 0),
    ("path_text", 0),
    ("paths", 0),
    ("schedule", 0),
    ("service_manager", 0),
    ("signals", 0),
    ("suggest", 0),
    ("sys", 0),
    ("terminal", 0),
];

/// A file longer than this is looked at for a second room in it.
const LONG: usize = 300;

/// No file is longer than this.
const TOO_LONG: usize = 500;

/// A file of the repository, with its path from the root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Its lines of code with their numbers, counted from 1; comments are left out.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, without_comment(line))).filter(|(_, line)| !line.is_empty())
    }

    /// The names of the modules it lies in, from the crate's root: `runtime`, `sys`, `clone` for `src/sys/clone.rs`.
    fn modules(&self) -> Vec<&str> {
        let inner = self.path.trim_start_matches("src/").trim_end_matches(".rs");
        inner.split('/').filter(|part| !matches!(*part, "mod" | "lib" | "main")).collect()
    }
}

fn without_comment(line: &str) -> &str {
    let line = line.trim();
    if line.starts_with("//") { "" } else { line.split_once(" // ").map_or(line, |(code, _)| code.trim_end()) }
}

/// The lines of a file above its tests.
fn without_tests(text: &str) -> impl Iterator<Item = &str> {
    let follows: Vec<&str> = text.lines().skip(1).chain([""]).collect();
    let begins_tests = move |(index, line): (usize, &str)| {
        line == "#[cfg(test)]" && follows[index].contains("mod ") && follows[index].ends_with('{')
    };
    let end = text.lines().enumerate().position(begins_tests).unwrap_or(usize::MAX);
    text.lines().take(end)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file below these folders, in a stable order.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut files: Vec<PathBuf> = folders.iter().flat_map(|folder| rust_files(&root().join(folder))).collect();
    files.sort();
    let read = |file: PathBuf| Source {
        path: file.strip_prefix(root()).expect("it lies in the repository").display().to_string(),
        text: fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display())),
    };
    files.into_iter().map(read).collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.expect("a folder of the repository can be read").path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            return rust_files(&path);
        }
        let is_rust = path.extension().is_some_and(|extension| extension == "rs");
        Vec::from_iter(is_rust.then_some(path))
    };
    paths.flat_map(below).collect()
}

#[track_caller]
fn assert_none(rule: &str, violations: &[String]) {
    assert!(violations.is_empty(), "{rule}:\n  {}", violations.join("\n  "));
}

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

/// The rooms that a line names by a path from the crate's root, or by climbing up to it from `depth` modules below.
fn rooms_named(line: &str, depth: usize) -> Vec<&str> {
    let mut rooms = Vec::new();
    for start in ["crate::", "navigator::"] {
        for (at, _) in line.match_indices(start) {
            if !line[..at].ends_with(is_word) {
                rooms.extend(first_names(&line[at + start.len()..]));
            }
        }
    }
    let mut rest = line;
    while let Some((_, after)) = rest.split_once("super::") {
        let climbed = 1 + (after.len() - after.trim_start_matches("super::").len()) / "super::".len();
        rest = after.trim_start_matches("super::");
        if climbed >= depth {
            rooms.extend(first_names(rest));
        }
    }
    rooms.retain(|room| floor(room).is_some());
    rooms
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The first name of each path in `a::b`, or in `{a::b, c}`.
fn first_names(path: &str) -> Vec<&str> {
    fn name(path: &str) -> &str {
        let path = path.trim_start();
        &path[..path.find(|character| !is_word(character)).unwrap_or(path.len())]
    }
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let mut depth = 0;
    let separates = |character: char| {
        depth += i32::from(character == '{') - i32::from(character == '}');
        character == ',' && depth == 0
    };
    group.split(separates).map(name).collect()
}

#[test]
fn every_room_has_a_floor() {
    let rooms: Vec<Source> = sources(&["src"]);
    let homeless = rooms.iter().filter_map(|source| source.modules().first().copied()).filter(|room| floor(room).is_none());
    let homeless: Vec<String> = homeless.map(str::to_owned).collect();
    assert_none("these modules of `src/` stand on no floor; give them one in `FLOORS` and in the architecture's page", &homeless);
}

#[test]
fn a_floor_imports_only_lower_ones() {
    let mut violations = Vec::new();
    for source in sources(&["src"]) {
        let modules = source.modules();
        let Some((room, own)) = modules.first().and_then(|room| Some((*room, floor(room)?))) else { continue };
        for (number, line) in source.code() {
            for named in rooms_named(line, modules.len()) {
                let allowed = named == room || floor(named).is_some_and(|other| other < own);
                if !allowed {
                    violations.push(format!("{}:{number}: `{room}` names `{named}`: {line}", source.path));
                }
            }
        }
    }
    assert_none("a room imports rooms of lower floors only", &violations);
}

#[test]
fn the_rules_of_floors_see_every_way_of_naming_a_room() {
    assert_eq!(rooms_named("use crate::cli::run;", 1), ["cli"]);
    assert_eq!(rooms_named("use crate::{config::{self, Disk}, runtime, signals::number};", 1), ["config", "runtime", "signals"]);
    assert_eq!(rooms_named("let x: crate::source::File = f(crate::config::load());", 1), ["source", "config"]);
    assert_eq!(rooms_named("use super::super::cli::run;", 2), ["cli"]);
    assert_eq!(rooms_named("use super::config;", 2), Vec::<&str>::new());
    assert_eq!(rooms_named("navigator::cli::main()", 0), ["cli"]);
    assert_eq!(rooms_named("pub(in crate::runtime) fn sub_crate::cli()", 1), ["runtime"]);
    assert_eq!(without_comment("    // use crate::cli"), "");
    assert_eq!(without_comment("call(); // as crate::cli does"), "call();");
}

/// Whether the line has the word `unsafe`, not as a part of another one.
fn is_unsafe(line: &str) -> bool {
    line.split(|character| !is_word(character)).any(|word| word == "unsafe")
}

#[test]
fn unsafe_lives_in_one_room_with_a_reason_for_each() {
    let mut violations = Vec::new();
    for source in sources(&["src", "reconcile", "tests", "benches", "examples"]) {
        if source.path == "tests/architecture.rs" {
            continue;
        }
        let allowed = source.path == "src/sys.rs" || source.path.starts_with("src/sys/");
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in source.code().filter(|(_, line)| is_unsafe(line)) {
            if !allowed {
                violations.push(format!("{}:{number}: outside of `src/sys`: {line}", source.path));
            }
            // An `unsafe fn` states its conditions; a block or an `impl` says why they hold.
            let claims = ["unsafe {", "unsafe impl"].iter().any(|claim| line.contains(claim));
            if claims && !lines[number.saturating_sub(8)..number].iter().any(|line| line.contains("// SAFETY")) {
                violations.push(format!("{}:{number}: without a `SAFETY` above it: {line}", source.path));
            }
        }
    }
    assert_none("`unsafe` is confined and justified", &violations);
}

#[test]
fn the_core_is_pure() {
    let library = fs::read_to_string(root().join("reconcile/src/lib.rs")).expect("the core exists");
    assert!(library.lines().any(|line| line == "#![no_std]"), "`reconcile` is `no_std`");
    assert!(library.lines().any(|line| line == "#![forbid(unsafe_code)]"), "`reconcile` forbids `unsafe`");

    let manifest = fs::read_to_string(root().join("reconcile/Cargo.toml")).expect("the core has a manifest");
    let mut section = "";
    let mut dependencies = Vec::new();
    for line in manifest.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if line.starts_with('[') {
            section = line;
        } else if section.contains("dependencies") && !section.contains("dev-dependencies") {
            dependencies.push(line.to_owned());
        }
    }
    assert_none("`reconcile` depends on nothing", &dependencies);

    let mut violations = Vec::new();
    for source in sources(&["reconcile/src"]) {
        let lines: Vec<(usize, &str)> = source.code().collect();
        for pair in lines.windows(2).filter(|pair| pair[1].1.starts_with("extern crate std") && pair[0].1 != "#[cfg(test)]") {
            violations.push(format!("{}:{}: {}", source.path, pair[1].0, pair[1].1));
        }
    }
    assert_none("`reconcile` takes nothing from the standard library outside of its tests", &violations);
}

#[test]
fn one_room_knows_yaml() {
    let sources = sources(&["src", "reconcile"]);
    let knowing = sources.iter().filter(|source| {
        source.code().any(|(_, line)| ["granit_parser", "serde_yaml"].iter().any(|library| line.contains(library)))
    });
    let others: Vec<String> =
        knowing.map(|source| source.path.clone()).filter(|path| !path.starts_with("src/config/yaml")).collect();
    assert_none("only `src/config/yaml` names a YAML library", &others);
}

#[test]
fn every_module_says_what_it_is() {
    let sources = sources(&["src", "reconcile", "tests", "benches", "examples"]);
    let silent = sources.iter().filter(|source| !source.text.starts_with("//! "));
    let silent: Vec<String> = silent.map(|source| source.path.clone()).collect();
    assert_none("every module opens with `//!` and says what it is", &silent);
}

#[test]
fn no_lint_is_switched_off_without_notice() {
    // `expect` complains when its reason has gone; `allow` stays for ever.
    let words = [concat!("#[", "allow("), concat!("#![", "allow(")];
    let mut violations = Vec::new();
    for source in sources(&["src", "reconcile", "tests", "benches", "examples"]) {
        for (number, line) in source.code().filter(|(_, line)| words.iter().any(|word| line.contains(word))) {
            violations.push(format!("{}:{number}: {line}", source.path));
        }
    }
    assert_none("write `#[expect(…, reason = \"…\")]`", &violations);
}

#[test]
#[expect(clippy::print_stderr, reason = "a hint for whoever reads the run, and no failure")]
fn no_file_is_too_long() {
    let lengths = sources(&["src", "reconcile", "tests", "benches", "examples"])
        .into_iter()
        .map(|source| (source.text.lines().count(), source.path));
    let (long, short): (Vec<_>, Vec<_>) = lengths.partition(|(lines, _)| *lines > LONG);
    assert!(!short.is_empty(), "files were found");
    for (lines, path) in &long {
        eprintln!("{path} has {lines} lines: is it one room or several?");
    }
    let violations: Vec<String> =
        long.iter().filter(|(lines, _)| *lines > TOO_LONG).map(|(lines, path)| format!("{path}: {lines} lines")).collect();
    assert_none(&format!("a file has {TOO_LONG} lines at most"), &violations);
}
