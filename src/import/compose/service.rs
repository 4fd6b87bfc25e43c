//! One service of a Compose file.

use super::health::{self, command_words, seconds};
use crate::config::{Loose, LooseKind, Value};
use crate::import::context::{ForeignFile, ImportContext, Reader};
use crate::import::model::{ImportedFields, ImportedStack, NoteKind, Process};
use std::collections::BTreeSet;

const CONTAINER: &str = "it belongs to a container: the program uses the files, ports and network of this host";

/// Whether a service says which program it runs.
pub(super) fn has_command(service: &Loose) -> bool {
    ["command", "entrypoint"].iter().any(|key| service.get(key).is_some_and(|value| !command_words(value).is_empty()))
}

/// The services that another one waits for until they end.
pub(super) fn awaited_to_complete(services: &[(String, Loose, &ForeignFile)]) -> BTreeSet<String> {
    let edges = services.iter().filter_map(|(_, service, _)| service.get("depends_on")).flat_map(Loose::entries);
    let is_awaited = |edge: &&(String, Loose)| edge.1.get_text("condition") == Some("service_completed_successfully");
    edges.filter(is_awaited).map(|(name, _)| name.clone()).collect()
}

/// Adds the process of a service.
pub(super) fn add(
    context: &ImportContext<'_>,
    source: &ForeignFile,
    (name, service): (&str, &Loose),
    names: &BTreeSet<&str>,
    is_task: bool,
    stack: &mut ImportedStack,
) {
    let mut fields = ImportedFields::default();
    let mut words = service.get("entrypoint").map(command_words).unwrap_or_default();
    words.extend(service.get("command").map(command_words).unwrap_or_default());
    fields.command(words);
    if is_task {
        fields.set_from("type", Value::text("task"), "another service waits for its end");
    }
    let mut reader = Reader { source, process: name, fields: &mut fields, notes: &mut stack.notes };
    for (key, value) in service.entries() {
        key_of_service(context, key, value, names, &mut reader);
    }
    if let Some(policy) =
        service.get("deploy").and_then(|deploy| deploy.get("restart_policy")).filter(|_| service.get("restart").is_none())
    {
        restart_policy(policy, &mut reader);
    }
    if fields.has("restart") && !fields.has("backoff") {
        fields.set_from(
            "backoff",
            Value::Map(vec![("initial".to_owned(), Value::text("100ms")), ("max".to_owned(), Value::text("1m"))]),
            "the delays of Docker",
        );
    }
    stack.add(Process { name: name.to_owned(), fields, remarks: Vec::new() });
}

fn key_of_service(context: &ImportContext<'_>, key: &str, value: &Loose, names: &BTreeSet<&str>, reader: &mut Reader<'_>) {
    match key {
        "command" | "entrypoint" | "extends" | "container_name" | "init" => {}
        "image" => {
            reader.drop(key, value.line, Some("no container runs: the program of `command` has to be installed on this host"));
        }
        "build" => {
            reader.drop(key, value.line, Some("no image is built: the program of `command` has to be installed on this host"));
        }
        "environment" => environment(value, reader),
        "env_file" => env_files(context, value, reader),
        "depends_on" => dependencies(value, names, reader),
        "healthcheck" => health::check(value, reader),
        "restart" => restart(value, reader),
        "deploy" => deploy(value, reader),
        "ulimits" => ulimits(value, reader),
        "user" => user(value, reader),
        "working_dir" => {
            reader.carry(key, value);
            reader.note(NoteKind::Changed, key, value.line, "it was a directory in the image: write the one on this host");
        }
        "stop_grace_period" | "stop_signal" | "mem_limit" | "cpus" | "pids_limit" | "oom_score_adj" | "scale" => {
            if key != "pids_limit" || value.text() != Some("-1") {
                reader.carry(key, value);
            }
        }
        "security_opt" => security_options(value, reader),
        "profiles" => {
            reader.fields.set_from("enabled", Value::Bool(false), "Compose starts it only with its profile");
        }
        "tty" | "stdin_open" | "privileged" | "read_only" if value.truth() == Some(false) => {}
        "cap_drop" | "read_only" => {
            reader.note(NoteKind::Hardening, key, value.line, "a program of this host keeps what its `user` may do");
        }
        "volumes" | "ports" | "expose" | "networks" | "network_mode" | "cap_add" | "privileged" | "tmpfs" | "devices" | "dns"
        | "hostname" | "extra_hosts" | "links" | "ipc" | "pid" | "shm_size" | "secrets" | "configs" | "platform" | "sysctls"
        | "pull_policy" | "domainname" | "external_links" | "group_add" | "dns_search" | "volumes_from" => {
            reader.drop(key, value.line, Some(CONTAINER));
        }
        "labels" | "annotations" => reader.drop(key, value.line, Some("navigator has no labels: write a comment")),
        key if key.starts_with("x-") => {}
        key => reader.drop(key, value.line, None),
    }
}

/// A map, or a list of `NAME=value`. A variable without a value comes from outside, as all do here.
fn environment(value: &Loose, reader: &mut Reader<'_>) {
    for item in value.items() {
        match &item.kind {
            LooseKind::Map(entries) => {
                for (name, value) in entries {
                    if let Some(text) = value.text() {
                        reader.fields.variable(name, text.to_owned());
                    }
                }
            }
            LooseKind::Text(text) => {
                if let Some((name, text)) = text.split_once('=') {
                    reader.fields.variable(name.trim(), text.to_owned());
                }
            }
            _ => {}
        }
    }
}

