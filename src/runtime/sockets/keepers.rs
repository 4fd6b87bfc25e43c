//! Finds the processes of a tree that keep their sockets open.

use super::super::proc;
use reconcile::event::Pid;

/// For each socket, given by its inode, the first of these processes that has it open. `None`: no process could be inspected, for
/// instance because all have ended.
pub(super) fn find(inodes: &[Option<u64>], pids: &[Pid]) -> Option<Vec<Option<Pid>>> {
    let mut keepers = vec![None; inodes.len()];
    let mut is_any_seen = false;
    for &pid in pids {
        let Some(sockets) = proc::sockets(pid.0) else { continue };
        is_any_seen = true;
        for (_, inode) in sockets {
            if let Some(place) = inodes.iter().position(|other| *other == Some(inode)) {
                keepers[place].get_or_insert(pid);
            }
        }
        if keepers.iter().all(Option::is_some) {
            break;
        }
    }
    is_any_seen.then_some(keepers)
}
