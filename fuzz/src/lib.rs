//! What the fuzz targets share: the checks that `tests/fuzz` makes of known inputs, made of unknown ones.

#[path = "../../tests/fuzz/checks/mod.rs"]
mod checks;

/// Checks an input of a target.
///
/// # Panics
/// If a rule or a limit is broken.
pub fn check(target: &str, input: &[u8]) {
    let (_, check) = checks::TARGETS.into_iter().find(|(name, _)| *name == target).expect("a known target");
    checks::limited(check, input);
}
