//! Text → desired, or diagnostics with places. The only place that knows YAML.
//!
//! [`load`] reads the file, what it includes and the env files it names, and returns either a [`Desired`] or every
//! problem that keeps it from being one. It is a pure function of the files and of an [`Environment`]; it starts
//! nothing, watches nothing and remembers nothing.
//!
//! The way of a text: `yaml` makes a tree of nodes with places (`tree`), `load` and `process` decode the tree by the
//! tables in `fields`, `resolve` puts the definitions together. Problems are collected on the way (`problems`), become
//! [`Diagnostic`]s at the end, and are shown by `render`.
//!
//! What people probably meant is guessed by `yaml::slips` (typing), `dialects` (files of other programs), `strangers` and
//! `foreign` (keys), `meant` (values), and `habits` (what would need a shell). A guess changes what is said,
//! never what is accepted.

mod content;
mod diagnostic;
mod dialects;
mod dotenv;
mod draft;
mod duplicates;
mod effective;
mod environment;
mod excerpt;
mod fields;
mod files;
mod foreign;
mod glob;
mod inherited;
mod load;
mod parts;
mod probes;
mod problems;
mod process;
mod read;
mod reader;
mod redact;
mod render;
mod resolve;
mod scalar;
mod schema;
mod scope;
mod secret_mask;
mod secrets;
mod shell_lints;
mod slice;
mod source_map;
mod substitute;
mod table;
mod top;
mod tree;
mod unknown_keys;
mod value_hints;
mod words;
mod written;
mod yaml;

pub use content::ContentHash;
pub use diagnostic::{Diagnostic, Excerpt, Label, Severity};
pub use effective::{Effective, EffectiveRequest, NotWritten, Notation, effective};
pub use environment::Environment;
pub use files::{Disk, Files, MAX_BYTES, PIECE};
pub(crate) use glob::{expand, is_glob, matches};
pub use load::load;
pub use problems::MAX_SHOWN;
pub use render::{render, render_all};
pub use scalar::duration;
pub use schema::{not_yet, process_keys, schema, top_keys};
pub use table::{ChangeEffect, ConfigKey, DefaultValue, ValueShape};

use reconcile::desired::Desired;
use reconcile::event::Content;
use reconcile::text::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

/// A configuration that can be put in force.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is wanted.
    pub desired: Desired,
    /// Settings of navigator itself.
    pub settings: Settings,
    /// What is not wrong but worth a look, in order of place.
    pub warnings: Vec<Diagnostic>,
    /// What a watcher must watch.
    pub inputs: Inputs,
    /// The hash of everything that it was read from.
    pub content: ContentHash,
    /// What the files contain that processes watch. Loading leaves this to whoever reads them.
    pub contents: Vec<(Name, Content)>,
}

/// A configuration that can't be put in force; nothing of it is used.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Errors and warnings in order of place: at most [`MAX_SHOWN`] of each, at least one error.
    pub diagnostics: Vec<Diagnostic>,
    /// How many errors were found beyond those in `diagnostics`.
    pub omitted: usize,
    /// Whether the main file was read at all.
    pub kind: RejectedKind,
    /// What a watcher must watch to see it mended.
    pub inputs: Inputs,
}

/// Why a configuration was rejected; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedKind {
    /// Something in it is wrong (exit code 1).
    Invalid,
    /// The main file is missing, unreadable, or not a regular file (exit code 2).
    Unreadable,
}

/// Settings of navigator itself: the key `logging`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The least severe events that are logged.
    pub level: Level,
    /// How events and the processes' lines are written.
    pub format: LogFormat,
    /// Where both go instead of standard error and output; relative to navigator's working directory like the path of
    /// the configuration itself.
    pub file: Option<PathBuf>,
}

/// Severity of a log event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// `error`
    Error,
    /// `warn`
    Warn,
    /// `info`
    #[default]
    Info,
    /// `debug`
    Debug,
    /// `trace`
    Trace,
}

/// Form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Every path that decided the outcome, whether it could be read or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The main file, includes and env files.
    pub files: BTreeSet<PathBuf>,
    /// Directories whose entries decide which files are included, each with the patterns that name those that count.
    pub directories: BTreeMap<PathBuf, BTreeSet<String>>,
}
