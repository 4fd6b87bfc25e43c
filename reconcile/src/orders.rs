//! Orders by hand that override the file: which processes stay stopped, and whether navigator shuts down.
//!
//! A process that was stopped by hand stays stopped, over reloads too, until it is started by hand, its own definition changes,
//! or it is removed. Restarts are not in here: each is done once, so it is a fact of a run.

use crate::desired::{Desired, DesiredProcess};
use crate::event::ExitStatus;
use crate::spec::Spec;
use crate::take_over::StandingOrder;
use crate::text::Name;
use crate::time::Time;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Orders by hand, applied on top of a [`Desired`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders {
    /// Stopped processes, each with its definition at that time.
    stopped: BTreeMap<Name, Arc<Spec>>,
    /// Disabled processes that were started, each with its definition at that time.
    started: BTreeMap<Name, Arc<Spec>>,
    closing: Option<Closing>,
}

/// A shutdown of navigator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing {
    /// Since when.
    pub since: Time,
    /// Everything is killed at once.
    pub hurry: bool,
    /// The process that caused it by its end, if one did.
    pub cause: Option<ShutdownCause>,
}

/// The end of a process that shuts navigator down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShutdownCause {
    /// The process.
    pub name: Name,
    /// How its main process ended.
    pub status: ExitStatus,
    /// Whether it counts as a success.
    pub success: bool,
}

impl Orders {
    /// Keeps a process stopped.
    pub fn stop(&mut self, spec: &Arc<Spec>) {
        self.started.remove(&spec.name);
        self.stopped.insert(spec.name.clone(), spec.clone());
    }

    /// Lets a process run again, even if it is disabled.
    pub fn start(&mut self, spec: &Arc<Spec>) {
        self.stopped.remove(&spec.name);
        if !spec.enabled {
            self.started.insert(spec.name.clone(), spec.clone());
        }
    }

    /// Whether a process with this definition is enabled, or was started by hand all the same.
    pub fn enable(&self, spec: &Spec) -> bool {
        self.enable_one(spec.enabled, &spec.name)
    }

    fn enable_one(&self, enabled: bool, name: &Name) -> bool {
        // Without such processes the name isn't read, which is faster.
        enabled || (!self.started.is_empty() && self.started.contains_key(name))
    }

    /// Whether a process is kept stopped.
    pub fn is_stopped(&self, name: &str) -> bool {
        self.stopped.contains_key(name)
    }

    /// The order that applies to a process.
    pub(crate) fn of(&self, name: &Name) -> Option<StandingOrder> {
        let started = || self.started.contains_key(name).then_some(StandingOrder::Started);
        if self.is_stopped(name) { Some(StandingOrder::Stopped) } else { started() }
    }

    /// Whether a process with this definition is to run.
    pub fn let_run(&self, spec: &Spec) -> bool {
        self.let_one_run(spec.enabled, &spec.name)
    }

    /// The same of an entry, without looking at its definition.
    pub(crate) fn let_entry_run(&self, entry: &DesiredProcess) -> bool {
        self.let_one_run(entry.enabled, &entry.spec.name)
    }

    fn let_one_run(&self, enabled: bool, name: &Name) -> bool {
        // Without stopped processes the name isn't read, which is faster.
        self.closing.is_none() && self.enable_one(enabled, name) && (self.stopped.is_empty() || !self.is_stopped(name))
    }

    /// The processes that stay stopped under this configuration: their definitions are the same as when they were stopped.
    pub fn outlasting<'a>(&'a self, wanted: &'a Desired) -> impl Iterator<Item = &'a Name> {
        let is_as_it_was = |spec: &Arc<Spec>| wanted.get(&spec.name).is_some_and(|entry| entry.spec == *spec);
        self.stopped.iter().filter(move |(_, spec)| spec.enabled && is_as_it_was(spec)).map(|(name, _)| name)
    }

    /// The shutdown, if one has begun.
    pub fn closing(&self) -> Option<&Closing> {
        self.closing.as_ref()
    }

    /// Begins an orderly shutdown. A second call changes nothing.
    pub fn shut_down(&mut self, now: Time) {
        self.closing.get_or_insert(Closing { since: now, hurry: false, cause: None });
    }

    /// The same, because a process ended.
    pub(crate) fn shut_down_for(&mut self, now: Time, cause: ShutdownCause) {
        self.closing.get_or_insert(Closing { since: now, hurry: false, cause: Some(cause) });
    }

    /// Begins a shutdown that kills everything at once, or hurries the one that has begun.
    pub fn hurry(&mut self, now: Time) {
        self.closing.get_or_insert(Closing { since: now, hurry: true, cause: None }).hurry = true;
    }

    /// Forgets the orders for processes that were removed or changed. Returns the names of the changed ones that were stopped.
    pub fn forget_changed(&mut self, desired: &Desired) -> Vec<Name> {
        self.started.retain(|name, spec| desired.get(name).is_some_and(|entry| entry.spec == *spec));
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
