//! Paths with wildcards, as a shell knows them: `*`, `?` and `[…]` within one segment.
//!
//! A wildcard doesn't match a leading dot, so that an editor's swap file is not taken for a configuration. There is no
//! `**`: what is included should be seen from the pattern.

use super::files::Files;
use crate::access::Distrust;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Component, Path, PathBuf};

/// Whether a path means more than itself.
pub(crate) fn is_glob(path: &str) -> bool {
    path.contains(['*', '?', '['])
}

/// Directories, each with the segments of patterns that were held against its entries.
pub(crate) type Asked = BTreeMap<PathBuf, BTreeSet<String>>;

/// The paths that a pattern matches, sorted. Every directory that was asked is added to `asked`; one that can't be listed
/// matches nothing.
///
/// # Errors
/// A [`Distrust`]: the user that can change a directory decides what matches in it.
pub(crate) fn expand(pattern: &Path, files: &dyn Files, asked: &mut Asked) -> io::Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::from([PathBuf::new()]);
    let mut wild = false;
    for component in pattern.components() {
        let segment = component.as_os_str().to_string_lossy();
        wild |= is_glob(&segment);
        if !wild || !matches!(component, Component::Normal(_)) {
            found = found.into_iter().map(|path| path.join(component)).collect();
            continue;
        }
        let mut deeper = BTreeSet::new();
        for directory in found {
            let names = match files.list(&directory) {
                Err(error) if Distrust::behind(&error).is_some() => return Err(error),
                names => names.unwrap_or_default(),
            };
            deeper.extend(
                names
                    .iter()
                    .filter(|name| name.to_str().is_some_and(|name| matches(&segment, name)))
                    .map(|name| directory.join(name)),
            );
            let directory = if directory.as_os_str().is_empty() { PathBuf::from(".") } else { directory };
            asked.entry(directory).or_default().insert(segment.to_string());
        }
        found = deeper;
    }
    Ok(found)
}

/// Whether a segment of a pattern matches a file name.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // After a mismatch, the last `*` takes one more character. Going back to that one alone is enough.
    let (mut at, mut to) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while to < name.len() {
        if pattern.get(at) == Some(&'*') {
            star = Some((at, to));
            at += 1;
        } else if let Some(length) = matches_one(&pattern[at..], name[to]) {
            at += length;
            to += 1;
        } else if let Some((star_at, star_to)) = star {
            at = star_at + 1;
            to = star_to + 1;
            star = Some((star_at, to));
        } else {
            return false;
        }
    }
    pattern[at..].iter().all(|&char| char == '*')
}

/// How many characters of the pattern match this one character; `None`: it doesn't match.
fn matches_one(pattern: &[char], char: char) -> Option<usize> {
    match pattern.first()? {
        '?' => Some(1),
        '[' => match Set::read(pattern) {
            Some(set) => set.has(char).then_some(set.length),
            // A bracket that is never closed means itself.
            None => (char == '[').then_some(1),
        },
        &literal => (literal == char).then_some(1),
    }
}

/// A set such as `[a-z_]` or `[!0-9]`.
struct Set {
    /// How many characters of the pattern it takes.
    length: usize,
    negated: bool,
    ranges: Vec<(char, char)>,
}

impl Set {
    /// The set that a pattern begins with, if its bracket is closed.
    fn read(pattern: &[char]) -> Option<Set> {
        let negated = matches!(pattern.get(1), Some('!' | '^'));
        let start = if negated { 2 } else { 1 };
        let mut at = start;
        let mut ranges = Vec::new();
        loop {
            let &from = pattern.get(at)?;
            // Right behind the opening, a closing bracket is a member.
            if from == ']' && at > start {
                return Some(Set { length: at + 1, negated, ranges });
            }
            let to = pattern.get(at + 2).filter(|&&to| to != ']' && pattern[at + 1] == '-');
            ranges.push((from, to.copied().unwrap_or(from)));
            at += if to.is_some() { 3 } else { 1 };
        }
    }

    fn has(&self, char: char) -> bool {
        self.ranges.iter().any(|&(from, to)| (from..=to).contains(&char)) != self.negated
    }
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
            ("**", "a", true),
            ("a*b*c", "a__b_b_c", true),
            ("a*b*c", "a__b_b_d", false),
            ("?.yml", "é.yml", true),
            ("?.yml", "ab.yml", false),
            ("[0-9][0-9]-*", "10-web", true),
            ("[!0-9]*", "10-web", false),
            ("[]a]", "]", true),
            ("[a", "[a", true),
            ("[a", "a", false),
            ("", "", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} against {name}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches(&format!("{}c", "a*".repeat(50)), &"a".repeat(5_000)));
    }
}
