//! A guess at what must not be shown, by lines and indentation: for texts that YAML can't read, or reads as something else than was
//! meant.

use super::hides;
use crate::config::scope::is_secret;
use crate::config::words::is_variable;
use std::ops::Range;

/// The ranges to hide in a text that is not YAML: a guess by lines and indentation that hides too much rather than too little.
pub(in crate::config) fn of_lines(text: &str) -> Vec<Range<usize>> {
    let mut ranges = below(text, true);
    for (start, line) in lines(text) {
        let content = line.trim_start_matches([' ', '\t']);
        let (begin, end) = (start + line.len() - content.len(), start + line.trim_end().len());
        let value = begin + key_length(content);
        if let Some(at) = env_key(content) {
            ranges.push(begin + at..end.max(begin + at));
        } else if is_secret(&text[start..value]) {
            ranges.push(value..end);
        } else if let Some(equals) = assigned(content) {
            ranges.push(begin + equals + 1..end);
        }
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// The values on the lines below those that hold the key `env`, as far as they are indented deeper. Of a text that is YAML these
/// were meant to be variables, too; what they are to YAML is another thing while somebody types there.
pub(in crate::config) fn of_blocks(text: &str) -> Vec<Range<usize>> {
    below(text, false)
}

/// `all`: also below secrets, the user's own keys, and brackets that are open.
fn below(text: &str, all: bool) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut inside: Option<VariableBlock> = None;
    for (start, line) in lines(text) {
        let content = line.trim_start_matches([' ', '\t']);
        let (begin, end) = (start + line.len() - content.len(), start + line.trim_end().len());
        if content.starts_with('#') {
            // A comment ends nothing, and may hold what was a value once.
            ranges.extend(inside.map(|_| begin..end));
            continue;
        }
        if content.trim_end().is_empty() {
            continue;
        }
        let (depth, key) = (depth(line), key_length(content));
        let value = begin + key;
        inside = inside.filter(|inside| inside.open > 0 || depth > inside.depth || inside.awaits_value && key == 0);
        if let Some(inside) = &mut inside {
            let variables = *inside.variables.get_or_insert(depth);
            // A quote before a name makes it no deeper.
            let is_variable = !all || depth <= variables + 1 && is_name(&content[..key]);
            ranges.push(if is_variable { value } else { begin }..end);
            inside.awaits_value = value >= end;
            inside.open += if all { opened(content) } else { 0 };
        } else if let Some(at) = env_key(content).filter(|_| all || !content.contains('{')) {
            let open = if all { opened(content.get(at..).unwrap_or_default()) } else { 0 };
            let is_meant = all || !content.starts_with("x-") || hides(content.split(':').next().unwrap_or_default());
            inside = is_meant.then(|| VariableBlock::of(first_letter(line), open));
        } else if all && is_secret(&text[start..value]) {
            inside = Some(VariableBlock::of(depth, opened(text.get(value..end).unwrap_or_default())));
        }
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// The lines of a text, each with where it begins.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let rest = text.get(start..).filter(|rest| !rest.is_empty())?;
        let length = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |newline| newline + 1);
        let here = start;
        start += length;
        Some((here, &rest[..length]))
    })
}

/// What the lines of variables are within.
#[derive(Clone, Copy)]
struct VariableBlock {
    /// How deep the key stands that they began with.
    depth: usize,
    /// How many brackets are open that were opened behind the key.
    open: i32,
    /// How deep the first variable stands.
    variables: Option<usize>,
    /// The last variable has no value yet.
    awaits_value: bool,
}

impl VariableBlock {
    fn of(depth: usize, open: i32) -> VariableBlock {
        VariableBlock { depth, open, variables: None, awaits_value: false }
    }
}

