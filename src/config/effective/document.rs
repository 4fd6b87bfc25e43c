//! The effective configuration while it is being written: top-level settings, and each process with its defaults.

use super::node_writer::NodeWriter;
use crate::config::draft::{Given, given};
use crate::config::fields::{PROCESS, RESTART_FIELDS};
use crate::config::host_source::BESIDE;
use crate::config::reader::NodeReader;
use crate::config::reader::keys;
use crate::config::table::{NOT_YET, ValueShape};
use crate::config::top::TOP;
use crate::config::tree::{MapEntry, entry};
use crate::config::yaml::Value;
use reconcile::spec::{OnChange, Spec, Tier};
use reconcile::text::{Name, Text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Top-level keys that are left out: their content is written with each process.
const RESOLVED: [&str; 2] = ["defaults", "include"];

/// An effective configuration.
pub(in crate::config) struct Document {
    directory: PathBuf,
    defaults: bool,
    top: Vec<(String, Value)>,
    /// It has `source`, and so no processes of its own.
    is_followed: bool,
    processes: Vec<ProcessItem>,
    /// The variables that replace secrets, with their values.
    secrets: BTreeMap<String, Text>,
    /// The variables that top-level settings refer to.
    needed: BTreeSet<String>,
}

/// A process of an effective configuration.
struct ProcessItem {
    tier: Tier,
    name: Name,
    value: Value,
    /// The variables that it refers to.
    needed: BTreeSet<String>,
}

impl Document {
    /// An empty document for the configuration at `main`. With `defaults`, omitted keys are written, too.
    pub(super) fn new(main: &Path, defaults: bool) -> Document {
        Document {
            directory: main.parent().unwrap_or(Path::new("")).to_owned(),
            defaults,
            top: Vec::new(),
            is_followed: false,
            processes: Vec::new(),
            secrets: BTreeMap::new(),
            needed: BTreeSet::new(),
        }
    }

    /// A writer for the nodes of one scope, at this path.
    fn writer<'s, 'r, 'a, 'c>(
        &'s mut self,
        reader: &'s mut NodeReader<'r, 'a, 'c>,
        path: Vec<String>,
    ) -> NodeWriter<'s, 'r, 'a, 'c> {
        let Document { directory, defaults, secrets, .. } = self;
        NodeWriter { reader, directory, defaults: *defaults, secrets, needed: BTreeSet::new(), path }
    }

    /// Adds the top-level settings of the main file.
    pub(in crate::config) fn add_top(&mut self, reader: &mut NodeReader<'_, '_, '_>, given: &[MapEntry]) {
        let is_followed = entry(given, "source").is_some();
        let mut writer = self.writer(reader, Vec::new());
        let mut top = Vec::new();
        for key in TOP.iter().filter(|key| !RESOLVED.contains(&key.name) && !matches!(key.shape, ValueShape::Processes)) {
            // Other keys can't stand beside it.
            if is_followed && key.name != "source" && !BESIDE.contains(&key.name) {
                continue;
            }
            let value = match entry(given, key.name) {
                Some(entry) => Some(writer.at_key(key.name, |writer| writer.value(key.shape, &entry.value))),
                None if key.name == "source" => None,
                None => writer.default(key),
            };
            top.extend(value.map(|value| (key.name.to_owned(), value)));
        }
        self.needed = writer.needed;
        self.top = top;
        self.is_followed = is_followed;
    }

    /// Adds a process: its fields, including those from `defaults`, in the order of the table.
    pub(in crate::config) fn add_process(
        &mut self,
        reader: &mut NodeReader<'_, '_, '_>,
        tier: Tier,
        spec: &Spec,
        fields: &[Given<'_>],
    ) {
        let variables = reader.scope.own().clone();
        let mut writer = self.writer(reader, vec![spec.name.to_string()]);
        let has_policy = RESTART_FIELDS.iter().any(|key| given(fields, key).is_some());
        let mut written = Vec::new();
        for key in keys(PROCESS) {
            let value = match (key.shape, given(fields, key.name)) {
                // From `defaults`, for other processes.
                _ if key.name == "rolling" && spec.on_change != OnChange::Rolling => None,
                // The `env` of the process merged with that of `defaults`.
                (ValueShape::Variables, _) if !variables.is_empty() => {
                    Some(writer.variables(variables.iter().map(|(name, node)| (*name, *node))))
                }
                (_, Some(entry)) => Some(writer.at_key(key.name, |writer| writer.value(key.shape, &entry.value))),
                _ if NOT_YET.iter().any(|later| later.path == key.name) => None,
                // `restart` has the default for both of them.
                _ if key.name == "auto_restart" || key.name == "restart" && has_policy => None,
                _ => writer.default(&key),
            };
            written.extend(value.map(|value| (key.name.to_owned(), value)));
        }
        let needed = writer.needed;
        self.processes.push(ProcessItem { tier, name: spec.name.clone(), value: Value::Map(written), needed });
    }

    /// The document with the `wanted` processes, and the variables that it refers to with their values.
    pub(super) fn finish(self, wanted: impl Fn(&Name) -> bool) -> (Value, BTreeMap<String, Text>) {
        let Document { mut top, is_followed, processes, mut secrets, mut needed, .. } = self;
        let (mut managed, mut applications) = (Vec::new(), Vec::new());
        for item in processes.into_iter().filter(|item| wanted(&item.name)) {
            needed.extend(item.needed);
            match item.tier {
                Tier::Managed => managed.push(item.value),
                Tier::Application => applications.push(item.value),
            }
        }
        // Written even if empty: a file needs one of the lists.
        if !is_followed {
            top.push(("managed_processes".to_owned(), Value::List(managed)));
        }
        if !applications.is_empty() {
            top.push(("applications".to_owned(), Value::List(applications)));
        }
        secrets.retain(|name, _| needed.contains(name));
        (Value::Map(top), secrets)
    }
}
