//! The entries of field tables. The tables drive decoding, checks of keys, suggestions, schema and reference.

/// The kind of value that a key takes.
#[derive(Clone, Copy, Debug)]
pub enum ValueShape {
    /// Any single value that isn't empty, exactly as written; holds a name for it.
    Text(&'static str),
    /// A single value that isn't empty, exactly as written, including the word `null`.
    Program,
    /// A list of single values, each exactly as written.
    Texts,
    /// A path relative to the file that names it.
    File,
    /// A path, or a list of paths.
    Files,
    /// A path or a list of paths, with wildcards other than `**`.
    Globs,
    /// A program and its arguments, as a list.
    Command,
    /// The address of a Git repository, or a list of them.
    Repositories,
    /// A process name.
    Name,
    /// An `http://` URL.
    Url,
    /// `HOST:PORT`.
    Address,
    /// `HOST:PORT`, a path relative to the file that names it, or `@name`.
    Socket,
    /// One of those, a list of them, or a map from names to them or to maps with these keys.
    Sockets(fn() -> Vec<ConfigKey>),
    /// A cron expression of five fields, or one of the `@` words.
    Cron,
    /// The same, or a map with these keys.
    CronOrPart(fn() -> Vec<ConfigKey>),
    /// `true` or `false`.
    Bool,
    /// `true`, `false`, or a list of variable names.
    BoolOrNames,
    /// `true`, `false`, or a map with these keys.
    BoolOrPart(fn() -> Vec<ConfigKey>),
    /// Only `true`; leaving the key out means false.
    True,
    /// A whole number between two bounds, inclusive.
    Whole(i64, i64),
    /// A whole number between two bounds, inclusive, or a percentage.
    WholeOrPercent(i64, i64),
    /// A whole number between two bounds, or a list of them.
    Wholes(i64, i64),
    /// A number between two bounds, inclusive.
    Number(f64, f64),
    /// `250ms`, `2s`, `1m30s`, `1h`, `2d`, or a number of seconds.
    Duration,
    /// A duration that isn't zero.
    SomeDuration,
    /// A duration of at least a millisecond.
    Delay,
    /// `50MB`, `10MiB`, or a number of bytes.
    Size,
    /// `512M`, `2GiB`, or a number of bytes; not zero.
    Memory,
    /// A percentage from `1%`.
    Percent,
    /// An octal number, as written.
    Octal,
    /// The name or number of a signal.
    Signal,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A map of single values, with keys that the user chooses.
    Variables,
    /// A map of single values, with HTTP header names as keys.
    Headers,
    /// A map with these keys.
    Part(fn() -> Vec<ConfigKey>),
    /// A map with these keys, exactly one of which is among the named ones.
    Choice(&'static [&'static str], fn() -> Vec<ConfigKey>),
    /// A list of process names, or a map from process names to maps with these keys.
    Edges(fn() -> Vec<ConfigKey>),
    /// A duration of at least a millisecond, or a map with these keys.
    DelayOrPart(fn() -> Vec<ConfigKey>),
    /// One of these words, or a map with these keys.
    WordsOrPart(&'static [&'static str], fn() -> Vec<ConfigKey>),
    /// A map from these names to whole numbers or the word `unlimited`.
    Limits(&'static [&'static str]),
    /// A list of processes.
    Processes,
}

impl ValueShape {
    /// Whether the word `null` has a meaning here, although it is nothing in YAML.
    pub(super) fn takes_null(self) -> bool {
        matches!(self, ValueShape::Program | ValueShape::WordsOrPart(..))
    }
}

/// What a change of a field does to a running process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeEffect {
    /// The process is restarted.
    Restart,
    /// The running process takes the change over.
    InPlace,
    /// The process is started or stopped.
    StartsOrStops,
    /// It becomes another process.
    AnotherProcess,
    /// The key is not a field of processes.
    None,
}

/// What holds if a key is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// Nothing that can be said in short.
    Nothing,
    /// The same as if this were written.
    Written(&'static str),
    /// This, in words.
    InWords(&'static str),
    /// The key is required.
    Required,
}

/// A key of the configuration, for schema and reference.
#[derive(Clone, Copy, Debug)]
pub struct ConfigKey {
    /// The name of the key.
    pub name: &'static str,
    /// The value that it takes.
    pub shape: ValueShape,
    /// What a change does; for a part of a field, what a change of the whole field does.
    pub change: ChangeEffect,
    /// What holds if it is left out.
    pub otherwise: DefaultValue,
    /// What the key is for: a fragment of a sentence.
    pub meaning: &'static str,
}

impl ConfigKey {
    /// A key without a default.
    pub(super) const fn new(name: &'static str, shape: ValueShape, change: ChangeEffect) -> ConfigKey {
        ConfigKey { name, shape, change, otherwise: DefaultValue::Nothing, meaning: "" }
    }

    /// Sets what the key is for.
    pub(super) const fn means(self, meaning: &'static str) -> ConfigKey {
        ConfigKey { meaning, ..self }
    }

    /// Sets the default, as it would be written.
    pub(super) const fn default(self, written: &'static str) -> ConfigKey {
        ConfigKey { otherwise: DefaultValue::Written(written), ..self }
    }

    /// Sets what holds if the key is left out, in words.
    pub(super) const fn otherwise(self, words: &'static str) -> ConfigKey {
        ConfigKey { otherwise: DefaultValue::InWords(words), ..self }
    }

    /// Makes the key required.
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

/// Joins words as `` `a`, `b` or `c` ``.
pub(super) fn either(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

/// A key that is checked, but not supported yet.
pub(super) struct UnsupportedKey {
    /// `field` or `field.key`.
    pub(super) path: &'static str,
    /// What to write for now.
    pub(super) instead: Option<&'static str>,
}

/// The keys that aren't supported yet. An entry is removed when the runtime supports it.
pub(super) const NOT_YET: &[UnsupportedKey] = &[UnsupportedKey { path: "renamed_from", instead: None }];
