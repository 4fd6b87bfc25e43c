//! `ready` and `liveness`: how a process is known to be ready and well. The tables, and that there is exactly one probe.

use super::draft::Draft;
use super::parts::{host_and_port, of, part, set};
use super::problems::Problem;
use super::reader::{FieldReader, NodeReader};
use super::scope::{as_secret, is_secret};
use super::source_map::SourceSpan;
use super::table::{ValueShape, either};
use super::tree::{Node, NodeKind};
use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use reconcile::spec::{Announce, Http, Liveness, Probe, ReadyTiming};
use reconcile::text::Text;
use std::collections::BTreeMap;
use std::time::Duration;

/// `ready` or `liveness` while it is read.
pub(super) struct Check {
    probes: usize,
    probe: Option<Probe>,
    announce: Option<Announce>,
    timing: ReadyTiming,
    failures: u32,
    /// What belongs to `http` alone: which statuses pass, what is sent along, and where either stands.
    status: Vec<u16>,
    headers: BTreeMap<String, Text>,
    of_http: Vec<(&'static str, SourceSpan)>,
}

impl Check {
    fn new(interval: Duration) -> Check {
        Check {
            probes: 0,
            probe: None,
            announce: None,
            timing: ReadyTiming { interval, ..ReadyTiming::default() },
            failures: 3,
            status: Vec::new(),
            headers: BTreeMap::new(),
            of_http: Vec::new(),
        }
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

const HTTP: FieldReader<Check> =
    part(of("http", ValueShape::Url).means("a GET is answered with a 2xx or 3xx status"), |reader, node, check| {
        check.by(http(reader, node));
    });
const STATUS: FieldReader<Check> = part(
    of("status", ValueShape::Wholes(100, 599)).otherwise("2xx and 3xx").means("of `http`: the statuses that pass"),
    |reader, node, check| {
        check.of_http.push(("status", node.span));
        check.status.extend(node.one_or_more().iter().filter_map(|item| reader.whole::<u16>(item, 100, 599)));
    },
);
const HEADERS: FieldReader<Check> =
    part(of("headers", ValueShape::Headers).means("of `http`: what is sent along"), |reader, node, check| {
        check.of_http.push(("headers", node.span));
        check.headers = headers(reader, node);
    });
const TCP: FieldReader<Check> =
    part(of("tcp", ValueShape::Address).means("a connection is accepted"), |reader, node, check| check.by(tcp(reader, node)));
const EXEC: FieldReader<Check> =
    part(of("exec", ValueShape::Command).means("this command exits with status 0"), |reader, node, check| {
        check.by(reader.command(node).map(Probe::Exec));
    });
const NOTIFY: FieldReader<Check> =
    part(of("notify", ValueShape::True).means("the process says so, by `sd_notify`"), |reader, node, check| {
        check.announced(notify(reader, node));
    });
const TIMEOUT: FieldReader<Check> =
    part(of("timeout", ValueShape::SomeDuration).default("1s").means("how long one check may take"), |reader, node, check| {
        set(&mut check.timing.timeout, reader.some_duration(node));
    });

const fn interval(default: &'static str) -> FieldReader<Check> {
    part(of("interval", ValueShape::SomeDuration).default(default).means("from one check to the next"), |reader, node, check| {
        set(&mut check.timing.interval, reader.some_duration(node));
    })
}

/// What tells that a process is ready, of which `ready` takes one.
pub(super) const READY_PROBES: [&str; 6] = ["http", "tcp", "exec", "log", "notify", "fd"];

/// What tells that a process is well, of which `liveness` takes one.
pub(super) const LIVENESS_PROBES: [&str; 4] = ["http", "tcp", "exec", "notify"];

pub(super) static READY: &[FieldReader<Check>] = &[
    HTTP,
    STATUS,
    HEADERS,
    TCP,
    EXEC,
    part(of("log", ValueShape::Text("regular expression")).means("a line of its own output matches"), |reader, node, check| {
        check.by(log(reader, node));
    }),
    NOTIFY,
    part(of("fd", ValueShape::Whole(3, 1023)).means("it writes a line break to this descriptor"), |reader, node, check| {
        check.announced(reader.whole(node, 3, 1023).map(Announce::Fd));
    }),
    interval("200ms"),
    TIMEOUT,
    part(
        of("deadline", ValueShape::SomeDuration).default("60s").means("past it, a process that isn't ready has failed"),
        |reader, node, check| set(&mut check.timing.deadline, reader.some_duration(node)),
    ),
];

pub(super) static LIVENESS: &[FieldReader<Check>] = &[
    HTTP,
    STATUS,
    HEADERS,
    TCP,
    EXEC,
    NOTIFY,
    interval("10s"),
    TIMEOUT,
    part(
        of("failures", ValueShape::Whole(1, 1000)).default("3").means("as many failed checks in a row make the process failed"),
        |reader, node, check| set(&mut check.failures, reader.whole(node, 1, 1000)),
    ),
];

/// `ready`: how a process is known to be ready.
pub(super) fn ready(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut check = Check::new(ReadyTiming::default().interval);
    reader.map(node, "ready", READY, &mut check);
    one_probe(reader, node, &check, &READY_PROBES);
    complete(reader, &mut check);
    draft.spec.ready = check.probe;
    draft.spec.exec.announce = check.announce;
    draft.spec.ready_timing = check.timing;
}

/// `liveness`: how a process is known to be well.
pub(super) fn liveness(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut check = Check::new(Duration::from_secs(10));
    reader.map(node, "liveness", LIVENESS, &mut check);
    one_probe(reader, node, &check, &LIVENESS_PROBES);
    complete(reader, &mut check);
    let Check { probe, timing, failures, .. } = check;
    draft.spec.liveness = Some(Liveness { probe, interval: timing.interval, timeout: timing.timeout, failures });
}

fn one_probe(reader: &mut NodeReader<'_, '_, '_>, node: &Node, check: &Check, probes: &[&str]) {
    if check.probes != 1 && matches!(node.kind, NodeKind::Map(_)) {
        let message = if check.probes == 0 { "a probe is missing" } else { "only one probe is possible" };
        reader.report(Problem::error(node.span, message).help(format!("write one of {}", either(probes))));
    }
}

/// Puts what belongs to `http` where it belongs.
fn complete(reader: &mut NodeReader<'_, '_, '_>, check: &mut Check) {
    if let Some(Probe::Http(http)) = &mut check.probe {
        http.status = std::mem::take(&mut check.status);
        http.headers = std::mem::take(&mut check.headers);
    } else if check.probe.is_some() || check.announce.is_some() {
        for (key, span) in std::mem::take(&mut check.of_http) {
            let problem = Problem::error(span, format!("`{key}` belongs to `http`, which isn't given here"));
            reader.report(problem.help("remove it, or probe by `http: URL`"));
        }
    }
}

fn http(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Probe> {
    let url = reader.filled(node, "a URL")?;
    let help = if url.value().starts_with("https://") {
        Some("probe without TLS, on an address that only this host reaches, or by `exec: [curl, …]`")
    } else {
        let parsed = url.value().parse::<Uri>().ok();
        let is_good =
            parsed.is_some_and(|url| url.scheme_str() == Some("http") && url.host().is_some_and(|host| !host.is_empty()));
        (!is_good).then_some("write one such as `http://127.0.0.1:8080/health`")
    };
    if help.is_some() {
        reader.refuse(node, &url, "a URL that can be probed", help);
        return None;
    }
    Some(Probe::Http(Box::new(Http { url, ..Http::default() })))
}

fn headers(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> BTreeMap<String, Text> {
    let mut headers = BTreeMap::new();
    for entry in reader.entries(node).unwrap_or_default() {
        if HeaderName::from_bytes(entry.key.as_bytes()).is_err() {
            let problem = Problem::error(entry.key_span, format!("`{}` is not the name of a header", entry.key));
            reader.report(problem.help("write one such as `Authorization`, without a colon in it"));
            continue;
        }
        if !reader.is_given(entry) {
            continue;
        }
        let Some(value) = reader.text(&entry.value) else { continue };
        if HeaderValue::from_str(value.value()).is_err() {
            let message = format!("the value of header `{}` holds a character that can't be sent", entry.key);
            reader.report(Problem::error(entry.value.span, message).help("write it on one line, of printable characters"));
            continue;
        }
        let value = if is_secret(&entry.key) { as_secret(&value) } else { value };
        headers.insert(entry.key.to_string(), value);
    }
    headers
}

/// A regular expression, which is compiled here only to see whether it is one.
fn log(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Probe> {
    let pattern = reader.filled(node, "a pattern")?;
    let Err(error) = regex::bytes::Regex::new(pattern.value()) else { return Some(Probe::Log(pattern)) };
    let error = error.to_string();
    // Its own excerpt of the pattern stands above the last line, and here there is one already.
    let reason = error.lines().last().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    let reason = if pattern.is_secret() { "see the syntax of regular expressions" } else { reason };
    reader.refuse(node, &pattern, "a regular expression", Some(reason));
    None
}

fn tcp(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Probe> {
    let address = reader.filled(node, "an address")?;
    host_and_port(reader, node, &address).then_some(Probe::Tcp(address))
}

fn notify(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Announce> {
    let on = reader.boolean(node)?;
    if !on {
        reader.report(Problem::error(node.span, "`notify` is `true` or left out"));
    }
    on.then_some(Announce::Notify)
}
