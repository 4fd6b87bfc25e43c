//! Probes of a process: tables of the keys of `ready` and `liveness`, and their decoders.

use super::draft::Draft;
use super::parts::{host_and_port, key, part, set};
use super::problems::Problem;
use super::reader::{FieldReader, NodeReader};
use super::scope::{as_secret, is_secret};
use super::source_map::SourceSpan;
use super::subject::KEY;
use super::table::{DefaultValue, ValueShape, either};
use super::tree::{Node, NodeKind};
use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use reconcile::spec::{Announce, Http, Liveness, Probe, ReadyTiming};
use reconcile::text::Text;
use std::collections::BTreeMap;
use std::time::Duration;

/// `ready` or `liveness` while it is being decoded.
pub(super) struct ProbeDraft {
    /// Number of probes given, valid or not.
    probes: usize,
    probe: Option<Probe>,
    announce: Option<Announce>,
    timing: ReadyTiming,
    failures: u32,
    /// Status codes that pass, for `http`; empty: 2xx and 3xx.
    status: Vec<u16>,
    /// Request headers, for `http`.
    headers: BTreeMap<String, Text>,
    /// Names and positions of the given keys that require `http`.
    http_only: Vec<(&'static str, SourceSpan)>,
}

impl ProbeDraft {
    fn new(interval: Duration) -> ProbeDraft {
        ProbeDraft {
            probes: 0,
            probe: None,
            announce: None,
            timing: ReadyTiming { interval, ..ReadyTiming::default() },
            failures: 3,
            status: Vec::new(),
            headers: BTreeMap::new(),
            http_only: Vec::new(),
        }
    }

    fn set_probe(&mut self, probe: Option<Probe>) {
        self.probes += 1;
        self.probe = probe;
    }

