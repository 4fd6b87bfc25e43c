//! Writes nodes as YAML values by the shapes of their keys: the reverse of `reader`, with the same tables.
//!
//! Texts are written as in the source: loading resolves their references again. Other values (numbers, durations, words,
//! process names) are written resolved. A secret that is literal in the source is replaced by a reference to a variable.

use crate::config::address::is_path;
use crate::config::glob::is_glob;
use crate::config::parts::ENV_FILE;
use crate::config::reader::{NodeReader, keys};
use crate::config::scalar;
use crate::config::scope::{is_lone_reference, is_secret};
use crate::config::table::{ConfigKey, DefaultValue, ValueShape};
use crate::config::tree::{MapEntry, Node, NodeKind, Scalar, entry};
use crate::config::yaml::Value;
use crate::signals;
use reconcile::human_duration::HumanDuration;
use reconcile::text::Text;
use serde_json::Number;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Writes the nodes of one scope.
pub(super) struct NodeWriter<'s, 'r, 'a, 'c> {
    pub(super) reader: &'s mut NodeReader<'r, 'a, 'c>,
    /// The directory of the main file.
    pub(super) directory: &'s Path,
    /// Whether omitted keys are written, with their defaults.
    pub(super) defaults: bool,
    /// The variables that replace secrets so far, with their values.
    pub(super) secrets: &'s mut BTreeMap<String, Text>,
    /// The variables that this scope refers to.
    pub(super) needed: BTreeSet<String>,
    /// The keys from the top down to the current value.
    pub(super) path: Vec<String>,
}

impl NodeWriter<'_, '_, '_, '_> {
    /// A map, in the order of `keys`. Entries with other keys are left out.
    pub(super) fn map(&mut self, entries: &[MapEntry], keys: &[ConfigKey]) -> Value {
        let written = keys.iter().filter_map(|key| {
            let value = match entry(entries, key.name) {
                Some(entry) => self.at_key(key.name, |writer| writer.value(key.shape, &entry.value)),
                None => self.default(key)?,
            };
            Some((key.name.to_owned(), value))
        });
        Value::Map(written.collect())
    }

    /// The default of a key, if defaults are written and it has one that is a value.
    pub(super) fn default(&mut self, key: &ConfigKey) -> Option<Value> {
        match (key.shape, key.otherwise) {
            _ if !self.defaults => None,
            (ValueShape::Part(keys), _) => Some(self.map(&[], &keys())).filter(|part| !part.is_empty_map()),
            (shape, DefaultValue::Written(written)) => Some(typed_value(shape, written)),
            _ => None,
        }
    }

    /// A node as a value of this shape.
    pub(super) fn value(&mut self, shape: ValueShape, node: &Node) -> Value {
        match shape {
            ValueShape::Text(_) | ValueShape::Program | ValueShape::Url | ValueShape::Address | ValueShape::Cron => {
                self.source(node, false)
            }
            ValueShape::Texts | ValueShape::Command | ValueShape::Repositories => {
                self.each_item(node, |writer, item| writer.source(item, false))
            }
            ValueShape::Socket => self.socket(node),
            ValueShape::Sockets(keys) => match &node.kind {
                NodeKind::Map(map) => Value::Map(map.entries.iter().map(|entry| self.named_socket(entry, &keys())).collect()),
                _ => self.each_item(node, NodeWriter::socket),
            },
            ValueShape::Files => self.each_item(node, |writer, item| match &item.kind {
                NodeKind::Map(map) => writer.map(&map.entries, &keys(ENV_FILE)),
                _ => writer.file(item),
            }),
            ValueShape::File | ValueShape::Globs => self.each_item(node, NodeWriter::file),
            ValueShape::BoolOrNames if matches!(node.kind, NodeKind::List(_)) => self.value(ValueShape::Texts, node),
            ValueShape::Name => self.name(node),
            ValueShape::BoolOrNames
            | ValueShape::Bool
            | ValueShape::True
            | ValueShape::Whole(..)
            | ValueShape::WholeOrPercent(..)
            | ValueShape::Wholes(..)
            | ValueShape::Number(..)
            | ValueShape::Duration
            | ValueShape::SomeDuration
            | ValueShape::Delay
            | ValueShape::Size
            | ValueShape::Memory
            | ValueShape::Percent
            | ValueShape::Octal
            | ValueShape::Signal
            | ValueShape::Words(_) => self.each_item(node, |writer, item| writer.typed(shape, item)),
            ValueShape::Variables | ValueShape::Headers => {
                self.variables(entries(node).iter().map(|entry| (entry.key.as_str(), &entry.value)))
            }
            ValueShape::Limits(_) => {
                let limits = entries(node).iter();
                Value::Map(limits.map(|entry| (entry.key.to_string(), self.typed(shape, &entry.value))).collect())
            }
            ValueShape::Part(keys) | ValueShape::Choice(_, keys) => self.map(entries(node), &keys()),
            ValueShape::WordsOrPart(_, keys) => match &node.kind {
                NodeKind::Map(map) => self.map(&map.entries, &keys()),
                _ if node.is_null() => Value::Null,
                _ => self.typed(shape, node),
            },
            ValueShape::DelayOrPart(keys) => match &node.kind {
                NodeKind::Map(map) => self.map(&map.entries, &keys()),
                _ => self.typed(ValueShape::Delay, node),
            },
            ValueShape::CronOrPart(keys) => match &node.kind {
                NodeKind::Map(map) => self.map(&map.entries, &keys()),
                _ => self.source(node, false),
            },
            ValueShape::BoolOrPart(keys) => match &node.kind {
                NodeKind::Map(map) => self.map(&map.entries, &keys()),
                _ => self.typed(ValueShape::Bool, node),
            },
            ValueShape::Edges(keys) => self.edges(node, &keys()),
            // `Document` writes processes one by one.
            ValueShape::Processes => Value::List(Vec::new()),
        }
    }

