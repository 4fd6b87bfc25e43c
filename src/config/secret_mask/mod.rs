//! Finds the parts of a text that must not be shown: values of variables, and of keys with a name for secrets.

mod lines;

pub(super) use lines::{of_blocks, of_lines};

use super::scope::is_secret;
use super::tree::{Map, MapEntry, Node, NodeKind};
use std::ops::Range;

/// The ranges to mask in a valid YAML text. Everything after a secret key is masked, not only its YAML value: `!secret` and
/// `&secret` are no values in YAML.
pub(super) fn of_tree(node: &Node, source: &str) -> Vec<Range<usize>> {
    let mut mask = SecretMask::default();
    mask.node(node);
    mask.visible.sort_unstable();
    let SecretMask { visible, keys, mut ranges } = mask;
    ranges.extend(keys.into_iter().map(|key| {
        let next = visible.partition_point(|&start| start < key);
        value_range(key, visible.get(next).copied().unwrap_or(source.len()), source)
    }));
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// The visible and the masked parts of a text.
#[derive(Default)]
struct SecretMask {
    /// The starts of everything that may be shown.
    visible: Vec<usize>,
    /// The endings of keys with masked values.
    keys: Vec<usize>,
    /// Other ranges to mask.
    ranges: Vec<Range<usize>>,
}

impl SecretMask {
    fn node(&mut self, node: &Node) {
        self.visible.push(node.span.start());
        match &node.kind {
            NodeKind::Scalar(_) => {}
            NodeKind::List(items) => items.iter().for_each(|item| self.node(item)),
            NodeKind::Map(map) => {
                // `env:` with nothing in it, and its variables beside it.
                let beside = map.entries.iter().any(|entry| holds_variables(&entry.key) && entry.value.is_null());
                let is_variable = |key: &str| beside && !key.contains(|char: char| char.is_lowercase());
                // A list or map as a key may hold anything.
                map.strays().iter().for_each(|MapEntry { key_span, value, .. }| self.hide(key_span.start(), value));
                for MapEntry { key, key_span, value } in map.entries.iter().chain(map.duplicates()) {
                    self.visible.push(key_span.start());
                    match &value.kind {
                        NodeKind::Map(variables) if holds_variables(key) => self.variables(variables),
                        NodeKind::Scalar(_) if is_variable(key) => self.hide(key_span.end(), value),
                        _ if *key == INHERIT_ENV => self.variable_names(value),
                        _ if holds_variables(key) || is_secret(key) => self.hide(key_span.end(), value),
                        _ => self.node(value),
                    }
                }
            }
        }
    }

    /// A map of variables; their names are no secrets.
    fn variables(&mut self, map: &Map) {
        for MapEntry { key, key_span, value } in map.all() {
            self.visible.push(key_span.start());
            // `NAME=value` and `NAME:value` are keys in YAML.
            let glued = key.find(['=', ':']).map(|at| (key_span.start() + at + 1).min(key_span.end())..key_span.end());
            self.ranges.extend(glued);
            self.hide(key_span.end(), value);
        }
    }

    /// Names of variables. A value may follow one by mistake, as in `[NAME=value]`.
    fn variable_names(&mut self, node: &Node) {
        self.visible.push(node.span.start());
        match &node.kind {
            NodeKind::Scalar(scalar) => {
                let value = |at: usize| (node.span.start() + at + 1).min(node.span.end())..node.span.end();
                self.ranges.extend(scalar.text.find('=').map(value));
            }
            NodeKind::List(items) => items.iter().for_each(|item| self.variable_names(item)),
            NodeKind::Map(map) => self.variables(map),
        }
    }

    /// Masks what is written after a key, and what an alias copies there.
    fn hide(&mut self, key: usize, value: &Node) {
        // A value that begins before its key was copied by an alias; the alias's name is no secret.
        if value.span.start() >= key {
            self.keys.push(key);
        }
        self.hide_all(value);
    }

    fn hide_all(&mut self, node: &Node) {
        match &node.kind {
            NodeKind::Scalar(_) => self.ranges.push(node.span.range()),
            NodeKind::List(items) => items.iter().for_each(|item| self.hide_all(item)),
            NodeKind::Map(map) => {
                for MapEntry { key_span, value, .. } in map.all() {
                    self.ranges.push(key_span.range());
                    self.hide_all(value);
                }
            }
        }
    }
}

/// The range of a value between its key and the next visible part, without the colon and the marks of surrounding lists and maps.
fn value_range(key: usize, next: usize, source: &str) -> Range<usize> {
    let blank = [' ', '\t', '\r', '\n'];
    let between = &source[key..next];
    let value = between.trim_start_matches(blank);
    let value = value.strip_prefix(':').unwrap_or(value).trim_start_matches(blank);
    let start = next - value.len();
    let value = match value.rsplit_once('\n') {
        Some((value, last)) if last.chars().all(|char| " \t-?{[\"'".contains(char)) => value,
        None if next < source.len() => value.trim_end_matches([' ', ',', '{', '[', '"', '\'']),
        _ => value,
    };
    start..start + value.trim_end_matches(blank).len()
}

/// The key that lists names of variables.
const INHERIT_ENV: &str = "inherit_env";

/// Whether a key's values are variables. Other programs call it `environment`, and a key such as `x-env` holds values for `env`.
fn holds_variables(key: &str) -> bool {
    // This letter is in each of the words, and in few others.
    if !key.contains(['v', 'V']) {
        return false;
    }
    let is_variables = |word: &str| {
        ["env", "envs", "environment", "vars", "variables"].iter().any(|variables| word.eq_ignore_ascii_case(variables))
    };
    !key.eq_ignore_ascii_case("env_file")
        && !key.eq_ignore_ascii_case(INHERIT_ENV)
        && key.split(|char: char| !char.is_alphanumeric()).any(is_variables)
}
