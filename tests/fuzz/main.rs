//! Runs every seed and every found input of the fuzz targets through the same checks and limits, in every test run.
//!
//! `FUZZ_CORPUS=DIRECTORY` writes the inputs there, a directory for each target, for `fuzz/run`.

mod checks;
mod seeds;

use checks::limits::processor_time;
use checks::{TARGETS, limited};
use seeds::seeds;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;
use std::{env, fs};

/// Measurements must not run at the same time.
static SERIAL: Mutex<()> = Mutex::new(());

#[test]
fn no_known_input_breaks_a_rule_or_a_limit() {
    let _serial = SERIAL.lock();
    let (mut count, mut failures) = (0, Vec::new());
    for (target, check) in TARGETS {
        for (name, input) in seeds(target) {
            count += 1;
            if let Some(corpus) = env::var_os("FUZZ_CORPUS") {
                write(&Path::new(&corpus).join(target), &name, &input);
            }
            if catch_unwind(AssertUnwindSafe(|| limited(check, &input))).is_err() {
                failures.push(format!("{target}: {name}"));
            }
        }
    }
    assert!(failures.is_empty(), "see the panics above:\n{}", failures.join("\n"));
    assert!(count >= 300, "only {count} inputs");
}

fn write(directory: &Path, name: &str, input: &[u8]) {
    fs::create_dir_all(directory).expect("the corpus can be written");
    fs::write(directory.join(name), input).expect("the corpus can be written");
}

/// Random mixtures of sequences that terminals act on, beyond the known inputs.
#[test]
fn random_texts_are_made_safe_for_terminals() {
    const PIECES: [&[u8]; 20] = [
        b"\x1b",
        b"[",
        b"m",
        b"0",
        b"31",
        b";",
        b":",
        b"]0;",
        b"\x07",
        b"\r",
        b"\n",
        b"\t",
        b"\x7f",
        b"\x9b",
        b"\xc2",
        b"\x80",
        "\u{202e}".as_bytes(),
        "\u{2028}".as_bytes(),
        "\u{e9}".as_bytes(),
        b"\\\"",
    ];
    let check = TARGETS.iter().find(|(name, _)| *name == "terminal").expect("a known target").1;
    let mut state: u64 = 1;
    let mut next = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("31 bits") % end
    };
    for _ in 0..20_000 {
        let length = next(12);
        let text: Vec<u8> = (0..length).flat_map(|_| PIECES[next(PIECES.len())]).copied().collect();
        check(&text);
    }
}

/// Shows that each limit can fail a check.
#[test]
fn a_check_can_fail() {
    fn greedy(input: &[u8]) {
        let bytes = vec![1_u8; 65 << 20];
        assert_ne!(std::hint::black_box(&bytes)[0], input[0]);
    }
    fn slow(input: &[u8]) {
        let end = processor_time() + Duration::from_millis(150);
        while processor_time() < end {
            std::hint::black_box(input);
        }
    }
    let _serial = SERIAL.lock();
    for check in [greedy, slow, |_: &[u8]| panic!("as it should be")] {
        assert!(catch_unwind(|| limited(check, b"x")).is_err(), "nothing was found");
    }
}
