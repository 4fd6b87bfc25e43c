//! A configuration while it is written: what its top says, and each process with all that it takes from elsewhere.

use super::node_writer::NodeWriter;
use crate::config::draft::{Given, given};
use crate::config::fields::{EITHER, PROCESS};
use crate::config::reader::NodeReader;
use crate::config::reader::keys;
use crate::config::table::{NOT_YET, ValueShape};
use crate::config::top::TOP;
use crate::config::tree::{MapEntry, entry};
use crate::config::yaml::Value;
use reconcile::spec::Tier;
use reconcile::text::{Name, Text};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Keys at the top whose meaning is written with each process.
const RESOLVED: [&str; 2] = ["defaults", "include"];

/// What is written of a configuration.
pub(in crate::config) struct Document {
    directory: PathBuf,
    defaults: bool,
    top: Vec<(String, Value)>,
    processes: Vec<Item>,
    /// The variables that stand for secrets, with their values.
    secrets: BTreeMap<String, Text>,
    /// Those of them that the top needs.
    needed: BTreeSet<String>,
}

/// What is written of a process.
struct Item {
    tier: Tier,
    name: Name,
    value: Value,
    needed: BTreeSet<String>,
}

impl Document {
    /// Of the configuration at `main`; with `defaults`, also what it leaves out.
    pub(super) fn new(main: &Path, defaults: bool) -> Document {
        Document {
            directory: main.parent().unwrap_or(Path::new("")).to_owned(),
            defaults,
            top: Vec::new(),
            processes: Vec::new(),
            secrets: BTreeMap::new(),
            needed: BTreeSet::new(),
        }
    }

    /// Adds what the top of the main file says beside its processes.
    pub(in crate::config) fn add_top(&mut self, reader: &mut NodeReader<'_, '_, '_>, given: &[MapEntry]) {
        let mut scribe = NodeWriter {
            reader,
            directory: &self.directory,
            defaults: self.defaults,
            secrets: &mut self.secrets,
            needed: BTreeSet::new(),
            path: Vec::new(),
        };
        for key in TOP.iter().filter(|key| !RESOLVED.contains(&key.name) && !matches!(key.shape, ValueShape::Processes)) {
            let value = match entry(given, key.name) {
                Some(entry) => Some(scribe.below(key.name, |scribe| scribe.value(key.shape, &entry.value))),
                None => scribe.default(key),
            };
            self.top.extend(value.map(|value| (key.name.to_owned(), value)));
        }
        self.needed = scribe.needed;
    }

    /// Adds a process: its fields, `defaults` among them, in the order of the table.
    pub(in crate::config) fn add_process(
        &mut self,
        reader: &mut NodeReader<'_, '_, '_>,
        tier: Tier,
        name: &Name,
        fields: &[Given<'_>],
    ) {
        let variables = reader.scope.own().clone();
        let mut scribe = NodeWriter {
            reader,
            directory: &self.directory,
            defaults: self.defaults,
            secrets: &mut self.secrets,
            needed: BTreeSet::new(),
            path: vec![name.to_string()],
        };
        let has_policy = EITHER.iter().any(|key| given(fields, key).is_some());
        let mut written = Vec::new();
        for key in keys(PROCESS) {
            let value = match (key.shape, given(fields, key.name)) {
                // Those of the process and those of `defaults` together.
                (ValueShape::Variables, _) if !variables.is_empty() => {
                    Some(scribe.variables(variables.iter().map(|(name, node)| (*name, *node))))
                }
                (_, Some(entry)) => Some(scribe.below(key.name, |scribe| scribe.value(key.shape, &entry.value))),
                _ if NOT_YET.iter().any(|later| later.path == key.name) => None,
                // Of two fields that say the same, one has a default.
                _ if key.name == "auto_restart" || key.name == "restart" && has_policy => None,
                _ => scribe.default(&key),
            };
            written.extend(value.map(|value| (key.name.to_owned(), value)));
        }
        let needed = scribe.needed;
        self.processes.push(Item { tier, name: name.clone(), value: Value::Map(written), needed });
    }

    /// All of it, with the processes that are `wanted`, and the variables that it needs with their values.
    pub(super) fn finish(self, wanted: impl Fn(&Name) -> bool) -> (Value, BTreeMap<String, Text>) {
        let Document { mut top, processes, mut secrets, mut needed, .. } = self;
        let (mut managed, mut applications) = (Vec::new(), Vec::new());
        for item in processes.into_iter().filter(|item| wanted(&item.name)) {
            needed.extend(item.needed);
            match item.tier {
                Tier::Managed => managed.push(item.value),
                Tier::Application => applications.push(item.value),
            }
        }
        // A file needs one of the lists, and an empty one is valid.
        top.push(("managed_processes".to_owned(), Value::List(managed)));
        if !applications.is_empty() {
            top.push(("applications".to_owned(), Value::List(applications)));
        }
        secrets.retain(|name, _| needed.contains(name));
        (Value::Map(top), secrets)
    }
}
