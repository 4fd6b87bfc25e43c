//! Layers of Pebble: services, and checks that restart them.

use super::ImportError;
use super::context::{ForeignFile, ImportContext, Reader};
use super::model::{ImportedFields, ImportedStack, MOST_PROCESSES, NoteKind, Process};
use super::words::{escaped, words_without_shell};
use crate::config::{Loose, LooseKind, Value, read_loose};

/// A service or a check of all layers, with the file that has it.
type Layered<'s> = Vec<(String, Loose, &'s ForeignFile)>;

/// Reads the layers, in the order of their names as Pebble does.
pub(super) fn read(_: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    let mut layers: Vec<&ForeignFile> = sources.iter().filter(|source| !source.is_env_file()).collect();
    layers.sort_by_key(|source| source.name());
    let (mut services, mut checks): (Layered<'_>, Layered<'_>) = (Vec::new(), Vec::new());
    for source in layers {
        let document = read_loose(&source.text).map_err(|reason| source.invalid(0, reason))?;
        for (key, value) in document.entries() {
            match key.as_str() {
                "services" => add_layer(&mut services, value, source),
                "checks" => add_layer(&mut checks, value, source),
                "summary" | "description" => {}
                key => stack.drop(
                    source,
                    value.line,
                    key,
                    "navigator writes the output of processes itself: see `output` and `logging`",
                ),
            }
        }
    }
    stack.defaults.set_from("restart", Value::text("always"), "Pebble: on-success: restart, on-failure: restart");
    stack.defaults.set_from(
        "backoff",
        Value::Map(vec![("reset_after".to_owned(), Value::text("30s"))]),
        "Pebble: backoff-limit: 30s",
    );
    stack.defaults.set_from("depends_on", Value::Row(Vec::new()), "Pebble: no order without `after`");
    stack.defaults.set_from("stop", Value::Map(vec![("timeout".to_owned(), Value::text("5s"))]), "Pebble: kill-delay: 5s");
    let names: Vec<String> = services.iter().map(|(name, ..)| name.clone()).collect();
    let mut used: Vec<&str> = Vec::new();
    for (name, service, source) in &services {
        add(source, name, service, stack);
        let on_failure = service.get("on-check-failure").map(Loose::entries).unwrap_or_default();
        for (check, action) in on_failure {
            if let Some((known, value, _)) = checks.iter().find(|(known, ..)| known == check) {
                used.push(known);
                check_of(source, name, value, action, stack);
            }
        }
    }
    order(&services, &names, stack);
    for (name, check, source) in checks.iter().filter(|(name, ..)| !used.contains(&name.as_str())) {
        stack.drop(
            source,
            check.line,
            name,
            "no service has it in `on-check-failure`: write it as `ready` or `liveness` of a process",
        );
    }
    Ok(())
}

/// Adds the entries of one layer: one with `override: merge` goes over what is there.
fn add_layer<'s>(all: &mut Layered<'s>, layer: &Loose, source: &'s ForeignFile) {
    for (name, value) in layer.entries() {
        if all.len() > MOST_PROCESSES {
            return;
        }
        match all.iter_mut().find(|(known, ..)| known == name) {
            Some((_, known, _)) if value.get_text("override") == Some("merge") => merge(known, value),
            Some(known) => *known = (name.clone(), value.clone(), source),
            None => all.push((name.clone(), value.clone(), source)),
        }
    }
}

fn merge(base: &mut Loose, over: &Loose) {
    let LooseKind::Map(entries) = &mut base.kind else { return };
    for (key, value) in over.entries() {
        match entries.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => match (&mut known.kind, &value.kind) {
                (LooseKind::Map(_), LooseKind::Map(_)) => merge(known, value),
                (LooseKind::List(items), LooseKind::List(more)) => items.extend(more.iter().cloned()),
                _ => *known = value.clone(),
            },
            None => entries.push((key.clone(), value.clone())),
        }
    }
}