/// Whether this is a key, with its colon, that can be the name of a variable; others may be parts of values.
fn is_name(key: &str) -> bool {
    let name = key.trim().trim_end_matches(':').trim_start_matches("- ").trim_matches(['"', '\'']);
    name.chars().all(|char| char.is_alphanumeric() || "_-.?&*!@%{[ ".contains(char)) && !name.trim().contains("  ")
}

/// How deep the key of a line stands. What people type before it while they change a file doesn't make it less deep, and a list's
/// dash is part of its indentation.
fn depth(line: &str) -> usize {
    let indent = line.len() - line.trim_start().len();
    let behind_dash = line.trim_start().strip_prefix("- ").filter(|behind| !behind.starts_with("   "));
    let key = line.find([':', '=']).map(|end| line[..end].rfind(char::is_whitespace).map_or(0, |blank| blank + 1));
    match (behind_dash, key) {
        (Some(_), _) => indent,
        (None, Some(key)) => key.max(first_letter(line)),
        (None, None) => first_letter(line),
    }
}

fn first_letter(line: &str) -> usize {
    line.len() - line.trim_start_matches(|char: char| !char.is_alphanumeric() && char != '_').len()
}

/// How many more brackets a text opens than it closes; some may be part of values.
fn opened(text: &str) -> i32 {
    text.chars().map(|char| i32::from(matches!(char, '{' | '[')) - i32::from(matches!(char, '}' | ']'))).sum()
}

/// How many bytes of a line are its key and colon; none if it has no key.
fn key_length(content: &str) -> usize {
    let bytes = content.as_bytes();
    let mut colons = memchr::memchr_iter(b':', bytes).peekable();
    if colons.peek().is_none() {
        return 0;
    }
    colons
        .find(|&at| bytes.get(at + 1) == Some(&b' '))
        .map(|at| at + 2)
        .or_else(|| content.trim_end().ends_with(':').then(|| content.trim_end().len()))
        .unwrap_or(0)
}

/// Where the values begin on a line that holds the key `env`, or one of the user's own, from which an alias may lead there.
fn env_key(content: &str) -> Option<usize> {
    if !content.contains(':') {
        return None;
    }
    let is_own = content.trim_start_matches(['"', '\'']).starts_with("x-");
    let own = is_own.then(|| key_length(content)).filter(|&length| length > 0);
    // Nearly all lines are done with here.
    let may_hold =
        |part: &[u8]| matches!(part, [b'e' | b'E', b'n' | b'N', b'v' | b'V'] | [b'v' | b'V', b'a' | b'A', b'r' | b'R']);
    if own.is_some() || !content.as_bytes().windows(3).any(may_hold) {
        return own;
    }
    let lower = content.to_ascii_lowercase();
    ["env", "envs", "environment", "vars", "variables"].into_iter().filter_map(|key| find_key(&lower, key)).min()
}

/// Where the `=` of a line `NAME=value` is, as env files and other programs write variables.
fn assigned(content: &str) -> Option<usize> {
    let equals = content.find('=')?;
    let name = content[..equals].trim_start_matches("- ").trim_start_matches("export ").trim_start_matches(['"', '\'']);
    is_variable(name).then_some(equals)
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
    use crate::config::source_map::SourceMap;
    use std::path::Path;

    /// The ranges as whoever shows a text sees them: sorted, and each once.
    fn joined(text: &str) -> Vec<Range<usize>> {
        let mut texts = SourceMap::default();
        let id = texts.add(Path::new("a.yml"), text.to_owned());
        texts.veil(id, of_lines(text));
        texts.veiled(id, 0..text.len()).collect()
    }

    fn shown(text: &str) -> String {
        let mut out = text.to_owned();
        for range in joined(text).into_iter().rev() {
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
            ("Environment: A=hunter2\n", "Environment:…\n"),
            ("password: hunter2\n", "password: …\n"),
            ("PORT=80\nexport A=hunter2\n", "PORT=…\nexport A=…\n"),
            ("env_file: .env\n", "env_file: .env\n"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }
}
