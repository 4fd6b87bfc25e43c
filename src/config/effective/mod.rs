//! The effective configuration (`navigator config`): includes, env files and defaults merged into one file.
//!
//! The loader writes it into a `Document` while it decodes, by the same tables (`node_writer`). Before it is returned, it is
//! loaded again and compared: it always has the same meaning.

mod document;
mod node_writer;

pub(super) use document::Document;

use super::environment::Environment;
use super::files::{Files, WithText};
use super::load::{load, load_into};
use super::{Loaded, Rejected, yaml};
use crate::suggest::did_you_mean;
use reconcile::desired::Desired;
use reconcile::text::{Name, Text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Format of an effective configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notation {
    /// YAML.
    Yaml,
    /// JSON.
    Json,
}

/// Options of an effective configuration.
#[derive(Clone, Copy, Debug)]
pub struct EffectiveRequest<'r> {
    /// Only these processes and their dependencies; empty: all.
    pub names: &'r [String],
    /// Also write omitted keys, with their defaults.
    pub defaults: bool,
    /// Output format.
    pub notation: Notation,
}

/// An effective configuration.
#[derive(Clone, Debug)]
pub struct Effective {
    /// The text, with a line break at its end.
    pub text: String,
    /// Variables that replace literal secrets in `text`, with their values. Loading `text` requires them in the environment.
    pub secrets: BTreeMap<String, Text>,
}

/// Why there is no effective configuration.
#[derive(Debug)]
pub enum EffectiveError {
    /// The configuration is invalid.
    Rejected(Rejected),
    /// No process has this name; a suggestion.
    Unknown(String, Option<String>),
    /// The written text is invalid or has another meaning; the difference.
    Differs(String),
}

/// The effective configuration of the file at `main`. Paths in it are relative to the directory of that file.
///
/// # Errors
/// An invalid configuration, an unknown name, or a configuration that can't be written.
pub fn effective(
    main: &Path,
    files: &dyn Files,
    environment: &Environment,
    request: EffectiveRequest<'_>,
) -> Result<Effective, EffectiveError> {
    let mut document = Document::new(main, request.defaults);
    let loaded = load_into(main, files, environment, Some(&mut document)).map_err(EffectiveError::Rejected)?;
    let wanted = with_dependencies(&loaded.desired, request.names)?;
    let is_wanted = |name: &Name| request.names.is_empty() || wanted.contains(name);
    let (value, secrets) = document.finish(is_wanted);
    let failed = |error: String| EffectiveError::Differs(error);
    let text = match request.notation {
        Notation::Yaml => yaml::write(&value).map_err(failed)?,
        Notation::Json => format!("{}\n", serde_json::to_string_pretty(&value).map_err(|error| failed(error.to_string()))?),
    };
    let environment = environment.with(secrets.iter().map(|(name, value)| (name.as_str(), value.value())));
    let reloaded = load(main, &WithText { files, place: main, text: &text }, &environment).map_err(|rejected| {
        let message = rejected.diagnostics.into_iter().next().map(|diagnostic| diagnostic.message);
        failed(message.unwrap_or_default())
    })?;
    match difference(&loaded, &reloaded, request.names.is_empty()) {
        Some(difference) => Err(failed(difference)),
        None => Ok(Effective { text, secrets }),
    }
}

/// These processes and their named dependencies, transitively.
fn with_dependencies(desired: &Desired, names: &[String]) -> Result<BTreeSet<Name>, EffectiveError> {
    let mut found = BTreeSet::new();
    let mut open = Vec::new();
    for name in names {
        open.push(desired.named(name).next().ok_or_else(|| {
            let known = desired.entries().iter().map(|entry| entry.spec.definition().as_str());
            EffectiveError::Unknown(name.clone(), did_you_mean(name, known))
        })?);
    }
    while let Some(index) = open.pop() {
        let entry = &desired.entries()[index];
        if found.insert(entry.spec.definition().clone()) {
            open.extend(entry.needs.iter().map(|need| need.on));
        }
    }
    Ok(found)
}

/// The first difference between a configuration and the text written from it, which has all or some of its processes.
fn difference(loaded: &Loaded, reloaded: &Loaded, is_all: bool) -> Option<String> {
    let of = |name: &Name| loaded.desired.get(name).map(|entry| &entry.spec);
    let mut entries = reloaded.desired.entries().iter();
    match entries.find(|entry| of(&entry.spec.name) != Some(&entry.spec)) {
        Some(entry) => Some(format!("process `{}`", entry.spec.name)),
        None if loaded.settings != reloaded.settings => Some("`logging`".to_owned()),
        None if loaded.desired.shutdown_timeout() != reloaded.desired.shutdown_timeout() => Some("`shutdown_timeout`".to_owned()),
        None if loaded.desired.rollback() != reloaded.desired.rollback() => Some("`rollback`".to_owned()),
        None if is_all && loaded.desired != reloaded.desired => Some("the order of processes".to_owned()),
        None => None,
    }
}
