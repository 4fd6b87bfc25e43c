//! The keys at the top of the main file and of included files.

use super::fields::is_field;
use super::host_source::SOURCE;
use super::parts::{part, set};
use super::problems::{Problem, Problems};
use super::reader::{FieldReader, NodeReader, beside, keys};
use super::redact::short;
use super::scope::is_secret;
use super::source_map::{SourceMap, SourceSpan};
use super::table::{ChangeEffect, ConfigKey, ValueShape, words};
use super::tree::{MapEntry, Node, NodeKind, entry};
use super::{Level, LogFormat, Settings, foreign, process, scalar, unknown_keys, words};
use crate::suggest::nearest;
use reconcile::human_duration::HumanDuration;
use reconcile::rollback::Rollback;
use reconcile::spec::Tier;

const fn key(name: &'static str, shape: ValueShape) -> ConfigKey {
    ConfigKey::new(name, shape, ChangeEffect::None)
}

/// Every key at the top of the main file.
pub(super) static TOP: &[ConfigKey] = &[
    key("managed_processes", ValueShape::Processes)
        .means("processes, started in order and stopped in reverse order; `[]` stops all"),
    key("applications", ValueShape::Processes)
        .means("processes that are started after all managed processes and stopped before them"),
    key("env", ValueShape::Variables)
        .default("{}")
        .means("variables for every process, overridden by its own `env` and `env_file`"),
    key("env_file", ValueShape::Files).means("env files for every process; override only navigator's own environment"),
    key("defaults", ValueShape::Part(process::default_keys))
        .default("{}")
        .means("fields for every process that doesn't set them"),
    key("include", ValueShape::Globs).means("files with more processes, relative to this file"),
    key("logging", ValueShape::Part(|| keys(LOGGING))).default("{}").means("navigator's log and the output lines of processes"),
    key("shutdown_timeout", ValueShape::Duration)
        .default("90s")
        .means("time limit of a shutdown; after it the remaining processes are killed"),
    key("rollback", ValueShape::BoolOrPart(|| keys(ROLLBACK)))
        .default("false")
        .means("undo a configuration that fails soon after it is saved"),
    key("source", ValueShape::Part(|| keys(SOURCE)))
        .means("a repository to follow; beside it there is only `env`, `env_file`, `logging` and `shutdown_timeout`"),
];

/// The keys of `rollback`.
static ROLLBACK: &[FieldReader<Rollback>] = &[
    part(
        key("bake", ValueShape::Duration)
            .default("30s")
            .means("time for which everything has to stay as the configuration says until it is good"),
        |reader, node, rollback| set(&mut rollback.bake, reader.duration(node)),
    ),
    part(
        key("deadline", ValueShape::SomeDuration)
            .default("10m")
            .means("time after which the configuration is bad if it is not good"),
        |reader, node, rollback| set(&mut rollback.deadline, reader.some_duration(node)),
    ),
];

