//! What is imported: fields of ours with where they come from, and notes on what can't be carried over.

use super::words::{escaped, shell_escaped};
use crate::config::{Value, split_words};

/// The most variables and dependencies of one process.
pub(super) const MOST_ENTRIES: usize = 5000;

/// The most processes of a configuration.
pub(super) const MOST_PROCESSES: usize = 12_000;

/// A configuration of ours that is being made.
#[derive(Debug, Default)]
pub(super) struct ImportedStack {
    /// Keys at the top of the file, without the list of processes.
    pub(super) top: ImportedFields,
    /// Fields for every process: what the other program does by default, and navigator doesn't.
    pub(super) defaults: ImportedFields,
    pub(super) processes: Vec<Process>,
    pub(super) notes: Vec<Note>,
}

/// A process of ours that is being made.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) name: String,
    pub(super) fields: ImportedFields,
    /// Comments above it.
    pub(super) remarks: Vec<String>,
}

/// Keys with their values and comments, in the order in which they were set.
#[derive(Debug, Default)]
pub(super) struct ImportedFields(pub(super) Vec<ImportedField>);

/// A key with its value.
#[derive(Debug)]
pub(super) struct ImportedField {
    pub(super) key: String,
    pub(super) value: Value,
    /// Where it comes from, if that isn't obvious.
    pub(super) comments: Vec<String>,
}

impl ImportedFields {
    /// Sets a key, or one within a map, such as `stop.timeout`.
    pub(super) fn set(&mut self, path: &str, value: Value) {
        let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
        let at = self.0.iter().position(|field| field.key == key).unwrap_or_else(|| {
            self.0.push(ImportedField { key: key.to_owned(), value: Value::Map(Vec::new()), comments: Vec::new() });
            self.0.len() - 1
        });
        let place = &mut self.0[at].value;
        let Some(rest) = rest else {
            *place = value;
            return;
        };
        if !matches!(place, Value::Map(_)) {
            *place = Value::Map(Vec::new());
        }
        let Value::Map(entries) = place else { return };
        match entries.iter_mut().find(|(key, _)| key == rest) {
            Some((_, old)) => *old = value,
            None => entries.push((rest.to_owned(), value)),
        }
    }

    /// Sets a key, with a comment that says what it comes from.
    pub(super) fn set_from(&mut self, path: &str, value: Value, from: impl Into<String>) {
        self.set(path, value);
        self.comment(path, from);
    }

    /// Adds a comment to a key that is set.
    pub(super) fn comment(&mut self, path: &str, comment: impl Into<String>) {
        let key = path.split('.').next().unwrap_or(path);
        if let Some(field) = self.0.iter_mut().find(|field| field.key == key) {
            let comment = comment.into();
            if !field.comments.contains(&comment) {
                field.comments.push(comment);
            }
        }
    }

    pub(super) fn text(&mut self, path: &str, text: impl Into<String>) {
        self.set(path, Value::Text(text.into()));
    }

    pub(super) fn get(&self, path: &str) -> Option<&Value> {
        let (key, rest) = path.split_once('.').map_or((path, None), |(key, rest)| (key, Some(rest)));
        let value = &self.0.iter().find(|field| field.key == key)?.value;
        match (rest, value) {
            (None, value) => Some(value),
            (Some(rest), Value::Map(entries)) => entries.iter().find(|(key, _)| key == rest).map(|(_, value)| value),
            (Some(_), _) => None,
        }
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.get(path).is_some()
    }

    /// Adds an item to a list.
    pub(super) fn push(&mut self, key: &str, value: Value) {
        match self.0.iter_mut().find(|field| field.key == key).map(|field| &mut field.value) {
            Some(Value::List(items) | Value::Row(items)) => items.push(value),
            _ => self.set(key, Value::List(vec![value])),
        }
    }

    /// Sets a variable of `env`; its name may have dots.
    pub(super) fn variable(&mut self, name: &str, value: String) {
        if !self.has("env") {
            self.set("env", Value::Map(Vec::new()));
        }
        let Some(ImportedField { value: Value::Map(entries), .. }) = self.0.iter_mut().find(|field| field.key == "env") else {
            return;
        };
        // `finish` refuses one more than the most.
        let is_full = entries.len() > MOST_ENTRIES;
        match entries.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = Value::Text(value),
            None if is_full => {}
            None => entries.push((name.to_owned(), Value::Text(value))),
        }
    }

    /// Sets `command` and `args` to words that are written in our syntax. Returns false if there is none.
    pub(super) fn command(&mut self, words: Vec<String>) -> bool {
        let mut words = words.into_iter();
        let Some(program) = words.next().filter(|program| !program.is_empty()) else { return false };
        self.text("command", program);
        let args: Vec<Value> = words.map(Value::Text).collect();
        if !args.is_empty() {
            self.set("args", Value::Row(args));
        }
        true
    }

    /// Sets `command` and `args` to a line that is run by this shell, or by none where it needs none. Returns false if it is empty.
    pub(super) fn shell_line(&mut self, line: &str, shell: &str) -> bool {
        !line.trim().is_empty() && self.command(shell_words(line, shell))
    }

    /// Sets one dependency.
    pub(super) fn depend(&mut self, on: &str, edge: Vec<(String, Value)>) {
        if !matches!(self.get("depends_on"), Some(Value::Map(_))) {
            self.set("depends_on", Value::Map(Vec::new()));
        }
        let Some(ImportedField { value: Value::Map(edges), .. }) = self.0.iter_mut().find(|field| field.key == "depends_on")
        else {
            return;
        };
        let edge = Value::Map(edge);
        let is_full = edges.len() > MOST_ENTRIES;
        match edges.iter_mut().find(|(name, _)| name == on) {
            Some((_, old)) => *old = edge,
            None if is_full => {}
            None => edges.push((on.to_owned(), edge)),
        }
    }
}

/// The words of a line in our syntax: itself, or as the argument of a shell.
pub(super) fn shell_words(line: &str, shell: &str) -> Vec<String> {
    let line = line.trim();
    match split_words(line) {
        Ok(words) if !line.contains('$') && !words.is_empty() => words.iter().map(|word| escaped(word)).collect(),
        _ => vec![shell.to_owned(), "-c".to_owned(), shell_escaped(line)],
    }
}

/// The words of a line that is in our syntax already: itself, or as the argument of a shell.
pub(super) fn words_of_our_line(line: &str, shell: &str) -> Vec<String> {
    if line.contains('$') && !line.trim().is_empty() {
        return vec![shell.to_owned(), "-c".to_owned(), line.trim().to_owned()];
    }
    shell_words(line, shell)
}

/// Something that the owner of the file has to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Note {
    pub(super) kind: NoteKind,
    /// The file and the line.
    pub(super) place: String,
    /// The process, if it is about one.
    pub(super) process: Option<String>,
    /// What the file has.
    pub(super) what: String,
    /// Why it isn't carried over, and the nearest equivalent.
    pub(super) reason: String,
}

/// What a note is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum NoteKind {
    /// It is missing in the result.
    Dropped,
    /// It is missing, and protected the host.
    Hardening,
    /// It is there, and means something else in a detail.
    Changed,
}
