//! Wildcards of `include`, compared with a second matcher that tries everything.

use super::files::{MAIN, Memory, quoted, text};
use std::path::Path;

/// The first line is a pattern, the others are file names.
pub(crate) fn check(input: &[u8]) {
    let Some((pattern, names)) = text(input, 300).and_then(|text| text.split_once('\n')) else { return };
    let is_plain = |text: &str| !text.contains(['/', '$']) && text.chars().count() <= 12;
    if !is_plain(pattern) || !pattern.contains(['*', '?', '[']) || pattern.contains("**") {
        return;
    }
    // Within brackets, `[^` is read as `[!`.
    if pattern.contains("[^") && pattern.matches('[').count() > 1 {
        return;
    }
    let names: Vec<&str> = names.lines().filter(|name| is_plain(name) && !matches!(*name, "" | "." | "..")).collect();
    let main = format!("managed_processes: []\ninclude: {}", quoted(&format!("conf/{pattern}")));
    let files = names.iter().fold(Memory::default().with(MAIN, main), |files, name| {
        files.with(Path::new("etc/conf").join(name), "managed_processes: []")
    });
    let loaded = files.load().unwrap_or_else(|rejected| panic!("{pattern:?}: {:?}", rejected.diagnostics));
    let letters: Vec<char> = pattern.chars().collect();
    let is_closed = are_closed(&letters);
    for name in names {
        let may_match = !name.starts_with('.') || pattern.starts_with('.');
        let expected = may_match && matches(&letters, is_closed, &name.chars().collect::<Vec<char>>());
        let found = loaded.inputs.files.contains(&Path::new("etc/conf").join(name));
        assert_eq!(found, expected, "{pattern:?} and {name:?}");
    }
}

/// Whether every bracket is closed. If one is not, all of them are literal.
fn are_closed(pattern: &[char]) -> bool {
    match pattern {
        ['[', rest @ ..] => set(rest).is_some_and(|(_, rest)| are_closed(rest)),
        [_, rest @ ..] => are_closed(rest),
        [] => true,
    }
}

fn matches(pattern: &[char], is_closed: bool, name: &[char]) -> bool {
    let Some((&first, rest)) = pattern.split_first() else { return name.is_empty() };
    let matches = |rest, name| matches(rest, is_closed, name);
    match (first, set(rest)) {
        ('*', _) => (0..=name.len()).any(|taken| matches(rest, &name[taken..])),
        ('?', _) => !name.is_empty() && matches(rest, &name[1..]),
        ('[', Some((members, rest))) if is_closed => {
            name.first().is_some_and(|&char| is_member(members, char)) && matches(rest, &name[1..])
        }
        _ => name.first() == Some(&first) && matches(rest, &name[1..]),
    }
}

/// The text between the brackets, and the text after them. The first character is a member, even if it is a bracket.
fn set(rest: &[char]) -> Option<(&[char], &[char])> {
    let first = usize::from(matches!(rest.first(), Some('!' | '^')));
    let mut at = first;
    loop {
        if at > first && rest.get(at) == Some(&']') {
            return Some((&rest[..at], &rest[at + 1..]));
        }
        rest.get(at)?;
        let is_range = rest.get(at + 1) == Some(&'-') && rest.get(at + 2).is_some_and(|&end| end != ']');
        at += if is_range { 3 } else { 1 };
    }
}

fn is_member(members: &[char], char: char) -> bool {
    match members {
        ['!' | '^', members @ ..] => !is_in(members, char),
        members => is_in(members, char),
    }
}

fn is_in(members: &[char], char: char) -> bool {
    match members {
        [from, '-', to, rest @ ..] => (*from..=*to).contains(&char) || is_in(rest, char),
        [member, rest @ ..] => *member == char || is_in(rest, char),
        [] => false,
    }
}
