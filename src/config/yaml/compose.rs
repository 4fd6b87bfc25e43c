//! Builds a tree from the events of the parser.
//!
//! Aliases become copies, and merge keys become the entries that they bring in. A repeated key is stored as a duplicate, so that
//! it doesn't hide other problems.

use super::anchors::Anchors;
use super::errors::{MAX_DEPTH, MAX_NODES, ParseRefusal, Unacceptable};
use crate::config::problems::{Problem, Problems};
use crate::config::slice::SharedStr;
use crate::config::source_map::{SourceSpan, TextId, offset};
use crate::config::tree::{Map, MapEntry, Node, NodeKind, NodeStyle, Scalar};
use granit_parser::{Event, Options, Parser, ScalarStyle, StrInput, Tag};
use std::borrow::Cow;
use std::collections::HashSet;
use std::mem;
use std::rc::Rc;

/// Reads one text.
pub(super) struct Composer<'s, 'p> {
    parser: Parser<'s, StrInput<'s>>,
    text: TextId,
    source: &'s Rc<String>,
    problems: &'p mut Problems,
    /// Keys that are lists or maps. They are reported only if the text is YAML; else they may be part of another mistake.
    bad_keys: Vec<Problem>,
    anchors: Anchors,
    /// How many lists and maps are open.
    depth: usize,
    /// The number of nodes so far.
    nodes: usize,
    /// Stacks of the items and entries of all open lists and maps, so that each finished one is allocated once, in its exact
    /// size.
    items: Vec<Node>,
    entries: Vec<MapEntry>,
}

/// A node, and the place of the alias if it is a copy.
struct ComposedNode {
    node: Node,
    alias: Option<SourceSpan>,
}

/// The entries that merge keys bring into a map.
#[derive(Default)]
struct MergedEntries {
    /// In order of precedence, each with its alias.
    entries: Vec<(MapEntry, Option<SourceSpan>)>,
    duplicates: Vec<MapEntry>,
    strays: Vec<MapEntry>,
}

