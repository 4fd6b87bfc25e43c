//! Opens listening sockets that have no file: of TCP, and of the abstract namespace of unix sockets.
//!
//! They are blocking, as most programs expect. A program may change that for itself; every process that has the socket shares the
//! setting, so navigator never makes a socket blocking again.

use crate::error_text::words;
use reconcile::socket::Address;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr, socket_acceptconn};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, listen, socket_with};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};

/// Why a socket can't be had.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another socket listens there.
    InUse,
    /// Anything else, in words.
    Other(String),
}

impl Failure {
    pub(super) fn in_words(self) -> String {
        match self {
            Failure::InUse => "address in use".to_owned(),
            Failure::Other(why) => why,
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => Failure::InUse,
            _ => Failure::Other(words(&error)),
        }
    }
}

impl From<Errno> for Failure {
    fn from(error: Errno) -> Failure {
        io::Error::from(error).into()
    }
}

/// The address that a host name means; other addresses are themselves. It may wait for a name server.
///
/// # Errors
/// The name means no address, or several.
pub(super) fn resolve(address: &Address) -> Result<Address, String> {
    let Address::Host(name, port) = address else { return Ok(address.clone()) };
    let found =
        (name.value(), *port).to_socket_addrs().map_err(|error| format!("host name `{}`: {}", name.shown(), words(&error)))?;
    let addresses: Vec<SocketAddr> = found.collect::<BTreeSet<_>>().into_iter().collect();
    if let [only] = addresses[..] {
        return Ok(Address::Ip(only));
    }
    let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let which = if name.is_secret() { "them".to_owned() } else { addresses.join(", ") };
    Err(format!("`{}` means several addresses: write one of {which}", name.shown()))
}

/// Opens a socket at a resolved address without a file, and listens there.
pub(super) fn open(address: &Address, backlog: u32) -> Result<OwnedFd, Failure> {
    match address {
        Address::Any(port) => open_any(*port, backlog),
        Address::Ip(address) => open_ip(*address, true, backlog),
        Address::Abstract(name) => {
            let socket = stream_socket(AddressFamily::UNIX)?;
            let name = SocketAddrUnix::new_abstract_name(name.value().as_bytes());
            let name = name.map_err(|_| Failure::Other("its name is longer than 107 bytes".to_owned()))?;
            bind(&socket, &name)?;
            begin(&socket, backlog)?;
            Ok(socket)
        }
        Address::Host(..) | Address::Path(_) => Err(Failure::Other("it has no address yet".to_owned())),
    }
}

/// One socket for both families; for IPv4 alone where the host has no IPv6.
fn open_any(port: u16, backlog: u32) -> Result<OwnedFd, Failure> {
    match open_ip((Ipv6Addr::UNSPECIFIED, port).into(), false, backlog) {
        Err(Failure::Other(_)) if !has_ipv6() => open_ip((Ipv4Addr::UNSPECIFIED, port).into(), true, backlog),
        opened => opened,
    }
}

/// Whether the host has IPv6.
pub(super) fn has_ipv6() -> bool {
    let Ok(socket) = stream_socket(AddressFamily::INET6) else { return false };
    bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))).is_ok()
}

fn open_ip(address: SocketAddr, is_one_family: bool, backlog: u32) -> Result<OwnedFd, Failure> {
    let is_v4 = address.is_ipv4();
    let socket = stream_socket(if is_v4 { AddressFamily::INET } else { AddressFamily::INET6 })?;
    // Connections of an earlier server that linger don't count. Two listeners never share an address: of what waits for one, a
    // part would be lost with it.
    set_socket_reuseaddr(&socket, true)?;
    if !is_v4 {
        set_ipv6_v6only(&socket, is_one_family)?;
    }
    bind(&socket, &address).map_err(|error| of_bind(error, address))?;
    begin(&socket, backlog)?;
    Ok(socket)
}

fn of_bind(error: Errno, address: SocketAddr) -> Failure {
    match error {
        Errno::ACCESS => Failure::Other(format!(
            "only root may listen on ports below {}: start navigator as root, give it the capability `CAP_NET_BIND_SERVICE`, or \
             lower `net.ipv4.ip_unprivileged_port_start`",
            first_open_port()
        )),
        Errno::ADDRNOTAVAIL => Failure::Other(match address.ip() {
            IpAddr::V6(_) if !has_ipv6() => "this host has no IPv6".to_owned(),
            _ => "this host doesn't have that address".to_owned(),
        }),
        Errno::AFNOSUPPORT => Failure::Other("this host has no IPv6".to_owned()),
        error => error.into(),
    }
}

/// The first port that every user may listen on.
fn first_open_port() -> u16 {
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    setting.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

/// A new socket for connections.
pub(super) fn stream_socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)
}

/// Listens, or sets another backlog.
pub(super) fn begin(socket: impl AsFd, backlog: u32) -> Result<(), Errno> {
    listen(socket, i32::try_from(backlog).unwrap_or(i32::MAX))
}

/// Whether a socket still listens: a program may have shut it down for all that have it (`shutdown(2)`).
pub(super) fn listens(socket: &OwnedFd) -> Result<bool, Errno> {
    // A unix socket counts as listening all the same, and is only hung up.
    let mut polled = [PollFd::new(socket, PollFlags::RDHUP)];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(socket_acceptconn(socket)? && !polled[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::text::Text;

    #[test]
    fn a_host_name_must_mean_one_address() {
        let host = |name: &str| resolve(&Address::Host(Text::plain(name), 80));
        assert_eq!(host("127.0.0.1"), Ok(Address::Ip(([127, 0, 0, 1], 80).into())));
        let error = host("no-such-host.invalid").expect_err("there is no such host");
        assert!(error.starts_with("host name `no-such-host.invalid`: "), "{error}");
    }
}
