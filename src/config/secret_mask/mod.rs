//! Which parts of a text must not be shown: values of variables, and of keys whose name says so.

mod lines;

pub(super) use lines::{of_blocks, of_lines};

use super::scope::is_secret;
use super::tree::{Map, MapEntry, Node, NodeKind};
use std::ops::Range;

/// The ranges to hide in a text that could be parsed: of a value not only what YAML makes of it, but all that stands behind its
/// key, because `!secret` and `&secret` are no values to YAML.
pub(super) fn of_tree(node: &Node, source: &str) -> Vec<Range<usize>> {
    let mut places = SecretMask::default();
    places.node(node);
    places.seen.sort_unstable();
    let SecretMask { seen, keys, mut ranges } = places;
    ranges.extend(keys.into_iter().map(|key| {
        let next = seen.partition_point(|&start| start < key);
        behind(key, seen.get(next).copied().unwrap_or(source.len()), source)
    }));
    ranges.retain(|range| !range.is_empty());
    ranges
}

/// What is seen of a text, and what isn't.
#[derive(Default)]
struct SecretMask {
    /// Where something begins that may be shown.
    seen: Vec<usize>,
    /// Where the keys end whose values are hidden.
    keys: Vec<usize>,
    /// Other ranges to hide.
    ranges: Vec<Range<usize>>,
}

impl SecretMask {
    fn node(&mut self, node: &Node) {
        self.seen.push(node.span.start());
        match &node.kind {
            NodeKind::Scalar(_) => {}
            NodeKind::List(items) => items.iter().for_each(|item| self.node(item)),
            NodeKind::Map(map) => {
                // `env:` with nothing in it, and its variables beside it.
                let beside = map.entries.iter().any(|entry| hides(&entry.key) && entry.value.is_null());
                let is_variable = |key: &str| beside && !key.contains(|char: char| char.is_lowercase());
                // A key that is a map or a list holds anything.
                map.strays().iter().for_each(|MapEntry { key_span, value, .. }| self.hide(key_span.start(), value));
                for MapEntry { key, key_span, value } in map.entries.iter().chain(map.duplicates()) {
                    self.seen.push(key_span.start());
                    match &value.kind {
                        NodeKind::Map(variables) if hides(key) => self.variables(variables),
                        NodeKind::Scalar(_) if is_variable(key) => self.hide(key_span.end(), value),
                        _ if *key == NAMES => self.names(value),
                        _ if hides(key) || is_secret(key) => self.hide(key_span.end(), value),
                        _ => self.node(value),
                    }
                }
            }
        }
    }

    /// A map of variables, whose names are no secrets.
    fn variables(&mut self, map: &Map) {
        for MapEntry { key, key_span, value } in map.all() {
            self.seen.push(key_span.start());
            // `NAME=value` and `NAME:value` are keys to YAML.
            let glued = key.find(['=', ':']).map(|at| (key_span.start() + at + 1).min(key_span.end())..key_span.end());
            self.ranges.extend(glued);
            self.hide(key_span.end(), value);
        }
    }

    /// Names of variables. A value may stand behind one by mistake, as in `[NAME=value]`.
    fn names(&mut self, node: &Node) {
        self.seen.push(node.span.start());
        match &node.kind {
            NodeKind::Scalar(scalar) => {
                let value = |at: usize| (node.span.start() + at + 1).min(node.span.end())..node.span.end();
                self.ranges.extend(scalar.text.find('=').map(value));
            }
            NodeKind::List(items) => items.iter().for_each(|item| self.names(item)),
            NodeKind::Map(map) => self.variables(map),
        }
    }

    /// What stands behind a key, and what an alias brings there from elsewhere.
    fn hide(&mut self, key: usize, value: &Node) {
        // What stands before its key came by an alias, whose name is no secret.
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

/// What stands between the end of a key and what comes next, without the colon before it and the marks behind it that belong to
/// lists and maps around it.
fn behind(key: usize, next: usize, source: &str) -> Range<usize> {
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

/// The key whose values are names of variables.
const NAMES: &str = "inherit_env";

/// Whether a key's values are variables. `environment` is what other programs call it, so it is found here by mistake, and
/// something like `x-env` holds what is referred to under `env`.
fn hides(key: &str) -> bool {
    // This letter is in each of the words, and in few others.
    if !key.contains(['v', 'V']) {
        return false;
    }
    let is_variables = |word: &str| {
        ["env", "envs", "environment", "vars", "variables"].iter().any(|variables| word.eq_ignore_ascii_case(variables))
    };
    !key.eq_ignore_ascii_case("env_file")
        && !key.eq_ignore_ascii_case(NAMES)
        && key.split(|char: char| !char.is_alphanumeric()).any(is_variables)
}
