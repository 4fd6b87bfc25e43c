//! What every import needs: the files, the environment, and where the result will be.

use super::ImportError;
use super::model::{ImportedFields, ImportedStack, MOST_ENTRIES, MOST_PROCESSES, Note, NoteKind, Process};
use super::words::needed_variable;
use crate::config::{CONFIG_DIR, Environment, Files, Loose, REPLICA, Value, reason, translate, valid_name};
use crate::error_text::words;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// A file to import.
#[derive(Debug)]
pub(super) struct ForeignFile {
    /// As it was named.
    pub(super) path: PathBuf,
    /// Empty for a directory.
    pub(super) text: String,
}

impl ForeignFile {
    pub(super) fn new(path: &Path, text: String) -> ForeignFile {
        ForeignFile { path: path.to_owned(), text }
    }

    /// The name of the file.
    pub(super) fn name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
    }

    /// The file in notes and comments.
    pub(super) fn shown(&self) -> &str {
        if self.name().is_empty() { "." } else { self.name() }
    }

    /// The directory of the file.
    pub(super) fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Whether the name of the file ends in a dot and this.
    pub(super) fn has_ending(&self, ending: &str) -> bool {
        self.path.extension().is_some_and(|found| found == ending)
    }

    /// Whether this holds variables for the other files.
    pub(super) fn is_env_file(&self) -> bool {
        self.name() == ".env" || self.name().starts_with(".env.") || self.has_ending("env")
    }

    /// An error about this file.
    pub(super) fn invalid(&self, line: usize, reason: impl Into<String>) -> ImportError {
        ImportError::Invalid { place: self.place(line), reason: reason.into() }
    }

    /// The file and a line, if it isn't 0.
    pub(super) fn place(&self, line: usize) -> String {
        if line == 0 { self.shown().to_owned() } else { format!("{}:{line}", self.shown()) }
    }
}

/// What every import needs.
pub(super) struct ImportContext<'c> {
    pub(super) files: &'c dyn Files,
    pub(super) environment: &'c Environment,
    /// The directory of the result, absolute.
    out: PathBuf,
}

impl<'c> ImportContext<'c> {
    pub(super) fn new(files: &'c dyn Files, environment: &'c Environment, out: &Path) -> ImportContext<'c> {
        ImportContext { files, environment, out: out.parent().unwrap_or(Path::new("/")).to_owned() }
    }

    /// A directory in our syntax: relative to the configuration where it is the configuration's own.
    pub(super) fn directory(&self, directory: &Path) -> String {
        let absolute = crate::paths::tidied(&crate::paths::absolute(directory));
        match absolute.strip_prefix(&self.out) {
            Ok(rest) if rest.as_os_str().is_empty() => format!("${{{CONFIG_DIR}}}"),
            _ => super::words::escaped(&absolute.to_string_lossy()),
        }
    }

    /// The path of a file that another file names, relative to the configuration where they are in one directory.
    pub(super) fn file(&self, directory: &Path, path: &str) -> String {
        let absolute = crate::paths::tidied(&crate::paths::absolute(directory));
        if path.starts_with('/') || absolute == self.out { path.to_owned() } else { format!("{}/{path}", absolute.display()) }
    }

    /// Whether there is such a file.
    pub(super) fn exists(&self, path: &Path) -> bool {
        self.files.read(path).is_ok()
    }

    /// A reference to a variable without which the other program refuses to start, with a note if it has no value now.
    pub(super) fn needed_variable(&self, name: &str, stack: &mut ImportedStack, place: &str) -> String {
        let (reference, is_unset) = needed_variable(name, self.environment);
        let note = Note {
            kind: NoteKind::Changed,
            place: place.to_owned(),
            process: None,
            what: name.to_owned(),
            reason: format!(
                "the variable has no value here, and the original refuses to start without one: once it is set, write \
                 `${{{name}:?is not set}}` instead of `{reference}`"
            ),
        };
        if is_unset
            && stack.notes.len() < MOST_PROCESSES
            && !stack.notes.iter().any(|known| known.what == note.what && known.kind == note.kind)
        {
            stack.notes.push(note);
        }
        reference
    }
}

