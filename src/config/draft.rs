//! A process while it is being decoded: its given fields and the spec so far.

use super::reader::FieldReader;
use super::scalar::Surge;
use super::source_map::SourceSpan;
use super::tree::MapEntry;
use reconcile::spec::{OnChange, OnWatch, Spec};
use reconcile::text::Name;
use std::collections::BTreeMap;

/// A process while it is being decoded.
pub(super) struct Draft {
    pub(super) spec: Spec,
    /// Position of its name, if the name is valid.
    pub(super) name: Option<SourceSpan>,
    /// Position of each named dependency.
    pub(super) edges: BTreeMap<Name, SourceSpan>,
    /// It runs a shell, which replaces `${…}` in its arguments.
    pub(super) has_shell: bool,
    /// Value and position of `on_watch`.
    pub(super) on_watch: Option<(OnWatch, SourceSpan)>,
    /// The value of `on_change`, if it is valid.
    pub(super) on_change: Option<OnChange>,
    /// Position of each address in `listen`.
    pub(super) sockets: Vec<SourceSpan>,
    /// How many equal processes the definition asks for, if it says so.
    pub(super) replicas: Option<u32>,
    pub(super) surge: Option<Surge>,
    /// Position of its schedule.
    pub(super) schedule: Option<SourceSpan>,
}

impl Draft {
    pub(super) fn new() -> Draft {
        Draft {
            spec: Spec::nameless(),
            name: None,
            edges: BTreeMap::new(),
            on_watch: None,
            has_shell: false,
            on_change: None,
            sockets: Vec::new(),
            replicas: None,
            surge: None,
            schedule: None,
        }
    }
}

/// A field that a process or `defaults` contains.
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

/// The entry of a field, if it is present.
pub(super) fn given<'a>(fields: &[Given<'a>], name: &str) -> Option<&'a MapEntry> {
    fields.iter().find(|given| given.name() == name).map(|given| given.entry)
}
