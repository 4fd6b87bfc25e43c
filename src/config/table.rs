//! What a table of fields is made of. The tables drive decoding, checks of keys, suggestions, and the reference.

use super::reader::Reader;
use super::tree::Node;

/// A key of a map, and how its value gets into a `T`.
pub(super) struct Field<T> {
    pub(super) key: &'static str,
    pub(super) shape: Shape,
    /// What a change of it does to a running process; of parts: what a change of the whole does.
    pub(super) change: Change,
    pub(super) read: fn(&mut Reader<'_, '_, '_>, &Node, &mut T),
}

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// Any single value, taken exactly as written.
    Text,
    /// A list of single values, each taken exactly as written.
    Texts,
    /// A single value or a list of them.
    TextOrTexts,
    /// `true` or `false`.
    Bool,
    /// A whole number between two bounds, both included.
    Whole(i64, i64),
    /// A number between two bounds, both included.
    Number(f64, f64),
    /// `250ms`, `2s`, `1m30s`, `1h`, `2d`, or a number of seconds.
    Duration,
    /// `50MB`, `10MiB`, or a number of bytes.
    Size,
    /// An octal number, as written.
    Octal,
    /// The name or number of a signal.
    Signal,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A map of single values under names that the user chooses.
    Variables,
    /// A map with these keys.
    Part(fn() -> Vec<Key>),
    /// A list of single values, or a map of maps with these keys under names that the user chooses.
    Edges(fn() -> Vec<Key>),
    /// One of these words, or a map with these keys.
    WordsOrPart(&'static [&'static str], fn() -> Vec<Key>),
    /// A map of whole numbers or the word `unlimited` under these names.
    Limits(&'static [&'static str]),
    /// A list of processes.
    Processes,
}

/// What a change of a field does to a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is restarted.
    Restart,
    /// The running process takes it over.
    InPlace,
    /// It is started or stopped.
    StartsOrStops,
    /// It becomes another process.
    AnotherProcess,
    /// Not a field of processes.
    None,
}

/// A key of the configuration, for schema and reference.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub shape: Shape,
    /// What a change of it does.
    pub change: Change,
}

/// The keys of a table.
pub(super) fn keys<T>(table: &[Field<T>]) -> Vec<Key> {
    table.iter().map(|field| Key { name: field.key, shape: field.shape, change: field.change }).collect()
}

/// Something that is checked like everything else, but that this version can't do yet.
pub(super) struct Later {
    /// A field of processes, `field.key` for a part of one, `field: word` for one of its values.
    pub(super) path: &'static str,
    /// What to write meanwhile.
    pub(super) instead: Option<&'static str>,
}

/// What the configuration may name but navigator can't do yet. A field leaves this list when the runtime learns it.
pub(super) const NOT_YET: &[Later] = &[
    Later { path: "on_change: rolling", instead: Some("use `on_change: restart`") },
    Later { path: "listen", instead: None },
    Later { path: "replicas", instead: Some("write one process for each") },
    Later { path: "schedule", instead: None },
    Later { path: "renamed_from", instead: None },
];
