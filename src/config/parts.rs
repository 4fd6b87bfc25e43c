//! Process fields that are maps (`backoff`, `stop`, `depends_on`, …): tables of their keys, and decoders.

use super::draft::Draft;
use super::problems::Problem;
use super::reader::{FieldReader, NodeReader, keys};
use super::redact::short;
use super::scalar;
use super::subject::{ITEM, KEY};
use super::table::{ChangeEffect, ConfigKey, DefaultValue, ValueShape, words};
use super::tree::{Node, NodeKind};
use crate::suggest::did_you_mean;
use reconcile::spec::{
    Backoff, Condition, Dependency, Drain, Limit, Output, OutputFiles, Signal, SignalOrCommand, Stop, StopScope,
};
use reconcile::text::{Name, Text};
use std::time::Duration;

/// A key of a map field. Its change effect is that of the whole field.
pub(super) const fn key(name: &'static str, shape: ValueShape) -> ConfigKey {
    ConfigKey::new(name, shape, ChangeEffect::InPlace)
}

pub(super) const fn part<T>(key: ConfigKey, read: fn(&mut NodeReader<'_, '_, '_>, &Node, &mut T)) -> FieldReader<T> {
    FieldReader { key, read }
}

/// Sets `place` if there is a value.
pub(super) fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

pub(super) static BACKOFF: &[FieldReader<Backoff>] = &[
    part(key("initial", ValueShape::Delay).default("500ms").means("first delay, at least `1ms`"), |reader, node, backoff| {
        set(&mut backoff.initial, reader.delay(node));
    }),
    part(
        key("factor", ValueShape::Number(1.0, 100.0)).default("2").means("each delay is the previous one times this"),
        |reader, node, backoff| set(&mut backoff.factor, reader.number(node, 1.0, 100.0)),
    ),
    part(key("max", ValueShape::Delay).default("30s").means("longest delay"), |reader, node, backoff| {
        set(&mut backoff.max, reader.delay(node));
    }),
    part(
        key("jitter", ValueShape::Number(0.0, 1.0)).default("0.1").means("random variation of each delay, as a fraction of it"),
        |reader, node, backoff| set(&mut backoff.jitter, reader.number(node, 0.0, 1.0)),
    ),
    part(
        key("reset_after", ValueShape::Duration)
            .default("10s")
            .means("time of healthy running that resets the count of failures"),
        |reader, node, backoff| set(&mut backoff.reset_after, reader.duration(node)),
    ),
];

pub(super) static STOP: &[FieldReader<Stop>] = &[
    part(key("signal", ValueShape::Signal).default("TERM").means("signal to the processes in `scope`"), |reader, node, stop| {
        set(&mut stop.signal, reader.signal(node));
    }),
    part(
        key("timeout", ValueShape::Duration)
            .default("10s")
            .means("time after which the remaining processes of the tree are killed"),
        |reader, node, stop| set(&mut stop.timeout, reader.duration(node)),
    ),
    part(
        key("drain", ValueShape::Choice(&ACTIONS, || keys(DRAIN)))
            .means("first step of a stop: the main process accepts nothing more, and finishes what it has begun"),
        drain,
    ),
    part(key("command", ValueShape::Command).means("command to run instead of sending the signal"), |reader, node, stop| {
        stop.command = reader.command(node);
    }),
    part(
        key("scope", ValueShape::Words(const { &words(&SCOPES) }))
            .default("tree")
            .means("`main`: the signal goes to the main process alone; what is left when it has ended gets the signal then"),
        |reader, node, stop| {
            let foreign = [
                ("mixed", "write `main`"),
                ("process", "write `main`"),
                ("control-group", "write `tree`"),
                ("group", "write `tree`"),
            ];
            set(&mut stop.scope, reader.word(node, &SCOPES, &foreign));
        },
    ),
];

const SCOPES: [(&str, StopScope); 2] = [("tree", StopScope::Tree), ("main", StopScope::Main)];

const CONDITIONS: [(&str, Condition); 3] =
    [("started", Condition::Started), ("ready", Condition::Ready), ("completed", Condition::Completed)];

pub(super) static DEPENDENCY: &[FieldReader<Dependency>] = &[
    part(
        key("condition", ValueShape::Words(const { &words(&CONDITIONS) }))
            .otherwise("`ready`; for a task `completed`")
            .means("state that the dependency must reach"),
        |reader, node, dependency| {
            let foreign = [
                ("service_started", "write `started`"),
                ("service_healthy", "write `ready`"),
                ("healthy", "write `ready`"),
                ("service_completed_successfully", "write `completed`"),
                ("process_started", "write `started`"),
                ("process_healthy", "write `ready`"),
                ("process_completed_successfully", "write `completed`"),
            ];
            dependency.condition = reader.word(node, &CONDITIONS, &foreign);
        },
    ),
    part(
        key("restart", ValueShape::Bool)
            .default("false")
            .means("restart this process when the dependency is replaced or restarted by hand"),
        |reader, node, dependency| set(&mut dependency.restart, reader.boolean(node)),
    ),
    part(
        key("required", ValueShape::Bool)
            .default("true")
            .means("`false`: go on if the dependency is disabled, stopped by hand, has failed once or has ended"),
        |reader, node, dependency| {
            set(&mut dependency.required, reader.boolean(node));
        },
    ),
];

/// Decodes `depends_on`: a list of names, or a map from names to conditions.
pub(super) fn depends_on(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let edges = draft.spec.depends_on.get_or_insert_default();
    match &node.kind {
        NodeKind::List(items) => {
            for item in items {
                if matches!(item.kind, NodeKind::Map(_)) {
                    let problem = Problem::error(item.span, format!("an item of {KEY} must be a name, not a map"));
                    reader.report(problem.help("write `[NAME, …]`, or a map: `{NAME: {condition: ready}}`"));
                    continue;
                }
                let Some(name) = reader.at(ITEM, |reader| reader.name(item)) else { continue };
                if let Some(&first) = draft.edges.get(&name) {
                    let problem = Problem::error(item.span, format!("`{name}` is named twice in {KEY}"));
                    reader.report(problem.label(first, "first named here"));
                }
                draft.edges.insert(name.clone(), item.span);
                edges.insert(name, Dependency::default());
            }
        }
        NodeKind::Map(map) => {
            for entry in &map.entries {
                if let Err(reason) = scalar::name(&entry.key) {
                    reader.report(
                        Problem::error(entry.key_span, format!("`{}` in {KEY} is not a name of a process", short(&entry.key)))
                            .help(reason),
                    );
                    continue;
                }
                let name = Name::from(entry.key.as_str());
                let mut dependency = Dependency::default();
                // `db:` without a value is the same as an item of a list.
                if !entry.value.is_null() {
                    reader.map(&entry.value, "depends_on", DEPENDENCY, &mut dependency);
                }
                draft.edges.insert(name.clone(), entry.key_span);
                edges.insert(name, dependency);
            }
        }
        NodeKind::Scalar(scalar) => {
            let problem = Problem::error(node.span, format!("{KEY} must be a list of names or a map, not a single value"));
            let names: Vec<&str> = scalar.text.split([',', ' ']).filter(|name| !name.is_empty()).collect();
            reader.report(problem.help(format!("write `depends_on: [{}]`", names.join(", "))));
        }
    }
}

/// `reload` or `stop.drain` while it is being decoded.
#[derive(Default)]
pub(super) struct ActionParts {
    signal: Option<Signal>,
    command: Option<Vec<Text>>,
    /// Number of actions given, valid or not.
    count: usize,
    timeout: Option<Duration>,
}

/// Keys of which exactly one is allowed.
pub(super) const ACTIONS: [&str; 2] = ["signal", "command"];

const SIGNAL: FieldReader<ActionParts> =
    part(key("signal", ValueShape::Signal).means("signal to the main process"), |reader, node, parts| {
        parts.count += 1;
        parts.signal = reader.signal(node);
    });
const COMMAND: FieldReader<ActionParts> =
    part(key("command", ValueShape::Command).means("command to run"), |reader, node, parts| {
        parts.count += 1;
        parts.command = reader.command(node);
    });

pub(super) static RELOAD: &[FieldReader<ActionParts>] = &[SIGNAL, COMMAND];

pub(super) static DRAIN: &[FieldReader<ActionParts>] = &[
    SIGNAL,
    COMMAND,
    part(
        key("timeout", ValueShape::SomeDuration).default("30s").means("time after which a process that hasn't ended is stopped"),
        |reader, node, parts| parts.timeout = reader.some_duration(node),
    ),
];

/// Decodes `reload`.
pub(super) fn reload(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    draft.spec.reload = action(reader, node, "reload", RELOAD).map(|(by, _)| by);
}

/// Decodes `stop.drain`.
fn drain(reader: &mut NodeReader<'_, '_, '_>, node: &Node, stop: &mut Stop) {
    let drain = action(reader, node, "stop.drain", DRAIN);
    stop.drain = drain.map(|(by, timeout)| Drain { by, timeout: timeout.unwrap_or(Drain::TIMEOUT) });
}

/// A signal or a command, and a timeout.
fn action(
    reader: &mut NodeReader<'_, '_, '_>,
    node: &Node,
    path: &str,
    table: &[FieldReader<ActionParts>],
) -> Option<(SignalOrCommand, Option<Duration>)> {
    let mut parts = ActionParts::default();
    reader.map(node, path, table, &mut parts);
    if parts.count != 1 && matches!(node.kind, NodeKind::Map(_)) {
        let problem = Problem::error(node.span, format!("{KEY} takes either `signal` or `command`"));
        reader.report(problem.help("write exactly one of the two"));
    }
    let by = parts.signal.map(SignalOrCommand::Signal).or(parts.command.map(SignalOrCommand::Command));
    by.map(|by| (by, parts.timeout))
}

/// Keys of `rolling`.
pub(super) static ROLLING: &[FieldReader<Draft>] = &[
    part(
        key("surge", ValueShape::WholeOrPercent(0, 1000))
            .otherwise("`1`")
            .means("how many `replicas` are replaced at once; 0: one by one, and each stops first"),
        |reader, node, draft| draft.surge = reader.surge(node, 0, 1000),
    ),
    part(
        key("stable", ValueShape::Duration)
            .default("1s")
            .means("time that a new run has to stay ready before the old one is stopped"),
        |reader, node, draft| set(&mut draft.spec.stable, reader.duration(node)),
    ),
];

/// `output` in its map form while it is being decoded.
#[derive(Default)]
pub(super) struct OutputParts {
    file: Option<Text>,
    stderr: Option<Text>,
    has_file: bool,
    max_size: Option<u64>,
    keep: Option<u32>,
}

pub(super) static OUTPUT: &[FieldReader<OutputParts>] = &[
    part(
        key("file", ValueShape::File)
            .otherwise("navigator's output")
            .means("path, relative to the configuration file that names it; missing directories are created"),
        |reader, node, output| {
            output.has_file = true;
            output.file = reader.filled(node).map(|path| reader.beside(node, &path));
        },
    ),
    part(
        key("stderr", ValueShape::File)
            .otherwise("as standard output")
            .means("file for standard error alone, with the same limits"),
        |reader, node, output| {
            output.has_file = true;
            output.stderr = reader.filled(node).map(|path| reader.beside(node, &path));
        },
    ),
    part(
        key("max_size", ValueShape::Size).default("50MB").means("size at which a file is rotated; `0`: never"),
        |reader, node, output| output.max_size = reader.size(node),
    ),
    part(
        key("keep", ValueShape::Whole(0, 1000)).default("5").means("number of rotated files to keep"),
        |reader, node, output| {
            output.keep = reader.whole(node, 0, 1000);
        },
    ),
];

/// Decodes `output` in its map form.
pub(super) fn output_file(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut parts = OutputParts::default();
    reader.map(node, "output", OUTPUT, &mut parts);
    if !parts.has_file {
        let problem = Problem::error(node.span, format!("{KEY} has neither `file` nor `stderr`"));
        reader.report(problem.help("write `output: {file: PATH}`, `log`, or `null`"));
    }
    let OutputParts { file, stderr, max_size, keep, .. } = parts;
    if file.is_some() || stderr.is_some() {
        draft.spec.exec.output = Output::Files(OutputFiles {
            stderr: stderr.or_else(|| file.clone()),
            stdout: file,
            max_size: max_size.unwrap_or(50_000_000),
            keep: keep.unwrap_or(5),
        });
    }
}

/// An item of `env_file`.
#[derive(Default)]
pub(super) struct EnvFileItem {
    pub(super) path: Option<Text>,
    /// The file may be missing.
    pub(super) is_optional: bool,
}

pub(super) static ENV_FILE: &[FieldReader<EnvFileItem>] = &[
    part(key("path", ValueShape::File).required().means("path, relative to the file that names it"), |reader, node, item| {
        item.path = reader.filled(node);
    }),
    part(key("required", ValueShape::Bool).default("true").means("`false`: the file may be missing"), |reader, node, item| {
        item.is_optional = reader.boolean(node) == Some(false);
    }),
];

/// Names of resource limits, as in `prlimit(1)`.
pub(super) const LIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Decodes `limits`: resource limits by name.
pub(super) fn limits(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let Some(entries) = reader.entries(node) else { return };
    for entry in entries {
        let Some(name) = LIMITS.into_iter().find(|name| entry.key == *name) else {
            let plain = entry.key.to_ascii_lowercase();
            let plain = plain.strip_prefix("limit").or(plain.strip_prefix("rlimit_")).unwrap_or(&plain);
            let help = did_you_mean(plain, LIMITS).unwrap_or_else(|| format!("use one of {}", LIMITS.join(", ")));
            reader.report(Problem::error(entry.key_span, format!("unknown limit `{}` in {KEY}", entry.key)).help(help));
            continue;
        };
        let given = reader
            .at(name, |reader| if reader.is_given(entry, DefaultValue::Nothing) { reader.text(&entry.value) } else { None });
        let Some(text) = given else { continue };
        let limit = match text.value() {
            "unlimited" => Some(Limit::Unlimited),
            digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().ok().map(Limit::To)
            }
            _ => None,
        };
        match limit {
            Some(limit) => drop(draft.spec.exec.limits.insert(name, limit)),
            None => reader.at(name, |reader| {
                reader.refuse(&entry.value, &text, "a whole number or `unlimited`", Some("write a whole number, or `unlimited`"));
            }),
        }
    }
}

/// Checks for `HOST:PORT`, and reports anything else.
pub(super) fn host_and_port(reader: &mut NodeReader<'_, '_, '_>, node: &Node, address: &Text) -> bool {
    let (host, port) = address.value().rsplit_once(':').unwrap_or_default();
    let is_valid = !host.is_empty() && scalar::whole_number::<u16>(port, 1, 65535).is_some();
    if !is_valid {
        reader.refuse(node, address, "an address", Some("write host and port, such as `127.0.0.1:6379`"));
    }
    is_valid
}
