//! What a former life of navigator recorded, as the core understands it. Definitions are compared by their digests: one that is
//! as it was is that of the file, and of any other only the fields that differ are known.

use super::orphans::{default_spec, ordered_if_possible, recorded_spec};
use crate::journal::{DefinitionDigest, InstanceSecret, ProcessFact, Record, RecordedFacts};
use crate::runtime::OrphanRun;
use crate::signals;
use reconcile::desired::Desired;
use reconcile::spec::{Spec, Stop};
use reconcile::text::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What is known of a former life.
#[derive(Clone, Debug)]
pub struct RecordedLife {
    /// Its runs with living processes.
    pub orphans: Vec<OrphanRun>,
    /// What it recorded of its runs.
    pub record: Record,
    /// What it recorded beside them.
    pub facts: RecordedFacts,
    /// The key of the digests.
    pub secret: InstanceSecret,
}

/// The definitions of a former life, as far as they are known.
pub(super) struct FormerDefinitions<'a> {
    former: &'a RecordedLife,
    file: &'a Desired,
    digests: BTreeMap<Name, DefinitionDigest>,
}

impl<'a> FormerDefinitions<'a> {
    /// They are compared with the definitions of the file as it is now.
    pub(super) fn new(former: &'a RecordedLife, file: &'a Desired) -> FormerDefinitions<'a> {
        let is_known = |spec: &&Arc<Spec>| former.facts.process(&spec.name).is_some();
        let specs = file.entries().iter().map(|entry| &entry.spec).filter(is_known);
        let digests = specs.map(|spec| (spec.name.clone(), DefinitionDigest::of(spec, &former.secret))).collect();
        FormerDefinitions { former, file, digests }
    }

    /// The definition of a process with this hash of all its fields.
    pub(super) fn get(&self, name: &Name, whole: u64) -> Arc<Spec> {
        let (Some(entry), Some(now)) = (self.file.get(name), self.digests.get(name)) else { return self.removed(name) };
        let Some(former) = self.former.facts.definition(whole) else { return self.unknown(&entry.spec, Vec::new()) };
        if former.identity == now.identity {
            return entry.spec.clone();
        }
        self.unknown(&entry.spec, former.differing(now))
    }

    /// A definition of a process that may be anything else than that of the file.
    pub(super) fn unknown(&self, file: &Arc<Spec>, differing: Vec<String>) -> Arc<Spec> {
        let mut spec = Spec::clone(file);
        spec.exec.unknown_fields = if differing.is_empty() { vec!["command".to_owned()] } else { differing };
        if let Some(recorded) = self.former.record.definition(&file.name) {
            let (signal, timeout) = (signals::parse(&recorded.signal), Duration::from_millis(recorded.timeout_ms));
            spec.stop = Stop { signal: signal.unwrap_or(file.stop.signal), timeout, scope: file.stop.scope, ..Stop::default() };
        }
        spec.into()
    }

    /// The definition of a process that the file does not have any more.
    pub(super) fn removed(&self, name: &Name) -> Arc<Spec> {
        let mut spec = self
            .former
            .record
            .definition(name)
            .map_or_else(|| default_spec(name), |recorded| recorded_spec(recorded, &self.names()));
        spec.exec.unknown_fields = vec!["command".to_owned()];
        spec.into()
    }

    fn names(&self) -> BTreeSet<&str> {
        let names = self.former.facts.processes().filter(|process| process.definition.is_some());
        names.map(|process| process.name.as_str()).collect()
    }

    /// The configuration of the former life. It is the file's, if no definition differs.
    pub(super) fn configuration(&self) -> Desired {
        let names = self.names();
        let mut processes: Vec<(usize, Arc<Spec>)> = Vec::with_capacity(names.len());
        for process in self.former.facts.processes() {
            let (Some(whole), name) = (process.definition, Name::from(process.name.as_str())) else { continue };
            let position = self.former.record.definition(&name).map_or(usize::MAX, |recorded| recorded.position);
            processes.push((position, self.get(&name, whole)));
        }
        processes.sort_by(|(one, first), (other, second)| (one, &first.name).cmp(&(other, &second.name)));
        let specs: Vec<Arc<Spec>> = processes.into_iter().map(|(_, spec)| spec).collect();
        if self.is_file(&specs) {
            return self.file.clone();
        }
        let timeout = self.former.record.shutdown_timeout().unwrap_or(Desired::SHUTDOWN_TIMEOUT);
        // Dependencies of two configurations may contradict each other.
        ordered_if_possible(specs.iter().map(|spec| without_unknown_dependencies(spec, &names)).collect(), timeout)
    }

    /// Whether these definitions are those of the file, in its order, and unchanged.
    fn is_file(&self, specs: &[Arc<Spec>]) -> bool {
        let mut entries: Vec<_> = self.file.entries().iter().collect();
        entries.sort_by_key(|entry| entry.position);
        let is_as_it_was = |spec: &Arc<Spec>| {
            let recorded = self.former.facts.process(&spec.name).and_then(|process| process.definition);
            recorded.is_some() && recorded == self.digests.get(&spec.name).map(|digest| digest.whole)
        };
        entries.len() == specs.len()
            && entries.iter().zip(specs).all(|(entry, spec)| Arc::ptr_eq(&entry.spec, spec) && is_as_it_was(spec))
    }
}

/// The processes of a former life that are restarted for this file, each with the fields that differ.
pub fn differing(former: &RecordedLife, file: &Desired) -> Vec<(Name, Vec<String>)> {
    let definitions = FormerDefinitions::new(former, file);
    let differing = |recorded: &ProcessFact| {
        let (name, whole) = (Name::from(recorded.name.as_str()), recorded.definition?);
        let now = definitions.digests.get(&name)?;
        let before = former.facts.definition(whole)?;
        (before.identity != now.identity).then(|| (name, before.differing(now)))
    };
    former.facts.processes().filter_map(differing).collect()
}

/// A definition without the dependencies that the former configuration did not have.
fn without_unknown_dependencies(spec: &Arc<Spec>, names: &BTreeSet<&str>) -> Arc<Spec> {
    let is_known = |name: &Name| names.contains(name.as_str());
    match &spec.depends_on {
        Some(needs) if !needs.keys().all(is_known) => {
            let needs = needs.iter().filter(|(name, _)| is_known(name)).map(|(name, need)| (name.clone(), *need)).collect();
            Arc::new(Spec { depends_on: Some(needs), ..Spec::clone(spec) })
        }
        _ => spec.clone(),
    }
}
