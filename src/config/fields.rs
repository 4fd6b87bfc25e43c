//! Table of the fields of a process: decoding, checks, suggestions, schema and reference are driven by it.
//!
//! The keys of fields that are maps are in `parts` and `probes`.

use super::draft::Draft;
use super::inherited::inherit_env;
use super::listen::{SOCKET, listen};
use super::parts::{self, ACTIONS, BACKOFF, DEPENDENCY, OUTPUT, RELOAD, ROLLING, STOP};
use super::probes::{self, LIVENESS, READY};
use super::problems::Problem;
use super::reader::{FieldReader, NodeReader, keys};
use super::resources::RESOURCES;
use super::schedules::{SCHEDULE, schedule};
use super::subject::KEY;
use super::table::{ChangeEffect, ConfigKey, ValueShape, words};
use super::tree::{Node, NodeKind, NodeStyle, Scalar, entry};
use reconcile::spec::{Backoff, OnChange, OnWatch, Output, ProcessKind, Restart, ShutdownOn};

/// Two fields for the same setting; a process may use only one of them.
pub(super) const RESTART_FIELDS: [&str; 2] = ["restart", "auto_restart"];

/// Fields that are not allowed in `defaults`.
pub(super) const NO_DEFAULT: [&str; 4] = ["name", "command", "args", "listen"];

const SHUTDOWNS: [(&str, ShutdownOn); 2] = [("failure", ShutdownOn::Failure), ("exit", ShutdownOn::Exit)];
const RESTARTS: [(&str, Restart); 3] =
    [("never", Restart::Never), ("on-failure", Restart::OnFailure), ("always", Restart::Always)];
const KINDS: [(&str, ProcessKind); 2] = [("service", ProcessKind::Service), ("task", ProcessKind::Task)];
const ON_CHANGES: [(&str, OnChange); 3] =
    [("restart", OnChange::Restart), ("none", OnChange::Keep), ("rolling", OnChange::Rolling)];
const OUTPUTS: [(&str, bool); 2] = [("log", false), ("null", true)];
const ON_WATCHES: [(&str, OnWatch); 2] = [("reload", OnWatch::Reload), ("restart", OnWatch::Restart)];