const fn reads(key: ConfigKey, read: fn(&mut NodeReader<'_, '_, '_>, &Node, &mut Settings)) -> FieldReader<Settings> {
    FieldReader { key, read }
}

/// Keys that belong to a web server which reads the same file.
pub(super) const WEB_SERVER: [&str; 11] =
    ["server", "cable", "auth", "maintenance", "routes", "hooks", "pools", "suspend", "framework", "frameworks", "rewrite_rules"];

/// A key of `logging` that belongs to a web server.
pub(super) const WEB_SERVER_LOGGING: &str = "vector";

const LEVELS: [(&str, Level); 5] =
    [("error", Level::Error), ("warn", Level::Warn), ("info", Level::Info), ("debug", Level::Debug), ("trace", Level::Trace)];
const FOREIGN_LEVELS: [(&str, &str); 5] = [
    ("warning", "write `warn`"),
    ("verbose", "write `debug`"),
    ("information", "write `info`"),
    ("fatal", "write `error`"),
    ("critical", "write `error`"),
];
const FORMATS: [(&str, LogFormat); 2] = [("text", LogFormat::Text), ("json", LogFormat::Json)];

/// The keys of `logging`.
static LOGGING: &[FieldReader<Settings>] = &[
    reads(
        ConfigKey::new("level", ValueShape::Words(const { &words(&LEVELS) }), ChangeEffect::None)
            .default("info")
            .means("lowest severity that is logged"),
        |reader, node, settings| {
            settings.level = reader.word(node, &LEVELS, &FOREIGN_LEVELS).unwrap_or_default();
        },
    ),
    reads(
        ConfigKey::new("format", ValueShape::Words(const { &words(&FORMATS) }), ChangeEffect::None)
            .default("text")
            .means("format of log events and output lines"),
        |reader, node, settings| {
            settings.format = reader.word(node, &FORMATS, &[]).unwrap_or_default();
        },
    ),
    reads(
        ConfigKey::new("file", ValueShape::File, ChangeEffect::None)
            .means("file for both instead of standard error and output, relative to this file"),
        |reader, node, settings| {
            settings.file = reader.filled(node).map(|path| beside(reader.context.texts.path(node.span.text), path.value()));
        },
    ),
];

/// Reads `logging`.
pub(super) fn logging(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Settings {
    let mut settings = Settings::default();
    for entry in reader.entries(node).unwrap_or_default() {
        if entry.key == WEB_SERVER_LOGGING {
            reader.report(belongs_elsewhere(&format!("logging.{WEB_SERVER_LOGGING}"), entry.key_span));
        } else {
            reader.entry(entry, "logging", LOGGING, &mut settings);
        }
    }
    settings
}

/// Reads `rollback`; `None`: nothing is undone.
pub(super) fn rollback(reader: &mut NodeReader<'_, '_, '_>, node: &Node) -> Option<Rollback> {
    let mut rollback = Rollback::default();
    if !matches!(node.kind, NodeKind::Map(_)) {
        let instead = |_: &str| "write `true`, `false` or a map such as `{bake: 30s}`".to_owned();
        return reader.truth(node, "`true`, `false` or a map", instead).unwrap_or_default().then_some(rollback);
    }
    reader.map(node, "rollback", ROLLBACK, &mut rollback);
    if rollback.bake >= rollback.deadline {
        let (bake, deadline) = (HumanDuration(rollback.bake), HumanDuration(rollback.deadline));
        let message = format!("`rollback.bake` ({bake}) must be shorter than `rollback.deadline` ({deadline})");
        reader.report(Problem::error(node.span, message).help("write a longer `deadline`, or a shorter `bake`"));
    }
    Some(rollback)
}

/// Checks the keys at the top of a file, and returns its entries.
pub(super) fn entries<'a>(node: &'a Node, main: bool, problems: &mut Problems) -> &'a [MapEntry] {
    let NodeKind::Map(map) = &node.kind else {
        let help = "write `managed_processes: []` to run nothing";
        problems.add(Problem::error(node.span, "this file has no keys").help(help));
        return &[];
    };
    if let Some(problem) = procfile(&map.entries) {
        problems.add(problem);
        return &[];
    }
    let mut has_errors = false;
    let is_compose = entry(&map.entries, "services").is_some();
    let has_list = entry(&map.entries, "managed_processes").is_some();
    for entry in &map.entries {
        if is_compose && entry.key == "name" {
            has_errors = true;
            let problem = Problem::error(entry.key_span, "a `name` of the whole file has no meaning here");
            problems.add(problem.help("remove this line"));
        } else if let Some(problem) = misplaced_key(entry, main) {
            has_errors |= problem.is_error();
            problems.add(problem);
        } else if !is_allowed(&entry.key, main) {
            has_errors = true;
            let with_help = problems.has_room();
            problems.add_with(|| unknown_key(entry, with_help, has_list));
        } else if entry.value.is_null() && is_top_key(&entry.key) {
            let problem = Problem::error(entry.key_span, format!("`{}` has no value", entry.key));
            let list = if is_list(&entry.key) { "write `[]` for an empty list" } else { "write its value, or remove the line" };
            problems.add(problem.help(list));
        }
    }
    let is_enough = |entry: &MapEntry| {
        is_list(&entry.key) && !is_web_applications(entry) || main && matches!(entry.key.as_str(), "include" | "source")
    };
    if !has_errors && map.strays().is_empty() && map.duplicates().is_empty() && !map.entries.iter().any(is_enough) {
        let lists = if main {
            "neither `managed_processes` nor `applications` nor `include`"
        } else {
            "neither `managed_processes` nor `applications`"
        };
        let problem = Problem::error(node.span, format!("this file has {lists}"));
        problems.add(problem.help("add `managed_processes:` and a list, or write `managed_processes: []` to run nothing"));
    }
    &map.entries
}

/// Whether a key is allowed at the top of the main file, or of an included one.
fn is_allowed(key: &str, main: bool) -> bool {
    key.starts_with("x-") || is_list(key) || main && is_top_key(key)
}