/// What every kind ends with: names that are valid and different, and at least one process.
pub(super) fn finish(stack: &mut ImportedStack, source: &ForeignFile) -> Result<(), ImportError> {
    if stack.processes.is_empty() {
        let notes: Vec<String> = stack.notes.iter().take(3).map(|note| format!("`{}`: {}", note.what, note.reason)).collect();
        let why = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        return Err(source.invalid(0, format!("it has no process that can be imported{why}")));
    }
    if stack.processes.len() > MOST_PROCESSES {
        return Err(source.invalid(0, format!("it has more than {MOST_PROCESSES} processes")));
    }
    let all = stack.processes.iter().map(|process| &process.fields).chain([&stack.top]);
    let is_large = |fields: &ImportedFields| {
        fields.0.iter().any(|field| matches!(&field.value, Value::Map(entries) if entries.len() > MOST_ENTRIES))
    };
    if all.into_iter().any(is_large) {
        return Err(source.invalid(0, format!("more than {MOST_ENTRIES} variables or dependencies of one process")));
    }
    leave_time_to_stop(stack);
    for process in stack.processes.iter_mut().filter(|process| process.fields.has("replicas")) {
        separate_outputs(process);
    }
    let mut renamed: Vec<(String, String)> = Vec::new();
    let mut taken = BTreeSet::new();
    for process in &mut stack.processes {
        let name = unique(valid_name(&process.name).unwrap_or_else(|| "process".to_owned()), &taken);
        taken.insert(name.clone());
        if name != process.name {
            process
                .remarks
                .push(format!("`{}` before: a name has only letters, digits and `_.@-`, and occurs once", process.name));
            renamed.push((std::mem::replace(&mut process.name, name.clone()), name));
        }
    }
    for process in &mut stack.processes {
        let own = process.name.clone();
        let Some(field) = process.fields.0.iter_mut().find(|field| field.key == "depends_on") else { continue };
        if let Value::Map(edges) = &mut field.value {
            for (on, _) in edges.iter_mut() {
                if let Some((_, new)) = renamed.iter().find(|(name, _)| name == on) {
                    on.clone_from(new);
                }
            }
            edges.retain(|(on, _)| taken.contains(on) && *on != own);
        }
        if matches!(&field.value, Value::Map(edges) if edges.is_empty()) {
            field.value = Value::Row(Vec::new());
        }
    }
    Ok(())
}

/// More notes than a report shows.
const MOST_NOTES: usize = 100_000;

/// A stop that takes longer needs a longer shutdown than usual, in seconds.
const LONG_STOP: u64 = 60;

/// Gives each replica a file of its own.
fn separate_outputs(process: &mut Process) {
    for key in ["output.file", "output.stderr"] {
        let Some(Value::Text(path)) = process.fields.get(key) else { continue };
        if path.contains(REPLICA) || path.starts_with("/dev/") {
            continue;
        }
        let (stem, ending) = match path.rsplit_once('.') {
            Some((stem, ending)) if !ending.contains('/') && !stem.is_empty() => (stem, format!(".{ending}")),
            _ => (path.as_str(), String::new()),
        };
        let path = format!("{stem}-${{{REPLICA}}}{ending}");
        process.fields.set_from(key, Value::Text(path), "a file for each replica");
    }
}

/// Lets a shutdown take longer than the longest stop.
fn leave_time_to_stop(stack: &mut ImportedStack) {
    let all = stack.processes.iter().map(|process| &process.fields).chain([&stack.defaults]);
    let limits = all.filter_map(|fields| match fields.get("stop.timeout") {
        Some(Value::Text(text)) => crate::config::duration(text).ok().map(|duration| duration.as_secs()),
        _ => None,
    });
    if let Some(longest) = limits.max().filter(|longest| *longest > LONG_STOP) {
        let limit = Value::Text(format!("{}s", longest + 30));
        stack.top.set_from("shutdown_timeout", limit, "longer than the longest time limit of a stop");
    }
}

