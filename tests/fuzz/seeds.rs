//! The seeds of fuzzing: the fixtures, the lines of `fuzz/seeds/`, and the inputs found before in `fuzz/found/`.

use std::fs;
use std::path::{Path, PathBuf};

/// The inputs of a target, each with a name.
pub(crate) fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut seeds = match target {
        "load" => configurations(),
        "plan" => pairs(),
        _ => lines(target),
    };
    let found = Path::new("fuzz/found").join(target);
    if found.exists() {
        seeds.extend(files(&found).into_iter().map(|path| (format!("found-{}", name(&path)), read(&path))));
    }
    seeds
}

/// Every configuration of the fixtures, valid or not.
fn configurations() -> Vec<(String, Vec<u8>)> {
    let directories = ["good", "good/parts", "bad", "bad/parts"].map(|directory| Path::new("fixtures/config").join(directory));
    let plans = files(Path::new("fixtures/plan"));
    let texts = directories.iter().chain(&plans).flat_map(|directory| files(directory)).filter(|path| path.is_file());
    texts.map(|path| (path.to_string_lossy().replace('/', "-"), read(&path))).collect()
}

/// Every case of `fixtures/plan` in both directions, and each good configuration with the next one.
fn pairs() -> Vec<(String, Vec<u8>)> {
    let cases = files(Path::new("fixtures/plan"));
    let cases = cases.iter().map(|case| (name(case), case.join("before.yml"), case.join("after.yml")));
    let good: Vec<PathBuf> = files(Path::new("fixtures/config/good")).into_iter().filter(|path| is_yaml(path)).collect();
    let neighbours = good.windows(2).map(|pair| (name(&pair[0]), pair[0].clone(), pair[1].clone()));
    let both_ways = cases.chain(neighbours).flat_map(|(name, before, after)| {
        let pair = |one: &Path, other: &Path| [read_if_there(one), b"\n---8<---\n".to_vec(), read_if_there(other)].concat();
        [(format!("{name}-there"), pair(&before, &after)), (format!("{name}-back"), pair(&after, &before))]
    });
    both_ways.collect()
}

/// The lines of `fuzz/seeds/TARGET.txt`; `\n` in one of them is a line break.
fn lines(target: &str) -> Vec<(String, Vec<u8>)> {
    let path = Path::new("fuzz/seeds").join(target).with_extension("txt");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().enumerate();
    lines.map(|(number, line)| (format!("{target}-{number}"), line.replace("\\n", "\n").into_bytes())).collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry of the directory").path()).collect();
    paths.sort();
    paths
}

fn name(path: &Path) -> String {
    path.file_name().expect("it has a name").to_string_lossy().into_owned()
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yml")
}

fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// In `fixtures/plan`, a missing file stands for an empty configuration.
fn read_if_there(path: &Path) -> Vec<u8> {
    if path.exists() { read(path) } else { b"managed_processes: []".to_vec() }
}
