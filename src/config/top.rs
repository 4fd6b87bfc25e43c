//! The keys at the top of the main file and of included ones.

use super::foreign;
use super::problems::{Problem, Problems};
use super::reader::Reader;
use super::table::{Change, Field, Key, Shape, keys, words};
use super::texts::Span;
use super::tree::{Entry, Kind, Node, Style};
use super::{Format, Level, Settings};
use reconcile::spec::Tier;

const fn key(name: &'static str, shape: Shape) -> Key {
    Key::new(name, shape, Change::None)
}

/// Every key at the top of the main file.
pub(super) static TOP: &[Key] = &[
    key("managed_processes", Shape::Processes).means("started in order, stopped in reverse; `[]` stops everything"),
    key("applications", Shape::Processes)
        .means("the same fields; started after every managed process, stopped before any of them"),
    key("env", Shape::Variables).default("{}").means("for every process, under its own"),
    key("env_file", Shape::TextOrTexts("path")).means("for every process, under everything else"),
    key("defaults", Shape::Part(super::process::default_keys)).default("{}").means("fills what a process leaves out"),
    key("include", Shape::Globs).means("files whose processes are added, relative to this one"),
    key("logging", Shape::Part(|| keys(LOGGING))).default("{}").means("the log of navigator itself, and the lines of processes"),
    key("shutdown_timeout", Shape::Duration).default("90s").means("the whole shutdown; past it everything left is killed"),
];

const fn reads(key: Key, read: fn(&mut Reader<'_, '_, '_>, &Node, &mut Settings)) -> Field<Settings> {
    Field { key, read }
}

/// Keys that belong to a web server which reads the same file.
pub(super) const WEB_SERVER: [&str; 6] = ["server", "cable", "auth", "maintenance", "routes", "hooks"];

/// A key of `logging` that does so, too.
pub(super) const WEB_SERVER_LOGGING: &str = "vector";

const LEVELS: [(&str, Level); 5] =
    [("error", Level::Error), ("warn", Level::Warn), ("info", Level::Info), ("debug", Level::Debug), ("trace", Level::Trace)];
const FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];

/// The keys of `logging`.
static LOGGING: &[Field<Settings>] = &[
    reads(
        Key::new("level", Shape::Words(const { &words(&LEVELS) }), Change::None)
            .default("info")
            .means("the least severe events that are logged"),
        |reader, node, settings| {
            settings.level = reader.word(node, &LEVELS, &[("warning", "write `warn`")]);
        },
    ),
    reads(
        Key::new("format", Shape::Words(const { &words(&FORMATS) }), Change::None)
            .default("text")
            .means("how events and lines are written"),
        |reader, node, settings| {
            settings.format = reader.word(node, &FORMATS, &[]).unwrap_or_default();
        },
    ),
    reads(
        Key::new("file", Shape::Text("path"), Change::None)
            .means("where both go instead of standard error and output, relative to this file"),
        |reader, node, settings| {
            settings.file = reader
                .filled(node, "a path")
                .map(|path| super::fields::beside(reader.context.texts.path(node.span.text), path.value()));
        },
    ),
];

/// Reads `logging`.
pub(super) fn logging(reader: &mut Reader<'_, '_, '_>, node: &Node) -> Settings {
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

/// The keys of a file that are its own, and what is reported about the others.
pub(super) fn entries<'a>(node: &'a Node, main: bool, problems: &mut Problems) -> &'a [Entry] {
    let help = "a configuration begins with `managed_processes:` and, below it, a list of processes";
    let map = match &node.kind {
        Kind::Map(map) => map,
        Kind::Scalar(scalar) if scalar.style == Style::Null => {
            problems
                .add(Problem::error(node.span, "this file says nothing").help("write `managed_processes: []` to run nothing"));
            return &[];
        }
        _ => {
            problems.add(Problem::error(node.span, format!("expected a map, found {}", node.described())).help(help));
            return &[];
        }
    };
    let mut unknown = false;
    for entry in &map.entries {
        if let Some(problem) = objection(entry, main) {
            unknown |= problem.is_error();
            problems.add(problem);
        } else if entry.value.is_null() && is_ours(&entry.key) {
            let problem = Problem::error(entry.key_span, format!("`{}` has no value", entry.key));
            let list = if is_list(&entry.key) { "write `[]` for an empty list" } else { "write its value, or remove the line" };
            problems.add(problem.help(list));
        }
    }
    let is_enough = |entry: &Entry| is_list(&entry.key) && !is_web_applications(entry) || main && entry.key == "include";
    if !unknown && map.strays.is_empty() && !map.entries.iter().any(is_enough) {
        let lists = if main {
            "neither `managed_processes` nor `applications` nor `include`"
        } else {
            "neither `managed_processes` nor `applications`"
        };
        let problem = Problem::error(node.span, format!("this file has {lists}"));
        problems.add(problem.help("write `managed_processes: []` to run nothing"));
    }
    &map.entries
}

/// What is wrong with a key at the top of a file.
fn objection(entry: &Entry, main: bool) -> Option<Problem> {
    let key = entry.key.as_str();
    if WEB_SERVER.contains(&key) || is_web_applications(entry) {
        return Some(belongs_elsewhere(key, entry.key_span));
    }
    if key.starts_with("x-") || is_list(key) || main && is_ours(key) {
        return None;
    }
    if is_ours(key) {
        let problem = Problem::error(entry.key_span, format!("`{key}` can't stand in an included file"));
        return Some(problem.help("put it into the main file; an included one holds `managed_processes` and `applications`"));
    }
    let help = foreign::instead_of_top_key(key, TOP.iter().map(|key| key.name));
    let help = help.unwrap_or_else(|| "keys of your own begin with `x-`".to_owned());
    Some(Problem::error(entry.key_span, format!("unknown key `{key}`")).help(help))
}

fn belongs_elsewhere(key: &str, span: Span) -> Problem {
    Problem::warning(span, format!("`{key}` belongs to a web server's configuration and is ignored"))
}

fn is_ours(key: &str) -> bool {
    TOP.iter().any(|known| known.name == key)
}

fn is_list(key: &str) -> bool {
    matches!(key, "managed_processes" | "applications")
}

/// A web server lists its tenants under this key in a map.
fn is_web_applications(entry: &Entry) -> bool {
    entry.key == "applications" && matches!(entry.value.kind, Kind::Map(_))
}

/// The processes of a file, with their tiers.
pub(super) fn processes<'a>(entries: &'a [Entry], problems: &mut Problems) -> Vec<(Tier, &'a Node)> {
    let mut processes = Vec::new();
    for entry in entries {
        let tier = match entry.key.as_str() {
            "managed_processes" => Tier::Managed,
            "applications" => Tier::Application,
            _ => continue,
        };
        match &entry.value.kind {
            Kind::List(items) => processes.extend(items.iter().map(|item| (tier, item))),
            _ if entry.value.is_null() || is_web_applications(entry) => {}
            _ => {
                let problem =
                    Problem::error(entry.value.span, format!("expected a list of processes, found {}", entry.value.described()));
                problems.add(problem.help("begin each process with `- name: …`"));
            }
        }
    }
    processes
}
