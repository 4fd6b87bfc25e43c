//! Compares `compose` with `serde_yaml` on the fixtures and on random changes of them.

use super::parse;
use crate::config::problems::Problems;
use crate::config::source_map::SourceMap;
use crate::config::tree::{Node, NodeKind, NodeStyle};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::DuplicateKeyPolicy;
use std::fmt;
use std::fs;
use std::path::Path;

/// A value as far as both must agree.
#[derive(Clone, Debug)]
enum Value {
    Null,
    /// A number or a boolean. `compose` keeps these as text.
    Typed,
    Text(String),
    List(Vec<Value>),
    Map(Vec<(Value, Value)>),
}

impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Null, Value::Null) | (Value::Typed, Value::Typed | Value::Text(_)) | (Value::Text(_), Value::Typed) => true,
            (Value::Text(one), Value::Text(other)) => one == other,
            (Value::List(one), Value::List(other)) => one == other,
            (Value::Map(one), Value::Map(other)) => one == other,
            _ => false,
        }
    }
}

struct ValueVisitor;

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Value, E> {
        Ok(Value::Typed)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Value, E> {
        Ok(Value::Typed)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Value, E> {
        Ok(Value::Typed)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Value, E> {
        Ok(Value::Typed)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Value, E> {
        Ok(Value::Typed)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Typed)
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map: Vec<(Value, Value)> = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Value::Map(map))
    }
}

/// The value that `serde_yaml` reads, if any.
fn theirs(text: &str) -> Option<Value> {
    let options = serde_yaml::options! {
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::FirstWins,
        budget: serde_yaml::budget! { max_documents: 1, enforce_alias_anchor_ratio: false },
    };
    serde_yaml::from_str_with_options(text, options).ok()
}

/// The value that `compose` builds, if any.
fn ours(text: &str) -> Option<Value> {
    let mut texts = SourceMap::default();
    let id = texts.add(Path::new("a.yml"), text.to_owned());
    parse(id, &texts, &mut Problems::default()).ok().map(|node| value(&node))
}

fn value(node: &Node) -> Value {
    match &node.kind {
        NodeKind::Scalar(scalar) if scalar.style == NodeStyle::Null => Value::Null,
        NodeKind::Scalar(scalar) => Value::Text(scalar.text.to_string()),
        NodeKind::List(items) => Value::List(items.iter().map(value).collect()),
        NodeKind::Map(map) => {
            Value::Map(map.entries.iter().map(|entry| (Value::Text(entry.key.to_string()), value(&entry.value))).collect())
        }
    }
}

/// Whether a key is no text. `serde_yaml` may take two such keys for one.
fn has_odd_key(value: &Value) -> bool {
    match value {
        Value::Null | Value::Typed | Value::Text(_) => false,
        Value::List(items) => items.iter().any(has_odd_key),
        Value::Map(entries) => entries.iter().any(|(key, value)| !matches!(key, Value::Text(_)) || has_odd_key(value)),
    }
}

/// Pieces for random changes of a text.
const PIECES: [&str; 27] = [
    "<<: *a\n",
    "&a ",
    "*a",
    "- ",
    ": ",
    "[",
    "]",
    "{",
    "}",
    "\"",
    "'",
    "|\n",
    ">\n",
    "\n",
    "  ",
    "#",
    "? ",
    ",",
    "~",
    "null",
    "<<",
    "\r\n",
    "\r",
    "---\n",
    "é",
    "x-a: &a {b: c}\n",
    "&b [*a]\n",
];

#[test]
fn compose_agrees_with_serde_yaml() {
    let mut texts: Vec<String> = Vec::new();
    for directory in ["fixtures/config/good", "fixtures/config/bad"] {
        let entries = fs::read_dir(directory).expect("the directory of fixtures can be listed");
        let paths = entries.map(|entry| entry.expect("an entry of the directory").path()).filter(|path| path.is_file());
        texts.extend(paths.filter_map(|path| fs::read_to_string(path).ok()));
    }
    texts.sort();
    let mut state: u64 = 1;
    let mut below = |end: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).expect("these are 31 bits") % end
    };
    let mut compared = 0;
    for round in 0..5_000 {
        let mut text = texts[round % texts.len()].clone();
        for _ in 0..(round / texts.len()).min(3) {
            let at = text.floor_char_boundary(below(text.len() + 1));
            let end = text.floor_char_boundary((at + below(6)).min(text.len()));
            text.replace_range(at..end, PIECES[below(PIECES.len())]);
        }
        // The libraries differ in tags, and in infinity as a number, which can make two keys one.
        let (ours, theirs) = (ours(&text), theirs(&text));
        if text.contains('!') || text.contains(".inf") || theirs.as_ref().is_some_and(has_odd_key) {
            continue;
        }
        compared += usize::from(ours.is_some());
        assert_eq!(ours, theirs, "{text}");
    }
    assert!(compared > 1_000, "only {compared} texts were YAML");
}
