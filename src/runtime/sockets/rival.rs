//! Finds the processes that listen on an address that navigator is to open, and copies the socket of a process that is meant to
//! have the address.

use super::super::proc::{self, is_below};
use super::super::tree;
use super::listener::has_ipv6;
use reconcile::socket::Address;
use rustix::fd::OwnedFd;
use rustix::net::sockopt::{ipv6_v6only, socket_acceptconn};
use rustix::net::{SocketAddrUnix, getsockname};
use rustix::process::{ForeignRawFd, PidfdGetfdFlags, pidfd_getfd};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// A process that listens on an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rival {
    pub(super) pid: u32,
    /// Its descriptor for the socket.
    descriptor: i32,
}

/// The processes that listen on an address or on a part of it, sorted by pid, as far as navigator may inspect them.
pub(super) fn find(address: &Address) -> Vec<Rival> {
    let inodes = listening(address);
    let own = std::process::id();
    let mut pids: Vec<u32> = proc::all_pids().map(|(pid, _)| pid).filter(|&pid| pid != own && !inodes.is_empty()).collect();
    pids.sort_unstable();
    let sockets = |pid: u32| proc::sockets(pid).into_iter().flatten().map(move |(descriptor, inode)| (pid, descriptor, inode));
    let found = pids.into_iter().flat_map(sockets).filter(|(_, _, inode)| inodes.contains(inode));
    found.map(|(pid, descriptor, _)| Rival { pid, descriptor }).collect()
}

/// The message that these processes listen on an address.
pub(super) fn in_use_message(rivals: &[Rival], main_pids: &[u32]) -> String {
    let Some(first) = rivals.first() else { return "address in use".to_owned() };
    let own_address = rivals.iter().filter_map(|rival| rival.socket_of(main_pids)).find_map(|socket| ip_of(&socket));
    let advice = own_address.map_or_else(String::new, |address| {
        format!(
            ", which listens on {address}: write that address, so that navigator can take it over, or stop and start the process \
             once"
        )
    });
    format!("address in use by {}{advice}", first.shown())
}

impl Rival {
    /// Its name and pid, for messages.
    fn shown(self) -> String {
        let name = fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default();
        format!("{} (pid {})", name.trim_end(), self.pid)
    }

    /// A copy of its socket, if it belongs to one of these trees and listens on exactly this address.
    pub(super) fn copy(self, main_pids: &[u32], address: &Address) -> Option<OwnedFd> {
        self.socket_of(main_pids).filter(|socket| is_at(socket, address) == Some(true))
    }

    /// A copy of its socket, if it belongs to one of these trees and listens.
    fn socket_of(self, main_pids: &[u32]) -> Option<OwnedFd> {
        // Opened first, so that all the rest is about the same process even if its pid is used again.
        let pidfd = tree::try_open(self.pid).ok()?;
        let is_own = main_pids.iter().any(|&main| is_below(self.pid, main)) && tree::has_pid(&pidfd);
        if !is_own {
            return None;
        }
        let socket = pidfd_getfd(&pidfd, self.descriptor as ForeignRawFd, PidfdGetfdFlags::empty()).ok()?;
        socket_acceptconn(&socket).ok()?.then_some(socket)
    }
}

/// The address to which a TCP socket is bound.
fn ip_of(socket: &OwnedFd) -> Option<SocketAddr> {
    SocketAddr::try_from(getsockname(socket).ok()?).ok()
}

/// Whether a socket is bound to exactly this address.
pub(super) fn is_at(socket: &OwnedFd, address: &Address) -> Option<bool> {
    let ip = || ip_of(socket);
    let unix = || SocketAddrUnix::try_from(getsockname(socket).ok()?).ok();
    Some(match address {
        Address::Any(port) if !has_ipv6() => ip()? == (Ipv4Addr::UNSPECIFIED, *port).into(),
        Address::Any(port) => ip()? == (Ipv6Addr::UNSPECIFIED, *port).into() && !ipv6_v6only(socket).ok()?,
        Address::Ip(SocketAddr::V6(wanted)) if wanted.ip().is_unspecified() => {
            ip()? == SocketAddr::V6(*wanted) && ipv6_v6only(socket).ok()?
        }
        Address::Ip(wanted) => ip()? == *wanted,
        Address::Path(path) => unix()?.path_bytes() == Some(path.value().as_bytes()),
        Address::Abstract(name) => unix()?.abstract_name() == Some(name.value().as_bytes()),
        Address::Host(..) => false,
    })
}

