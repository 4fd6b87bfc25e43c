//! `circus.ini`: watchers, their environments, and sockets.

use super::ImportError;
use super::context::{ForeignFile, ImportContext, Reader};
use super::ini::{Entry, Section, sections};
use super::model::{ImportedFields, ImportedStack, NoteKind, Process, words_of_our_line};
use super::words::{escaped, split_soon, words_without_shell};
use crate::config::{Loose, REPLICA, Value, address_of_another_program, is_variable};

/// Keys of a watcher that are read together with others, or need no equivalent.
const READ_ELSEWHERE: [&str; 11] = [
    "cmd",
    "args",
    "shell",
    "copy_env",
    "copy_path",
    "priority",
    "respawn",
    "use_sockets",
    "stop_children",
    "stderr_stream.class",
    "stdout_stream.class",
];

/// The first descriptor that is passed.
const FIRST_DESCRIPTOR: usize = 3;

/// Reads the files.
pub(super) fn read(_: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    let mut all: Vec<(&ForeignFile, Section)> = Vec::new();
    for source in sources.iter().filter(|source| !source.is_env_file()) {
        all.extend(sections(source)?.into_iter().map(|section| (source, section)));
    }
    stack.defaults.set_from("restart", Value::text("always"), "circus: respawn = True");
    stack.defaults.set_from("max_restarts", Value::Number(5.into()), "circus: max_retry = 5");
    stack.defaults.set_from("inherit_env", Value::Row(vec![Value::text("PATH")]), "circus: copy_env = False");
    stack.defaults.set_from("depends_on", Value::Row(Vec::new()), "circus: no order but by priority");
    let stop = [("scope", "main"), ("timeout", "30s")];
    stack.defaults.set_from(
        "stop",
        Value::Map(stop.into_iter().map(|(key, value)| (key.to_owned(), Value::text(value))).collect()),
        "circus: stop_children = False, graceful_timeout = 30",
    );
    let sockets: Vec<(&str, Option<String>)> =
        all.iter().filter_map(|(_, section)| Some((section.named("socket:")?, address(section)))).collect();
    let environments: Vec<(&str, &Section)> =
        all.iter().filter_map(|(_, section)| Some((section.named("env:")?, section))).collect();
    let mut watchers: Vec<(i64, &ForeignFile, &str, &Section)> = Vec::new();
    for (source, section) in &all {
        if let Some(name) = section.named("watcher:") {
            let priority = section.text("priority").and_then(|text| text.parse().ok()).unwrap_or(0);
            watchers.push((priority, source, name, section));
        } else {
            other_section(source, section, stack);
        }
    }
    // The highest priority is first.
    watchers.sort_by_key(|(priority, ..)| std::cmp::Reverse(*priority));
    let is_ordered = watchers.windows(2).any(|pair| pair[0].0 != pair[1].0);
    if is_ordered {
        stack.defaults.0.retain(|field| field.key != "depends_on");
    }
    for (_, source, name, section) in watchers {
        add(source, name, section, &sockets, &environments, stack)?;
    }
    Ok(())
}

fn other_section(source: &ForeignFile, section: &Section, stack: &mut ImportedStack) {
    let name = section.name.as_str();
    if name == "circus" {
        for entry in &section.entries {
            match entry.key.as_str() {
                "check_delay" | "endpoint" | "pubsub_endpoint" | "stats_endpoint" | "pidfile" | "warmup_delay" => {}
                "loglevel" => {
                    let level = entry.value.to_ascii_lowercase();
                    let level = ["error", "warn", "info", "debug"].iter().find(|known| level.starts_with(**known));
                    stack.top.text("logging.level", *level.unwrap_or(&"info"));
                }
                key => stack.drop(source, entry.line, key, "navigator has no equivalent"),
            }
        }
    } else if section.named("plugin:").is_some() {
        stack.drop(
            source,
            section.line,
            &format!("[{name}]"),
            "navigator has no plugins: see `resources`, `liveness` and `watch`",
        );
    } else if section.named("socket:").is_none() && section.named("env:").is_none() {
        stack.drop(source, section.line, &format!("[{name}]"), "navigator has no such section");
    }
}

/// The address of a socket.
fn address(section: &Section) -> Option<String> {
    let text = match section.text("path") {
        Some(path) => path.to_owned(),
        None => format!("{}:{}", section.text("host").unwrap_or("127.0.0.1"), section.text("port")?),
    };
    address_of_another_program(&text).map(|address| address.trim_matches('"').to_owned())
}

/// A reference to a variable: keys of circus are written in lower case.
fn variable_of(name: &str) -> Option<String> {
    let name = name.to_ascii_uppercase();
    is_variable(&name).then(|| format!("${{{name}:-}}"))
}

