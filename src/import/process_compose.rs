//! Configurations of process-compose: command lines for a shell, with probes, dependencies and restart policies.

mod probe;

use super::ImportError;
use super::context::{ForeignFile, ImportContext, Reader};
use super::interpolation::interpolate;
use super::model::{ImportedFields, ImportedStack, NoteKind, Process, words_of_our_line};
use crate::config::{Loose, LooseKind, Value, read_loose};

/// Reads the files.
pub(super) fn read(context: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    let files: Vec<&ForeignFile> = sources.iter().filter(|source| !source.is_env_file()).collect();
    let Some(first) = files.first() else { return Ok(()) };
    for source in sources.iter().filter(|source| source.is_env_file()) {
        stack.top.push("env_file", Value::Text(context.file(source.directory(), source.name())));
    }
    if !stack.top.has("env_file") && context.exists(&first.directory().join(".env")) {
        stack.top.push("env_file", Value::Text(context.file(first.directory(), ".env")));
    }
    stack.defaults.set_from(
        "working_dir",
        Value::Text(context.directory(first.directory())),
        "where process-compose was started",
    );
    stack.defaults.set_from("restart", Value::text("never"), "process-compose: restart: \"no\"");
    stack.defaults.set_from("depends_on", Value::Row(Vec::new()), "process-compose: no order without `depends_on`");
    let mut documents = Vec::new();
    for source in &files {
        let mut document = read_loose(&source.text).map_err(|reason| source.invalid(0, reason))?;
        interpolate(&mut document, context, stack, source);
        documents.push((*source, document));
    }
    let tasks: Vec<String> = documents.iter().flat_map(|(_, document)| awaited_to_complete(document)).collect();
    for (source, document) in &documents {
        let Some(processes) = document.get("processes").filter(|given| matches!(given.kind, LooseKind::Map(_))) else {
            return Err(source.invalid(0, "expected `processes` as a map of names"));
        };
        let shell = document.get("shell").and_then(|shell| shell.get_text("shell_command")).unwrap_or("bash");
        for (key, value) in document.entries() {
            top_key(source, key, value, stack);
        }
        for (name, process) in processes.entries() {
            add(context, source, name, process, ProcessSettings { shell, is_task: tasks.contains(name) }, stack);
        }
    }
    Ok(())
}

/// What holds for all processes of a file, and whether this one is to end.
#[derive(Clone, Copy)]
struct ProcessSettings<'s> {
    shell: &'s str,
    is_task: bool,
}

fn awaited_to_complete(document: &Loose) -> Vec<String> {
    let processes = document.get("processes").map(Loose::entries).unwrap_or_default();
    let edges = processes.iter().filter_map(|(_, process)| process.get("depends_on")).flat_map(Loose::entries);
    let completes =
        |edge: &&(String, Loose)| edge.1.get_text("condition").is_some_and(|text| text.starts_with("process_completed"));
    edges.filter(completes).map(|(name, _)| name.clone()).collect()
}

fn top_key(source: &ForeignFile, key: &str, value: &Loose, stack: &mut ImportedStack) {
    match key {
        "processes" | "version" | "shell" | "is_strict" | "name" => {}
        "environment" | "env_cmds" if key == "environment" => {
            for (name, text) in variables(value) {
                stack.top.variable(&name, text);
            }
        }
        "log_level" => {
            let level = value.text().filter(|level| ["trace", "debug", "info", "warn", "error"].contains(level));
            stack.top.text("logging.level", level.unwrap_or("info"));
        }
        "log_location" => stack.top.text("logging.file", value.text().unwrap_or("process-compose.log")),
        key if key.starts_with("x-") => {}
        "vars" => {
            stack.drop(source, value.line, key, "navigator knows no templates: write `env`, and `${NAME}` where it is used");
        }
        key => stack.drop(source, value.line, key, "navigator has no equivalent"),
    }
}

/// `- NAME=value`, or a map.
fn variables(value: &Loose) -> Vec<(String, String)> {
    let from_list = value.items().iter().filter_map(|item| {
        let (name, text) = item.text()?.split_once('=')?;
        Some((name.to_owned(), text.to_owned()))
    });
    let from_map = value.entries().iter().filter_map(|(name, value)| Some((name.clone(), value.text()?.to_owned())));
    from_list.chain(from_map).collect()
}

