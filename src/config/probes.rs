//! `ready` and `liveness`: how a process is known to be ready and well. The tables, and that there is exactly one probe.

use super::fields::Draft;
use super::parts::{host_and_port, part, set};
use super::problems::Problem;
use super::reader::Reader;
use super::table::{Field, Shape};
use super::tree::{Kind, Node};
use reconcile::spec::{Announce, Http, Liveness, Probe, ReadyTiming};
use std::time::Duration;

/// `ready` or `liveness` while it is read.
pub(super) struct Check {
    probes: usize,
    probe: Option<Probe>,
    announce: Option<Announce>,
    timing: ReadyTiming,
    failures: u32,
}

impl Check {
    fn new(interval: Duration) -> Check {
        Check { probes: 0, probe: None, announce: None, timing: ReadyTiming { interval, ..ReadyTiming::default() }, failures: 3 }
    }

    fn by(&mut self, probe: Option<Probe>) {
        self.probes += 1;
        self.probe = probe;
    }

    fn announced(&mut self, announce: Option<Announce>) {
        self.probes += 1;
        self.announce = announce;
    }
}

const HTTP: Field<Check> = part("http", Shape::Text, |reader, node, check| check.by(http(reader, node)));
const TCP: Field<Check> = part("tcp", Shape::Text, |reader, node, check| check.by(tcp(reader, node)));
const EXEC: Field<Check> = part("exec", Shape::Texts, |reader, node, check| check.by(reader.command(node).map(Probe::Exec)));
const NOTIFY: Field<Check> = part("notify", Shape::Bool, |reader, node, check| check.announced(notify(reader, node)));
const INTERVAL: Field<Check> =
    part("interval", Shape::Duration, |reader, node, check| set(&mut check.timing.interval, reader.some_duration(node)));
const TIMEOUT: Field<Check> =
    part("timeout", Shape::Duration, |reader, node, check| set(&mut check.timing.timeout, reader.some_duration(node)));

pub(super) static READY: &[Field<Check>] = &[
    HTTP,
    TCP,
    EXEC,
    part("log", Shape::Text, |reader, node, check| check.by(reader.filled(node, "a pattern").map(Probe::Log))),
    NOTIFY,
    part("fd", Shape::Whole(3, 1023), |reader, node, check| check.announced(reader.whole(node, 3, 1023).map(Announce::Fd))),
    INTERVAL,
    TIMEOUT,
    part("deadline", Shape::Duration, |reader, node, check| set(&mut check.timing.deadline, reader.some_duration(node))),
];

pub(super) static LIVENESS: &[Field<Check>] = &[
    HTTP,
    TCP,
    EXEC,
    NOTIFY,
    INTERVAL,
    TIMEOUT,
    part("failures", Shape::Whole(1, 1000), |reader, node, check| set(&mut check.failures, reader.whole(node, 1, 1000))),
];

/// `ready`: how a process is known to be ready.
pub(super) fn ready(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut check = Check::new(ReadyTiming::default().interval);
    reader.map(node, "ready", READY, &mut check);
    one_probe(reader, node, &check, "`http`, `tcp`, `exec`, `log`, `notify` or `fd`");
    draft.spec.ready = check.probe;
    draft.spec.exec.announce = check.announce;
    draft.spec.ready_timing = check.timing;
}

/// `liveness`: how a process is known to be well.
pub(super) fn liveness(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut check = Check::new(Duration::from_secs(10));
    reader.map(node, "liveness", LIVENESS, &mut check);
    one_probe(reader, node, &check, "`http`, `tcp`, `exec` or `notify`");
    let Check { probe, timing, failures, .. } = check;
    draft.spec.liveness = Some(Liveness { probe, interval: timing.interval, timeout: timing.timeout, failures });
}

fn one_probe(reader: &mut Reader<'_, '_, '_>, node: &Node, check: &Check, probes: &str) {
    if check.probes != 1 && matches!(node.kind, Kind::Map(_)) {
        let message = if check.probes == 0 { "a probe is missing" } else { "only one probe is possible" };
        reader.report(Problem::error(node.span, message).help(format!("write one of {probes}")));
    }
}

fn http(reader: &mut Reader<'_, '_, '_>, node: &Node) -> Option<Probe> {
    let url = reader.filled(node, "a URL")?;
    let host = url.value().strip_prefix("http://").and_then(|rest| rest.split('/').next());
    if host.is_none_or(str::is_empty) {
        reader.refuse(node, &url, "a URL that can be probed", Some("write one such as `http://127.0.0.1:8080/health`"));
        return None;
    }
    Some(Probe::Http(Http { url, ..Http::default() }))
}

fn tcp(reader: &mut Reader<'_, '_, '_>, node: &Node) -> Option<Probe> {
    let address = reader.filled(node, "an address")?;
    host_and_port(reader, node, &address).then_some(Probe::Tcp(address))
}

fn notify(reader: &mut Reader<'_, '_, '_>, node: &Node) -> Option<Announce> {
    let on = reader.boolean(node)?;
    if !on {
        reader.report(Problem::error(node.span, "`notify` is `true` or left out"));
    }
    on.then_some(Announce::Notify)
}
