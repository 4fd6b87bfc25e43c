//! A YAML document as nodes with places. It knows neither YAML's syntax nor what a key means.

use super::slice::SharedStr;
use super::source_map::SourceSpan;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// Where the value is written (for an alias: at its anchor). Of a list or map, its first token.
    pub(super) span: SourceSpan,
}

/// What a value is made of.
#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Box<[Node]>),
    /// Keys and values.
    Map(Map),
}

/// Keys and values.
#[derive(Clone, Debug)]
pub(super) struct Map {
    /// In the order of the text, each key once.
    pub(super) entries: Box<[MapEntry]>,
    /// Hardly any map has them, and there may be very many maps.
    others: Option<Box<Others>>,
}

/// What a map should not have.
#[derive(Clone, Debug, Default)]
struct Others {
    duplicates: Vec<MapEntry>,
    strays: Vec<MapEntry>,
}

/// A single value.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// The characters as written, or, where they are quoted, what they stand for.
    pub(super) text: SharedStr,
    /// How it is written.
    pub(super) style: NodeStyle,
    /// Whether it stands under a key whose name says that it is nobody's business, wherever an alias has brought it from there.
    pub(super) is_secret: bool,
}

/// How a single value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeStyle {
    /// Without quotes, and YAML takes it for null: `null`, `~`, or nothing at all.
    Null,
    /// Without quotes.
    Plain,
    /// In quotes or as a block.
    Quoted,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub(super) struct MapEntry {
    pub(super) key: SharedStr,
    pub(super) key_span: SourceSpan,
    pub(super) value: Node,
}

impl Node {
    /// A name for messages.
    pub(super) fn described(&self) -> &'static str {
        match &self.kind {
            NodeKind::Scalar(Scalar { style: NodeStyle::Null, .. }) => "nothing",
            NodeKind::Scalar(Scalar { style: NodeStyle::Quoted, .. }) => "a quoted string",
            NodeKind::Scalar(_) => "a single value",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a map",
        }
    }

    /// The items of a list, or this node alone: for fields that take one value or several.
    pub(super) fn one_or_more(&self) -> &[Node] {
        match &self.kind {
            NodeKind::List(items) => items,
            _ => std::slice::from_ref(self),
        }
    }

    /// The characters of a single value.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// Whether nothing is written here.
    pub(super) fn is_empty(&self) -> bool {
        self.is_null() && self.text() == Some("")
    }

    /// Whether nothing is written here, or YAML's null.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar(Scalar { style: NodeStyle::Null, .. }))
    }
}

impl Map {
    pub(super) fn new(entries: Vec<MapEntry>, duplicates: Vec<MapEntry>, strays: Vec<MapEntry>) -> Map {
        let none = duplicates.is_empty() && strays.is_empty();
        Map { entries: entries.into(), others: if none { None } else { Some(Box::new(Others { duplicates, strays })) } }
    }

    /// Entries whose key was there already.
    pub(super) fn duplicates(&self) -> &[MapEntry] {
        self.others.as_ref().map_or(&[], |others| &others.duplicates)
    }

    /// Values whose keys can't be used. That has been reported, but they may still have to be hidden.
    pub(super) fn strays(&self) -> &[MapEntry] {
        self.others.as_ref().map_or(&[], |others| &others.strays)
    }

    /// Its entries, its duplicates and its strays.
    pub(super) fn into_parts(self) -> (Vec<MapEntry>, Vec<MapEntry>, Vec<MapEntry>) {
        let others = self.others.map(|others| *others).unwrap_or_default();
        (self.entries.into(), others.duplicates, others.strays)
    }

    /// Every value that stands in it, whether it can be used or not.
    pub(super) fn all(&self) -> impl Iterator<Item = &MapEntry> {
        self.entries.iter().chain(self.duplicates()).chain(self.strays())
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut MapEntry> {
        let others = self.others.iter_mut().flat_map(|others| others.duplicates.iter_mut().chain(&mut others.strays));
        self.entries.iter_mut().chain(others)
    }
}

/// The entry of a key.
pub(super) fn entry<'a>(entries: &'a [MapEntry], key: &str) -> Option<&'a MapEntry> {
    entries.iter().find(|entry| entry.key == key)
}
