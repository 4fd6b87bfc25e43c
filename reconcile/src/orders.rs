//! What an operator asked for by hand, as it lies over the file: who is to stay stopped, and whether all is to end.
//!
//! By hand is sticky: a stopped process stays stopped, over reloads too, until it is started by hand, until its own
//! definition changes, or until it is removed. Restarts are not in here: they are done once, so they are facts of a run.

use crate::desired::{Desired, DesiredProcess};
use crate::spec::Spec;
use crate::text::Name;
use crate::time::Time;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The overlay of an operator's orders over a [`Desired`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Each with the definition that it was stopped with.
    stopped: BTreeMap<Name, Arc<Spec>>,
    closing: Option<Closing>,
}

/// Navigator is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Since when.
    pub since: Time,
    /// Without waiting for anything.
    pub hurry: bool,
}

impl Orders {
    /// Keeps a process stopped.
    pub fn stop(&mut self, spec: &Arc<Spec>) {
        self.stopped.insert(spec.name.clone(), spec.clone());
    }

    /// Lets a process run again.
    pub fn release(&mut self, name: &str) {
        self.stopped.remove(name);
    }

    /// Whether a process is kept stopped.
    pub fn is_stopped(&self, name: &str) -> bool {
        self.stopped.contains_key(name)
    }

    /// Whether a process that the file defines like this is to run.
    pub fn let_run(&self, spec: &Spec) -> bool {
        self.let_one_run(spec.enabled, &spec.name)
    }

    /// The same of an entry, without looking at its definition.
    pub(crate) fn let_entry_run(&self, entry: &DesiredProcess) -> bool {
        self.let_one_run(entry.enabled, &entry.spec.name)
    }

    fn let_one_run(&self, enabled: bool, name: &Name) -> bool {
        // The name isn't even read where nobody is stopped.
        self.closing.is_none() && enabled && (self.stopped.is_empty() || !self.is_stopped(name))
    }

    /// Those that stay stopped if this is wanted: of the others the file wants nothing, or something else than before.
    pub fn outlasting<'a>(&'a self, wanted: &'a Desired) -> impl Iterator<Item = &'a Name> {
        let is_as_it_was = |spec: &Arc<Spec>| wanted.get(&spec.name).is_some_and(|entry| entry.spec == *spec);
        self.stopped.iter().filter(move |(_, spec)| spec.enabled && is_as_it_was(spec)).map(|(name, _)| name)
    }

    /// Whether and how navigator is to end.
    pub fn closing(&self) -> Option<Closing> {
        self.closing
    }

    /// Ends everything in order; a second time changes nothing.
    pub fn shut_down(&mut self, now: Time) {
        self.closing.get_or_insert(Closing { since: now, hurry: false });
    }

    /// Ends everything at once.
    pub fn hurry(&mut self, now: Time) {
        self.closing.get_or_insert(Closing { since: now, hurry: true }).hurry = true;
    }

    /// Forgets orders for processes that are no longer wanted, or not as they were. Answers with the names of the latter.
    pub fn forget_changed(&mut self, desired: &Desired) -> Vec<Name> {
        let mut changed = Vec::new();
        self.stopped.retain(|name, spec| match desired.get(name) {
            None => false,
            Some(entry) if entry.spec == *spec => true,
            Some(_) => {
                changed.push(name.clone());
                false
            }
        });
        changed
    }
}
