//! Loads the configurations in `fixtures/config`, and compares the result or the diagnostics with the expected ones.
//!
//! `good/NAME.yml` is valid; `good/NAME.txt` describes what it is loaded into. `bad/NAME.yml` is invalid; its diagnostics are
//! comments below the lines they point at, or in `bad/NAME.expect` if the text can't contain comments. `UPDATE_FIXTURES=1`
//! writes the actual results instead of comparing.

mod advice;
mod effective;
mod fixtures;
#[path = "support/mutation.rs"]
mod mutation;
mod schema;
mod secrets;

use fixtures::{describe_annotated, describe_loaded, environment, over_disk, paths, settle, unannotated};
use mutation::{Random, mutate};
use navigator::config::{Disk, Environment, load, render_all};
use navigator::terminal::TerminalStyle;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn good_configurations_load_as_described() {
    let paths = paths("good");
    assert!(paths.len() >= 50, "only {} fixtures", paths.len());
    let mut failures = Vec::new();
    for path in paths {
        let found = match load(&path, &Disk, &environment()) {
            Ok(loaded) => describe_loaded(&loaded),
            Err(rejected) => {
                failures.push(render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle::PLAIN));
                continue;
            }
        };
        settle(&path.with_extension("txt"), &found, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What is known here is also known of a configuration for another machine; and without any variable it is still accepted.
#[test]
fn what_loads_here_loads_for_another_machine_too() {
    let mut failures = Vec::new();
    for path in paths("good") {
        let here = load(&path, &Disk, &environment()).expect("it is valid");
        let same = load(&path, &Disk, &environment().elsewhere());
        assert!(same.is_ok_and(|same| describe_loaded(&same) == describe_loaded(&here)), "{}", path.display());
        if let Err(rejected) = load(&path, &Disk, &Environment::default().elsewhere()) {
            failures.push(render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle::PLAIN));
        }
    }
    for path in paths("bad") {
        let outcome = load(&path, &over_disk(&path, unannotated(&path)), &Environment::default().elsewhere());
        assert!(outcome.map_or_else(|rejected| !rejected.diagnostics.is_empty(), |_| true), "{}", path.display());
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn bad_configurations_are_rejected_with_the_expected_diagnostics() {
    let paths = paths("bad");
    assert!(paths.len() >= 180, "only {} fixtures", paths.len());
    let mut failures = Vec::new();
    for path in paths {
        let bytes = unannotated(&path);
        let text = String::from_utf8(bytes.clone()).ok().filter(|text| !text.contains(['\r', '\0', '\u{feff}']));
        match load(&path, &over_disk(&path, bytes), &environment()) {
            Ok(_) => failures.push(format!("{}: was accepted", path.display())),
            Err(rejected) => {
                let (expected, found) = match &text {
                    Some(text) => (path.clone(), describe_annotated(text, &path, &rejected)),
                    None => {
                        (path.with_extension("expect"), render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle::PLAIN))
                    }
                };
                settle(&expected, &found, &mut failures);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// In the fixtures, `hunter2` occurs only as the value of variables.
#[test]
fn no_message_shows_the_value_of_a_variable() {
    let mut masked = 0;
    for path in paths("bad") {
        let bytes = unannotated(&path);
        for end in 0..=bytes.len() {
            let Err(rejected) = load(&path, &over_disk(&path, bytes[..end].to_vec()), &environment()) else { continue };
            let text = render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle::PLAIN);
            assert!(!text.contains("hunter"), "the diagnostics for the first {end} bytes of {}:\n{text}", path.display());
            masked += usize::from(text.contains('…'));
        }
    }
    assert!(masked > 0, "the fixtures contain no value that must be masked");
}

/// A file may be read while it is still being written.
#[test]
fn no_prefix_of_a_configuration_panics_or_takes_long() {
    for path in paths("good").into_iter().chain(paths("bad")) {
        let bytes = unannotated(&path);
        for end in 0..bytes.len() {
            load_in_time(&path, bytes[..end].to_vec());
        }
    }
}

#[test]
fn no_mutation_of_a_configuration_panics_or_takes_long() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let seeds: Vec<Vec<u8>> = paths("good").into_iter().chain(paths("bad")).map(|path| unannotated(&path)).collect();
    let path = Path::new("fixtures/config/good/mutated.yml");
    for seed in &seeds {
        for _ in 0..100 {
            let mut bytes = seed.clone();
            for _ in 0..=random.below(4) {
                mutate(&mut bytes, &seeds, &mut random);
            }
            load_in_time(path, bytes);
        }
    }
}

fn load_in_time(path: &Path, bytes: Vec<u8>) {
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let start = Instant::now();
    if let Err(rejected) = load(path, &over_disk(path, bytes), &environment()) {
        assert!(!rejected.diagnostics.is_empty(), "rejected without a reason:\n{text}");
        assert!(!render_all(&rejected.diagnostics, rejected.omitted, TerminalStyle { color: true, width: Some(60) }).is_empty());
    }
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}:\n{text}", start.elapsed());
}
