//! Checks that the keys of a process that serves clients fit together: `listen`, `ready`, `liveness`, `on_change`, `rolling` and
//! `stop.drain`.

use super::draft::{Draft, Given, given};
use super::problems::{Problem, Problems};
use super::source_map::SourceSpan;
use super::subject::OWNER;
use super::tree::{MapEntry, Node, NodeKind, entry};
use super::words::REPLICA;
use hyper::Uri;
use reconcile::socket::{Address, Listener};
use reconcile::spec::{Announce, Exec, OnChange, Probe, ProcessKind};
use reconcile::variables::Variables;
use std::net::IpAddr;

/// The variables that navigator sets for a process with sockets.
pub(super) const SOCKET_VARIABLES: [&str; 3] = ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"];

/// Reports keys of a process that contradict each other. The first `own` fields are its own; the others are from `defaults`.
pub(super) fn check(draft: &Draft, fields: &[Given<'_>], own: usize, env_files: &[&Variables], problems: &mut Problems) {
    let serving = Serving { draft, fields, own };
    if draft.spec.exec.kind == ProcessKind::Task {
        problems.add_all(serving.of_task());
        return;
    }
    problems.add_all(serving.rolling());
    problems.add_all(serving.surge());
    problems.add_all(serving.number());
    if let Some(listen) = given(fields, "listen").filter(|_| !draft.spec.exec.sockets.is_empty()) {
        problems.add_all(serving.descriptor(listen));
        problems.add_all(serving.probes(listen));
        problems.add_all(from_env_files(listen, env_files));
    }
}

/// Makes sockets non-blocking for nginx, once all variables are known. nginx takes sockets from the variable `NGINX` and
/// doesn't change their flags. A worker would block when it accepts a connection that another worker has taken already.
pub(super) fn set_nonblocking(exec: &mut Exec) {
    let is_nginx = exec.env.get("NGINX").is_some();
    exec.sockets.iter_mut().for_each(|socket| socket.nonblocking = is_nginx);
}

/// Checks one process.
struct Serving<'d, 'a> {
    draft: &'d Draft,
    fields: &'d [Given<'a>],
    own: usize,
}