/// The inodes of the sockets that listen on an address, or on a part of it.
fn listening(address: &Address) -> Vec<u64> {
    let unix = |shown: String| listening_unix(&fs::read("/proc/net/unix").unwrap_or_default(), &shown);
    match address {
        Address::Path(path) => unix(path.value().to_owned()),
        Address::Abstract(name) => unix(format!("@{}", name.value())),
        Address::Any(_) | Address::Ip(_) | Address::Host(..) => {
            all_listening_tcp().into_iter().filter(|(bound, _)| meets(address, *bound)).map(|(_, inode)| inode).collect()
        }
    }
}

/// Where sockets of TCP listen, and their inodes.
pub(super) fn all_listening_tcp() -> Vec<(SocketAddr, u64)> {
    let table = |name: &str| fs::File::open(format!("/proc/net/{name}")).ok().map(|table| listening_tcp(BufReader::new(table)));
    ["tcp", "tcp6"].into_iter().filter_map(table).flatten().collect()
}

/// Whether an address can't be bound while another socket is bound to `bound`.
fn meets(address: &Address, bound: SocketAddr) -> bool {
    match address {
        Address::Any(port) => bound.port() == *port,
        // It may include the IPv4 addresses.
        Address::Ip(address) if bound.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => bound.port() == address.port(),
        address => address.overlaps(&Address::Ip(bound)),
    }
}

/// Reads `/proc/net/tcp` or `tcp6` (`proc(5)`): where sockets listen, and their inodes. The kernel lists these first, so that
/// connections, of which there may be very many, need not be read.
fn listening_tcp(table: impl BufRead) -> Vec<(SocketAddr, u64)> {
    /// `TCP_LISTEN`.
    const LISTENS: &str = "0A";
    let entry = |line: String| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let address = (*fields.get(3)? == LISTENS).then(|| ip(address))??;
        Some((SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?), fields.get(9)?.parse().ok()?))
    };
    table.lines().map_while(Result::ok).skip(1).map_while(entry).collect()
}

/// Parses an address in hexadecimal digits: words of four bytes, each in the byte order of this machine.
fn ip(digits: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(digits.get(at * 8..at * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    if digits.len() == 8 {
        return Some(Ipv4Addr::from(word(0)?).into());
    }
    let words = [word(0)?, word(1)?, word(2)?, word(3)?];
    Some(Ipv6Addr::from(<[u8; 16]>::try_from(words.concat()).ok()?).into())
}

/// Reads `/proc/net/unix`: the inodes of sockets that listen at a path, or at an abstract name after `@`.
fn listening_unix(table: &[u8], place: &str) -> Vec<u64> {
    /// `SO_ACCEPTCON` of the kernel's `net.h`.
    const LISTENS: &str = "00010000";
    let table = String::from_utf8_lossy(table);
    let entry = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let listens = fields.nth(3)? == LISTENS;
        let inode = fields.nth(2)?.parse().ok()?;
        let is_there = line.split_once(&format!(" {inode} ")).is_some_and(|(_, path)| path == place);
        (listens && is_there).then_some(inode)
    };
    table.lines().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd;
    use rustix::fs::fstat;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    fn inode(socket: &impl AsFd) -> u64 {
        fstat(socket).expect("it is open").st_ino
    }

    #[test]
    fn listeners_are_found_by_their_addresses_and_by_what_they_are_a_part_of() {
        for bound in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listener) = TcpListener::bind(bound) else { continue };
            let address = listener.local_addr().expect("it is bound");
            for address in [Address::Ip(address), Address::Any(address.port())] {
                assert_eq!(listening(&address), [inode(&listener)], "{address}");
            }
            let other = Address::Ip(([127, 0, 0, 2], address.port()).into());
            let covers = matches!(bound, "0.0.0.0:0" | "[::]:0");
            assert_eq!(listening(&other).contains(&inode(&listener)), covers, "{bound}");
        }
    }

    #[test]
    fn unix_listeners_are_found_by_path_and_name() {
        use std::os::linux::net::SocketAddrExt;
        let path = std::env::temp_dir().join(format!("navigator rival {}", std::process::id()));
        let listener = UnixListener::bind(&path).expect("its name is new");
        let name = format!("navigator-rival-{}", std::process::id());
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).expect("it is short");
        let nameless = UnixListener::bind_addr(&address).expect("its name is new");
        let at_path = listening(&Address::Path(path.to_str().expect("plain text").into()));
        fs::remove_file(&path).expect("it is ours");
        assert_eq!(at_path, [inode(&listener)]);
        assert_eq!(listening(&Address::Abstract(name.as_str().into())), [inode(&nameless)]);
    }

    #[test]
    fn only_sockets_that_listen_count() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let client = std::net::TcpStream::connect(address).expect("it listens");
        drop(listener);
        assert_eq!(listening(&Address::Ip(address)), [0; 0]);
        drop(client);
    }
}
