//! Finds the processes of a tree that keep their sockets open.

use reconcile::event::Pid;
use std::fs;

/// For each socket, by its inode, the first of these processes that has it open. `None`: none of them can be looked at, for instance
/// because they have ended.
pub(super) fn find(inodes: &[Option<u64>], pids: &[Pid]) -> Option<Vec<Option<Pid>>> {
    let mut by = vec![None; inodes.len()];
    let mut is_any_seen = false;
    for &pid in pids {
        for descriptor in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            is_any_seen = true;
            let Ok(target) = fs::read_link(descriptor.path()) else { continue };
            let number = target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok());
            let Some(place) = number.and_then(|number| inodes.iter().position(|inode| *inode == Some(number))) else { continue };
            by[place].get_or_insert(pid);
        }
        if by.iter().all(Option::is_some) {
            break;
        }
    }
    is_any_seen.then_some(by)
}