impl<'s, 'p> Composer<'s, 'p> {
    pub(super) fn new(text: TextId, source: &'s Rc<String>, problems: &'p mut Problems) -> Composer<'s, 'p> {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.flow_nesting_limit = MAX_DEPTH;
        Composer {
            parser: Parser::new_from_str_with_options(source, options),
            text,
            source,
            problems,
            bad_keys: Vec::new(),
            anchors: Anchors::default(),
            depth: 0,
            nodes: 0,
            items: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Reads the only document of the text. An empty text gives a null node.
    pub(super) fn document(mut self) -> Result<Node, ParseRefusal> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::DocumentStart(..), place) if root.is_some() => {
                    return Err(refusal(place, Unacceptable::SecondDocument));
                }
                (Event::DocumentStart(..), _) => {
                    let (event, place) = self.next()?;
                    root = Some(self.node(event, place)?.node);
                }
                (Event::StreamEnd, place) => {
                    self.problems.add_all(self.bad_keys);
                    return Ok(root.unwrap_or_else(|| scalar(place, SharedStr::from(String::new()), NodeStyle::Null)));
                }
                _ => {}
            }
        }
    }

    /// The next event and its place.
    fn next(&mut self) -> Result<(Event<'s>, SourceSpan), ParseRefusal> {
        let end = self.source.len();
        let (event, place) = match self.parser.next_event() {
            Some(event) => event.map_err(ParseRefusal::Syntax)?,
            None => return Ok((Event::StreamEnd, SourceSpan::new(self.text, end..end))),
        };
        let byte = |offset: Option<usize>| self.source.floor_char_boundary(offset.unwrap_or(end));
        let (start, end) = (byte(place.start.byte_offset()), byte(place.end.byte_offset()));
        Ok((event, SourceSpan::new(self.text, start..end.max(start))))
    }

    /// Reads the node that begins with an event.
    fn node(&mut self, event: Event<'s>, place: SourceSpan) -> Result<ComposedNode, ParseRefusal> {
        self.count(1, place)?;
        let (node, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, place),
            Event::Scalar(value, style, anchor, tag) => (self.scalar(value, style, tag.as_deref(), place)?, anchor),
            Event::SequenceStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "seq", place)?;
                (self.nested(place, Self::list)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                check_tag(tag.as_deref(), "map", place)?;
                (self.nested(place, Self::map)?, anchor)
            }
            // The parser gives no other event here.
            _ => (scalar(place, SharedStr::from(String::new()), NodeStyle::Null), 0),
        };
        if anchor > 0 {
            self.anchors.define(anchor, &node).map_err(|what| refusal(place, what))?;
        }
        Ok(ComposedNode { node, alias: None })
    }

    /// Counts nodes.
    fn count(&mut self, nodes: usize, place: SourceSpan) -> Result<(), ParseRefusal> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES { Err(refusal(place, Unacceptable::TooLarge)) } else { Ok(()) }
    }

    /// Reads the content of a list or a map.
    fn nested(
        &mut self,
        place: SourceSpan,
        read: fn(&mut Self, SourceSpan) -> Result<Node, ParseRefusal>,
    ) -> Result<Node, ParseRefusal> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(refusal(place, Unacceptable::TooDeep));
        }
        let node = read(self, place)?;
        // Its end costs as much as its beginning.
        self.count(1, place)?;
        self.depth -= 1;
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: SourceSpan) -> Result<ComposedNode, ParseRefusal> {
        let copy = self.anchors.copy(anchor, self.depth, MAX_NODES - self.nodes);
        let (node, nodes) = copy.map_err(|what| refusal(place, what))?;
        self.count(nodes, place)?;
        Ok(ComposedNode { node, alias: Some(place) })
    }

    fn scalar(
        &self,
        value: Cow<'s, str>,
        style: ScalarStyle,
        tag: Option<&Tag>,
        place: SourceSpan,
    ) -> Result<Node, ParseRefusal> {
        let written = &self.source[place.range()];
        if style != ScalarStyle::Plain {
            check_tag(tag, "str int float bool null", place)?;
            return Ok(scalar(place, self.quoted(value, place), NodeStyle::Quoted));
        }
        let is_null = match tag.map(|tag| (tag, tag.core_suffix())) {
            None | Some((_, Some("int" | "float" | "bool"))) => matches!(written, "" | "~" | "null" | "Null" | "NULL"),
            Some((_, Some("null"))) => true,
            Some((_, Some("str"))) => false,
            Some((tag, _)) if is_non_specific(tag) => false,
            Some(_) => return Err(refusal(place, Unacceptable::Tag)),
        };
        // The value differs from its source only over several lines. For an empty value the parser gives a `~`.
        let text =
            if written.contains(['\n', '\r']) { SharedStr::from(value.into_owned()) } else { SharedStr::of(self.source, place) };
        Ok(scalar(place, text, if is_null { NodeStyle::Null } else { NodeStyle::Plain }))
    }

    /// The value of a quoted scalar: a slice of the text where both have the same characters.
    fn quoted(&self, value: Cow<'s, str>, place: SourceSpan) -> SharedStr {
        let inside = SourceSpan { start: place.start + 1, end: place.end.saturating_sub(1), ..place };
        if self.source.get(inside.range()) == Some(&*value) {
            return SharedStr::of(self.source, inside);
        }
        SharedStr::from(value.into_owned())
    }

    fn list(&mut self, place: SourceSpan) -> Result<Node, ParseRefusal> {
        let first = self.items.len();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            let item = self.resolved_node(event, at)?;
            self.items.push(item);
        }
        let items = split_off(&mut self.items, first).into();
        let end = place.end.max(self.next_char(place));
        Ok(Node { span: SourceSpan { end, ..place }, kind: NodeKind::List(items) })
    }

    /// Reads a node and records its alias, if it is a copy.
    fn resolved_node(&mut self, event: Event<'s>, place: SourceSpan) -> Result<Node, ParseRefusal> {
        let ComposedNode { node, alias } = self.node(event, place)?;
        if let Some(alias) = alias {
            self.record_alias(&node, alias);
        }
        Ok(node)
    }

    fn record_alias(&mut self, node: &Node, alias: SourceSpan) {
        self.problems.used_by_alias(node.span, alias);
        match &node.kind {
            NodeKind::Scalar(_) => {}
            NodeKind::List(items) => items.iter().for_each(|item| self.record_alias(item, alias)),
            NodeKind::Map(map) => {
                for entry in map.all() {
                    self.problems.used_by_alias(entry.key_span, alias);
                    self.record_alias(&entry.value, alias);
                }
            }
        }
    }

    fn map(&mut self, place: SourceSpan) -> Result<Node, ParseRefusal> {
        let first = self.entries.len();
        let mut strays = Vec::new();
        let mut merged = MergedEntries::default();
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::MappingEnd => break,
                Event::Scalar(key, ScalarStyle::Plain, _, None) if key == "<<" => {
                    self.count(1, at)?;
                    self.merge(&mut merged)?;
                }
                event => {
                    let key = self.resolved_node(event, at)?;
                    let (event, at) = self.next()?;
                    let value = self.resolved_node(event, at)?;
                    match key.kind {
                        NodeKind::Scalar(scalar) => self.entries.push(MapEntry { key: scalar.text, key_span: key.span, value }),
                        NodeKind::List(_) | NodeKind::Map(_) => {
                            self.bad_keys.push(unusable_key(&key));
                            strays.push(MapEntry {
                                key: SharedStr::of(self.source, SourceSpan { end: key.span.start, ..key.span }),
                                key_span: key.span,
                                value,
                            });
                        }
                    }
                }
            }
        }
        let entries = split_off(&mut self.entries, first);
        let map = self.merged_map(entries, strays, merged);
        // A map in block style has no token of its own; its first key is used.
        let first = map.entries.first().filter(|entry| entry.key_span.start == place.start);
        let end = first.map_or_else(|| self.next_char(place).max(place.end), |entry| entry.key_span.end);
        Ok(Node { span: SourceSpan { end, ..place }, kind: NodeKind::Map(map) })
    }

    /// Reads the value of a merge key: a map, a list of maps, or nothing.
    fn merge(&mut self, merged: &mut MergedEntries) -> Result<(), ParseRefusal> {
        let (event, place) = self.next()?;
        if !matches!(event, Event::SequenceStart(..)) {
            let found = self.node(event, place)?;
            return merge_from(found, merged);
        }
        self.count(1, place)?;
        loop {
            let (event, place) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(());
            }
            let found = self.node(event, place)?;
            merge_from(found, merged)?;
        }
    }

    /// Builds a map of its own entries and merged ones; its own take precedence.
    fn merged_map(&mut self, mut entries: Vec<MapEntry>, mut strays: Vec<MapEntry>, merged: MergedEntries) -> Map {
        let own = entries.len();
        let (more, aliases): (Vec<MapEntry>, Vec<Option<SourceSpan>>) = merged.entries.into_iter().unzip();
        entries.extend(more);
        let repeated = repeated(&entries);
        let mut duplicates = Vec::new();
        if !repeated.is_empty() || !aliases.is_empty() {
            let mut kept = Vec::with_capacity(entries.len() - repeated.len());
            let mut repeated = repeated.into_iter().peekable();
            for (index, entry) in entries.into_iter().enumerate() {
                let is_repeated = repeated.next_if_eq(&index).is_some();
                if is_repeated && index < own {
                    duplicates.push(entry);
                } else if !is_repeated {
                    if let Some(alias) = index.checked_sub(own).and_then(|index| aliases[index]) {
                        self.problems.used_by_alias(entry.key_span, alias);
                        self.record_alias(&entry.value, alias);
                    }
                    kept.push(entry);
                }
            }
            entries = kept;
        }
        duplicates.extend(merged.duplicates);
        strays.extend(merged.strays);
        Map::new(entries, duplicates, strays)
    }

    /// The end of the first character of this place.
    fn next_char(&self, place: SourceSpan) -> u32 {
        let at = place.start();
        offset(self.source[at..].chars().next().map_or(at, |char| at + char.len_utf8()))
    }
}