/// Describes a misplaced key at the top of a file.
fn misplaced_key(entry: &MapEntry, main: bool) -> Option<Problem> {
    let key = entry.key.as_str();
    if WEB_SERVER.contains(&key) || is_web_applications(entry) {
        return Some(belongs_elsewhere(key, entry.key_span));
    }
    if is_allowed(key, main) {
        return None;
    }
    if is_top_key(key) {
        let problem = Problem::error(entry.key_span, format!("`{key}` is not allowed in an included file"));
        return Some(problem.help("put it into the main file; an included one holds `managed_processes` and `applications`"));
    }
    if key.starts_with("//") || key.starts_with("/*") {
        return Some(Problem::error(entry.key_span, "`//` and `/*` begin no comment in YAML").help("begin a comment with `#`"));
    }
    if is_field(key) {
        let problem = Problem::error(entry.key_span, format!("`{key}` is outside of any process"));
        let value = match &entry.value.kind {
            NodeKind::Scalar(scalar) if scalar.text.len() <= 40 && !is_secret(&scalar.text) && !scalar.is_secret => {
                words::quoted_if_needed(&scalar.text)
            }
            NodeKind::Scalar(_) => "…".to_owned(),
            NodeKind::List(_) => "[…]".to_owned(),
            NodeKind::Map(_) => "{…}".to_owned(),
        };
        let value = if key == "env" { "{…}" } else { &value };
        return Some(problem.help(format!("indent it below the `- name: …` it belongs to:\n  - name: …\n    {key}: {value}")));
    }
    None
}

/// Describes an unknown key at the top of a file.
fn unknown_key(entry: &MapEntry, with_help: bool, has_list: bool) -> Problem {
    let key = entry.key.as_str();
    let problem = Problem::error(entry.key_span, format!("unknown key `{}` at the top of the file", short(key)));
    if !with_help {
        return problem;
    }
    let help = foreign::instead_of_top_entry(key, &entry.value);
    let help = help.or_else(|| foreign::instead_of_top_key(key, TOP.iter().map(|key| key.name)));
    let help = help.or_else(|| process_at_top(entry));
    let is_second = has_list && help.as_ref().is_some_and(|help| help.contains("managed_processes"));
    let help = if is_second { Some("make its processes items of `managed_processes`".to_owned()) } else { help };
    problem.help(help.unwrap_or_else(|| "remove it; your own keys begin with `x-`".to_owned()))
}

/// What to write instead of a process at the top, under its name.
fn process_at_top(entry: &MapEntry) -> Option<String> {
    let NodeKind::Map(fields) = &entry.value.kind else { return None };
    let is_process =
        scalar::name(&entry.key).is_ok() && fields.entries.iter().any(|field| unknown_keys::belongs_to_process(&field.key));
    let lines = is_process.then(|| foreign::process_as_yaml(&entry.key, &fields.entries))?;
    Some(format!("write it as an item of a list:\nmanaged_processes:\n  {}", lines.join("\n  ")))
}

/// Describes a file that is not a map.
pub(super) fn not_a_map(node: &Node, texts: &SourceMap) -> Problem {
    let problem = Problem::error(node.span, format!("a configuration must be a map of keys, not {}", node.described()));
    match &node.kind {
        NodeKind::List(items)
            if items.iter().any(|item| matches!(&item.kind, NodeKind::Map(map) if entry(&map.entries, "name").is_some())) =>
        {
            match foreign::first_of_list(items) {
                Some(lines) => {
                    problem.help(format!("write it as a list of processes:\nmanaged_processes:\n  {}", lines.join("\n  ")))
                }
                None => problem.help("write `managed_processes:` above this list, and indent it"),
            }
        }
        NodeKind::Scalar(_) => {
            let word = texts.slice(node.span).split_whitespace().next().unwrap_or_default();
            let known = nearest(word.trim_end_matches(':'), TOP.iter().map(|key| key.name));
            match known {
                Some(key) => Problem::error(node.span, format!("a `:` is missing after `{key}`")).help(format!("write `{key}:`")),
                None => problem.help(BEGINNING),
            }
        }
        _ => problem.help(BEGINNING),
    }
}

const BEGINNING: &str =
    "a configuration begins with a list of processes:\nmanaged_processes:\n  - name: redis\n    command: redis-server";

