//! Makes entries of what changed: digests of definitions are computed once each.

use super::digest::DefinitionDigest;
use super::facts::{FactEntry, FactUpdate};
use super::process_fact::ProcessFact;
use super::secret::InstanceSecret;
use reconcile::spec::Spec;
use reconcile::take_over::Remembered;
use reconcile::text::Name;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Makes entries of facts.
#[derive(Debug)]
pub(super) struct FactRecorder {
    secret: InstanceSecret,
    /// What was recorded last of each process.
    known: BTreeMap<Name, RecordedProcess>,
}

/// What was recorded last of a process.
#[derive(Debug)]
struct RecordedProcess {
    known: Box<Remembered>,
    hashes: Hashes,
}

/// Definitions, each with the hash of all its fields.
type Hashes = Vec<(Arc<Spec>, u64)>;

impl FactRecorder {
    pub(super) fn new(secret: InstanceSecret) -> FactRecorder {
        FactRecorder { secret, known: BTreeMap::new() }
    }

    /// The entries for these updates.
    pub(super) fn entries(&mut self, updates: Vec<FactUpdate>) -> Vec<FactEntry> {
        let mut entries = Vec::new();
        for update in updates {
            match update {
                FactUpdate::Generation(generation) => entries.push(FactEntry::Generation(generation)),
                FactUpdate::Main(main) => entries.push(FactEntry::Main(main)),
                FactUpdate::Process(name, None) => {
                    self.known.remove(&name);
                    entries.push(FactEntry::Forgotten(name.to_string()));
                }
                FactUpdate::Process(name, Some(known)) => {
                    // A save touches all processes, and changes few.
                    let former = self.known.get(&name);
                    if former.is_some_and(|former| known.is_unchanged(&former.known)) {
                        continue;
                    }
                    let former = former.map_or(&[][..], |former| &former.hashes);
                    let mut used: Hashes = Vec::with_capacity(1);
                    let process = ProcessFact::of(&name, &known, |spec| {
                        if let Some(whole) = find(&used, spec) {
                            return whole;
                        }
                        let whole = find(former, spec).unwrap_or_else(|| record(spec, &self.secret, &mut entries));
                        used.push((spec.clone(), whole));
                        whole
                    });
                    entries.push(FactEntry::Process(Box::new(process)));
                    self.known.insert(name, RecordedProcess { known, hashes: used });
                }
            }
        }
        entries
    }
}

/// The hash of a definition, if it is known.
fn find(hashes: &[(Arc<Spec>, u64)], spec: &Arc<Spec>) -> Option<u64> {
    hashes.iter().find(|(known, _)| Arc::ptr_eq(known, spec)).map(|(_, whole)| *whole)
}

/// Adds the digest of a definition, and returns the hash of all its fields.
fn record(spec: &Spec, secret: &InstanceSecret, entries: &mut Vec<FactEntry>) -> u64 {
    let digest = DefinitionDigest::of(spec, secret);
    let whole = digest.whole;
    entries.push(FactEntry::Definition(digest));
    whole
}