fn add(source: &ForeignFile, name: &str, service: &Loose, stack: &mut ImportedStack) {
    let mut fields = ImportedFields::default();
    // What is in brackets are the arguments unless others are given.
    let words = words_without_shell(service.get_text("command").unwrap_or_default());
    let words: Vec<String> = words.iter().filter(|word| !["[", "]"].contains(&word.as_str())).map(|word| escaped(word)).collect();
    if !fields.command(words) {
        stack.drop(source, service.line, name, "it has no `command`");
        return;
    }
    if service.get_text("startup") != Some("enabled") {
        fields.set_from("enabled", Value::Bool(false), "Pebble: startup is not `enabled`");
    }
    let text = |key: &str| service.get_text(key);
    let restart = match (text("on-success").unwrap_or("restart"), text("on-failure").unwrap_or("restart")) {
        ("restart", _) => None,
        (_, "restart") => Some("on-failure"),
        _ => Some("never"),
    };
    if let Some(restart) = restart {
        fields.text("restart", restart);
    }
    match (text("on-success"), text("on-failure")) {
        (Some("shutdown" | "failure-shutdown"), _) => fields.text("shutdown_on", "exit"),
        (_, Some("shutdown" | "success-shutdown")) => fields.text("shutdown_on", "failure"),
        _ => {}
    }
    let mut remarks = Vec::new();
    let mut reader = Reader { source, process: name, fields: &mut fields, notes: &mut stack.notes };
    for (key, value) in service.entries() {
        match key.as_str() {
            "command" | "override" | "startup" | "on-success" | "on-failure" | "on-check-failure" | "after" | "before"
            | "requires" | "description" => {}
            "summary" => remarks.extend(value.text().map(str::to_owned)),
            "environment" => {
                for (name, value) in value.entries() {
                    if let Some(text) = value.text() {
                        reader.fields.variable(name, escaped(text));
                    }
                }
            }
            "user-id" if service.get("user").is_some() => {}
            "group-id" if service.get("group").is_some() => {}
            "working-dir" | "user" | "group" | "user-id" | "group-id" | "kill-delay" | "backoff-delay" | "backoff-factor"
            | "backoff-limit" => reader.carry(key, value),
            key => reader.drop(key, value.line, None),
        }
    }
    stack.add(Process { name: name.to_owned(), fields, remarks });
}

/// `on-check-failure`: a check of Pebble as our `liveness`.
fn check_of(source: &ForeignFile, name: &str, check: &Loose, action: &Loose, stack: &mut ImportedStack) {
    let Some(process) = stack.processes.iter_mut().find(|process| process.name == name) else { return };
    let mut reader = Reader { source, process: name, fields: &mut process.fields, notes: &mut stack.notes };
    if action.text() == Some("ignore") {
        return;
    }
    if reader.fields.has("liveness") {
        reader.drop("on-check-failure", action.line, Some("a process has one `liveness`: put both checks into one command"));
        return;
    }
    if let Some(url) = check.get("http").and_then(|http| http.get_text("url")) {
        if url.starts_with("https") {
            reader.drop("http", check.line, Some("navigator's probes have no TLS: write `exec: [curl, --fail, URL]`"));
            return;
        }
        reader.fields.text("liveness.http", escaped(url));
    } else if let Some(tcp) = check.get("tcp") {
        let address = format!("{}:{}", tcp.get_text("host").unwrap_or("localhost"), tcp.get_text("port").unwrap_or_default());
        reader.fields.text("liveness.tcp", address);
    } else if let Some(line) = check.get("exec").and_then(|exec| exec.get_text("command")) {
        let words = words_without_shell(line).iter().map(|word| Value::Text(escaped(word))).collect();
        reader.fields.set("liveness.exec", Value::Row(words));
    } else {
        return;
    }
    for (theirs, ours, otherwise) in [("period", "interval", "10s"), ("timeout", "timeout", "3s")] {
        reader.fields.text(&format!("liveness.{ours}"), check.get_text(theirs).unwrap_or(otherwise));
    }
    let threshold = check.get_text("threshold").and_then(|text| text.parse::<u32>().ok()).unwrap_or(3);
    reader.fields.set("liveness.failures", Value::Number(threshold.clamp(1, 1000).into()));
    if action.text() != Some("restart") {
        reader.note(
            NoteKind::Changed,
            "on-check-failure",
            action.line,
            "a failed check is a failure of the process: see `shutdown_on`",
        );
    }
}

/// `after`, `before` and `requires`.
fn order(services: &Layered<'_>, names: &[String], stack: &mut ImportedStack) {
    let list = |service: &Loose, key: &str| -> Vec<String> {
        service.get(key).map(Loose::items).unwrap_or_default().iter().filter_map(|item| item.text().map(str::to_owned)).collect()
    };
    let mut edges: Vec<(String, String, bool)> = Vec::new();
    for (name, service, _) in services {
        let requires = list(service, "requires");
        for on in list(service, "after") {
            let is_required = requires.contains(&on);
            edges.push((name.clone(), on, is_required));
        }
        edges.extend(list(service, "before").into_iter().map(|later| (later, name.clone(), false)));
        for on in requires {
            if !edges.iter().any(|(from, to, _)| from == name && *to == on) {
                edges.push((name.clone(), on, true));
            }
        }
    }
    for (from, on, is_required) in edges.into_iter().filter(|(_, on, _)| names.contains(on)) {
        if let Some(process) = stack.processes.iter_mut().find(|process| process.name == from) {
            let mut edge = vec![("condition".to_owned(), Value::text("started"))];
            if !is_required {
                edge.push(("required".to_owned(), Value::Bool(false)));
            }
            process.fields.depend(&on, edge);
        }
    }
}
