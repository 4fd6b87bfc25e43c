//! Durations and sizes, compared with a second parser that reads from the end.

use super::files::{process, quoted, text};
use reconcile::spec::{Output, Spec};
use std::sync::Arc;

pub(crate) fn check(input: &[u8]) {
    let Some(written) = text(input, 100).filter(|written| !written.contains('$')) else { return };
    let found = read(&format!("start_delay: {}", quoted(written))).map(|spec| spec.start_delay.as_secs_f64());
    let expected = seconds(written);
    let same = match (found, expected) {
        (Some(found), Some(expected)) => (found - expected).abs() <= expected * 1e-9 + 1e-9,
        (found, expected) => found.is_none() && expected.is_none(),
    };
    assert!(same, "{written:?} is {found:?}, not {expected:?}");
    let found = read(&format!("output: {{file: a, max_size: {}}}", quoted(written)));
    let found = found.map(|spec| if let Output::Files(files) = &spec.exec.output { files.max_size } else { 0 });
    assert_eq!(found, bytes(written), "{written:?}");
}

fn read(with: &str) -> Option<Arc<Spec>> {
    Some(process(with).load().ok()?.desired.entries()[0].spec.clone())
}

/// The seconds of a duration. Units are taken from the end, so the smallest comes first.
fn seconds(written: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 5] = [("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3_600.0), ("d", 86_400.0)];
    if let Some(bare) = number(written) {
        return Some(bare).filter(|seconds| *seconds <= LONGEST);
    }
    let (mut rest, mut sum, mut smallest) = (written, 0.0, 0);
    while !rest.is_empty() {
        let unit = ending(rest, |char| char.is_ascii_alphabetic());
        let before = &rest[..rest.len() - unit.len()];
        let digits = ending(before, |char| char.is_ascii_digit() || char == '.');
        let place = UNITS.iter().position(|(known, _)| *known == unit)?;
        if place < smallest {
            return None;
        }
        sum += number(digits)? * UNITS[place].1;
        smallest = place + 1;
        rest = &before[..before.len() - digits.len()];
    }
    Some(sum).filter(|sum| !written.is_empty() && *sum <= LONGEST)
}

/// The longest suffix of characters of this kind.
fn ending(text: &str, is_of_kind: fn(char) -> bool) -> &str {
    &text[text.trim_end_matches(is_of_kind).len()..]
}

/// Ten years, in seconds.
const LONGEST: f64 = 3_650.0 * 86_400.0;

/// A number of up to 18 digits, perhaps with a fraction.
fn number(written: &str) -> Option<f64> {
    let plain = written.chars().all(|char| char.is_ascii_digit() || char == '.');
    let digits = written.chars().filter(char::is_ascii_digit).count();
    // `5.` is no number; `.5` is, and its missing zero is no digit.
    let bare = plain && !written.ends_with('.') && (1..=18 - usize::from(!written.contains('.'))).contains(&digits);
    bare.then(|| written.parse().ok()).flatten()
}

fn bytes(written: &str) -> Option<u64> {
    const UNITS: [(&str, u128); 8] = [
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("kb", 1000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("b", 1),
        ("", 1),
    ];
    let lower = written.to_ascii_lowercase();
    let (digits, scale) = UNITS.into_iter().find_map(|(unit, scale)| Some((lower.strip_suffix(unit)?, scale)))?;
    let plain = !digits.is_empty() && digits.chars().all(|char| char.is_ascii_digit());
    let number: u128 = plain.then(|| digits.parse().ok()).flatten()?;
    u64::try_from(number.checked_mul(scale)?).ok()
}
