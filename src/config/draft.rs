//! A process while it is read: the fields that are given, and what they have said so far.

use super::reader::FieldReader;
use super::source_map::SourceSpan;
use super::tree::MapEntry;
use reconcile::spec::{OnWatch, Spec};
use reconcile::text::Name;
use std::collections::BTreeMap;

/// A process while it is read.
pub(super) struct Draft {
    pub(super) spec: Spec,
    /// Its name, once it has been read, and where.
    pub(super) name: Option<SourceSpan>,
    /// Where each named dependency stands.
    pub(super) edges: BTreeMap<Name, SourceSpan>,
    /// What it says about `on_watch`, and where.
    pub(super) on_watch: Option<(OnWatch, SourceSpan)>,
}

impl Draft {
    pub(super) fn new() -> Draft {
        Draft { spec: Spec::nameless(), name: None, edges: BTreeMap::new(), on_watch: None }
    }
}

/// A field that a process gives, or `defaults` give it.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) entry: &'a MapEntry,
    pub(super) field: &'static FieldReader<Draft>,
}

impl Given<'_> {
    pub(super) fn name(&self) -> &'static str {
        self.field.key.name
    }
}

/// The entry of a field, if it is given.
pub(super) fn given<'a>(fields: &[Given<'a>], name: &str) -> Option<&'a MapEntry> {
    fields.iter().find(|given| given.name() == name).map(|given| given.entry)
}
