//! The effective configuration: what a file and everything it names come to, as one file of the same meaning.
//!
//! Loading writes it on the way into a `Document`, by the tables that drive reading (`scribe`). What is written is loaded again
//! and compared before it is returned, so that it never means anything else.

mod document;
mod node_writer;

pub(super) use document::Document;

use super::environment::Environment;
use super::files::Files;
use super::load::{load, load_into};
use super::{Loaded, Rejected, yaml};
use crate::suggest::did_you_mean;
use reconcile::desired::Desired;
use reconcile::text::{Name, Text};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// How an effective configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct EffectiveRequest<'r> {
    /// Only these processes and those that they depend on; empty: all.
    pub names: &'r [String],
    /// Also what the configuration leaves out, with its default.
    pub defaults: bool,
    /// How it is written.
    pub notation: Notation,
}

/// An effective configuration.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The text, with a line break at its end.
    pub text: String,
    /// Variables that stand in `text` for secrets that the file has in itself, with their values. It loads where they are set.
    pub secrets: BTreeMap<String, Text>,
}

/// Why there is no effective configuration.
#[derive(Debug)]
pub enum NotWritten {
    /// The configuration is invalid.
    Rejected(Rejected),
    /// No process has this name; what was probably meant.
    Unknown(String, Option<String>),
    /// What would be written means something else, or nothing; what differs.
    Differs(String),
}

/// The effective configuration of the file at `main`. Paths in it are relative to the directory of that file.
///
/// # Errors
/// An invalid configuration, an unknown name, or something that can't be written.
pub fn effective(
    main: &Path,
    files: &dyn Files,
    environment: &Environment,
    request: EffectiveRequest<'_>,
) -> Result<Effective, NotWritten> {
    let mut document = Document::new(main, request.defaults);
    let loaded = load_into(main, files, environment, Some(&mut document)).map_err(NotWritten::Rejected)?;
    let wanted = closure(&loaded.desired, request.names)?;
    let is_wanted = |name: &Name| request.names.is_empty() || wanted.contains(name);
    let (value, secrets) = document.finish(is_wanted);
    let failed = |error: String| NotWritten::Differs(error);
    let text = match request.notation {
        Notation::Yaml => yaml::write(&value).map_err(failed)?,
        Notation::Json => format!("{}\n", serde_json::to_string_pretty(&value).map_err(|error| failed(error.to_string()))?),
    };
    let environment = environment.with(secrets.iter().map(|(name, value)| (name.as_str(), value.value())));
    let again = load(main, &SecretStandIns { main, text: &text, files }, &environment).map_err(|rejected| {
        let message = rejected.diagnostics.into_iter().next().map(|diagnostic| diagnostic.message);
        failed(message.unwrap_or_default())
    })?;
    match difference(&loaded, &again, request.names.is_empty()) {
        Some(difference) => Err(failed(difference)),
        None => Ok(Effective { text, secrets }),
    }
}

/// These processes and everything that they depend on by name.
fn closure(desired: &Desired, names: &[String]) -> Result<BTreeSet<Name>, NotWritten> {
    let mut closure = BTreeSet::new();
    let mut open = Vec::new();
    for name in names {
        open.push(desired.index(name).ok_or_else(|| {
            let known = desired.entries().iter().map(|entry| entry.spec.name.as_str());
            NotWritten::Unknown(name.clone(), did_you_mean(name, known))
        })?);
    }
    while let Some(index) = open.pop() {
        let entry = &desired.entries()[index];
        if closure.insert(entry.spec.name.clone()) {
            open.extend(entry.needs.iter().map(|need| need.on));
        }
    }
    Ok(closure)
}

/// What two configurations differ in, the second being all of the first or a part of it.
fn difference(loaded: &Loaded, again: &Loaded, is_all: bool) -> Option<String> {
    let of = |name: &Name| loaded.desired.get(name).map(|entry| &entry.spec);
    let mut entries = again.desired.entries().iter();
    match entries.find(|entry| of(&entry.spec.name) != Some(&entry.spec)) {
        Some(entry) => Some(format!("process `{}`", entry.spec.name)),
        None if loaded.settings != again.settings => Some("`logging`".to_owned()),
        None if loaded.desired.shutdown_timeout() != again.desired.shutdown_timeout() => Some("`shutdown_timeout`".to_owned()),
        None if is_all && loaded.desired != again.desired => Some("the order of processes".to_owned()),
        None => None,
    }
}

/// Files, with another text for the main one.
struct SecretStandIns<'i> {
    main: &'i Path,
    text: &'i str,
    files: &'i dyn Files,
}

impl Files for SecretStandIns<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        if path == self.main { Ok(self.text.as_bytes().to_vec()) } else { self.files.read(path) }
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<OsString>> {
        self.files.list(directory)
    }
}