fn add(
    context: &ImportContext<'_>,
    source: &ForeignFile,
    name: &str,
    given: &Loose,
    settings: ProcessSettings<'_>,
    stack: &mut ImportedStack,
) {
    let mut fields = ImportedFields::default();
    let mut remarks = Vec::new();
    let entrypoint: Vec<String> = given
        .get("entrypoint")
        .map(Loose::items)
        .unwrap_or_default()
        .iter()
        .filter_map(|item| Some(item.text()?.to_owned()))
        .collect();
    let line = given.get_text("command").unwrap_or_default();
    let words = if line.is_empty() { entrypoint } else { words_of_our_line(line, settings.shell) };
    if !fields.command(words) {
        stack.drop(source, given.line, name, "it has no `command`");
        return;
    }
    if settings.is_task {
        fields.set_from("type", Value::text("task"), "another process waits for its end");
    }
    let mut reader = Reader { source, process: name, fields: &mut fields, notes: &mut stack.notes };
    for (key, value) in given.entries() {
        match key.as_str() {
            "command" | "entrypoint" | "availability" | "is_foreground" | "is_strict" => {}
            "description" => remarks.extend(value.text().map(str::to_owned)),
            "environment" => {
                for (name, text) in variables(value) {
                    reader.fields.variable(&name, text);
                }
            }
            "env_file" => {
                for path in value.items().iter().filter_map(Loose::text) {
                    reader.env_file(context, path, true, value.line);
                }
            }
            "working_dir" => {
                let path = value.text().unwrap_or_default();
                let is_relative = !path.starts_with('/') && !path.starts_with("${");
                let base = context.directory(source.directory());
                let path = if is_relative { format!("{base}/{}", path.trim_start_matches("./")) } else { path.to_owned() };
                reader.fields.text("working_dir", path);
            }
            "disabled" | "replicas" => {
                if value.text() != Some("1") {
                    reader.carry(key, value);
                }
            }
            "depends_on" => dependencies(value, &mut reader),
            "shutdown" => shutdown(value, settings.shell, &mut reader),
            "readiness_probe" => probe::readiness(value, settings.shell, &mut reader),
            "liveness_probe" => probe::liveness(value, settings.shell, &mut reader),
            "ready_log_line" => reader.fields.text("ready.log", regex::escape(value.text().unwrap_or_default())),
            "log_location" => {
                let path = value.text().unwrap_or_default();
                reader.fields.text("output.file", context.file(source.directory(), path.trim_start_matches("./")));
                reader.fields.set("output.max_size", Value::Number(0.into()));
            }
            "namespace" => reader.drop(key, value.line, Some("navigator has no namespaces: names of processes are enough")),
            "vars" => {
                reader.drop(key, value.line, Some("navigator knows no templates: write `env`, and `${NAME}` where it is used"));
            }
            "is_tty" | "is_daemon" | "is_elevated" | "disable_ansi_colors" | "is_interactive" if value.truth() == Some(false) => {
            }
            key => reader.drop(key, value.line, None),
        }
    }
    availability(given.get("availability"), &mut reader);
    if line.contains("{{") {
        reader.note(
            NoteKind::Changed,
            "command",
            given.line,
            "navigator knows no templates: `{{…}}` reaches the program as it is",
        );
    }
    stack.add(Process { name: name.to_owned(), fields, remarks });
}

fn dependencies(value: &Loose, reader: &mut Reader<'_>) {
    for (on, edge) in value.entries() {
        let condition = edge.get_text("condition").unwrap_or("process_started");
        let ours = match condition {
            "process_healthy" | "process_log_ready" => "ready",
            "process_completed" | "process_completed_successfully" => "completed",
            _ => "started",
        };
        let mut edge = vec![("condition".to_owned(), Value::text(ours))];
        if condition == "process_completed" {
            edge.push(("required".to_owned(), Value::Bool(false)));
        }
        reader.fields.depend(on, edge);
    }
}

fn availability(value: Option<&Loose>, reader: &mut Reader<'_>) {
    let Some(value) = value else { return };
    match value.get_text("restart") {
        Some("always") => reader.fields.text("restart", "always"),
        Some("on_failure") => reader.fields.text("restart", "on-failure"),
        Some("exit_on_failure") => reader.fields.text("shutdown_on", "failure"),
        _ => {}
    }
    if reader.fields.has("restart") {
        match value.get("backoff_seconds") {
            Some(delay) => reader.carry("backoff_seconds", delay),
            None => reader.fields.set_from("backoff", Value::text("1s"), "process-compose: backoff_seconds: 1"),
        }
    }
    if let Some(most) = value.get("max_restarts").filter(|most| most.text() != Some("0")) {
        reader.carry("max_restarts", most);
    }
    if value.get("exit_on_end").and_then(Loose::truth) == Some(true) {
        reader.fields.text("shutdown_on", "exit");
    }
    if let Some(skipped) = value.get("exit_on_skipped").filter(|skipped| skipped.truth() == Some(true)) {
        reader.drop("exit_on_skipped", skipped.line, Some("navigator goes on: the process waits for what it depends on"));
    }
}

fn shutdown(value: &Loose, shell: &str, reader: &mut Reader<'_>) {
    for (key, value) in value.entries() {
        match key.as_str() {
            "signal" => reader.carry("stop_signal", value),
            "timeout_seconds" => reader.carry("stop_timeout", value),
            "parent_only" if value.truth() == Some(true) => reader.fields.text("stop.scope", "main"),
            "parent_only" => {}
            "command" => {
                let words = words_of_our_line(value.text().unwrap_or_default(), shell);
                reader.fields.set("stop.command", Value::Row(words.into_iter().map(Value::Text).collect()));
            }
            key => reader.drop(&format!("shutdown.{key}"), value.line, None),
        }
    }
    if reader.fields.has("stop.command") && reader.fields.has("stop.signal") {
        let line = value.line;
        reader.note(NoteKind::Changed, "shutdown", line, "the signal counts only where the command fails");
    }
}