const fn field(key: ConfigKey, read: fn(&mut NodeReader<'_, '_, '_>, &Node, &mut Draft)) -> FieldReader<Draft> {
    FieldReader { key, read }
}

/// Every field of a process.
pub(super) static PROCESS: &[FieldReader<Draft>] = &[
    field(
        ConfigKey::new("name", ValueShape::Name, ChangeEffect::AnotherProcess)
            .required()
            .means("name of the process; unique over both lists and all included files"),
        name,
    ),
    field(
        ConfigKey::new("command", ValueShape::Program, ChangeEffect::Restart)
            .required()
            .means("program to run, looked up in the `PATH` of the process; no shell"),
        command,
    ),
    field(
        ConfigKey::new("args", ValueShape::Texts, ChangeEffect::Restart)
            .default("[]")
            .means("arguments of the program, each taken exactly as written"),
        |reader, node, draft| {
            draft.spec.exec.args = reader.texts(node, draft.has_shell).unwrap_or_default();
        },
    ),
    field(
        ConfigKey::new("working_dir", ValueShape::Text("path"), ChangeEffect::Restart)
            .otherwise("navigator's")
            .means("working directory, relative to navigator's"),
        |reader, node, draft| {
            draft.spec.exec.working_dir = reader.filled(node);
        },
    ),
    // `load` reads these two before all others, because they define the scope for substitution.
    field(
        ConfigKey::new("env", ValueShape::Variables, ChangeEffect::Restart)
            .default("{}")
            .means("environment variables; override all others"),
        |_, _, _| (),
    ),
    field(
        ConfigKey::new("env_file", ValueShape::Files, ChangeEffect::Restart)
            .means("files of `KEY=value` lines, overridden by `env`; relative to the file that names them"),
        |_, _, _| (),
    ),
    field(
        ConfigKey::new("inherit_env", ValueShape::BoolOrNames, ChangeEffect::Restart)
            .default("true")
            .means("variables to inherit from navigator's environment: all, none (`false`), or the listed ones"),
        inherit_env,
    ),
    field(
        ConfigKey::new("auto_restart", ValueShape::Bool, ChangeEffect::InPlace)
            .default("false")
            .means("`true` is the same as `restart: on-failure`"),
        |reader, node, draft| {
            if let Some(restart) = reader.boolean(node) {
                draft.spec.restart = if restart { Restart::OnFailure } else { Restart::Never };
            }
        },
    ),
    field(
        ConfigKey::new("restart", ValueShape::Words(const { &words(&RESTARTS) }), ChangeEffect::InPlace)
            .default("never")
            .means("when to restart the process after it exits"),
        restart,
    ),
    field(
        ConfigKey::new("backoff", ValueShape::DelayOrPart(|| keys(BACKOFF)), ChangeEffect::InPlace)
            .means("delays before restarts; as one duration, the same delay before every restart, the first too"),
        backoff,
    ),
    field(
        ConfigKey::new("max_restarts", ValueShape::Whole(0, u32::MAX as i64), ChangeEffect::InPlace)
            .otherwise("unlimited")
            .means("number of restarts in a row, without healthy running in between, after which the next failure is final"),
        |reader, node, draft| {
            draft.spec.max_restarts = reader.whole(node, 0, u32::MAX.into());
        },
    ),
    field(
        ConfigKey::new("success_exit_codes", ValueShape::Wholes(0, 255), ChangeEffect::InPlace)
            .default("[0]")
            .means("exit statuses that count as success"),
        success_exit_codes,
    ),
    field(
        ConfigKey::new("shutdown_on", ValueShape::Words(const { &words(&SHUTDOWNS) }), ChangeEffect::InPlace)
            .means("`failure`: navigator shuts down with its exit status when the process has failed; `exit`: also when it has completed"),
        |reader, node, draft| draft.spec.shutdown_on = reader.word(node, &SHUTDOWNS, &[]),
    ),
    field(
        ConfigKey::new("start_delay", ValueShape::Duration, ChangeEffect::InPlace).default("0").means("delay before the start"),
        |reader, node, draft| {
            draft.spec.start_delay = reader.duration(node).unwrap_or_default();
        },
    ),
    field(
        ConfigKey::new("depends_on", ValueShape::Edges(|| keys(DEPENDENCY)), ChangeEffect::InPlace)
            .otherwise("after the previous process in the list, order only")
            .means("processes that must be started, ready or completed first"),
        parts::depends_on,
    ),
    field(
        ConfigKey::new("ready", ValueShape::Choice(&probes::READY_PROBES, || keys(READY)), ChangeEffect::InPlace)
            .means("probe that tells when the process is ready to do its work"),
        probes::ready,
    ),
    field(
        ConfigKey::new("liveness", ValueShape::Choice(&probes::LIVENESS_PROBES, || keys(LIVENESS)), ChangeEffect::InPlace)
            .means("probe that tells whether the running process still works"),
        probes::liveness,
    ),
    field(
        ConfigKey::new("stop", ValueShape::Part(|| keys(STOP)), ChangeEffect::InPlace).means("how to stop the process"),
        |reader, node, draft| {
            reader.map(node, "stop", STOP, &mut draft.spec.stop);
        },
    ),
    field(
        ConfigKey::new("reload", ValueShape::Choice(&ACTIONS, || keys(RELOAD)), ChangeEffect::InPlace)
            .means("how to make the process re-read its own files"),
        parts::reload,
    ),
    field(
        ConfigKey::new("watch", ValueShape::Globs, ChangeEffect::InPlace)
            .means("files of the process; a change of one triggers `on_watch`"),
        watch,
    ),
    field(
        ConfigKey::new("on_watch", ValueShape::Words(const { &words(&ON_WATCHES) }), ChangeEffect::InPlace)
            .otherwise("`reload` where `reload` is given, else `restart`")
            .means("action when a file in `watch` changes"),
        |reader, node, draft| {
            draft.on_watch = reader.word(node, &ON_WATCHES, &[]).map(|on_watch| (on_watch, node.span));
        },
    ),
    field(
        ConfigKey::new("type", ValueShape::Words(const { &words(&KINDS) }), ChangeEffect::Restart)
            .default("service")
            .means("`service` runs until it is stopped, `task` runs to completion"),
        |reader, node, draft| {
            let foreign = [
                ("oneshot", "write `task`"),
                ("simple", "write `service`"),
                ("notify", "write `service`"),
                ("forking", "let the program run in the foreground, and write `service`"),
            ];
            draft.spec.exec.kind = reader.word(node, &KINDS, &foreign).unwrap_or_default();
        },
    ),
    field(
        ConfigKey::new("output", ValueShape::WordsOrPart(const { &words(&OUTPUTS) }, || keys(OUTPUT)), ChangeEffect::Restart)
            .default("log")
            .means("destination of output lines: navigator's output, nowhere (`null`), or a file"),
        output,
    ),
    field(
        ConfigKey::new("user", ValueShape::Text("name or number"), ChangeEffect::Restart)
            .otherwise("navigator's")
            .means("user that the process runs as"),
        |reader, node, draft| {
            draft.spec.exec.user = reader.filled(node);
        },
    ),
    field(
        ConfigKey::new("group", ValueShape::Text("name or number"), ChangeEffect::Restart)
            .otherwise("the group of the user")
            .means("group that the process runs as"),
        |reader, node, draft| {
            draft.spec.exec.group = reader.filled(node);
        },
    ),
    field(
        ConfigKey::new("no_new_privs", ValueShape::Bool, ChangeEffect::Restart)
            .default("false")
            .means("`true`: executing a program never grants privileges, by set-user-ID bits or file capabilities"),
        |reader, node, draft| {
            draft.spec.exec.no_new_privs = reader.boolean(node).unwrap_or_default();
        },
    ),
    field(
        ConfigKey::new("umask", ValueShape::Octal, ChangeEffect::Restart)
            .otherwise("navigator's")
            .means("permission bits to clear in the mode of new files"),
        |reader, node, draft| draft.spec.exec.umask = reader.umask(node),
    ),
    field(
        ConfigKey::new("nice", ValueShape::Whole(-20, 19), ChangeEffect::Restart)
            .otherwise("navigator's")
            .means("nice value: a higher one means a lower CPU priority"),
        |reader, node, draft| {
            draft.spec.exec.nice = reader.whole(node, -20, 19);
        },
    ),
    field(
        ConfigKey::new("limits", ValueShape::Limits(&parts::LIMITS), ChangeEffect::Restart)
            .otherwise("navigator's")
            .means("resource limits by name"),
        parts::limits,
    ),
    field(
        ConfigKey::new("resources", ValueShape::Part(|| keys(RESOURCES)), ChangeEffect::Restart)
            .means("limits of the whole process tree, by its control group"),
        |reader, node, draft| reader.map(node, "resources", RESOURCES, &mut draft.spec.exec.resources),
    ),
    field(
        ConfigKey::new("oom_score_adj", ValueShape::Whole(-1000, 1000), ChangeEffect::Restart)
            .otherwise("navigator's")
            .means("how likely the kernel kills the process when memory runs out"),
        |reader, node, draft| {
            draft.spec.exec.oom_score_adj = reader.whole(node, -1000, 1000);
        },
    ),
    field(
        ConfigKey::new("enabled", ValueShape::Bool, ChangeEffect::StartsOrStops)
            .default("true")
            .means("`false`: defined, but not run"),
        |reader, node, draft| {
            draft.spec.enabled = reader.boolean(node).unwrap_or(true);
        },
    ),
    field(
        ConfigKey::new("on_change", ValueShape::Words(const { &words(&ON_CHANGES) }), ChangeEffect::InPlace)
            .default("restart")
            .means("what a change that needs a restart does: `none` keeps the old process running; `rolling` starts the new one beside it"),
        |reader, node, draft| {
            draft.on_change = reader.word(node, &ON_CHANGES, &[("start-first", "write `rolling`")]);
            draft.spec.on_change = draft.on_change.unwrap_or_default();
        },
    ),
    field(
        ConfigKey::new("rolling", ValueShape::Part(|| keys(ROLLING)), ChangeEffect::InPlace)
            .means("details of `on_change: rolling`"),
        |reader, node, draft| reader.map(node, "rolling", ROLLING, draft),
    ),
    field(
        ConfigKey::new("listen", ValueShape::Sockets(|| keys(SOCKET)), ChangeEffect::Restart)
            .means("sockets that navigator holds and passes to the process"),
        listen,
    ),
    field(
        ConfigKey::new("replicas", ValueShape::Whole(1, 1000), ChangeEffect::StartsOrStops)
            .otherwise("one, without a number")
            .means("number of equal processes, named `NAME:1`, `NAME:2` and so on"),
        |reader, node, draft| draft.replicas = reader.whole(node, 1, 1000),
    ),
    field(
        ConfigKey::new("schedule", ValueShape::CronOrPart(|| keys(SCHEDULE)), ChangeEffect::InPlace)
            .otherwise("once, as soon as it is wanted")
            .means("when to run a task: a cron expression, or a map"),
        schedule,
    ),
    field(
        ConfigKey::new("renamed_from", ValueShape::Name, ChangeEffect::InPlace)
            .means("previous name, under which the process runs"),
        |reader, node, _| {
            reader.name(node);
        },
    ),
];

/// The process field with this name.
pub(super) fn field_of(name: &str) -> Option<&'static FieldReader<Draft>> {
    PROCESS.iter().find(|field| field.key.name == name)
}

