//! What a table of fields is made of. The tables drive decoding, checks of keys, suggestions, and the reference.

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug)]
pub enum ValueShape {
    /// Any single value that isn't empty, taken exactly as written; what it is called.
    Text(&'static str),
    /// A single value that isn't empty, taken exactly as written, also the word `null`.
    Program,
    /// A list of single values, each taken exactly as written.
    Texts,
    /// A path that is relative to the file that names it.
    File,
    /// Such a path, or a list of them.
    Files,
    /// Such a path that may hold wildcards, but not `**`, or a list of them.
    Globs,
    /// A program and its arguments, as a list.
    Command,
    /// The name of a process.
    Name,
    /// A `http://` URL.
    Url,
    /// `HOST:PORT`.
    Address,
    /// An address or path, or a list of them.
    Sockets,
    /// A cron expression of five fields, or one of the `@` words.
    Schedule,
    /// `true` or `false`.
    Bool,
    /// `true`, `false`, or a list of names of variables.
    BoolOrNames,
    /// `true`; anything else is said by leaving it out.
    True,
    /// A whole number between two bounds, both included.
    Whole(i64, i64),
    /// Such a number, or a list of them.
    Wholes(i64, i64),
    /// A number between two bounds, both included.
    Number(f64, f64),
    /// `250ms`, `2s`, `1m30s`, `1h`, `2d`, or a number of seconds.
    Duration,
    /// The same, but not zero.
    SomeDuration,
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
    /// A map of single values under names of headers, as HTTP writes them.
    Headers,
    /// A map with these keys.
    Part(fn() -> Vec<ConfigKey>),
    /// A map with these keys, of which exactly one is among those named.
    Choice(&'static [&'static str], fn() -> Vec<ConfigKey>),
    /// A list of names of processes, or a map of maps with these keys under such names.
    Edges(fn() -> Vec<ConfigKey>),
    /// One of these words, or a map with these keys.
    WordsOrPart(&'static [&'static str], fn() -> Vec<ConfigKey>),
    /// A map of whole numbers or the word `unlimited` under these names.
    Limits(&'static [&'static str]),
    /// A list of processes.
    Processes,
}

impl ValueShape {
    /// Whether the word `null`, which is nothing to YAML, says something here.
    pub(super) fn takes_null(self) -> bool {
        matches!(self, ValueShape::Program | ValueShape::WordsOrPart(..))
    }
}

/// What a change of a field does to a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeEffect {
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

/// What holds if a key isn't given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// Nothing that could be said shortly.
    Nothing,
    /// The same as if this were written.
    Written(&'static str),
    /// This.
    InWords(&'static str),
    /// It must be given.
    Required,
}

/// A key of the configuration, for schema and reference.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub shape: ValueShape,
    /// What a change of it does; of parts: what a change of the whole does.
    pub change: ChangeEffect,
    /// What holds without it.
    pub otherwise: DefaultValue,
    /// What it is for: a fragment of a sentence.
    pub meaning: &'static str,
}

impl ConfigKey {
    /// A key that means nothing in particular if it isn't given.
    pub(super) const fn new(name: &'static str, shape: ValueShape, change: ChangeEffect) -> ConfigKey {
        ConfigKey { name, shape, change, otherwise: DefaultValue::Nothing, meaning: "" }
    }

    /// What it is for.
    pub(super) const fn means(self, meaning: &'static str) -> ConfigKey {
        ConfigKey { meaning, ..self }
    }

    /// What it is if it isn't given, as it would be written.
    pub(super) const fn default(self, written: &'static str) -> ConfigKey {
        ConfigKey { otherwise: DefaultValue::Written(written), ..self }
    }

    /// What holds if it isn't given, in words.
    pub(super) const fn otherwise(self, words: &'static str) -> ConfigKey {
        ConfigKey { otherwise: DefaultValue::InWords(words), ..self }
    }

    /// It can't be left out.
    pub(super) const fn required(self) -> ConfigKey {
        ConfigKey { otherwise: DefaultValue::Required, ..self }
    }
}

/// The words of a table of words.
pub(super) const fn words<T, const N: usize>(table: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut at = 0;
    while at < N {
        words[at] = table[at].0;
        at += 1;
    }
    words
}

/// `` `a`, `b` or `c` ``.
pub(super) fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

/// Something that is checked like everything else, but that this version can't do yet.
pub(super) struct UnsupportedKey {
    /// A field of processes, `field.key` for a part of one, `field: word` for one of its values.
    pub(super) path: &'static str,
    /// What to write meanwhile.
    pub(super) instead: Option<&'static str>,
}

/// What the configuration may name but navigator can't do yet. A field leaves this list when the runtime learns it.
pub(super) const NOT_YET: &[UnsupportedKey] = &[
    UnsupportedKey { path: "on_change: rolling", instead: Some("use `on_change: restart`") },
    UnsupportedKey { path: "listen", instead: None },
    UnsupportedKey { path: "replicas", instead: Some("write one process for each") },
    UnsupportedKey { path: "schedule", instead: None },
    UnsupportedKey { path: "renamed_from", instead: None },
];