    /// A map of texts under names chosen by the user, sorted.
    pub(super) fn variables<'n>(&mut self, variables: impl Iterator<Item = (&'n str, &'n Node)>) -> Value {
        let sorted: BTreeMap<&str, &Node> = variables.collect();
        let mut write = |(key, node)| (str::to_owned(key), self.at_key(key, |writer| writer.source(node, is_secret(key))));
        Value::Map(sorted.into_iter().map(&mut write).collect())
    }

    fn edges(&mut self, node: &Node, keys: &[ConfigKey]) -> Value {
        match &node.kind {
            NodeKind::List(items) if !self.defaults => Value::List(items.iter().map(|item| self.name(item)).collect()),
            NodeKind::List(items) => {
                let names: Vec<Option<Text>> = items.iter().map(|item| self.reader.text(item)).collect();
                let names = names.into_iter().flatten();
                Value::Map(names.map(|name| (name.value().to_owned(), self.map(&[], keys))).collect())
            }
            _ => {
                let edges = entries(node).iter();
                Value::Map(edges.map(|edge| (edge.key.to_string(), self.map(entries(&edge.value), keys))).collect())
            }
        }
    }

    fn named_socket(&mut self, entry: &MapEntry, keys: &[ConfigKey]) -> (String, Value) {
        let value = self.at_key(&entry.key, |writer| match &entry.value.kind {
            NodeKind::Map(map) => writer.map(&map.entries, keys),
            _ => writer.socket(&entry.value),
        });
        (entry.key.to_string(), value)
    }

    /// The address of a socket, which may be a path relative to its file.
    fn socket(&mut self, node: &Node) -> Value {
        let is_path = self.reader.text(node).is_some_and(|address| is_path(address.value()));
        if is_path { self.file(node) } else { self.source(node, false) }
    }

    /// Writes each item of a list, or a single value.
    fn each_item(&mut self, node: &Node, mut write: impl FnMut(&mut Self, &Node) -> Value) -> Value {
        match &node.kind {
            NodeKind::List(items) => {
                let items = items.iter().zip(1..);
                Value::List(
                    items
                        .map(|(item, number): (_, usize)| self.at_key(&number.to_string(), |writer| write(writer, item)))
                        .collect(),
                )
            }
            _ => write(self, node),
        }
    }

    /// A text as in the source. A secret, and with `hide` any text, is replaced by a reference unless it is one.
    fn source(&mut self, node: &Node, hide: bool) -> Value {
        match &node.kind {
            NodeKind::Scalar(Scalar { text, is_secret, .. }) if (hide || *is_secret) && !is_lone_reference(text) => {
                self.reference(node)
            }
            NodeKind::Scalar(scalar) => Value::text(&scalar.text),
            _ => Value::Null,
        }
    }

    /// Makes a path that is relative to its file relative to the main file.
    fn file(&mut self, node: &Node) -> Value {
        let source = self.source(node, false);
        let texts = self.reader.context.texts;
        let (file, shown) = (texts.path(node.span.text), texts.shown_path(node.span.text));
        let parent = shown.parent().unwrap_or(Path::new(""));
        let directory = parent.strip_prefix(self.directory).unwrap_or(parent);
        let (Value::Text(path), false) = (&source, directory.as_os_str().is_empty()) else { return source };
        if self.reader.text(node).is_none_or(|path| path.value().starts_with('/')) {
            return source;
        }
        let directory = directory.to_string_lossy();
        // The directory comes from a variable that holds a wildcard: what it matched can't be written as its source.
        if file != shown && is_glob(&directory) {
            let directory = file.parent().unwrap_or(Path::new(""));
            let directory = directory.strip_prefix(self.directory).unwrap_or(directory).to_string_lossy();
            let path = self.reader.text(node).map(|path| Text::plain(&format!("{directory}/{}", path.value())));
            return path.map_or(Value::Null, |path| self.substitute(node, &path));
        }
        // A directory from a variable is written as its source; otherwise a `$` is literal and must be escaped.
        let directory = if file == shown { directory.replace('$', "$$") } else { directory.into_owned() };
        Value::Text(format!("{directory}/{path}"))
    }

    /// A process name: always written resolved, because names are not secret.
    fn name(&mut self, node: &Node) -> Value {
        self.reader.text(node).map_or(Value::Null, |name| Value::text(name.value()))
    }

    /// A single value of a shape other than text.
    fn typed(&mut self, shape: ValueShape, node: &Node) -> Value {
        if matches!(&node.kind, NodeKind::Scalar(scalar) if scalar.is_secret) {
            return self.source(node, true);
        }
        self.reader.text(node).map_or(Value::Null, |text| typed_value(shape, text.value()))
    }

    /// A reference to a variable that replaces the value of a secret, named after its keys.
    fn reference(&mut self, node: &Node) -> Value {
        let Some(value) = self.reader.text(node) else { return Value::Null };
        self.substitute(node, &value)
    }

    /// A reference to a variable with this value.
    fn substitute(&mut self, node: &Node, value: &Text) -> Value {
        let plain = |char: char| if char.is_ascii_alphanumeric() { char.to_ascii_uppercase() } else { '_' };
        let mut base: String = self.path.join("_").chars().map(plain).collect();
        if base.starts_with(|first: char| first.is_ascii_digit()) {
            base.insert(0, '_');
        }
        let mut name = base.clone();
        for number in 2.. {
            if self.is_usable(&name, value, node) {
                break;
            }
            name = format!("{base}_{number}");
        }
        let reference = Value::Text(format!("${{{name}}}"));
        self.secrets.insert(name.clone(), Text::secret(value.value(), "(secret)"));
        self.needed.insert(name);
        reference
    }

    /// Whether a variable is unset or has this value already.
    fn is_usable(&mut self, name: &str, value: &Text, node: &Node) -> bool {
        let current = self.reader.scope.variable(name, || node.span, self.reader.context);
        let is_equal = |other: &Text| other == value;
        current.is_ok_and(|current| current.as_ref().is_none_or(is_equal)) && self.secrets.get(name).is_none_or(is_equal)
    }

    /// Calls `write` with `key` added to the path.
    pub(super) fn at_key<T>(&mut self, key: &str, write: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(key.to_owned());
        let written = write(self);
        self.path.pop();
        written
    }
}

