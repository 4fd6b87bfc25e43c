//! Globs in paths: `*`, `?` and `[…]` within one path segment, as in a shell.
//!
//! The `glob` crate matches names; [`Files`] lists directories, because it knows what navigator may read. A wildcard doesn't
//! match a leading dot, so that an editor's swap file is not included. `**` is not supported: a pattern names each directory.

use super::files::Files;
use crate::access::Distrust;
use ::glob::Pattern;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Whether a path contains wildcards.
pub(crate) fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Listed directories, each with the pattern segments that its entries were matched against.
pub(crate) type ListedDirectories = BTreeMap<PathBuf, BTreeSet<String>>;

/// The paths that a pattern matches, sorted. Every listed directory is added to `listed`. A directory that can't be listed
/// matches nothing.
///
/// # Errors
/// A [`Distrust`] if a directory isn't trusted: a user that can write to it decides what matches.
pub(crate) fn expand(pattern: &Path, files: &dyn Files, listed: &mut ListedDirectories) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::from([PathBuf::new()]);
    let mut wild = false;
    for component in pattern.components() {
        let segment = component.as_os_str().to_string_lossy();
        wild |= is_glob(&segment);
        if !wild || !matches!(component, Component::Normal(_)) {
            found = found.into_iter().map(|path| path.join(component)).collect();
            continue;
        }
        let pattern = compiled(&segment);
        let mut deeper = BTreeSet::new();
        for directory in found {
            let names = match files.list(&directory) {
                Err(error) if Distrust::behind(&error).is_some() => return Err(error),
                names => names.unwrap_or_default(),
            };
            deeper.extend(
                names
                    .iter()
                    .filter(|name| name.to_str().is_some_and(|name| matches_compiled(&segment, &pattern, name)))
                    .map(|name| directory.join(name)),
            );
            let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory };
            listed.entry(directory).or_default().insert(segment.to_string());
        }
        found = deeper;
    }
    Ok(found)
}

/// Whether a segment of a pattern matches a file name.
pub(crate) fn matches(segment: &str, name: &str) -> bool {
    matches_compiled(segment, &compiled(segment), name)
}

fn matches_compiled(segment: &str, compiled: &Pattern, name: &str) -> bool {
    (segment.starts_with('.') || !name.starts_with('.')) && compiled.matches(name)
}

/// Compiles a segment. The `glob` crate lacks `[^…]`, and rejects an unclosed bracket, which a shell takes literally.
fn compiled(segment: &str) -> Pattern {
    let negated = Pattern::new(&segment.replace("[^", "[!"));
    let compiled = negated.or_else(|_| Pattern::new(&segment.replace('[', "[[]")));
    compiled.unwrap_or_else(|error| unreachable!("`**` in `{segment}` was rejected before: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.yml", "a.yml", true),
            ("*.yml", "a.yml~", false),
            ("*.yml", ".a.yml.swp", false),
            ("*.yml", ".a.yml", false),
            (".*.yml", ".a.yml", true),
            ("*", "a", true),
            ("a*b*c", "a__b_b_c", true),
            ("a*b*c", "a__b_b_d", false),
            ("?.yml", "é.yml", true),
            ("?.yml", "ab.yml", false),
            ("[0-9][0-9]-*", "10-web", true),
            ("[!0-9]*", "10-web", false),
            ("[^0-9]*", "10-web", false),
            ("[^0-9]*", "web-10", true),
            ("*.yml", ".yml", false),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("[a", "a", false),
            ("[ab", "[ab", true),
            ("[^a", "[^a", true),
            ("[a*", "[ab", true),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn matching_many_stars_takes_no_exponential_time() {
        assert!(!matches(&format!("{}c", "a*".repeat(50)), &"a".repeat(5_000)));
    }
}
