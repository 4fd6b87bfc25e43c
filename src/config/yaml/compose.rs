//! Puts the events of the parser together to a tree.
//!
//! Aliases become copies, and merge keys the entries that they bring. A key that comes twice is kept beside the first one, so
//! that it doesn't hide the other problems of the text.

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
    /// Keys that are lists or maps; told only if the rest is YAML, or they may be but a part of another mistake.
    unusable: Vec<Problem>,
    anchors: Anchors,
    /// How many lists and maps are open.
    depth: usize,
    /// How many nodes there are.
    nodes: usize,
    /// The items of the lists that are open, and the entries of the maps: so each of the many small ones takes just its room.
    items: Vec<Node>,
    entries: Vec<MapEntry>,
}

/// A node, and the alias that stands for it, if one does.
struct Found {
    node: Node,
    alias: Option<SourceSpan>,
}

/// What merge keys bring to a map.
#[derive(Default)]
struct Brought {
    /// In the order in which they count, each with the alias that brings it.
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
            unusable: Vec::new(),
            anchors: Anchors::default(),
            depth: 0,
            nodes: 0,
            items: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// The one document of the text; where there is none, nothing at its end.
    pub(super) fn document(mut self) -> Result<Node, ParseRefusal> {
        let mut root = None;
        loop {
            match self.next()? {
                (Event::DocumentStart(..), place) if root.is_some() => {
                    return Err(refused(place, Unacceptable::SecondDocument));
                }
                (Event::DocumentStart(..), _) => {
                    let (event, place) = self.next()?;
                    root = Some(self.node(event, place)?.node);
                }
                (Event::StreamEnd, place) => {
                    self.problems.add_all(self.unusable);
                    return Ok(root.unwrap_or_else(|| scalar(place, SharedStr::from(String::new()), NodeStyle::Null)));
                }
                _ => {}
            }
        }
    }

    /// The next event, and where it stands.
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

    /// The node that begins with an event.
    fn node(&mut self, event: Event<'s>, place: SourceSpan) -> Result<Found, ParseRefusal> {
        self.count(1, place)?;
        let (node, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, place),
            Event::Scalar(value, style, anchor, tag) => (self.scalar(value, style, tag.as_deref(), place)?, anchor),
            Event::SequenceStart(_, anchor, tag) => {
                untagged_but(tag.as_deref(), "seq", place)?;
                (self.within(place, Self::list)?, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                untagged_but(tag.as_deref(), "map", place)?;
                (self.within(place, Self::map)?, anchor)
            }
            // The parser has no other event where a node must stand.
            _ => (scalar(place, SharedStr::from(String::new()), NodeStyle::Null), 0),
        };
        if anchor > 0 {
            self.anchors.name(anchor, &node).map_err(|what| refused(place, what))?;
        }
        Ok(Found { node, alias: None })
    }