fn env_files(context: &ImportContext<'_>, value: &Loose, reader: &mut Reader<'_>) {
    for item in value.items() {
        let Some(path) = item.text().or_else(|| item.get_text("path")) else { continue };
        let is_required = item.get("required").and_then(Loose::truth) != Some(false);
        reader.env_file(context, path.trim_start_matches("./"), is_required, item.line);
    }
}

fn dependencies(value: &Loose, names: &BTreeSet<&str>, reader: &mut Reader<'_>) {
    let edges: Vec<(String, Loose)> = match &value.kind {
        LooseKind::Map(entries) => entries.clone(),
        _ => value.items().iter().filter_map(|item| Some((item.text()?.to_owned(), Loose::default()))).collect(),
    };
    for (on, edge) in edges {
        if !names.contains(on.as_str()) {
            let reason = format!("`{on}` is no process here: make sure that it runs, or add it as one");
            reader.note(NoteKind::Changed, "depends_on", value.line, &reason);
            continue;
        }
        let mut ours = Vec::new();
        match edge.get_text("condition") {
            Some("service_healthy") => ours.push(("condition".to_owned(), Value::text("ready"))),
            Some("service_completed_successfully") => ours.push(("condition".to_owned(), Value::text("completed"))),
            _ => ours.push(("condition".to_owned(), Value::text("started"))),
        }
        for key in ["restart", "required"] {
            ours.extend(edge.get(key).and_then(Loose::truth).map(|is_so| (key.to_owned(), Value::Bool(is_so))));
        }
        reader.fields.depend(&on, ours);
    }
}

fn restart(value: &Loose, reader: &mut Reader<'_>) {
    let text = value.text().unwrap_or("no");
    match text.split_once(':').unwrap_or((text, "")) {
        ("always", _) => reader.fields.text("restart", "always"),
        ("unless-stopped", _) => reader.fields.set_from(
            "restart",
            Value::text("always"),
            "Compose: unless-stopped; what is stopped by hand stays stopped",
        ),
        ("on-failure", most) => {
            reader.fields.text("restart", "on-failure");
            if !most.is_empty() {
                reader.carry("max_restarts", &Loose::of(most, value.line));
            }
        }
        ("no" | "false", _) => {}
        _ => reader.drop("restart", value.line, Some("it is none of `no`, `always`, `on-failure` and `unless-stopped`")),
    }
}

fn restart_policy(policy: &Loose, reader: &mut Reader<'_>) {
    let restart = match policy.get_text("condition") {
        Some("none") => "never",
        Some("on-failure") => "on-failure",
        _ => "always",
    };
    reader.fields.text("restart", restart);
    if let Some(delay) = policy.get("delay").filter(|delay| seconds(delay).is_some()) {
        reader.carry("restart_sec", delay);
    }
    if let Some(most) = policy.get("max_attempts") {
        reader.carry("max_restarts", most);
    }
}

fn deploy(value: &Loose, reader: &mut Reader<'_>) {
    for (key, value) in value.entries() {
        match key.as_str() {
            "replicas" if value.text() == Some("0") => reader.fields.set("enabled", Value::Bool(false)),
            "replicas" => reader.carry("replicas", value),
            "resources" => {
                for (key, limit) in value.get("limits").map(Loose::entries).unwrap_or_default() {
                    reader.carry(key, limit);
                }
                if let Some(kept) = value.get("reservations") {
                    reader.drop("reservations", kept.line, Some("navigator reserves nothing: `resources` has limits only"));
                }
            }
            "restart_policy" | "mode" | "labels" | "endpoint_mode" => {}
            "update_config" => {
                reader.drop(key, value.line, Some("write `on_change: rolling`, and `ready` for when the new one serves"));
            }
            key => reader.drop(&format!("deploy.{key}"), value.line, Some("it is for a cluster")),
        }
    }
}

fn ulimits(value: &Loose, reader: &mut Reader<'_>) {
    for (name, limit) in value.entries() {
        let most = limit.get("hard").or_else(|| limit.get("soft")).unwrap_or(limit);
        reader.carry(&format!("limit{name}"), most);
    }
}

/// `1000`, `deploy:www-data`, `1000:1000`
fn user(value: &Loose, reader: &mut Reader<'_>) {
    let text = value.text().unwrap_or_default();
    let (user, group) = if text.contains("${") { (text, "") } else { text.split_once(':').unwrap_or((text, "")) };
    if !user.is_empty() {
        reader.fields.text("user", user);
    }
    if !group.is_empty() {
        reader.fields.text("group", group);
    }
    if !user.chars().all(|char| char.is_ascii_digit()) {
        reader.note(NoteKind::Changed, "user", value.line, "it was a user of the image: this host needs one of this name");
    }
}

fn security_options(value: &Loose, reader: &mut Reader<'_>) {
    for item in value.items() {
        match item.text().unwrap_or_default() {
            "no-new-privileges" | "no-new-privileges:true" => reader.fields.set("no_new_privs", Value::Bool(true)),
            "no-new-privileges:false" => {}
            _ => reader.note(NoteKind::Hardening, "security_opt", item.line, "navigator does not confine programs by profiles"),
        }
    }
}