/// Whether a key is a process field.
pub(super) fn is_field(key: &str) -> bool {
    field_of(key).is_some()
}

fn name(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    if let Some(name) = reader.name(node) {
        draft.spec.name = name;
        draft.name = Some(node.span);
    }
}

fn command(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    // A list is reported with its arguments.
    if matches!(node.kind, NodeKind::List(_)) {
        return;
    }
    draft.spec.exec.command = reader.filled(node).unwrap_or_default();
}

fn restart(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let foreign = [
        ("no", "write `never`"),
        ("false", "write `never`"),
        ("true", "write `on-failure`, or `always`"),
        ("yes", "write `on-failure`, or `always`"),
        ("on_failure", "write `on-failure`"),
        ("unless-stopped", "write `always`: a process that is stopped by hand stays stopped"),
        ("unexpected", "write `on-failure`"),
        ("exit_on_failure", "write `never`, and `shutdown_on: failure` beside it"),
        ("on-abnormal", "write `on-failure`"),
        ("on-success", "write `always`"),
    ];
    if let Some(restart) = reader.word(node, &RESTARTS, &foreign) {
        draft.spec.restart = restart;
    }
}

fn success_exit_codes(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    let mut codes: Vec<u8> = node.one_or_more().iter().filter_map(|item| reader.whole(item, 0, 255)).collect();
    codes.sort_unstable();
    codes.dedup();
    draft.spec.success_exit_codes = Some(codes).filter(|codes| *codes != [0]);
}