/// The entries of a map; empty for other nodes.
pub(super) fn entries(node: &Node) -> &[MapEntry] {
    match &node.kind {
        NodeKind::Map(map) => &map.entries,
        _ => &[],
    }
}

/// Converts a text to a value of this shape.
fn typed_value(shape: ValueShape, text: &str) -> Value {
    let value = match shape {
        ValueShape::Bool | ValueShape::True | ValueShape::BoolOrNames | ValueShape::BoolOrPart(_) => {
            Some(Value::Bool(text.eq_ignore_ascii_case("true")))
        }
        ValueShape::Wholes(..) if text.starts_with('[') => {
            let items = text.trim_matches(['[', ']']).split(',').map(str::trim).filter(|item| !item.is_empty());
            items.map(number).collect::<Option<Vec<Value>>>().map(Value::List)
        }
        ValueShape::Whole(..)
        | ValueShape::WholeOrPercent(..)
        | ValueShape::Wholes(..)
        | ValueShape::Limits(_)
        | ValueShape::Size
        | ValueShape::Memory
        | ValueShape::Number(..) => number(text),
        ValueShape::Duration | ValueShape::SomeDuration | ValueShape::Delay => duration(text).map(Value::Text),
        ValueShape::Octal => scalar::umask(text).ok().map(|mask| Value::Text(format!("{mask:04o}"))),
        ValueShape::Signal => signals::parse(text).map(|signal| Value::text(signal.0)),
        ValueShape::WordsOrPart(..) if text == "null" => Some(Value::Null),
        ValueShape::Texts => Some(Value::List(Vec::new())).filter(|_| text == "[]"),
        ValueShape::Variables => Some(Value::Map(Vec::new())).filter(|_| text == "{}"),
        _ => None,
    };
    value.unwrap_or_else(|| Value::text(text))
}

fn number(text: &str) -> Option<Value> {
    let whole = text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from));
    whole.ok().or_else(|| Number::from_f64(text.parse().ok()?)).map(Value::Number)
}

/// A duration in canonical form, if that is exact.
fn duration(text: &str) -> Option<String> {
    let duration = scalar::duration(text).ok()?;
    Some(HumanDuration(duration).to_string()).filter(|canonical| scalar::duration(canonical) == Ok(duration))
}
