//! What each process of a host comes after: by name, by the list, by its tier.

use crate::host::{Host, Name, Process};
use std::collections::BTreeMap;

/// Where each process of a host stands.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// What each comes after directly, by name or by the list.
    before: BTreeMap<Name, Vec<Name>>,
    /// The one before it in the list, where that counts.
    pub(crate) after: BTreeMap<Name, Name>,
    /// What every application comes after.
    managed: Vec<Name>,
}

impl Places {
    /// Where each process of a host stands.
    pub(crate) fn of(host: &Host) -> Places {
        let mut places = Places::default();
        for process in &host.processes {
            places.before.insert(process.name, process.needs.iter().flat_map(BTreeMap::keys).copied().collect());
        }
        let managed: Vec<&Process> = host.processes.iter().filter(|process| !process.is_application).collect();
        for (place, process) in managed.iter().enumerate().filter(|(_, process)| process.needs.is_none()) {
            // One that waits for this process itself, however indirectly, can't come before it.
            let before = managed[..place].iter().rev().find(|other| !places.waits(other.name, process.name));
            if let Some(before) = before {
                places.before.entry(process.name).or_default().push(before.name);
                places.after.insert(process.name, before.name);
            }
        }
        places.managed.extend(managed.iter().map(|process| process.name));
        places
    }

    /// Whether a process comes after another one directly, by name or by the list.
    pub(crate) fn is_next(&self, name: Name, on: Name) -> bool {
        self.before.get(&name).is_some_and(|before| before.contains(&on))
    }

    /// Whether a process comes after another one, however indirectly.
    pub(crate) fn waits(&self, name: Name, on: Name) -> bool {
        self.waits_with(&Places::default(), name, on)
    }

    /// The same, where former places count as well. What is in no list any more has the tier that it had.
    pub(crate) fn waits_with(&self, former: &Places, name: Name, on: Name) -> bool {
        let mut reached = vec![name];
        let mut next = 0;
        while let Some(name) = reached.get(next) {
            let is_application = self.before.contains_key(name) && !self.managed.contains(name);
            let gone = former.managed.iter().filter(|other| !self.before.contains_key(other));
            let tier = self.managed.iter().chain(gone).filter(|_| is_application);
            let before = self.before.get(name).into_iter().chain(former.before.get(name)).flatten().chain(tier);
            let new: Vec<Name> = before.filter(|other| !reached.contains(other)).copied().collect();
            reached.extend(new);
            next += 1;
        }
        reached[1..].contains(&on)
    }
}
