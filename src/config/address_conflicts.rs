//! Reports addresses that two sockets can't both have, in one process or over all of them.

use super::problems::{Problem, Problems};
use super::process::ParsedProcess;
use super::source_map::{SourceMap, SourceSpan};
use reconcile::socket::{Address, Listener};
use reconcile::spec::Spec;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A socket, and the process that has it.
#[derive(Clone, Copy)]
struct Holder<'p> {
    /// The place of its process in the list of all.
    place: usize,
    process: &'p Spec,
    socket: &'p Listener,
    span: SourceSpan,
}

/// The addresses that are taken. Looking one up stays fast with thousands of them.
#[derive(Default)]
struct Taken<'p> {
    /// By port and IP address. `*:PORT` is stored with the unspecified address of each family.
    tcp: BTreeMap<(u16, IpAddr), Holder<'p>>,
    /// Addresses of any other kind, by their text.
    others: BTreeMap<String, Holder<'p>>,
}

const FIRST: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
const LAST_V4: IpAddr = IpAddr::V4(Ipv4Addr::BROADCAST);
const FIRST_V6: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
const LAST: IpAddr = IpAddr::V6(Ipv6Addr::from_bits(u128::MAX));

impl<'p> Taken<'p> {
    /// The first socket with an address that overlaps this one.
    fn find(&self, address: &Address) -> Option<Holder<'p>> {
        let within = |port, from: IpAddr, to: IpAddr| self.tcp.range((port, from)..=(port, to)).next().map(|(_, holder)| *holder);
        match address {
            Address::Any(port) => within(*port, FIRST, LAST),
            Address::Ip(address) => {
                let (port, ip) = (address.port(), address.ip());
                let (first, last) = if ip.is_ipv4() { (FIRST, LAST_V4) } else { (FIRST_V6, LAST) };
                if ip.is_unspecified() {
                    within(port, first, last)
                } else {
                    within(port, first, first).or_else(|| within(port, ip, ip))
                }
            }
            other => self.others.get(&other.to_string()).copied(),
        }
    }

    fn insert(&mut self, holder: Holder<'p>) {
        match &holder.socket.address {
            Address::Any(port) => self.tcp.extend([((*port, FIRST), holder), ((*port, FIRST_V6), holder)]),
            Address::Ip(address) => drop(self.tcp.insert((address.port(), address.ip()), holder)),
            other => drop(self.others.insert(other.to_string(), holder)),
        }
    }
}

/// Reports every socket with an address that another socket has already. Ignores disabled processes.
pub(super) fn report(processes: &[ParsedProcess], texts: &SourceMap, problems: &mut Problems) {
    let mut taken = Taken::default();
    for (place, process) in processes.iter().enumerate().filter(|(_, process)| process.spec.enabled) {
        for (socket, &span) in process.spec.exec.sockets.iter().zip(&process.sockets) {
            let holder = Holder { place, process: &process.spec, socket, span };
            match taken.find(&socket.address) {
                // That two processes have the same name is reported elsewhere. Replicas share a socket.
                Some(other) if other.place != place && other.process.definition() == process.spec.definition() => {}
                Some(other) => problems.add_with(|| conflict(holder, other, texts)),
                None => taken.insert(holder),
            }
        }
    }
}

fn conflict(holder: Holder<'_>, other: Holder<'_>, texts: &SourceMap) -> Problem {
    let Holder { socket, span, .. } = holder;
    let (process, holds) = (holder.process.definition(), other.process.definition());
    let is_equal = socket.address == other.socket.address;
    let (address, theirs) = (socket.shown.shown(), other.socket.shown.shown());
    let line = texts.line_number(other.span);
    let place = if other.span.text == span.text {
        format!("line {line}")
    } else {
        format!("line {line} of {}", texts.shown_path(other.span.text).display())
    };
    let (message, help) = match (holder.place == other.place, is_equal) {
        (true, true) => (format!("`{address}` is twice in `listen` of `{process}`"), "remove one of the two"),
        (true, false) => (format!("`{address}` overlaps `{theirs}` in `listen` of `{process}`"), "remove one of the two"),
        (false, true) => (
            format!("`{address}` in `listen` of `{process}` is `{holds}`'s already ({place})"),
            "give one of the two another address",
        ),
        (false, false) => (
            format!("`{address}` in `listen` of `{process}` overlaps `{theirs}` of `{holds}` ({place})"),
            "give one of the two another address",
        ),
    };
    Problem::error(span, message).label(other.span, "first given here").help(help)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The look-up agrees with [`Address::overlaps`], for every pair.
    #[test]
    fn every_overlap_is_found() {
        let ip = |text: &str| Address::Ip(text.parse().expect("an address"));
        let addresses = [
            Address::Any(80),
            Address::Any(81),
            ip("0.0.0.0:80"),
            ip("127.0.0.1:80"),
            ip("255.255.255.255:80"),
            ip("127.0.0.1:81"),
            ip("[::]:80"),
            ip("[::1]:80"),
            ip("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:80"),
            Address::Host("localhost".into(), 80),
            Address::Host("localhost".into(), 81),
            Address::Path("/run/a".into()),
            Address::Path("/run/b".into()),
            Address::Abstract("/run/a".into()),
        ];
        let process = Spec::new("web", "web");
        let span = SourceSpan::beginning(SourceMap::default().add(Path::new("a.yml"), String::new()));
        for one in &addresses {
            let socket = Listener::new("web", one.clone());
            let mut taken = Taken::default();
            taken.insert(Holder { place: 0, process: &process, socket: &socket, span });
            for other in &addresses {
                assert_eq!(taken.find(other).is_some(), one.overlaps(other), "{one} and {other}");
            }
        }
    }
}
