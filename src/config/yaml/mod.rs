//! YAML text → tree. This module and those below it are the only ones that know the YAML library.
//!
//! Every scalar keeps the characters it is written with: what YAML would make of `1.10` or `0777` is of no interest here.
//! The library does anchors, merge keys and budgets; duplicate keys it lets through, so that one doesn't hide the other
//! problems of the text.

mod errors;
mod slips;

use super::problems::{Problem, Problems};
use super::texts::{Span, TextId, Texts};
use super::tree::{Entry, Kind, Map, Node, Scalar, Style};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Options, Spanned};
use std::collections::HashSet;
use std::fmt;
use std::ops::Range;

/// Lists and maps may stand in each other this deep.
pub(super) const MAX_DEPTH: usize = 64;

/// Parses a text. Keys that are no single values are reported to `problems`.
///
/// # Errors
/// What keeps the text from being YAML, or from being read in bounded time and memory.
pub(super) fn parse(text: TextId, texts: &Texts, problems: &mut Problems) -> Result<Node, Problem> {
    let source = texts.text(text);
    let raw =
        serde_yaml::from_str_with_options::<Raw>(source, options()).map_err(|error| errors::refused(&error, text, texts))?;
    let mut builder = Builder { text, source, problems };
    Ok(builder.node(raw))
}

fn options() -> Options {
    serde_yaml::options! {
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 200_000 },
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_anchors: 10_000,
            max_aliases: 20_000,
            max_merge_keys: 10_000,
            max_total_scalar_bytes: 16 << 20,
            max_recorded_anchor_bytes: 16 << 20,
        },
    }
}

/// A node as the library gives it, its places in bytes.
struct Raw {
    kind: RawKind,
    /// Where it is written.
    defined: Range<usize>,
    /// Where it is used: elsewhere only if an alias stands for it.
    referenced: Range<usize>,
}

enum RawKind {
    Null,
    /// Something without quotes that YAML takes for more than a string, and its own idea of it.
    Typed(String),
    Text(String),
    List(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        let Spanned { value, referenced, defined } = Spanned::deserialize(deserializer)?;
        Ok(Raw { kind: value, defined: bytes(defined), referenced: bytes(referenced) })
    }
}

fn bytes(location: serde_yaml::Location) -> Range<usize> {
    let span = location.span();
    let at = |bytes: Option<u64>| bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
    let start = at(span.byte_offset());
    start..start.saturating_add(at(span.byte_len()))
}

impl<'de> Deserialize<'de> for RawKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawKind, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<RawKind, E> {
        Ok(RawKind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawKind, E> {
        Ok(RawKind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<RawKind, E> {
        Ok(RawKind::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawKind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        // Most lists and maps are small, and hostile ones are many.
        list.shrink_to_fit();
        Ok(RawKind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawKind, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        map.shrink_to_fit();
        Ok(RawKind::Map(map))
    }
}

/// Turns the library's nodes into ours.
struct Builder<'a> {
    text: TextId,
    source: &'a str,
    problems: &'a mut Problems,
}

impl Builder<'_> {
    fn node(&mut self, raw: Raw) -> Node {
        let span = self.span(&raw.defined);
        if raw.referenced != raw.defined {
            self.alias(span, &raw.referenced);
        }
        let written = &self.source[span.start..span.end];
        match raw.kind {
            RawKind::Null => scalar(span, written.to_owned(), Style::Null),
            // A tag (`!!int "5"`) can make a quoted scalar more than a string.
            RawKind::Typed(value) if written.starts_with(['"', '\'']) => scalar(span, value, Style::Quoted),
            RawKind::Typed(_) => scalar(span, written.to_owned(), Style::Plain),
            RawKind::Text(value) if written.starts_with(['"', '\'']) || self.is_block(span) => scalar(span, value, Style::Quoted),
            // Only over several lines is there a difference; and the library's idea of infinity is none of ours.
            RawKind::Text(value) => scalar(span, if written.contains('\n') { value } else { written.to_owned() }, Style::Plain),
            RawKind::List(items) => {
                let span = Span { end: span.end.max(self.next_char(span.start)), ..span };
                Node { span, kind: Kind::List(items.into_iter().map(|item| self.node(item)).collect()) }
            }
            RawKind::Map(entries) => self.map(span, entries),
        }
    }

    fn map(&mut self, span: Span, raw: Vec<(Raw, Raw)>) -> Node {
        let mut map = Map { entries: Vec::with_capacity(raw.len()), duplicates: Vec::new(), strays: Vec::new() };
        let mut known: HashSet<String> = HashSet::with_capacity(raw.len());
        for (key, value) in raw {
            let (key, value) = (self.node(key), self.node(value));
            let key_span = key.span;
            let Kind::Scalar(scalar) = &key.kind else {
                self.problems.add(unusable_key(&key));
                map.strays.push(Entry { key: String::new(), key_span, value });
                continue;
            };
            let entry = Entry { key: scalar.text.clone(), key_span, value };
            if !known.insert(entry.key.clone()) {
                map.duplicates.push(entry);
                continue;
            }
            map.entries.push(entry);
        }
        // A map in block style has no token of its own: its first key stands for it.
        let first = map.entries.first().filter(|entry| entry.key_span.start == span.start);
        let end = first.map_or_else(|| self.next_char(span.start).max(span.end), |entry| entry.key_span.end);
        Node { span: Span { end, ..span }, kind: Kind::Map(map) }
    }

    /// Takes note of what comes by an alias; what a merge key takes from a map that is written there doesn't.
    fn alias(&mut self, defined: Span, referenced: &Range<usize>) {
        let referenced = self.span(referenced);
        if self.source[referenced.start..].starts_with('*') {
            self.problems.used_by_alias(defined, referenced);
        }
    }

    fn span(&self, bytes: &Range<usize>) -> Span {
        let (start, end) = (self.boundary(bytes.start), self.boundary(bytes.end));
        Span { text: self.text, start, end }
    }

    /// The nearest place at or before `at` that a character begins at.
    fn boundary(&self, at: usize) -> usize {
        self.source.floor_char_boundary(at)
    }

    fn next_char(&self, at: usize) -> usize {
        self.source[at..].chars().next().map_or(at, |char| at + char.len_utf8())
    }

    /// Whether a scalar is the content of a block (`|` or `>`): its header is the last thing on the line before.
    fn is_block(&self, span: Span) -> bool {
        let before = self.source[..span.start].trim_end_matches([' ', '\t', '\n', '\r']);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let header = line.split(" #").next().unwrap_or_default().trim_end();
        let header = header.trim_end_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
        before.len() < span.start && self.source[before.len()..span.start].contains('\n') && header.ends_with(['|', '>'])
    }
}

/// What is wrong with a key that is a list or a map.
fn unusable_key(key: &Node) -> Problem {
    let problem = Problem::error(key.span, format!("a key must be a single value, not {}", key.described()));
    match &key.kind {
        Kind::Map(_) => {
            problem.help("to have a variable replaced, write `\"${name}\"`; for braces themselves, put the value in quotes")
        }
        _ => problem.help("put it in quotes if it is text"),
    }
}

fn scalar(span: Span, text: String, style: Style) -> Node {
    Node { span, kind: Kind::Scalar(Scalar { text, style, is_secret: false }) }
}