/// Takes the top of a stack, from `first` on.
fn split_off<T>(stack: &mut Vec<T>, first: usize) -> Vec<T> {
    /// With this many elements, the stack's buffer itself is taken.
    const MANY: usize = 1_000;
    if first == 0 && stack.len() >= MANY { mem::take(stack) } else { stack.drain(first..).collect() }
}

/// Adds the entries of a map to the merged ones.
fn merge_from(found: ComposedNode, merged: &mut MergedEntries) -> Result<(), ParseRefusal> {
    let ComposedNode { node, alias } = found;
    match node.kind {
        NodeKind::Map(map) => {
            let (entries, duplicates, strays) = map.into_parts();
            merged.entries.extend(entries.into_iter().map(|entry| (entry, alias)));
            merged.duplicates.extend(duplicates);
            merged.strays.extend(strays);
            Ok(())
        }
        // An alias of a list of maps.
        NodeKind::List(items) if alias.is_some() && !items.iter().any(|item| matches!(item.kind, NodeKind::List(_))) => {
            items.into_iter().try_for_each(|node| merge_from(ComposedNode { node, alias }, merged))
        }
        _ if node.is_null() => Ok(()),
        _ => Err(refusal(node.span, Unacceptable::MergeOfNonMap)),
    }
}

/// The entries that repeat the key of an earlier one.
fn repeated(entries: &[MapEntry]) -> Vec<usize> {
    /// Up to this many, comparing is faster than a set.
    const FEW: usize = 12;
    if entries.len() <= FEW {
        let is_repeated = |&index: &usize| entries[..index].iter().any(|earlier| earlier.key == entries[index].key);
        return (1..entries.len()).filter(is_repeated).collect();
    }
    let mut known = HashSet::with_capacity(entries.len());
    (0..entries.len()).filter(|&index| !known.insert(entries[index].key.as_str())).collect()
}