    /// Takes note of more nodes.
    fn count(&mut self, nodes: usize, place: SourceSpan) -> Result<(), ParseRefusal> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES { Err(refused(place, Unacceptable::TooLarge)) } else { Ok(()) }
    }

    /// Reads what a list or a map holds.
    fn within(
        &mut self,
        place: SourceSpan,
        read: fn(&mut Self, SourceSpan) -> Result<Node, ParseRefusal>,
    ) -> Result<Node, ParseRefusal> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(refused(place, Unacceptable::TooDeep));
        }
        let node = read(self, place)?;
        // Its end costs as much as its beginning.
        self.count(1, place)?;
        self.depth -= 1;
        Ok(node)
    }

    fn alias(&mut self, anchor: usize, place: SourceSpan) -> Result<Found, ParseRefusal> {
        let copy = self.anchors.copy(anchor, self.depth, MAX_NODES - self.nodes);
        let (node, nodes) = copy.map_err(|what| refused(place, what))?;
        self.count(nodes, place)?;
        Ok(Found { node, alias: Some(place) })
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
            untagged_but(tag, "str int float bool null", place)?;
            return Ok(scalar(place, self.quoted(value, place), NodeStyle::Quoted));
        }
        let is_null = match tag.map(|tag| (tag, tag.core_suffix())) {
            None | Some((_, Some("int" | "float" | "bool"))) => matches!(written, "" | "~" | "null" | "Null" | "NULL"),
            Some((_, Some("null"))) => true,
            Some((_, Some("str"))) => false,
            Some((tag, _)) if is_non_specific(tag) => false,
            Some(_) => return Err(refused(place, Unacceptable::Tag)),
        };
        // Only over several lines is there a difference; and the parser has a `~` for nothing at all.
        let text = if written.contains('\n') { SharedStr::from(value.into_owned()) } else { SharedStr::of(self.source, place) };
        Ok(scalar(place, text, if is_null { NodeStyle::Null } else { NodeStyle::Plain }))
    }

    /// What stands in quotes: a part of the text, where that says it in the same characters.
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
            let item = self.used(event, at)?;
            self.items.push(item);
        }
        let items = taken(&mut self.items, first).into();
        let end = place.end.max(self.next_char(place));
        Ok(Node { span: SourceSpan { end, ..place }, kind: NodeKind::List(items) })
    }

    /// A node where it is used. If an alias stands for it, takes note of that.
    fn used(&mut self, event: Event<'s>, place: SourceSpan) -> Result<Node, ParseRefusal> {
        let Found { node, alias } = self.node(event, place)?;
        if let Some(alias) = alias {
            self.note(&node, alias);
        }
        Ok(node)
    }

    fn note(&mut self, node: &Node, alias: SourceSpan) {
        self.problems.used_by_alias(node.span, alias);
        match &node.kind {
            NodeKind::Scalar(_) => {}
            NodeKind::List(items) => items.iter().for_each(|item| self.note(item, alias)),
            NodeKind::Map(map) => {
                for entry in map.all() {
                    self.problems.used_by_alias(entry.key_span, alias);
                    self.note(&entry.value, alias);
                }
            }
        }
    }

    fn map(&mut self, place: SourceSpan) -> Result<Node, ParseRefusal> {
        let first = self.entries.len();
        let mut strays = Vec::new();
        let mut brought = Brought::default();
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::MappingEnd => break,
                Event::Scalar(key, ScalarStyle::Plain, _, None) if key == "<<" => {
                    self.count(1, at)?;
                    self.merge(&mut brought)?;
                }
                event => {
                    let key = self.used(event, at)?;
                    let (event, at) = self.next()?;
                    let value = self.used(event, at)?;
                    match key.kind {
                        NodeKind::Scalar(scalar) => self.entries.push(MapEntry { key: scalar.text, key_span: key.span, value }),
                        NodeKind::List(_) | NodeKind::Map(_) => {
                            self.unusable.push(unusable_key(&key));
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
        let entries = taken(&mut self.entries, first);
        let map = self.with_brought(entries, strays, brought);
        // A map in block style has no token of its own: its first key stands for it.
        let first = map.entries.first().filter(|entry| entry.key_span.start == place.start);
        let end = first.map_or_else(|| self.next_char(place).max(place.end), |entry| entry.key_span.end);
        Ok(Node { span: SourceSpan { end, ..place }, kind: NodeKind::Map(map) })
    }

    /// What stands behind a merge key: a map, a list of maps, or nothing.
    fn merge(&mut self, brought: &mut Brought) -> Result<(), ParseRefusal> {
        let (event, place) = self.next()?;
        if !matches!(event, Event::SequenceStart(..)) {
            let found = self.node(event, place)?;
            return bring(found, brought);
        }
        self.count(1, place)?;
        loop {
            let (event, place) = self.next()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(());
            }
            let found = self.node(event, place)?;
            bring(found, brought)?;
        }
    }

    /// A map of its own entries and those that are brought: these give way.
    fn with_brought(&mut self, mut entries: Vec<MapEntry>, mut strays: Vec<MapEntry>, brought: Brought) -> Map {
        let own = entries.len();
        let (more, aliases): (Vec<MapEntry>, Vec<Option<SourceSpan>>) = brought.entries.into_iter().unzip();
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
                        self.note(&entry.value, alias);
                    }
                    kept.push(entry);
                }
            }
            entries = kept;
        }
        duplicates.extend(brought.duplicates);
        strays.extend(brought.strays);
        Map::new(entries, duplicates, strays)
    }

    /// The place behind the first character of this one.
    fn next_char(&self, place: SourceSpan) -> u32 {
        let at = place.start();
        offset(self.source[at..].chars().next().map_or(at, |char| at + char.len_utf8()))
    }
}

/// What lies on a stack from `first` on.
fn taken<T>(stack: &mut Vec<T>, first: usize) -> Vec<T> {
    /// So many are worth more than the room that the stack has grown to.
    const MANY: usize = 1_000;
    if first == 0 && stack.len() >= MANY { mem::take(stack) } else { stack.drain(first..).collect() }
}

/// Adds the entries of a map to what is brought.
fn bring(found: Found, brought: &mut Brought) -> Result<(), ParseRefusal> {
    let Found { node, alias } = found;
    match node.kind {
        NodeKind::Map(map) => {
            let (entries, duplicates, strays) = map.into_parts();
            brought.entries.extend(entries.into_iter().map(|entry| (entry, alias)));
            brought.duplicates.extend(duplicates);
            brought.strays.extend(strays);
            Ok(())
        }
        _ if node.is_null() => Ok(()),
        _ => Err(refused(node.span, Unacceptable::NoMap)),
    }
}

/// Which of these entries have a key that another one had before.
fn repeated(entries: &[MapEntry]) -> Vec<usize> {
    /// So few are compared faster than they are put into a set.
    const FEW: usize = 12;
    if entries.len() <= FEW {
        let is_repeated = |&index: &usize| entries[..index].iter().any(|earlier| earlier.key == entries[index].key);
        return (1..entries.len()).filter(is_repeated).collect();
    }
    let mut known = HashSet::with_capacity(entries.len());
    (0..entries.len()).filter(|&index| !known.insert(entries[index].key.as_str())).collect()
}

/// A value may say that it is what it is, or text; everything else that a tag can say means nothing here.
fn untagged_but(tag: Option<&Tag>, allowed: &str, place: SourceSpan) -> Result<(), ParseRefusal> {
    let is_allowed = |name: &str| allowed.split(' ').any(|allowed| allowed == name);
    match tag {
        Some(tag) if !tag.core_suffix().is_some_and(is_allowed) && !is_non_specific(tag) => {
            Err(refused(place, Unacceptable::Tag))
        }
        _ => Ok(()),
    }
}

/// `!` alone: what stands behind it isn't asked what else it could be.
fn is_non_specific(tag: &Tag) -> bool {
    matches!(tag.parts(), ("", "!") | ("!", ""))
}

fn refused(place: SourceSpan, what: Unacceptable) -> ParseRefusal {
    ParseRefusal::Here { at: place.start(), what }
}

/// What is wrong with a key that is a list or a map.
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
