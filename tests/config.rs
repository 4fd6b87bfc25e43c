//! Configurations in `fixtures/config`: what they mean, or the errors that they hold.
//!
//! `good/NAME.yml` loads, and `good/NAME.txt` says what it means. `bad/NAME.yml` doesn't, and holds its own errors as comments
//! below the lines they are about; where the text can't hold comments, `bad/NAME.expect` has them as people see them.
//! `UPDATE_FIXTURES=1` writes what is found instead of comparing.

mod fixtures;
mod schema;
mod secrets;

use fixtures::{Memory, bare, describe_annotated, describe_loaded, environment, paths, settle};
use navigator::config::{Disk, Look, MAX_SHOWN, load, render_all};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn good_configurations_mean_what_is_written_beside_them() {
    let paths = paths("good");
    assert!(paths.len() >= 25, "only {} fixtures", paths.len());
    let mut failures = Vec::new();
    for path in paths {
        let found = match load(&path, &Disk, &environment()) {
            Ok(loaded) => describe_loaded(&loaded),
            Err(rejected) => {
                failures.push(render_all(&rejected.diagnostics, rejected.omitted, Look::PLAIN));
                continue;
            }
        };
        settle(&path.with_extension("txt"), &found, &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn bad_configurations_are_rejected_for_the_reasons_in_them() {
    let paths = paths("bad");
    assert!(paths.len() >= 60, "only {} fixtures", paths.len());
    let mut failures = Vec::new();
    for path in paths {
        let bytes = unannotated(&path);
        let text = String::from_utf8(bytes.clone()).ok().filter(|text| !text.contains(['\r', '\0', '\u{feff}']));
        match load(&path, &Memory::over_disk(&path, bytes), &environment()) {
            Ok(_) => failures.push(format!("{}: was accepted", path.display())),
            Err(rejected) => {
                let (expected, found) = match &text {
                    Some(text) => (path.clone(), describe_annotated(text, &path, &rejected)),
                    None => (path.with_extension("expect"), render_all(&rejected.diagnostics, rejected.omitted, Look::PLAIN)),
                };
                settle(&expected, &found, &mut failures);
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// In the fixtures `hunter2` is the value of variables, and of nothing else.
#[test]
fn no_message_shows_the_value_of_a_variable() {
    let mut told = 0;
    for path in paths("bad") {
        let bytes = unannotated(&path);
        for end in 0..=bytes.len() {
            let Err(rejected) = load(&path, &Memory::over_disk(&path, bytes[..end].to_vec()), &environment()) else { continue };
            let text = render_all(&rejected.diagnostics, rejected.omitted, Look::PLAIN);
            assert!(!text.contains("hunter"), "the first {end} bytes of {} are answered by\n{text}", path.display());
            told += usize::from(text.contains('…'));
        }
    }
    assert!(told > 0, "the fixtures hold no value that must be hidden");
}

/// A text that is being written is a prefix of what it will be.
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

const TYPED: &[u8] = b"\n\t -:{}[]&*!|>'\"%@`#,?$~0aZ\0\xff";

/// Changes a text the way typing, pasting and broken disks do.
fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let at = random.below(bytes.len() + 1);
    let end = (at + random.below(20)).min(bytes.len());
    match random.below(5) {
        0 => drop(bytes.drain(at..end)),
        1 => bytes.insert(at, TYPED[random.below(TYPED.len())]),
        2 => {
            let part = bytes[at..end].to_vec();
            bytes.splice(at..at, part);
        }
        3 if !bytes.is_empty() => {
            let at = at.min(bytes.len() - 1);
            bytes[at] ^= 1 << random.below(8);
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            let part = other[from..(from + 40).min(other.len())].to_vec();
            bytes.splice(at..end, part);
        }
    }
}

/// The bytes of a fixture without the errors in it.
fn unannotated(path: &Path) -> Vec<u8> {
    let bytes = fs::read(path).expect("a fixture can be read");
    String::from_utf8(bytes).map_or_else(std::string::FromUtf8Error::into_bytes, |text| bare(&text).into_bytes())
}

/// Sizes that nobody writes by hand, and what an attacker would.
#[test]
fn large_and_hostile_texts_are_answered_in_bounded_time() {
    let path = Path::new("fixtures/config/good/large.yml");
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<Vec<_>>().concat();
    let list = |count: usize, process: &dyn Fn(usize) -> String| format!("managed_processes:\n{}", lines(count, process));
    let large = list(10_000, &|index| {
        format!("- {{name: p{index}, command: ./p, args: [a, b], env: {{N: {index}}}, restart: always}}\n")
    });
    assert!(load(path, &Memory::over_disk(path, large.into_bytes()), &environment()).is_ok());
    let rejected = |text: String| {
        let start = Instant::now();
        let rejected = load(path, &Memory::over_disk(path, text.into_bytes()), &environment()).expect_err("it is not valid");
        let text = render_all(&rejected.diagnostics, rejected.omitted, Look::PLAIN);
        assert!(start.elapsed() < Duration::from_secs(20), "took {:?}", start.elapsed());
        assert!(rejected.diagnostics.len() <= 2 * MAX_SHOWN && text.len() < 1 << 20, "{} bytes of errors", text.len());
        text
    };
    let unnamed = rejected(list(30_000, &|index| format!("- {{name: p {index}, comand: x}}\n")));
    assert!(unnamed.ends_with("more\n"), "{unnamed}");
    rejected(list(5_000, &|index| format!("- {{name: p{index}, command: ./p, depends_on: [q{index}]}}\n")));
    rejected(list(3_000, &|index| format!("- {{name: p{index}, command: ./p, depends_on: [p{}]}}\n", (index + 1) % 3_000)));
    rejected(list(1, &|_| format!("- {{name: p, command: \"{}\"}}\n", "${A:-".repeat(500_000))));
    for argument in ["x".repeat(2 << 20), "${NONE}".repeat(500_000), format!("{}${{NONE}}", "${EMPTY}".repeat(400_000))] {
        rejected(list(1, &|_| format!("- {{name: p, command: ./p, args: [\"{argument}\"]}}\n")));
    }
    let doubling = lines(40, &|index| format!("    V{index}: \"${{V{0}}}${{V{0}}}\"\n", index + 1));
    rejected(format!("managed_processes:\n- name: p\n  command: ./p\n  env:\n{doubling}    V40: \"0123456789\"\n"));
    let chain = lines(50_000, &|index| format!("  V{index}: \"${{V{}}}\"\n", index + 1));
    rejected(format!("managed_processes: []\nenv:\n{chain}  V50000: x\n"));
    let nested = lines(6, &|level| format!("x-{}: &a{} [{}]\n", level + 1, level + 1, format!("*a{level}, ").repeat(10)));
    let laughs = rejected(format!("x-0: &a0 [x]\n{nested}managed_processes: []\n"));
    assert!(laughs.contains("stand for too much"), "{laughs}");
    rejected(format!("x: {}", "[".repeat(1 << 20)));
    rejected(format!("x: {}", "{a: ".repeat(1 << 20)));
    rejected("- ".repeat(1 << 20));
    rejected(format!("x: {}\n", "&a ".repeat(1 << 20)));
    rejected("? ".repeat(1 << 20));
    rejected("\"".repeat(4 << 20));
    rejected(format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(20_000)));
}

fn load_in_time(path: &Path, bytes: Vec<u8>) {
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let start = Instant::now();
    if let Err(rejected) = load(path, &Memory::over_disk(path, bytes), &environment()) {
        assert!(!rejected.diagnostics.is_empty(), "rejected without a reason:\n{text}");
        assert!(!render_all(&rejected.diagnostics, rejected.omitted, Look { color: true, width: Some(60) }).is_empty());
    }
    assert!(start.elapsed() < Duration::from_secs(5), "took {:?}:\n{text}", start.elapsed());
}

/// A small generator (xorshift), so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).expect("a remainder fits")
    }
}
