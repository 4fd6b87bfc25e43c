//! `ready` and `liveness`: how a process is known to be ready and well. The tables, and that there is exactly one probe.

use super::fields::Draft;
use super::parts::{host_and_port, of, part, set};
use super::problems::Problem;
use super::reader::Reader;
use super::table::{Field, Shape, either};
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

const HTTP: Field<Check> =
    part(of("http", Shape::Url).means("a GET is answered with a 2xx or 3xx status"), |reader, node, check| {
        check.by(http(reader, node));
    });
const TCP: Field<Check> =
    part(of("tcp", Shape::Address).means("a connection is accepted"), |reader, node, check| check.by(tcp(reader, node)));
const EXEC: Field<Check> = part(of("exec", Shape::Command).means("this command exits with status 0"), |reader, node, check| {
    check.by(reader.command(node).map(Probe::Exec));
});
const NOTIFY: Field<Check> =
    part(of("notify", Shape::True).means("the process says so, by `sd_notify`"), |reader, node, check| {
        check.announced(notify(reader, node));
    });
const TIMEOUT: Field<Check> =
    part(of("timeout", Shape::SomeDuration).default("1s").means("how long one check may take"), |reader, node, check| {
        set(&mut check.timing.timeout, reader.some_duration(node));
    });

const fn interval(default: &'static str) -> Field<Check> {
    part(of("interval", Shape::SomeDuration).default(default).means("from one check to the next"), |reader, node, check| {
        set(&mut check.timing.interval, reader.some_duration(node));
    })
}

/// What tells that a process is ready, of which `ready` takes one.
pub(super) const READY_PROBES: [&str; 6] = ["http", "tcp", "exec", "log", "notify", "fd"];

/// What tells that a process is well, of which `liveness` takes one.
pub(super) const LIVENESS_PROBES: [&str; 4] = ["http", "tcp", "exec", "notify"];

pub(super) static READY: &[Field<Check>] = &[
    HTTP,
    TCP,
    EXEC,
    part(of("log", Shape::Text("regular expression")).means("a line of its own output matches"), |reader, node, check| {
        check.by(reader.filled(node, "a pattern").map(Probe::Log));
    }),
    NOTIFY,
    part(of("fd", Shape::Whole(3, 1023)).means("it writes a line break to this descriptor"), |reader, node, check| {
        check.announced(reader.whole(node, 3, 1023).map(Announce::Fd));
    }),
    interval("200ms"),
    TIMEOUT,
    part(
        of("deadline", Shape::SomeDuration).default("60s").means("past it, a process that isn't ready has failed"),
        |reader, node, check| set(&mut check.timing.deadline, reader.some_duration(node)),
    ),
];

pub(super) static LIVENESS: &[Field<Check>] = &[
    HTTP,
    TCP,
    EXEC,
    NOTIFY,
    interval("10s"),
    TIMEOUT,
    part(
        of("failures", Shape::Whole(1, 1000)).default("3").means("as many failed checks in a row make the process failed"),
        |reader, node, check| set(&mut check.failures, reader.whole(node, 1, 1000)),
    ),
];

/// `ready`: how a process is known to be ready.
pub(super) fn ready(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut check = Check::new(ReadyTiming::default().interval);
    reader.map(node, "ready", READY, &mut check);
    one_probe(reader, node, &check, &READY_PROBES);
    draft.spec.ready = check.probe;
    draft.spec.exec.announce = check.announce;
    draft.spec.ready_timing = check.timing;
}

/// `liveness`: how a process is known to be well.
pub(super) fn liveness(reader: &mut Reader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut check = Check::new(Duration::from_secs(10));
    reader.map(node, "liveness", LIVENESS, &mut check);
    one_probe(reader, node, &check, &LIVENESS_PROBES);
    let Check { probe, timing, failures, .. } = check;
    draft.spec.liveness = Some(Liveness { probe, interval: timing.interval, timeout: timing.timeout, failures });
}

fn one_probe(reader: &mut Reader<'_, '_, '_>, node: &Node, check: &Check, probes: &[&str]) {
    if check.probes != 1 && matches!(node.kind, Kind::Map(_)) {
        let message = if check.probes == 0 { "a probe is missing" } else { "only one probe is possible" };
        reader.report(Problem::error(node.span, message).help(format!("write one of {}", either(probes))));
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