impl<'a> Serving<'_, 'a> {
    /// Whether a field is from `defaults`.
    fn is_inherited(&self, field: &str) -> bool {
        given(&self.fields[..self.own], field).is_none()
    }

    /// An entry of a field that is a map.
    fn part(&self, field: &str, key: &str) -> Option<&'a MapEntry> {
        match &given(self.fields, field)?.value.kind {
            NodeKind::Map(map) => entry(&map.entries, key),
            _ => None,
        }
    }

    /// Keys that have no use for a task.
    fn of_task(&self) -> Vec<Problem> {
        let problem = |key: &str, span: SourceSpan, help: &str| {
            Problem::error(span, format!("`{key}`{OWNER} has no use: a task serves no clients")).help(help)
        };
        let remove = "remove it, or write `type: service`";
        let mut found = Vec::new();
        if let Some(listen) = given(self.fields, "listen") {
            found.push(problem("listen", listen.key_span, remove));
        }
        if let Some(replicas) = given(self.fields, "replicas") {
            found.push(problem("replicas", replicas.key_span, remove));
        }
        if let Some(on_change) = given(self.fields, "on_change").filter(|_| self.draft.on_change == Some(OnChange::Rolling)) {
            let inherited = self.is_inherited("on_change");
            let help = if inherited { "write `on_change: restart` in the task" } else { remove };
            found.push(problem("on_change: rolling", on_change.value.span, help));
        } else if let Some(rolling) = given(self.fields, "rolling").filter(|_| !self.is_inherited("rolling")) {
            found.push(problem("rolling", rolling.key_span, remove));
        }
        if let Some(drain) = self.part("stop", "drain") {
            let help =
                if self.is_inherited("stop") { "write a `stop` without `drain` in the task, such as `stop: {}`" } else { remove };
            found.push(problem("stop.drain", drain.key_span, help));
        }
        found
    }

    fn rolling(&self) -> Option<Problem> {
        let on_change = given(self.fields, "on_change");
        if let Some(on_change) = on_change.filter(|_| self.draft.on_change == Some(OnChange::Rolling)) {
            let message = format!("`on_change: rolling`{OWNER} needs `ready`: nothing says when the new one serves");
            let help = "add `ready: {notify: true}`, `fd`, `log` or a probe";
            return given(self.fields, "ready").is_none().then(|| Problem::error(on_change.value.span, message).help(help));
        }
        // A wrong `on_change` has been reported.
        let is_known = on_change.is_none() || self.draft.on_change.is_some();
        let rolling = given(self.fields, "rolling").filter(|_| is_known && !self.is_inherited("rolling"))?;
        let problem = Problem::error(rolling.key_span, format!("`rolling`{OWNER} has no effect without `on_change: rolling`"));
        let problem = match on_change {
            Some(on_change) => problem.label(on_change.key_span, "`on_change` is here"),
            None => problem,
        };
        Some(problem.help("write `on_change: rolling`, or remove `rolling`"))
    }

    /// Nothing would serve while the only process stops before it is started again.
    fn surge(&self) -> Option<Problem> {
        let is_rolling = self.draft.on_change == Some(OnChange::Rolling);
        let is_known = self.draft.surge.is_some() && (self.draft.replicas.is_some() || given(self.fields, "replicas").is_none());
        let surge = self.part("rolling", "surge").filter(|_| is_known && is_rolling && self.stops_first())?;
        let message = format!("`rolling.surge: 0`{OWNER} needs at least two `replicas`: alone it would be `on_change: restart`");
        let problem = Problem::error(surge.value.span, message).help("add `replicas: 2` or more, or write `surge: 1`");
        (self.draft.replicas.unwrap_or(1) < 2 && !self.is_inherited("rolling")).then_some(problem)
    }

    /// Whether each replica stops before it is started again, as far as that is known.
    fn stops_first(&self) -> bool {
        let replicas = self.draft.replicas.unwrap_or(1);
        self.draft.surge.map_or_else(|| self.part("rolling", "surge").is_some(), |surge| surge.of(replicas) == 0)
    }

    /// A variable that navigator sets for each replica.
    fn number(&self) -> Option<Problem> {
        let variable = self.part("env", REPLICA).filter(|_| self.draft.replicas.is_some())?;
        let problem = Problem::error(variable.key_span, format!("`{REPLICA}` in `env`{OWNER} is set by navigator"));
        Some(problem.help("remove it: navigator sets it to the number of the replica"))
    }

    /// `ready.fd` is the descriptor of a socket.
    fn descriptor(&self, listen: &MapEntry) -> Option<Problem> {
        let Some(Announce::Fd(descriptor)) = self.draft.spec.exec.announce else { return None };
        let free =
            Listener::FIRST_DESCRIPTOR.saturating_add(u32::try_from(self.draft.spec.exec.sockets.len()).unwrap_or(u32::MAX));
        let fd = self.part("ready", "fd").filter(|_| descriptor < free)?;
        let problem =
            Problem::error(fd.value.span, format!("`ready.fd`{OWNER}: descriptor {descriptor} is a socket of `listen`"));
        Some(problem.label(listen.key_span, "`listen` is here").help(format!("write {free} or more")))
    }

    /// Probes of the process's own sockets: navigator or another run may answer instead of the run that is probed.
    fn probes(&self, listen: &MapEntry) -> Vec<Problem> {
        let spec = &self.draft.spec;
        let is_rolling = spec.on_change == OnChange::Rolling && !self.stops_first();
        let are_shared = self.draft.replicas > Some(1) && !mentions(&listen.value, REPLICA);
        let liveness = spec.liveness.as_ref().and_then(|liveness| liveness.probe.as_ref());
        let mut found = Vec::new();
        for (field, probe) in [("ready", spec.ready.as_ref()), ("liveness", liveness)] {
            let Some((key, host, port)) = probe.and_then(target) else { continue };
            let Some(socket) = spec.exec.sockets.iter().find(|socket| reaches(&host, port, &socket.address)) else { continue };
            let Some(given) = self.part(field, key) else { continue };
            let shown = &socket.shown;
            let announce = if field == "ready" {
                "write `ready: {notify: true}`, use `fd`, `log` or `exec`"
            } else {
                "use `exec` or `notify`"
            };
            let problem = match (field, key) {
                ("ready", "tcp") => {
                    let message = format!("`ready.tcp`{OWNER} always passes: navigator itself holds `{shown}`");
                    Problem::error(given.value.span, message).help("write `ready: {notify: true}`, or use `fd`, `log` or `exec`")
                }
                _ if is_rolling || are_shared => {
                    let others = if is_rolling { "the old run" } else { "another replica" };
                    let message = format!("`{field}.{key}`{OWNER} may be answered by {others}, which has `{shown}` too");
                    let help = format!("{announce}, or probe an address that is not in `listen`");
                    Problem::error(given.value.span, message).help(help)
                }
                ("liveness", "tcp") => {
                    let message = format!(
                        "`liveness.tcp`{OWNER} passes as long as navigator holds `{shown}`: connections wait in its queue"
                    );
                    Problem::warning(given.value.span, message).help("use `http`, `exec` or `notify`")
                }
                _ => continue,
            };
            found.push(problem.label(listen.key_span, "`listen` is here"));
        }
        found
    }
}

