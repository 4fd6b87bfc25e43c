//! Loads the configuration: YAML text in, the desired state or diagnostics out. The only module that knows YAML.
//!
//! [`load`] reads the file, its includes and its env files. It returns a [`Desired`], or every problem of the files. It is
//! a pure function of the files and an [`Environment`]: it starts nothing, watches nothing and keeps no state.
//!
//! Stages: `yaml` parses a text into a `tree` of nodes with their positions. `load` and `process` decode the tree by the
//! tables in `fields`. `resolve` links the processes. Problems are collected in `problems`, become [`Diagnostic`]s at the
//! end, and are printed by `render`.
//!
//! Suggestions come from `yaml::syntax_hints` (typing errors), `dialects` (files of other programs), `unknown_keys` and
//! `foreign` (keys), `value_hints` (values) and `shell_lints` (shell syntax). A suggestion changes a message, never what
//! is accepted.

mod address;
mod address_conflicts;
mod bootstrap;
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
mod followed;
mod foreign;
mod foreign_syntax;
mod git_url;
mod glob;
mod host_source;
mod inherited;
mod listen;
mod load;
mod parts;
mod probes;
mod problems;
mod process;
mod read;
mod reader;
mod redact;
mod render;
mod replicas;
mod resolve;
mod resources;
mod scalar;
mod schedules;
mod schema;
mod scope;
mod secret_mask;
mod secrets;
mod serving_checks;
mod shell_lints;
mod slice;
mod source_map;
mod subject;
mod substitute;
mod table;
mod top;
mod tree;
mod unknown_keys;
mod value_hints;
mod value_lints;
mod words;
mod written;
mod yaml;

pub(crate) use address::of_another_program as address_of_another_program;
pub use content::ContentHash;
pub use diagnostic::{Diagnostic, Excerpt, Label, Severity};
pub(crate) use dotenv::variables as dotenv_variables;
pub use effective::{Effective, EffectiveError, EffectiveRequest, Notation, effective};
pub use environment::Environment;
pub(crate) use files::WithText;
pub use files::{CHUNK, Disk, Files, MAX_BYTES};
pub use followed::{FollowedFile, load_followed};
pub(crate) use foreign::{Translated, reason, translate};
pub(crate) use glob::{expand, is_glob, matches};
pub use host_source::{GitReference, GitSource, HostSource};
pub use load::{load, load_in_place};
pub use problems::MAX_SHOWN;
pub use render::{render, render_all};
pub use scalar::duration;
pub use schema::{not_yet, process_keys, schema, top_keys};
pub(crate) use scope::is_secret as is_secret_name;
pub use table::{ChangeEffect, ConfigKey, DefaultValue, ValueShape};
pub(crate) use value_hints::valid_name;
pub(crate) use words::{CONFIG_DIR, REPLICA, is_variable, split as split_words};
pub(crate) use yaml::{Loose, LooseKind, Value, read as read_loose, write as write_value};

use reconcile::desired::Desired;
use reconcile::event::Content;
use reconcile::text::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The desired state.
    pub desired: Desired,
    /// Settings of navigator itself.
    pub settings: Settings,
    /// Warnings in order of position: at most [`MAX_SHOWN`].
    pub warnings: Vec<Diagnostic>,
    /// The paths to watch for changes.
    pub inputs: Inputs,
    /// The hash of every file that was read.
    pub content: ContentHash,
    /// Content of the files in `watch`, by process. [`load`] leaves it empty: the caller fills it in.
    pub contents: Vec<(Name, Content)>,
    /// Where the configuration is followed from, if not from the file itself.
    pub source: Option<Arc<HostSource>>,
}

/// An invalid configuration; no part of it is used.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Errors and warnings in order of position: at most [`MAX_SHOWN`] of each, at least one error.
    pub diagnostics: Vec<Diagnostic>,
    /// Number of errors that `diagnostics` leaves out.
    pub omitted: usize,
    /// Whether the main file could be read.
    pub kind: RejectedKind,
    /// The paths to watch for a corrected configuration.
    pub inputs: Inputs,
    /// The hash of every file that was read.
    pub content: Box<ContentHash>,
    /// Where the configuration is followed from, if the host's own file is valid.
    pub source: Option<Arc<HostSource>>,
}

impl Rejected {
    /// Its first error, in one line.
    pub fn summary(&self) -> String {
        let first = self.diagnostics.iter().find(|diagnostic| diagnostic.severity == Severity::Error);
        first.map_or_else(|| "the configuration is rejected".to_owned(), |error| format!("{}: {}", error.place(), error.message))
    }
}

/// Why a configuration was rejected; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectedKind {
    /// It has errors (exit code 1).
    Invalid,
    /// The main file is missing, unreadable, or not a regular file (exit code 2).
    Unreadable,
}

/// Settings of navigator itself, from the key `logging`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Events of this severity and above are logged.
    pub level: Level,
    /// Format of navigator's log and of the processes' lines.
    pub format: LogFormat,
    /// File for both, instead of standard error and standard output. Relative to navigator's working directory, like the
    /// path of the configuration.
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

/// Format of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Every path that the result of loading depends on, readable or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inputs {
    /// The main file, includes and env files.
    pub files: BTreeSet<PathBuf>,
    /// Directories listed for `include` globs, each with the patterns for its entries.
    pub directories: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl Inputs {
    /// Adds the paths of another result.
    fn add(&mut self, other: Inputs) {
        self.files.extend(other.files);
        for (directory, patterns) in other.directories {
            self.directories.entry(directory).or_default().extend(patterns);
        }
    }
}
