//! Reads YAML or JSON of another program by `serde`, tolerantly: whatever its types, with every value as written.

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Spanned;
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use std::fmt;

/// A value of another program's document.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Loose {
    /// Its line, counted from 1; 0 if it has none.
    pub(crate) line: usize,
    pub(crate) kind: LooseKind,
}

/// The kinds of values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) enum LooseKind {
    #[default]
    Null,
    /// A single value, as written.
    Text(String),
    List(Vec<Loose>),
    /// In the order of the text.
    Map(Vec<(String, Loose)>),
}

impl Loose {
    /// A single value.
    pub(crate) fn of(text: &str, line: usize) -> Loose {
        Loose { line, kind: LooseKind::Text(text.to_owned()) }
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match &self.kind {
            LooseKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a list; a single value is a list of one.
    pub(crate) fn items(&self) -> &[Loose] {
        match &self.kind {
            LooseKind::Null => &[],
            LooseKind::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The entries of a map; none of anything else.
    pub(crate) fn entries(&self) -> &[(String, Loose)] {
        match &self.kind {
            LooseKind::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value of a key of a map.
    pub(crate) fn get(&self, key: &str) -> Option<&Loose> {
        self.entries().iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The single value of a key of a map.
    pub(crate) fn get_text(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }
}

/// Reads one document: anchors, aliases and merge keys are resolved; of a repeated key the last value counts.
///
/// # Errors
/// The text is no YAML, or can't be read in bounded time and memory; the reason with its place.
pub(crate) fn read(text: &str) -> Result<Loose, String> {
    let options = serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        with_snippet: false,
        budget: serde_yaml::budget! { max_documents: 1, max_depth: 64, max_nodes: 200_000, enforce_alias_anchor_ratio: false },
    };
    let read: Spanned<Raw> = serde_yaml::from_str_with_options(text, options).map_err(|error| error.to_string())?;
    Ok(settled(read, text))
}

/// A value as the library gives it.
enum Raw {
    Null,
    Text(String),
    /// A number or truth value. Its characters are taken from the source.
    Typed(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(String, Spanned<Raw>)>),
}

/// The value with the characters of the source.
fn settled(raw: Spanned<Raw>, source: &str) -> Loose {
    let line = usize::try_from(raw.referenced.line()).unwrap_or_default();
    let span = raw.defined.span();
    let written = || {
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let length = usize::try_from(span.byte_len()?).ok()?;
        source.get(start..start + length).map(str::trim).filter(|text| !text.is_empty())
    };
    let kind = match raw.value {
        Raw::Null => LooseKind::Null,
        Raw::Text(text) => LooseKind::Text(text),
        Raw::Typed(text) => LooseKind::Text(written().map_or(text, str::to_owned)),
        Raw::List(items) => LooseKind::List(items.into_iter().map(|item| settled(item, source)).collect()),
        Raw::Map(entries) => LooseKind::Map(entries.into_iter().map(|(key, value)| (key, settled(value, source))).collect()),
    };
    Loose { line, kind }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_values_keep_their_characters() {
        let found =
            read("a: &x {b: 1.10, c: 0777, d: yes, e: 'null', f: null, g: 1e3, h: 0x1F}\ni: {<<: *x, j: *x}\n").expect("YAML");
        let map = found.get("i").expect("a map");
        assert_eq!(map.get("j"), map.get("j"));
        for holder in [found.get("a").expect("a map"), map] {
            for (key, value) in [("b", "1.10"), ("c", "0777"), ("d", "yes"), ("e", "null"), ("g", "1e3"), ("h", "0x1F")] {
                assert_eq!(holder.get_text(key), Some(value), "{key}");
            }
            assert_eq!(holder.get("f").map(|value| &value.kind), Some(&LooseKind::Null));
        }
        assert_eq!(found.get("i").map(|value| value.line), Some(2));
    }

    #[test]
    fn what_is_no_yaml_is_an_error_with_a_place() {
        assert!(read("a: [").expect_err("an error").contains("line"));
    }
}