/// A name that no other process has.
fn unique(name: String, taken: &BTreeSet<String>) -> String {
    if !taken.contains(&name) {
        return name;
    }
    let stem: String = name.chars().take(57).collect();
    let numbered = (2..=MOST_PROCESSES + 1).map(|number| format!("{stem}-{number}"));
    numbered.into_iter().find(|name| !taken.contains(name)).unwrap_or(name)
}

/// Fields of one process while its file is read, and the notes on it.
pub(super) struct Reader<'r> {
    pub(super) source: &'r ForeignFile,
    /// The process.
    pub(super) process: &'r str,
    pub(super) fields: &'r mut ImportedFields,
    pub(super) notes: &'r mut Vec<Note>,
}

impl Reader<'_> {
    /// Adds an env file. One that has to exist, and doesn't here, may be missing, so that the result can be checked.
    pub(super) fn env_file(&mut self, context: &ImportContext<'_>, path: &str, is_required: bool, line: usize) {
        let path = context.file(self.source.directory(), path);
        let place = context.out.join(&path);
        let is_missing = is_required && !path.contains("${") && !context.exists(&place);
        if is_missing {
            let reason =
                "the file is not here, and the original refuses to start without it: remove `required: false` once it is";
            self.note(NoteKind::Changed, &path, line, reason);
        }
        let value = if is_required && !is_missing {
            Value::Text(path)
        } else {
            Value::Map(vec![("path".to_owned(), Value::Text(path)), ("required".to_owned(), Value::Bool(false))])
        };
        self.fields.push("env_file", value);
    }

    /// Carries a key over by the table, or notes why not.
    pub(super) fn carry(&mut self, key: &str, value: &Loose) {
        match translate(key, value) {
            Some(translated) => self.fields.set(&translated.field, translated.value),
            None if value.is_null() => {}
            None => self.drop(key, value.line, reason(key).or(Some("navigator has no equivalent of this value"))),
        }
    }

    /// Notes that a key isn't carried over: for this reason, or for the one in the table.
    pub(super) fn drop(&mut self, key: &str, line: usize, why: Option<&str>) {
        let known = why.or_else(|| reason(key)).unwrap_or("navigator has no equivalent");
        // The reasons of the table are for a key in a configuration of ours.
        let known = known.trim_end_matches(": remove this line").trim_end_matches(", and remove this line");
        self.note(NoteKind::Dropped, key, line, known);
    }

    pub(super) fn note(&mut self, kind: NoteKind, what: &str, line: usize, reason: &str) {
        if self.notes.len() > MOST_NOTES {
            return;
        }
        self.notes.push(Note {
            kind,
            place: self.source.place(line),
            process: Some(self.process.to_owned()).filter(|process| !process.is_empty()),
            what: what.to_owned(),
            reason: reason.to_owned(),
        });
    }
}

impl ImportedStack {
    /// Notes something about the whole file.
    pub(super) fn drop(&mut self, source: &ForeignFile, line: usize, what: &str, reason: &str) {
        let note = Note {
            kind: NoteKind::Dropped,
            place: source.place(line),
            process: None,
            what: what.to_owned(),
            reason: reason.to_owned(),
        };
        self.notes.push(note);
    }

    /// Whether there is such a process.
    pub(super) fn has(&self, name: &str) -> bool {
        self.processes.iter().any(|process| process.name == name)
    }

    /// Adds a process; `finish` refuses one more than the most.
    pub(super) fn add(&mut self, process: Process) {
        if self.processes.len() <= MOST_PROCESSES {
            self.processes.push(process);
        }
    }
}

/// The text of a file.
pub(super) fn text(path: &Path, files: &dyn Files) -> Result<String, ImportError> {
    let unreadable = |reason: String| ImportError::Unreadable { path: path.to_owned(), reason };
    let bytes = files.read(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::FileTooLarge => unreadable("it is larger than 4 MiB".to_owned()),
        _ => unreadable(words(&error)),
    })?;
    let text = String::from_utf8(bytes).map_err(|_| unreadable("it is no text in UTF-8".to_owned()))?;
    if text.contains('\0') {
        return Err(unreadable("it holds NUL bytes, so it is no text".to_owned()));
    }
    Ok(text.trim_start_matches('\u{feff}').replace("\r\n", "\n"))
}
