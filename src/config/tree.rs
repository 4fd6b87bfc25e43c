//! A YAML document as a tree of nodes with places. It knows neither YAML's syntax nor what a key means.

use super::slice::SharedStr;
use super::source_map::SourceSpan;

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) kind: NodeKind,
    /// The place of the value (for an alias: at its anchor). For a list or map, its first token.
    pub(super) span: SourceSpan,
}

/// The kinds of values.
#[derive(Clone, Debug)]
pub(super) enum NodeKind {
    /// A single value.
    Scalar(Scalar),
    /// A list.
    List(Box<[Node]>),
    /// A map.
    Map(Map),
}

/// Keys and values.
#[derive(Clone, Debug)]
pub(super) struct Map {
    /// In the order of the text, each key once.
    pub(super) entries: Box<[MapEntry]>,
    /// Boxed, because hardly any map has some, and there may be very many maps.
    unusable: Option<Box<UnusableEntries>>,
}

/// Entries that a map should not have.
#[derive(Clone, Debug, Default)]
struct UnusableEntries {
    duplicates: Vec<MapEntry>,
    strays: Vec<MapEntry>,
}

/// A single value.
#[derive(Clone, Debug)]
pub(super) struct Scalar {
    /// The value: as written if it is plain, else without quotes and escapes.
    pub(super) text: SharedStr,
    /// How it is written.
    pub(super) style: NodeStyle,
    /// Whether it is under a key with a name for secrets, here or where an alias was copied from.
    pub(super) is_secret: bool,
}

/// How a single value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NodeStyle {
    /// Without quotes, and null in YAML: `null`, `~`, or nothing at all.
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
    /// The kind of value, for messages.
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

    /// Whether nothing or YAML's null is written here.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar(Scalar { style: NodeStyle::Null, .. }))
    }
}

impl Map {
    pub(super) fn new(entries: Vec<MapEntry>, duplicates: Vec<MapEntry>, strays: Vec<MapEntry>) -> Map {
        let none = duplicates.is_empty() && strays.is_empty();
        Map {
            entries: entries.into(),
            unusable: if none { None } else { Some(Box::new(UnusableEntries { duplicates, strays })) },
        }
    }

    /// Entries that repeat an earlier key.
    pub(super) fn duplicates(&self) -> &[MapEntry] {
        self.unusable.as_ref().map_or(&[], |others| &others.duplicates)
    }

    /// Entries with lists or maps as keys. They have been reported, but their values may still have to be masked.
    pub(super) fn strays(&self) -> &[MapEntry] {
        self.unusable.as_ref().map_or(&[], |others| &others.strays)
    }

    /// The usable entries, the duplicates and the strays.
    pub(super) fn into_parts(self) -> (Vec<MapEntry>, Vec<MapEntry>, Vec<MapEntry>) {
        let others = self.unusable.map(|others| *others).unwrap_or_default();
        (self.entries.into(), others.duplicates, others.strays)
    }

    /// Every entry, usable or not.
    pub(super) fn all(&self) -> impl Iterator<Item = &MapEntry> {
        self.entries.iter().chain(self.duplicates()).chain(self.strays())
    }

    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut MapEntry> {
        let others = self.unusable.iter_mut().flat_map(|others| others.duplicates.iter_mut().chain(&mut others.strays));
        self.entries.iter_mut().chain(others)
    }
}

/// The entry of a key.
pub(super) fn entry<'a>(entries: &'a [MapEntry], key: &str) -> Option<&'a MapEntry> {
    entries.iter().find(|entry| entry.key == key)
}
