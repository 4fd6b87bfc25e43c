//! One app of PM2.

use crate::config::{Loose, LooseKind, REPLICA, Value};
use crate::import::context::{ForeignFile, ImportContext, Reader};
use crate::import::model::{ImportedFields, ImportedStack, NoteKind, Process};
use crate::import::words::{escaped, words_without_shell};
use std::path::Path;

/// The programs that PM2 runs scripts with, by their endings.
const INTERPRETERS: [(&str, &str); 10] = [
    ("js", "node"),
    ("mjs", "node"),
    ("cjs", "node"),
    ("ts", "bun"),
    ("tsx", "bun"),
    ("py", "python3"),
    ("rb", "ruby"),
    ("sh", "bash"),
    ("pl", "perl"),
    ("php", "php"),
];

/// Adds the process of an app.
pub(super) fn add(context: &ImportContext<'_>, source: &ForeignFile, app: &Loose, stack: &mut ImportedStack) {
    let text = |key: &str| app.get_text(key).filter(|text| !text.is_empty());
    let script = text("script").or_else(|| text("cmd")).unwrap_or_default();
    let stem = Path::new(script).file_stem().and_then(|stem| stem.to_str()).unwrap_or("app");
    let name = text("name").unwrap_or(stem).to_owned();
    let mut fields = ImportedFields::default();
    if script.is_empty() {
        stack.drop(source, app.line, &name, "it has no `script`");
        return;
    }
    if script.contains(' ') && app.get("args").is_none() {
        fields.shell_line(script, "bash");
    } else {
        fields.command(command(app, script).iter().map(|word| escaped(word)).collect());
    }
    let mut reader = Reader { source, process: &name, fields: &mut fields, notes: &mut stack.notes };
    for (key, value) in app.entries() {
        key_of_app(context, key, value, app, &mut reader);
    }
    stack.add(Process { name, fields, remarks: Vec::new() });
}

/// The words of a text or a list.
fn list(value: Option<&Loose>) -> Vec<String> {
    match value.map(|value| (&value.kind, value)) {
        Some((LooseKind::Text(text), _)) => words_without_shell(text),
        Some((_, value)) => value.items().iter().filter_map(|item| item.text().map(str::to_owned)).collect(),
        None => Vec::new(),
    }
}

fn command(app: &Loose, script: &str) -> Vec<String> {
    let named = ["interpreter", "exec_interpreter"].iter().find_map(|key| app.get_text(key)).filter(|name| !name.is_empty());
    let by_ending = Path::new(script).extension().and_then(|ending| ending.to_str());
    let by_ending = INTERPRETERS.iter().find(|(ending, _)| Some(*ending) == by_ending).map(|(_, program)| *program);
    let mut words = Vec::new();
    if let Some(interpreter) = named.or(by_ending).filter(|interpreter| *interpreter != "none") {
        words.push(interpreter.to_owned());
        for key in ["interpreter_args", "node_args"] {
            words.extend(list(app.get(key)));
        }
    }
    words.push(script.to_owned());
    words.extend(list(app.get("args")));
    words
}

