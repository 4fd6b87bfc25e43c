//! Which parts of a text must not be shown: values of variables, and of keys whose name says so.

use super::probes::is_credential;
use super::scope::is_secret;
use super::tree::{Entry, Kind, Node};
use std::ops::Range;

/// The ranges to hide in a text that could be parsed.
pub(super) fn of_tree(node: &Node) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    veil(node, false, &mut ranges);
    ranges
}

fn veil(node: &Node, hidden: bool, ranges: &mut Vec<Range<usize>>) {
    match &node.kind {
        Kind::Scalar(_) if hidden => ranges.push(node.span.start..node.span.end),
        Kind::Scalar(_) => {}
        Kind::List(items) => items.iter().for_each(|item| veil(item, hidden, ranges)),
        Kind::Map(map) => {
            for Entry { key, value, .. } in map.entries.iter().chain(&map.strays) {
                let is_single = matches!(value.kind, Kind::Scalar(_));
                veil(value, hidden || hides(key) || is_single && (is_secret(key) || is_credential(key)), ranges);
            }
        }
    }
}

/// Whether a key's values are variables. `environment` is what other programs call it, so it is found here by mistake, and
/// something like `x-env` holds what is referred to under `env`.
fn hides(key: &str) -> bool {
    key != "env_file" && key.split(['-', '_', '.']).any(|word| matches!(word, "env" | "environment"))
}

/// The ranges to hide in a text that is not YAML: a guess by lines and indentation that hides too much rather than too little.
pub(super) fn of_lines(text: &str) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut inside: Option<usize> = None;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let content = line.trim_start_matches([' ', '\t']);
        let indent = line.len() - content.len();
        let end = start + line.trim_end().len();
        if content.starts_with('#') {
            // A comment ends nothing, and may hold what was a value once.
            ranges.extend(inside.map(|_| start + indent..end));
        } else if !content.trim_end().is_empty() {
            inside = inside.filter(|&outer| indent > outer);
            let value = start + indent + key_length(content);
            if inside.is_some() {
                ranges.push(value..end);
            } else if let Some(at) = env_key(content) {
                let behind = start + indent + at;
                ranges.push(behind..end.max(behind));
                // A list's dash is part of the indentation of the keys behind it.
                inside = Some(indent);
            } else if is_secret(&line[..value - start]) || is_credential(bare_key(&line[..value - start])) {
                ranges.push(value..end);
            }
        }
        start += line.len();
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// How many bytes of a line are its key and colon; none if it has no key.
fn key_length(content: &str) -> usize {
    content
        .find(": ")
        .map(|at| at + 2)
        .or_else(|| content.trim_end().ends_with(':').then(|| content.trim_end().len()))
        .unwrap_or(0)
}

/// A key as it stands on a line, without indentation, dash, quotes and colon.
fn bare_key(start_of_line: &str) -> &str {
    start_of_line.trim_matches([' ', '\t', '-', '{', ':', '"', '\''])
}

/// Where the values begin on a line that holds the key `env`, or one of the user's own, from which an alias may lead there.
fn env_key(content: &str) -> Option<usize> {
    let own = content.trim_start_matches(['"', '\'']).starts_with("x-").then(|| key_length(content)).filter(|&length| length > 0);
    own.or_else(|| ["env", "environment"].into_iter().filter_map(|key| find_key(content, key)).min())
}

fn find_key(content: &str, key: &str) -> Option<usize> {
    content.match_indices(key).find_map(|(at, _)| {
        let starts = !content[..at].ends_with(|char: char| char.is_alphanumeric() || char == '_' || char == '-');
        let behind = &content[at + key.len()..];
        let rest = behind.trim_start_matches(['"', '\'']).trim_start();
        (starts && rest.starts_with(':')).then(|| content.len() - rest.len() + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let mut out = text.to_owned();
        for range in of_lines(text).into_iter().rev() {
            out.replace_range(range, "…");
        }
        out
    }

    #[test]
    fn values_of_variables_are_hidden_by_lines() {
        for (text, expected) in [
            ("a: 1\n", "a: 1\n"),
            ("env:\n  A: hunter2\n  B: \"hunter\n   3\nname: x\n", "env:\n  A: …\n  B: …\n   …\nname: x\n"),
            ("- name: x\n  env: {A: hunter2}\n  args: [y\n", "- name: x\n  env:…\n  args: [y\n"),
            ("- {name: x, env: {A: hunter2}}\n- y\n", "- {name: x, env:…\n- y\n"),
            ("- env:\n    A: hunter2\n", "- env:\n    A: …\n"),
            ("\tenv:\n\t\tA: hunter2", "\tenv:\n\t\tA: …"),
            ("environment:\n  - A=hunter2\n", "environment:\n  …\n"),
            ("env:\n# A: hunter1\n  A: hunter2\n", "env:\n…\n  A: …\n"),
            ("x-all: &all {A: hunter2}\nx-more:\n  A: hunter2\n", "x-all: …\nx-more:\n  A: …\n"),
            ("password: hunter2\n", "password: …\n"),
            ("env_file: .env\n", "env_file: .env\n"),
            ("headers:\n  \"Authorization\": Bearer hunter2\n  Accept: x\n", "headers:\n  \"Authorization\": …\n  Accept: x\n"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
