//! What `status` shows of the keeper.

use crate::snapshot::{KeeperSnapshot, KeeperState};
use arc_swap::ArcSwap;
use std::sync::Arc;

/// The keeper as it is now. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct KeeperStatus(Arc<ArcSwap<KeeperSnapshot>>);

impl KeeperStatus {
    /// The keeper as it is now.
    pub fn get(&self) -> KeeperSnapshot {
        KeeperSnapshot::clone(&self.0.load())
    }

    /// A keeper runs, given by its pid and version, or none does.
    pub(super) fn set(&self, keeper: Option<(u32, String)>) {
        let has_been = self.0.load().state != KeeperState::None;
        self.0.store(Arc::new(match keeper {
            Some((pid, version)) => KeeperSnapshot { state: KeeperState::Holding, pid: Some(pid), version: Some(version) },
            None if has_been => KeeperSnapshot { state: KeeperState::Lost, ..KeeperSnapshot::default() },
            None => KeeperSnapshot::default(),
        }));
    }
}