fn key_of_app(context: &ImportContext<'_>, key: &str, value: &Loose, app: &Loose, reader: &mut Reader<'_>) {
    let is_off = value.truth() == Some(false) || value.is_null();
    match key {
        "name"
        | "script"
        | "cmd"
        | "args"
        | "interpreter"
        | "exec_interpreter"
        | "interpreter_args"
        | "node_args"
        | "merge_logs"
        | "combine_logs"
        | "time"
        | "source_map_support"
        | "vizion"
        | "automation"
        | "force"
        | "pid_file"
        | "pid"
        | "pmx"
        | "disable_source_map_support"
        | "instance_var" => {}
        "cwd" => {
            let path = escaped(value.text().unwrap_or_default());
            let base = context.directory(reader.source.directory());
            let path = path.trim_start_matches("./").trim_end_matches('/');
            let path = match path {
                "" | "." => base,
                path if path.starts_with('/') => path.to_owned(),
                path => format!("{base}/{path}"),
            };
            reader.fields.text("working_dir", path);
        }
        "env" => {
            for (name, value) in value.entries() {
                if let Some(text) = value.text() {
                    reader.fields.variable(name, escaped(text));
                }
            }
        }
        key if key.starts_with("env_") => {
            let reason = "there is one environment for each file: import it once more for this one, and write it as `env`";
            reader.drop(key, value.line, Some(reason));
        }
        "instances" => instances(value, app, reader),
        "exec_mode" => {
            if value.text().is_some_and(|mode| mode.starts_with("cluster")) {
                let reason = "PM2 shares one port between the processes: here the program takes a socket from `listen`, or each has its own port";
                reader.note(NoteKind::Changed, "exec_mode", value.line, reason);
            }
        }
        "autorestart" if is_off => match app.get("cron_restart").filter(|cron| cron.text().is_some()) {
            Some(cron) => {
                reader.fields.text("restart", "never");
                reader.fields.text("type", "task");
                reader.fields.set_from("schedule", Value::text(cron.text().unwrap_or_default()), "PM2: cron_restart");
            }
            None => reader.fields.text("restart", "never"),
        },
        "autorestart" => {}
        "cron_restart" => {
            if !is_off && app.get("autorestart").is_none_or(|restart| restart.truth() != Some(false)) {
                reader.drop(key, value.line, None);
            }
        }
        "stop_exit_codes" => {
            reader.fields.set_from("restart", Value::text("on-failure"), "PM2: not after `stop_exit_codes`");
            reader.carry("exitcodes", value);
        }
        "restart_delay" | "exp_backoff_restart_delay" if value.text() == Some("0") => {}
        "restart_delay" => {
            if let Some(translated) = crate::config::translate(key, value) {
                reader.fields.set("backoff.initial", translated.value);
            }
        }
        "exp_backoff_restart_delay" => {
            reader.carry(key, value);
            reader.fields.text("backoff.max", "15s");
            if let Some(factor) = serde_json::Number::from_f64(1.5) {
                reader.fields.set("backoff.factor", Value::Number(factor));
            }
        }
        "max_memory_restart" => {
            reader.carry(key, value);
            reader.note(NoteKind::Changed, key, value.line, "the kernel ends the tree at once at its limit, and it is restarted");
        }
        "max_restarts" | "min_uptime" | "kill_timeout" | "user" | "uid" | "gid" => reader.carry(key, value),
        "wait_ready" | "listen_timeout" if !is_off => {
            if key == "wait_ready" {
                let reason = "PM2 waits for `process.send('ready')`: a program tells navigator by `ready: {notify: true}` or `ready: {log: …}`";
                reader.drop(key, value.line, Some(reason));
            }
        }
        "watch" if !is_off => watch(value, reader),
        "out_file" | "output" | "error_file" | "error" | "log_file" | "log" | "out" => log(key, value, reader),
        "treekill" if is_off => reader.fields.text("stop.scope", "main"),
        _ if is_off => {}
        key => reader.drop(key, value.line, None),
    }
}

fn instances(value: &Loose, app: &Loose, reader: &mut Reader<'_>) {
    let count = match value.text().unwrap_or("1") {
        "0" | "max" | "-1" => {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            let count = if value.text() == Some("-1") { processors.saturating_sub(1).max(1) } else { processors };
            let reason = format!("PM2 counts the processors of the host, which are {processors} here");
            reader.note(NoteKind::Changed, "instances", value.line, &reason);
            Loose::of(&count.to_string(), value.line)
        }
        _ => value.clone(),
    };
    if count.text() == Some("1") && !app.get_text("exec_mode").is_some_and(|mode| mode.starts_with("cluster")) {
        return;
    }
    reader.carry("replicas", &count);
    reader.fields.variable("NODE_APP_INSTANCE", format!("${{{REPLICA}}}"));
    reader.note(NoteKind::Changed, "NODE_APP_INSTANCE", value.line, "it counts from 1, not from 0");
}

fn watch(value: &Loose, reader: &mut Reader<'_>) {
    let paths = match value.truth() {
        Some(_) => vec![".".to_owned()],
        None => list(Some(value)),
    };
    for path in paths {
        reader.fields.push("watch", Value::Text(escaped(&path)));
    }
    reader.fields.text("on_watch", "restart");
    reader.note(NoteKind::Changed, "watch", value.line, "directories below a watched one are not watched: name each");
}

fn log(key: &str, value: &Loose, reader: &mut Reader<'_>) {
    let path = value.text().unwrap_or_default();
    let is_nothing = path == "/dev/null" || path == "NULL";
    match key {
        "error_file" | "error" => reader.fields.text("output.stderr", escaped(if is_nothing { "/dev/null" } else { path })),
        "log_file" | "log" if reader.fields.has("output.file") => {}
        _ => reader.fields.text("output.file", escaped(if is_nothing { "/dev/null" } else { path })),
    }
    reader.fields.set_from("output.max_size", Value::Number(0.into()), "PM2 does not rotate by itself");
}
