//! Guesses which parts of a text are secret by lines and indentation, for texts that YAML can't read, or reads as something else
//! than was meant.

use super::holds_variables;
use crate::config::scope::is_secret;
use crate::config::words::is_variable;
use std::ops::Range;

/// The ranges to mask in a text that is not YAML. It masks too much rather than too little.
pub(in crate::config) fn of_lines(text: &str) -> Vec<Range<usize>> {
    let mut ranges = block_ranges(text, true);
    for (start, line) in lines(text) {
        let content = line.trim_start_matches([' ', '\t']);
        let (begin, end) = (start + line.len() - content.len(), start + line.trim_end().len());
        let value = begin + key_length(content);
        if let Some(at) = env_key(content) {
            ranges.push(begin + at..end.max(begin + at));
        } else if is_secret(&text[start..value]) {
            ranges.push(value..end);
        } else if let Some(equals) = assignment(content) {
            ranges.push(begin + equals + 1..end);
        }
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// The ranges to mask on the lines below a key `env`, as far as they are indented deeper. They were meant as variables, even if
/// YAML reads them as something else while the file is being edited.
pub(in crate::config) fn of_blocks(text: &str) -> Vec<Range<usize>> {
    block_ranges(text, false)
}

/// With `all`, also the lines below secret keys, keys that begin with `x-`, and open brackets.
fn block_ranges(text: &str, all: bool) -> Vec<Range<usize>> {
    let mut ranges = Vec::new();
    let mut inside: Option<VariableBlock> = None;
    for (start, line) in lines(text) {
        let content = line.trim_start_matches([' ', '\t']);
        let (begin, end) = (start + line.len() - content.len(), start + line.trim_end().len());
        if content.starts_with('#') {
            // A comment ends no block, and may hold a former value.
            ranges.extend(inside.map(|_| begin..end));
            continue;
        }
        if content.trim_end().is_empty() {
            continue;
        }
        let (depth, key) = (depth(line), key_length(content));
        let value = begin + key;
        // A list may begin in the column of its key.
        let is_item = content.starts_with("- ");
        let is_deeper = |than: usize| depth > than || is_item && depth == than;
        inside = inside.filter(|inside| inside.open > 0 || is_deeper(inside.depth) || inside.awaits_value && key == 0);
        if let Some(inside) = &mut inside {
            let variables = *inside.variables.get_or_insert(depth);
            // A quote before a name doesn't indent it.
            let is_variable = !all || depth <= variables + 1 && is_name(&content[..key]);
            ranges.push(if is_variable { value } else { begin }..end);
            inside.awaits_value = value >= end;
            inside.open += if all { bracket_balance(content) } else { 0 };
        } else if let Some(at) = env_key(content).filter(|_| all || !content.contains('{')) {
            let open = if all { bracket_balance(content.get(at..).unwrap_or_default()) } else { 0 };
            let is_meant = all || !content.starts_with("x-") || holds_variables(content.split(':').next().unwrap_or_default());
            inside = is_meant.then(|| VariableBlock::of(first_letter_column(line), open));
        } else if all && is_secret(&text[start..value]) {
            inside = Some(VariableBlock::of(depth, bracket_balance(text.get(value..end).unwrap_or_default())));
        }
    }
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// The lines of a text, each with its start.
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

/// A block of lines that hold variables.
#[derive(Clone, Copy)]
struct VariableBlock {
    /// The column of the key that begins the block.
    depth: usize,
    /// How many brackets opened after the key are still open.
    open: i32,
    /// The column of the first variable.
    variables: Option<usize>,
    /// The last variable has no value yet.
    awaits_value: bool,
}

impl VariableBlock {
    fn of(depth: usize, open: i32) -> VariableBlock {
        VariableBlock { depth, open, variables: None, awaits_value: false }
    }
}

/// Whether a key, with its colon, can be the name of a variable. Other keys may be parts of values.
fn is_name(key: &str) -> bool {
    let name = key.trim().trim_end_matches(':').trim_start_matches("- ").trim_matches(['"', '\'']);
    name.chars().all(|char| char.is_alphanumeric() || "_-.?&*!@%{[ ".contains(char)) && !name.trim().contains("  ")
}

/// The column of a line's key. Characters typed before the key don't count, and a list's dash counts as indentation.
fn depth(line: &str) -> usize {
    let indent = line.len() - line.trim_start().len();
    let behind_dash = line.trim_start().strip_prefix("- ").filter(|behind| !behind.starts_with("   "));
    let key = line.find([':', '=']).map(|end| line[..end].rfind(char::is_whitespace).map_or(0, |blank| blank + 1));
    match (behind_dash, key) {
        (Some(_), _) => indent,
        (None, Some(key)) => key.max(first_letter_column(line)),
        (None, None) => first_letter_column(line),
    }
}

fn first_letter_column(line: &str) -> usize {
    line.len() - line.trim_start_matches(|char: char| !char.is_alphanumeric() && char != '_').len()
}

/// How many more brackets a text opens than it closes; some may be part of values.
fn bracket_balance(text: &str) -> i32 {
    text.chars().map(|char| i32::from(matches!(char, '{' | '[')) - i32::from(matches!(char, '}' | ']'))).sum()
}

/// The length of a line's key with its colon; 0 without a key.
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

/// Where the values begin on a line with the key `env`, or with an `x-` key that an alias may refer to.
fn env_key(content: &str) -> Option<usize> {
    if !content.contains(':') {
        return None;
    }
    let is_own = content.trim_start_matches(['"', '\'']).starts_with("x-");
    let own = is_own.then(|| key_length(content)).filter(|&length| length > 0);
    // A fast check that excludes nearly all lines.
    let may_hold =
        |part: &[u8]| matches!(part, [b'e' | b'E', b'n' | b'N', b'v' | b'V'] | [b'v' | b'V', b'a' | b'A', b'r' | b'R']);
    if own.is_some() || !content.as_bytes().windows(3).any(may_hold) {
        return own;
    }
    let lower = content.to_ascii_lowercase();
    ["env", "envs", "environment", "vars", "variables"].into_iter().filter_map(|key| find_key(&lower, key)).min()
}

/// The position of the `=` in `NAME=value`, as in env files.
fn assignment(content: &str) -> Option<usize> {
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

    /// The masked ranges: sorted and disjoint.
    fn joined(text: &str) -> Vec<Range<usize>> {
        let mut texts = SourceMap::default();
        let id = texts.add(Path::new("a.yml"), text.to_owned());
        texts.mask(id, of_lines(text));
        texts.masked(id, 0..text.len()).collect()
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