/// A text in our syntax; a reference to a socket is its descriptor.
fn ours(text: &str, name: &str, sockets: &[(&str, Option<String>)]) -> (String, bool) {
    let mut written = String::new();
    let mut uses_sockets = false;
    let mut rest = text;
    while let Some(at) = rest.find("(circus.") {
        // Before the bracket is a `$`, or a second bracket.
        let is_double = rest[..at].ends_with('(');
        let is_reference = is_double || rest[..at].ends_with('$');
        let inside = &rest[at + "(circus.".len()..];
        let found = split_soon(inside, if is_double { "))" } else { ")" }).filter(|_| is_reference);
        let value = found.and_then(|(inside, behind)| {
            let value = match inside.split_once('.') {
                Some(("env", variable)) => variable_of(variable)?,
                Some(("sockets", socket)) => {
                    uses_sockets = true;
                    let at = sockets.iter().position(|(known, _)| known.eq_ignore_ascii_case(socket))?;
                    (FIRST_DESCRIPTOR + at).to_string()
                }
                None if inside == "wid" => format!("${{{REPLICA}}}"),
                None if inside == "name" => name.to_owned(),
                _ => return None,
            };
            Some((value, behind))
        });
        if let Some((value, behind)) = value {
            written.push_str(&escaped(&rest[..at - 1]));
            written.push_str(&value);
            rest = behind;
        } else {
            written.push_str(&escaped(&rest[..=at]));
            rest = &rest[at + 1..];
        }
    }
    (written + &escaped(rest), uses_sockets)
}

fn add(
    source: &ForeignFile,
    name: &str,
    section: &Section,
    sockets: &[(&str, Option<String>)],
    environments: &[(&str, &Section)],
    stack: &mut ImportedStack,
) -> Result<(), ImportError> {
    let Some(cmd) = section.text("cmd") else {
        return Err(source.invalid(section.line, format!("`[{}]` has no `cmd`", section.name)));
    };
    let is_on = |key: &str| section.text(key).and_then(|text| Loose::of(text, 0).truth());
    let mut fields = ImportedFields::default();
    let line = [Some(cmd), section.text("args")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let (line, uses_sockets) = ours(&line, name, sockets);
    if is_on("shell") == Some(true) {
        fields.command(words_of_our_line(&line, "sh"));
    } else {
        fields.command(words_without_shell(&line));
    }
    if is_on("copy_env") == Some(true) {
        fields.set("inherit_env", Value::Bool(true));
    }
    if is_on("respawn") == Some(false) {
        fields.text("restart", "never");
    }
    if is_on("stop_children") == Some(true) {
        fields.text("stop.scope", "tree");
    }
    for (pattern, environment) in environments {
        let names = pattern.split(',').map(str::trim);
        if names
            .into_iter()
            .any(|known| known == "*" || known == name || known.ends_with('*') && name.starts_with(known.trim_end_matches('*')))
        {
            for entry in &environment.entries {
                fields.variable(&entry.key.to_ascii_uppercase(), ours(&entry.value, name, sockets).0);
            }
        }
    }
    let mut reader = Reader { source, process: name, fields: &mut fields, notes: &mut stack.notes };
    if uses_sockets || is_on("use_sockets") == Some(true) {
        let held = sockets.iter().filter_map(|(name, address)| Some(((*name).to_owned(), Value::Text(address.clone()?))));
        reader.fields.set_from("listen", Value::Map(held.collect()), "circus: descriptors from 3, in this order");
    }
    for entry in section.entries.iter().filter(|entry| !READ_ELSEWHERE.contains(&entry.key.as_str())) {
        key_of_watcher(entry, &ours(&entry.value, name, sockets).0, &mut reader);
    }
    let is_numbered = section.entries.iter().any(|entry| entry.value.contains("circus.wid"));
    if is_numbered && !reader.fields.has("replicas") {
        reader.fields.set("replicas", Value::Number(1.into()));
    }
    if reader.fields.get("restart") == Some(&Value::text("never")) {
        reader.fields.0.retain(|field| field.key != "max_restarts");
    }
    stack.add(Process { name: name.to_owned(), fields, remarks: Vec::new() });
    Ok(())
}

fn key_of_watcher(entry: &Entry, text: &str, reader: &mut Reader<'_>) {
    let value = Loose::of(text, entry.line);
    match entry.key.as_str() {
        "numprocesses" | "working_dir" | "uid" | "gid" | "graceful_timeout" | "stop_signal" | "autostart" => {
            if entry.key != "numprocesses" || entry.value != "1" {
                reader.carry(&entry.key, &value);
            }
        }
        "max_retry" if entry.value == "-1" => reader.fields.set("max_restarts", Value::Number(u32::MAX.into())),
        "max_retry" => reader.carry("max_retry", &value),
        "singleton" => {}
        "send_hup" => {
            if value.truth() == Some(true) {
                reader.fields.text("reload.signal", "HUP");
            }
        }
        "stdout_stream.filename" => reader.fields.text("output.file", text),
        "stderr_stream.filename" => reader.fields.text("output.stderr", text),
        "stdout_stream.max_bytes" => {
            if let Ok(bytes) = entry.value.parse::<u64>() {
                reader.fields.set("output.max_size", Value::Number(bytes.into()));
            }
        }
        "stdout_stream.backup_count" => {
            if let Ok(count) = entry.value.parse::<u32>() {
                reader.fields.set("output.keep", Value::Number(count.min(1000).into()));
            }
        }
        key if key.starts_with("rlimit_") => reader.carry(key, &value),
        key if key.starts_with("hooks.") => {
            reader.drop(key, entry.line, Some("navigator runs no Python: write a task before it, `ready`, or `stop.command`"));
        }
        key if key.starts_with("stdout_stream.") || key.starts_with("stderr_stream.") => {
            reader.note(NoteKind::Dropped, key, entry.line, "navigator writes lines as they are: see `output`");
        }
        key => reader.drop(key, entry.line, None),
    }
}