/// Whether a value, as it is written, has this word in it.
fn mentions(node: &Node, word: &str) -> bool {
    match &node.kind {
        NodeKind::Scalar(scalar) => scalar.text.contains(word),
        NodeKind::List(items) => items.iter().any(|item| mentions(item, word)),
        NodeKind::Map(map) => map.entries.iter().any(|entry| mentions(&entry.value, word)),
    }
}

/// An env file sets a variable that navigator sets.
fn from_env_files(listen: &MapEntry, env_files: &[&Variables]) -> Vec<Problem> {
    let is_set = |name: &&str| env_files.iter().any(|file| file.get(name).is_some());
    let problem = |name| {
        let message = format!("`{name}` in an env file{OWNER} is set by navigator for its `listen`");
        Problem::error(listen.key_span, message).help("remove it from the env file")
    };
    SOCKET_VARIABLES.into_iter().filter(is_set).map(problem).collect()
}

/// The key of a probe, and the host and port to which it connects.
fn target(probe: &Probe) -> Option<(&'static str, String, u16)> {
    match probe {
        Probe::Tcp(address) => {
            let (host, port) = address.value().rsplit_once(':')?;
            Some(("tcp", host.to_owned(), port.parse().ok()?))
        }
        Probe::Http(http) => {
            let url: Uri = http.url.value().parse().ok()?;
            Some(("http", url.host()?.to_owned(), url.port_u16().unwrap_or(80)))
        }
        Probe::Exec(_) | Probe::Log(_) => None,
    }
}

/// Whether a connection to a host certainly reaches a socket of this host at this address.
fn reaches(host: &str, port: u16, address: &Address) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    let ip = host.parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    // The unspecified address leads to this host, as does the loopback address.
    let is_here = |is_v4: Option<bool>| match ip {
        Some(ip) => (ip.is_loopback() || ip.is_unspecified()) && is_v4.is_none_or(|is_v4| ip.is_ipv4() == is_v4),
        None => host == "localhost",
    };
    match address {
        Address::Any(own) => *own == port && is_here(None),
        Address::Ip(own) if own.ip().is_unspecified() => own.port() == port && is_here(Some(own.is_ipv4())),
        Address::Ip(own) => own.port() == port && (ip == Some(own.ip()) || own.ip().is_loopback() && host == "localhost"),
        Address::Host(name, own) => {
            *own == port && (name.value() == host || name.value() == "localhost" && ip.is_some_and(|ip| ip.is_loopback()))
        }
        Address::Path(_) | Address::Abstract(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::address::{AddressForm, parse};

    #[test]
    fn a_probe_of_an_own_socket_is_recognized() {
        for (socket, host, expected) in [
            ("*:80", "127.0.0.1", true),
            ("*:80", "[::1]", true),
            ("*:80", "localhost", true),
            ("*:80", "0.0.0.0", true),
            ("*:80", "192.0.2.1", false),
            ("*:80", "db", false),
            ("0.0.0.0:80", "127.0.0.1", true),
            ("0.0.0.0:80", "[::1]", false),
            ("[::]:80", "::1", true),
            ("127.0.0.1:80", "localhost", true),
            ("127.0.0.1:80", "127.0.0.2", false),
            ("[::1]:80", "[0:0::1]", true),
            ("192.0.2.1:80", "192.0.2.1", true),
            ("192.0.2.1:80", "localhost", false),
            ("Web:80", "web", true),
            ("localhost:80", "127.0.0.1", true),
            ("*:81", "localhost", false),
            ("@web", "localhost", false),
        ] {
            let Ok(AddressForm::Complete(address)) = parse(socket) else { panic!("{socket} is no address") };
            assert_eq!(reaches(host, 80, &address), expected, "{host} and {socket}");
        }
    }
}