fn backoff(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    if matches!(node.kind, NodeKind::Scalar(_)) {
        if let Some(delay) = reader.delay(node) {
            draft.spec.backoff = Backoff::steady(delay);
        }
        return;
    }
    reader.map(node, "backoff", BACKOFF, &mut draft.spec.backoff);
    if draft.spec.backoff.max < draft.spec.backoff.initial {
        let place = |key: &str| match &node.kind {
            NodeKind::Map(map) => entry(&map.entries, key).map(|entry| entry.value.span),
            _ => None,
        };
        let (initial, max) = (place("initial"), place("max"));
        let problem =
            Problem::error(max.or(initial).unwrap_or(node.span), format!("the `max` of {KEY} is less than its `initial`"));
        let problem = match (initial, max) {
            (Some(initial), Some(_)) => problem.label(initial, "`initial` is here"),
            _ => problem,
        };
        reader.report(problem.help("write a longer `max` (`30s` if left out), or a shorter `initial`"));
    }
}

fn output(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    match &node.kind {
        NodeKind::Scalar(Scalar { style: NodeStyle::Null, text, .. }) if !text.is_empty() => {
            draft.spec.exec.output = Output::Null;
        }
        NodeKind::Map(_) => parts::output_file(reader, node, draft),
        NodeKind::Scalar(scalar) => {
            let foreign = [
                ("file", "write `output: {file: PATH}`"),
                ("none", "write `null`"),
                ("/dev/null", "write `null`"),
                ("inherit", "write `log`"),
                ("stdout", "write `log`"),
                ("journal", "write `log`"),
            ];
            let path = format!("write `{{file: {}}}`", scalar.text);
            let is_path = scalar.text.contains('/') && scalar.text.len() <= 80;
            let foreign: Vec<(&str, &str)> =
                foreign.into_iter().chain(is_path.then_some((scalar.text.as_str(), path.as_str()))).collect();
            if reader.word(node, &OUTPUTS, &foreign) == Some(true) {
                draft.spec.exec.output = Output::Null;
            }
        }
        NodeKind::List(_) => {
            reader.report(Problem::error(node.span, format!("{KEY} must be `log`, `null` or a map, not a list")));
        }
    }
}

fn watch(reader: &mut NodeReader<'_, '_, '_>, node: &Node, draft: &mut Draft) {
    for item in node.one_or_more() {
        if let Some(path) = reader.filled(item) {
            if path.value().contains("**") {
                let problem = Problem::error(item.span, format!("`**` is not supported in {KEY}"));
                reader.report(problem.help("name each directory, as in `conf.d/*.conf`"));
                continue;
            }
            let path = reader.beside(item, &path);
            draft.spec.watch.push(path);
        }
    }
}
