//! Finds the processes of a tree that keep their sockets open.

use reconcile::event::Pid;
use std::fs;

/// For each socket, given by its inode, the first of these processes that has it open. `None`: no process could be inspected, for
/// instance because all have ended.
pub(super) fn find(inodes: &[Option<u64>], pids: &[Pid]) -> Option<Vec<Option<Pid>>> {
    let mut keepers = vec![None; inodes.len()];
    let mut is_any_seen = false;
    for &pid in pids {
        for descriptor in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            is_any_seen = true;
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let inode = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok());
            let Some(place) = inode.and_then(|inode| inodes.iter().position(|other| *other == Some(inode))) else { continue };
            keepers[place].get_or_insert(pid);
        }
        if keepers.iter().all(Option::is_some) {
            break;
        }
    }
    is_any_seen.then_some(keepers)
}
