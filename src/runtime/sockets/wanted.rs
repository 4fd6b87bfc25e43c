//! Which sockets each process wants.

use reconcile::socket::{Address, Listener};
use reconcile::text::Name;
use std::collections::HashMap;

/// Which sockets each process wants.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    by_process: HashMap<Name, Vec<String>>,
    /// How many processes want an address.
    counts: HashMap<String, usize>,
}

impl Wanted {
    /// Records that a process wants exactly these sockets from now on.
    pub(super) fn set(&mut self, name: &Name, listeners: &[Listener]) {
        let keys: Vec<String> = listeners.iter().map(|listener| key(&listener.address)).collect();
        for key in &keys {
            *self.counts.entry(key.clone()).or_default() += 1;
        }
        let former = if keys.is_empty() { self.by_process.remove(name) } else { self.by_process.insert(name.clone(), keys) };
        for key in former.into_iter().flatten() {
            if let Some(count) = self.counts.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&key);
                }
            }
        }
    }

    /// Whether a socket at a path with this file name is wanted.
    pub(super) fn includes_file(&self, name: &[u8]) -> bool {
        self.counts.keys().any(|key| key.rsplit_once('/').is_some_and(|(_, file)| file.as_bytes() == name))
    }

    /// Whether a process wants this address.
    pub(super) fn includes(&self, key: &str) -> bool {
        self.counts.contains_key(key)
    }
}

/// The key of an address.
pub(super) fn key(address: &Address) -> String {
    address.to_string()
}