/// Detects a Procfile: names and command lines.
fn procfile(entries: &[MapEntry]) -> Option<Problem> {
    let line = |entry: &MapEntry| match &entry.value.kind {
        NodeKind::Scalar(scalar) if !entry.value.is_null() && scalar::name(&entry.key).is_ok() => {
            foreign::procfile_line(&entry.key, &scalar.text)
        }
        _ => None,
    };
    let is_unknown = |entry: &MapEntry| {
        let known = foreign::instead_of_top_key(&entry.key, TOP.iter().map(|key| key.name));
        known.is_none() && !is_field(&entry.key) && !WEB_SERVER.contains(&entry.key.as_str()) && !entry.key.starts_with("x-")
    };
    let has_arguments =
        |entry: &MapEntry| matches!(&entry.value.kind, NodeKind::Scalar(scalar) if scalar.text.trim().contains(' '));
    // A few lines are enough: a Procfile is short.
    let sample = &entries[..entries.len().min(20)];
    if !sample.iter().all(|entry| is_unknown(entry) && line(entry).is_some()) || !sample.iter().any(has_arguments) {
        return None;
    }
    let lines: Vec<String> = sample.iter().take(3).filter_map(line).flatten().map(|line| format!("  {line}")).collect();
    let problem = Problem::error(entries.first()?.key_span, "this is a Procfile, not a navigator configuration");
    Some(problem.help(format!("write its lines as a list:\nmanaged_processes:\n{}", lines.join("\n"))))
}

fn belongs_elsewhere(key: &str, span: SourceSpan) -> Problem {
    Problem::warning(span, format!("`{key}` belongs to a web server's configuration and is ignored"))
}

/// Whether this is a key of navigator's own, or a path of keys: `applications`, `stop.timeout`, `env: …`.
pub(super) fn is_own_key(text: &str) -> bool {
    let path = text.trim_end_matches([':', ' ', '…', '-', '[', ']']);
    let key = path.split('.').next().unwrap_or_default();
    let is_path = path.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte));
    is_path && (is_top_key(key) || is_field(key))
}

pub(super) fn is_top_key(key: &str) -> bool {
    TOP.iter().any(|known| known.name == key)
}

fn is_list(key: &str) -> bool {
    matches!(key, "managed_processes" | "applications")
}

/// A web server has a map of its tenants under this key.
fn is_web_applications(entry: &MapEntry) -> bool {
    entry.key == "applications" && matches!(entry.value.kind, NodeKind::Map(_))
}

/// The processes of a file, with their tiers.
pub(super) fn processes<'a>(entries: &'a [MapEntry], problems: &mut Problems) -> Vec<(Tier, &'a Node)> {
    let mut processes = Vec::new();
    for entry in entries {
        let tier = match entry.key.as_str() {
            "managed_processes" => Tier::Managed,
            "applications" => Tier::Application,
            _ => continue,
        };
        match &entry.value.kind {
            NodeKind::List(items) => processes.extend(items.iter().map(|item| (tier, item))),
            _ if entry.value.is_null() || is_web_applications(entry) => {}
            _ => problems.add(not_a_list(&entry.key, &entry.value)),
        }
    }
    processes
}

/// Describes a value that should be a list of processes.
fn not_a_list(key: &str, value: &Node) -> Problem {
    let NodeKind::Map(map) = &value.kind else {
        let problem = Problem::error(value.span, format!("`{key}` must be a list of processes, not {}", value.described()));
        return problem.help(format!("write it as a list:\n{key}:\n  - name: …\n    command: …"));
    };
    if let Some(first) = map.entries.first().filter(|entry| is_field(&entry.key)) {
        let problem = Problem::error(first.key_span, format!("a `-` is missing before a process of `{key}`"));
        let name = match &first.value.kind {
            NodeKind::Scalar(scalar) if first.key == "name" && scalar::name(&scalar.text).is_ok() => scalar.text.as_str(),
            _ => "…",
        };
        return problem.help(format!("begin each process with a `-`:\n{key}:\n  - {}: {name}", first.key));
    }
    let problem = Problem::error(value.span, format!("`{key}` must be a list of processes, not a map of them"));
    let lines = map.entries.first().and_then(|first| match &first.value.kind {
        NodeKind::Map(fields) => Some(foreign::process_as_yaml(&first.key, &fields.entries)),
        NodeKind::Scalar(scalar) if !first.value.is_null() => foreign::procfile_line(&first.key, &scalar.text),
        _ => None,
    });
    let lines = lines.unwrap_or_else(|| vec!["- name: …".to_owned(), "  command: …".to_owned()]);
    problem.help(format!("write each process as an item with a `name`:\n{key}:\n  {}", lines.join("\n  ")))
}
