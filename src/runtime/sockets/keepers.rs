//! Finds the processes of a tree that keep their sockets open, and the addresses that they have bound themselves.

use super::super::proc;
use super::rival;
use reconcile::event::Pid;
use std::collections::BTreeSet;
use std::net::SocketAddr;

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

/// The TCP addresses on which these processes listen, except by sockets of navigator.
pub(super) fn own_addresses(pids: &[Pid]) -> BTreeSet<SocketAddr> {
    let sockets = |pid: u32| proc::sockets(pid).into_iter().flatten().map(|(_, inode)| inode);
    let navigators: BTreeSet<u64> = sockets(std::process::id()).collect();
    let theirs: BTreeSet<u64> = pids.iter().flat_map(|pid| sockets(pid.0)).collect();
    let listening = rival::all_listening_tcp().into_iter();
    let own = listening.filter(|(_, inode)| theirs.contains(inode) && !navigators.contains(inode));
    own.map(|(address, _)| address).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn sockets_of_navigator_are_not_a_programs_own() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        assert!(rival::all_listening_tcp().iter().any(|(bound, _)| *bound == address));
        assert!(!own_addresses(&[Pid(std::process::id())]).contains(&address));
    }
}