    fn set_announce(&mut self, announce: Option<Announce>) {
        self.probes += 1;
        self.announce = announce;
    }
}

const HTTP: FieldReader<ProbeDraft> =
    part(key("http", ValueShape::Url).means("passes if a GET is answered with status 2xx or 3xx"), |reader, node, check| {
        check.set_probe(http(reader, node));
    });
const STATUS: FieldReader<ProbeDraft> = part(
    key("status", ValueShape::Wholes(100, 599)).otherwise("2xx and 3xx").means("status codes that pass, for `http`"),
    |reader, node, check| {
        check.http_only.push(("status", node.span));
        check.status.extend(node.one_or_more().iter().filter_map(|item| reader.whole::<u16>(item, 100, 599)));
    },
);
const HEADERS: FieldReader<ProbeDraft> =
    part(key("headers", ValueShape::Headers).means("request headers, for `http`"), |reader, node, check| {
        check.http_only.push(("headers", node.span));
        check.headers = headers(reader, node);
    });
const TCP: FieldReader<ProbeDraft> =
    part(key("tcp", ValueShape::Address).means("passes if a connection is accepted"), |reader, node, check| {
        check.set_probe(tcp(reader, node));
    });
const EXEC: FieldReader<ProbeDraft> =
    part(key("exec", ValueShape::Command).means("passes if this command exits with status 0"), |reader, node, check| {
        check.set_probe(reader.command(node).map(Probe::Exec));
    });
const NOTIFY: FieldReader<ProbeDraft> =
    part(key("notify", ValueShape::True).means("passes when the process reports it with `sd_notify`"), |reader, node, check| {
        check.set_announce(notify(reader, node));
    });
const TIMEOUT: FieldReader<ProbeDraft> =
    part(key("timeout", ValueShape::SomeDuration).default("1s").means("time limit of one check"), |reader, node, check| {
        set(&mut check.timing.timeout, reader.some_duration(node));
    });

const fn interval(default: &'static str) -> FieldReader<ProbeDraft> {
    part(
        key("interval", ValueShape::SomeDuration).default(default).means("time from one check to the next"),
        |reader, node, check| {
            set(&mut check.timing.interval, reader.some_duration(node));
        },
    )
}

/// Probes of `ready`; exactly one is required.
pub(super) const READY_PROBES: [&str; 6] = ["http", "tcp", "exec", "log", "notify", "fd"];

/// Probes of `liveness`; exactly one is required.
pub(super) const LIVENESS_PROBES: [&str; 4] = ["http", "tcp", "exec", "notify"];

pub(super) static READY: &[FieldReader<ProbeDraft>] = &[
    HTTP,
    STATUS,
    HEADERS,
    TCP,
    EXEC,
    part(
        key("log", ValueShape::Text("regular expression")).means("passes when a line of the process's output matches"),
        |reader, node, check| {
            check.set_probe(log(reader, node));
        },
    ),
    NOTIFY,
    part(
        key("fd", ValueShape::Whole(3, 1023)).means("passes when the process writes a newline to this file descriptor"),
        |reader, node, check| {
            check.set_announce(reader.whole(node, 3, 1023).map(Announce::Fd));
        },
    ),
    interval("200ms"),
    TIMEOUT,
    part(
        key("deadline", ValueShape::SomeDuration)
            .default("60s")
            .means("time limit for becoming ready; after it the process has failed"),
        |reader, node, check| set(&mut check.timing.deadline, reader.some_duration(node)),
    ),
];

pub(super) static LIVENESS: &[FieldReader<ProbeDraft>] = &[
    HTTP,
    STATUS,
    HEADERS,
    TCP,
    EXEC,
    NOTIFY,
    interval("10s"),
    TIMEOUT,
    part(
        key("failures", ValueShape::Whole(1, 1000))
            .default("3")
            .means("number of failed checks in a row after which the process has failed"),
        |reader, node, check| set(&mut check.failures, reader.whole(node, 1, 1000)),
    ),
];

/// Decodes `ready`.
pub(super) fn ready(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut check = ProbeDraft::new(ReadyTiming::default().interval);
    reader.map(node, "ready", READY, &mut check);
    require_one_probe(reader, node, &check, &READY_PROBES);
    attach_http_parts(reader, &mut check);
    draft.spec.ready = check.probe;
    draft.spec.exec.announce = check.announce;
    draft.spec.ready_timing = check.timing;
}

/// Decodes `liveness`.
pub(super) fn liveness(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut check = ProbeDraft::new(Duration::from_secs(10));
    reader.map(node, "liveness", LIVENESS, &mut check);
    require_one_probe(reader, node, &check, &LIVENESS_PROBES);
    attach_http_parts(reader, &mut check);
    let ProbeDraft { probe, timing, failures, .. } = check;
    draft.spec.liveness = Some(Liveness { probe, interval: timing.interval, timeout: timing.timeout, failures });
}

fn require_one_probe(reader: &mut NodeReader<'_, '_, '_>, node: &Node, check: &ProbeDraft, probes: &[&str]) {
    if check.probes != 1 && matches!(node.kind, NodeKind::Map(_)) {
        let number = if check.probes == 0 { "no probe" } else { "more than one probe" };
        let problem = Problem::error(node.span, format!("{KEY} has {number}"));
        reader.report(problem.help(format!("write exactly one of {}", either(probes))));
    }
}

/// Adds `status` and `headers` to the `http` probe, and reports them for any other probe.
fn attach_http_parts(reader: &mut NodeReader<'_, '_, '_>, check: &mut ProbeDraft) {
    if let Some(Probe::Http(http)) = &mut check.probe {
        http.status = std::mem::take(&mut check.status);
        http.headers = std::mem::take(&mut check.headers);
    } else if check.probe.is_some() || check.announce.is_some() {
        for (key, span) in std::mem::take(&mut check.http_only) {
            let problem = Problem::error(span, format!("`{key}` in {KEY} needs an `http` probe"));
            reader.report(problem.help("remove it, or write `http: URL`"));
        }
    }
}

fn http(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Probe> {
    let url = reader.filled(node)?;
    let help = if url.value().starts_with("https://") {
        Some("TLS is not supported: write a local `http://` URL, or `exec: [curl, …]`")
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
            let problem = Problem::error(entry.key_span, format!("`{}` in {KEY} is not the name of a header", entry.key));
            reader.report(problem.help("write one such as `Authorization`, without a colon in it"));
            continue;
        }
        if !reader.is_given(entry, DefaultValue::Nothing) {
            continue;
        }
        let Some(value) = reader.text(&entry.value) else { continue };
        if HeaderValue::from_str(value.value()).is_err() {
            let message = format!("the value of header `{}` in {KEY} contains a character that can't be sent", entry.key);
            reader.report(Problem::error(entry.value.span, message).help("write it on one line, of printable characters"));
            continue;
        }
        let value = if is_secret(&entry.key) { as_secret(&value) } else { value };
        headers.insert(entry.key.to_string(), value);
    }
    headers
}

/// Reads a regular expression; compiles it only to check it.
fn log(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Probe> {
    let pattern = reader.filled(node)?;
    let Err(error) = regex::bytes::Regex::new(pattern.value()) else { return Some(Probe::Log(pattern)) };
    let error = error.to_string();
    // Only the last line: the ones above it repeat the pattern, and the diagnostic shows it already.
    let reason = error.lines().last().unwrap_or_default();
    let reason = reason.strip_prefix("error: ").unwrap_or(reason);
    let reason = if pattern.is_secret() { "see the syntax of regular expressions" } else { reason };
    reader.refuse(node, &pattern, "a regular expression", Some(reason));
    None
}

fn tcp(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Probe> {
    let address = reader.filled(node)?;
    host_and_port(reader, node, &address).then_some(Probe::Tcp(address))
}

fn notify(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Announce> {
    let is_on = reader.boolean(node)?;
    if !is_on {
        reader.report(Problem::error(node.span, format!("{KEY} must be `true`")).help("write `true`, or remove the line"));
    }
    is_on.then_some(Announce::Notify)
}
