//! Proves that the property tests can fail: plants bugs that people really make into a copy of the core.
//!
//! Each bug is a piece of code that reads otherwise. The copy is built once and holds them all; a variable of the environment
//! says which one takes effect. Every bug must be caught within a few thousand histories, and the copy without one must pass.
//!
//! A bug is planted by the shape of the code ([`shape`]), so renamed, reformatted and moved code keeps its bugs. If code is
//! removed or rewritten, its bug fails the test: rewrite or delete the bug, too.
#![expect(clippy::print_stdout, reason = "prints which invariant caught which bug")]
#![expect(clippy::disallowed_methods, reason = "cargo and the property tests run to their end; nothing is supervised here")]

mod bugs;
mod shape;

use bugs::{BUGS, BUGS_OF_ROLLBACK, BUGS_OF_SCHEDULES};
use shape::Place;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many histories a bug may survive.
const HISTORIES: &str = "10000";

/// A bug.
struct Bug {
    title: &'static str,
    /// Code of the core, which is there once; the bug replaces what is between `«` and `»`.
    code: &'static str,
    /// What it becomes, in the names of `code`.
    instead: &'static str,
}

/// The function of the copy that says which bug takes effect.
const PLANTED: &str = "
extern crate std;
/// Whether this bug takes effect.
pub fn planted(bug: usize) -> bool {
    static WHICH: std::sync::LazyLock<usize> =
        std::sync::LazyLock::new(|| std::env::var(\"PLANTED\").map_or(0, |bug| bug.parse().expect(\"the number of a bug\")));
    *WHICH == bug
}
";

#[test]
fn every_planted_bug_is_caught() {
    let program = build(&plant());
    let (passed, output) = run(&program, 0);
    assert!(passed, "the core without a planted bug breaks an invariant:\n{output}");
    let caught = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((bug, number)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((all().nth(at)?, at + 1))) {
            let (passed, output) = run(&program, number);
            let by = output.lines().find_map(|line| line.strip_prefix("broken: ")).filter(|_| !passed).map(ToOwned::to_owned);
            caught.lock().expect("no thread panics with the list").insert(bug.title, by.ok_or(output));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut survivors = Vec::new();
    for (title, caught) in caught.into_inner().expect("no thread panicked with the list") {
        match caught {
            Ok(by) => println!("{title:68} {by}"),
            Err(output) => survivors.push(format!("{title}\n{output}")),
        }
    }
    assert!(survivors.is_empty(), "planted bugs that were not caught within {HISTORIES} histories:\n{}", survivors.join("\n"));
}

/// All bugs. Those of rollback and of schedules have histories of their own.
fn all() -> impl Iterator<Item = &'static Bug> {
    BUGS.iter().chain(BUGS_OF_ROLLBACK).chain(BUGS_OF_SCHEDULES)
}

/// Copies the core with every bug into a package of its own, which has the property tests.
fn plant() -> PathBuf {
    let (root, package) =
        (Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants").join("package"));
    let properties = root.join("tests/properties/main.rs");
    let manifest = format!(
        "[package]\nname = \"mutants\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[lib]\nname = \"reconcile\"\n\
         [[test]]\nname = \"properties\"\npath = \"{}\"\n[profile.dev]\nopt-level = 1\ndebug = false\nincremental = false\n",
        properties.display()
    );
    write(&package.join("Cargo.toml"), &manifest);
    let (source, copy) = (root.join("reconcile/src"), package.join("src"));
    let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
    for file in files(&source) {
        let text = fs::read_to_string(source.join(&file)).expect("the core can be read");
        texts.insert(file, text);
    }
    infect(&mut texts);
    texts.get_mut(Path::new("lib.rs")).expect("the core has a root").push_str(PLANTED);
    for former in files(&copy).iter().filter(|file| !texts.contains_key(*file)) {
        fs::remove_file(copy.join(former)).expect("a file that the core no longer has can be removed");
    }
    for (file, text) in texts {
        write(&copy.join(file), &text);
    }
    package
}

/// Plants every bug into the files of the core.
fn infect(texts: &mut BTreeMap<PathBuf, String>) {
    let mut planted: BTreeMap<PathBuf, Vec<(Place, usize)>> = BTreeMap::new();
    let mut misplaced = Vec::new();
    for (bug, number) in all().zip(1..) {
        let places = |(file, text): (&PathBuf, &String)| {
            shape::places(text, bug.code).into_iter().map(|place| (file.clone(), place)).collect::<Vec<_>>()
        };
        let mut found: Vec<(PathBuf, Place)> = texts.iter().flat_map(places).collect();
        match (found.pop(), found.is_empty()) {
            (Some((file, place)), true) => planted.entry(file).or_default().push((place, number)),
            (last, _) => {
                let files: Vec<PathBuf> = found.into_iter().chain(last).map(|(file, _)| file).collect();
                misplaced.push(format!("{}: expected once: `{}`, found in {files:?}", bug.title, bug.code));
            }
        }
    }
    assert!(misplaced.is_empty(), "the code of these bugs is gone or isn't unique:\n{}", misplaced.join("\n"));
    for (file, mut places) in planted {
        let text = texts.get_mut(&file).expect("a bug was found in it");
        places.sort_by_key(|(place, _)| place.marked.start);
        let overlap = places.windows(2).any(|pair| pair[0].0.marked.end > pair[1].0.marked.start);
        assert!(!overlap, "two bugs replace the same code in `{}`", file.display());
        for (place, number) in places.into_iter().rev() {
            let right = &text[place.marked.clone()];
            let instead = place.rename(all().nth(number - 1).map_or("", |bug| bug.instead));
            let either = format!("(if crate::planted({number}) {{ {instead} }} else {{ {right} }})");
            text.replace_range(place.marked, &either);
        }
    }
}

/// Every file below a directory, relative to it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(within) = folders.pop() {
        // A missing directory has no files.
        for entry in fs::read_dir(folder.join(&within)).into_iter().flatten().flatten() {
            let path = within.join(entry.file_name());
            if entry.path().is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Writes a file if its text differs: cargo builds again what was written.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return;
    }
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    assert!(written.is_ok(), "failed to write `{}`: {written:?}", path.display());
}

/// Builds the property tests against the copy; returns the path of the program.
fn build(package: &Path) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let output = Command::new(cargo)
        .args(["test", "--no-run", "--offline", "--test", "properties", "--message-format=json-render-diagnostics"])
        .env("CARGO_TARGET_DIR", package.with_file_name("target"))
        .current_dir(package)
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "a planted bug doesn't compile:\n{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = artifacts.find_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    program.expect("cargo reports the program that it built")
}

/// Runs the property tests with a bug, or with none for 0; returns whether they passed, and their output.
fn run(program: &Path, bug: usize) -> (bool, String) {
    let histories = match bug {
        bug if bug > BUGS.len() + BUGS_OF_ROLLBACK.len() => "dates_are_served_once",
        bug if bug > BUGS.len() => "undone_once",
        _ => "every_invariant_holds",
    };
    let output = Command::new(program)
        .args(["--nocapture", histories])
        .env("PLANTED", bug.to_string())
        .env("HISTORIES", HISTORIES)
        .env("SHORT", "1")
        .env_remove("SEED")
        .output()
        .expect("the property tests can be run");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}