/// Refuses tags other than those of the value's own type.
fn check_tag(tag: Option<&Tag>, allowed: &str, place: SourceSpan) -> Result<(), ParseRefusal> {
    let is_allowed = |name: &str| allowed.split(' ').any(|allowed| allowed == name);
    match tag {
        Some(tag) if !tag.core_suffix().is_some_and(is_allowed) && !is_non_specific(tag) => {
            Err(refusal(place, Unacceptable::Tag))
        }
        _ => Ok(()),
    }
}

/// `!` alone: the value is text, whatever it looks like.
fn is_non_specific(tag: &Tag) -> bool {
    matches!(tag.parts(), ("", "!") | ("!", ""))
}

fn refusal(place: SourceSpan, what: Unacceptable) -> ParseRefusal {
    ParseRefusal::Here { at: place.start(), what }
}

/// Describes a key that is a list or a map.
fn unusable_key(key: &Node) -> Problem {
    let problem = Problem::error(key.span, format!("a key must be a single value, not {}", key.described()));
    match &key.kind {
        NodeKind::Map(_) => {
            problem.help("to have a variable replaced, write `\"${name}\"`; for braces themselves, put the value in quotes")
        }
        _ => problem.help("put it in quotes if it is text"),
    }
}

fn scalar(span: SourceSpan, text: SharedStr, style: NodeStyle) -> Node {
    Node { span, kind: NodeKind::Scalar(Scalar { text, style, is_secret: false }) }
}
