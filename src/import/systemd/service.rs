//! One service unit as a process, with tasks for what runs before and after it.

use super::exec::{self, ExecLine};
use super::keys;
use super::specifiers::Specifiers;
use super::unit::{Unit, UnitEntry};
use crate::config::Value;
use crate::import::ImportError;
use crate::import::context::{ImportContext, Reader};
use crate::import::model::{ImportedFields, ImportedStack, MOST_ENTRIES, NoteKind, Process};

/// The time limit of a start, if a unit has none.
const START: &str = "90s";

/// Adds the process of a unit, and returns its name.
pub(super) fn add(
    context: &ImportContext<'_>,
    unit: &Unit<'_>,
    specifiers: &Specifiers,
    stack: &mut ImportedStack,
) -> Result<String, ImportError> {
    let name = specifiers.process();
    let variables: Vec<(String, String)> =
        unit.all("Service", "Environment").iter().flat_map(|entry| exec::assignments(&entry.value, specifiers)).collect();
    if variables.len() > MOST_ENTRIES {
        return Err(unit.source.invalid(0, format!("it sets more than {MOST_ENTRIES} variables")));
    }
    let parsed = |entry: &&UnitEntry| exec::parse(&entry.value, specifiers, &variables);
    let starts = unit.all("Service", "ExecStart");
    let kind = unit.text("Service", "Type").unwrap_or("simple");
    let mut lines: Vec<ExecLine> = starts.iter().map(parsed).filter(|line| !line.words.is_empty()).collect();
    let Some(main) = lines.pop() else {
        return Err(unit.source.invalid(0, "it has no `ExecStart`: a unit that runs nothing has no process"));
    };
    let mut fields = ImportedFields::default();
    let mut notes = std::mem::take(&mut stack.notes);
    let mut reader = Reader { source: unit.source, process: &name, fields: &mut fields, notes: &mut notes };
    let posts = unit.all("Service", "ExecStartPost");
    if kind == "oneshot" && (!lines.is_empty() || !posts.is_empty() || !unit.all("Service", "ExecStartPre").is_empty()) {
        // A task may run many times, so its commands stay together.
        let before = unit.all("Service", "ExecStartPre").iter().map(parsed).chain(lines.drain(..)).collect::<Vec<_>>();
        let all = before.iter().chain([&main]).map(in_chain).chain(posts.iter().map(|entry| in_chain(&parsed(entry))));
        let line = all.collect::<Vec<_>>().join(" && ");
        reader.fields.command(vec!["sh".to_owned(), "-c".to_owned(), line]);
        reader.fields.comment("command", "all commands of the unit, one after the other");
    } else {
        reader.fields.command(main.words.clone());
    }
    if !main.unknown.is_empty() {
        let line = starts.last().map_or(0, |entry| entry.line);
        reader.note(NoteKind::Changed, "ExecStart", line, &format!("its prefix `{}` has no equivalent", main.unknown));
    }
    for (name, value) in &variables {
        reader.fields.variable(name, value.clone());
    }
    if specifiers.is_replicated() {
        replicate(reader.fields);
    }
    start_kind(unit, kind, &mut reader);
    keys::restarts(unit, kind == "oneshot", &mut reader);
    for entry in counted(unit) {
        keys::carry(context, unit, entry, specifiers, &mut reader);
    }
    if main.may_fail && !reader.fields.has("success_exit_codes") {
        reader.note(
            NoteKind::Changed,
            "ExecStart",
            0,
            "a failure counts as one, although the line begins with `-`: see `success_exit_codes`",
        );
    }
    let remark = unit.text("Unit", "Description").map(|text| specifiers.raw(text));
    stack.notes = notes;
    let user = fields.get("user").cloned();
    let helper = |name: String, line: ExecLine| {
        let mut helper = Process { name, ..Process::default() };
        helper.fields.command(line.words);
        helper.fields.text("type", "task");
        for field in &fields.0 {
            if ["env", "env_file", "working_dir", "group", "umask", "inherit_env"].contains(&field.key.as_str()) {
                helper.fields.set(&field.key, field.value.clone());
            }
        }
        if let Some(user) = &user {
            helper.fields.set("user", user.clone());
        }
        helper
    };
    // What runs first are tasks, each after the one before it.
    let is_chain = kind == "oneshot";
    let helpers = |key| if is_chain { Vec::new() } else { unit.all("Service", key) };
    let before = helpers("ExecStartPre").into_iter().map(|entry| ("ExecStartPre", parsed(&entry)));
    let before: Vec<(&str, ExecLine)> = before.chain(lines.into_iter().map(|line| ("ExecStart", line))).collect();
    let mut previous: Option<(String, bool)> = None;
    for (index, (key, line)) in before.into_iter().filter(|(_, line)| !line.words.is_empty()).enumerate() {
        let may_fail = line.may_fail;
        let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
        let mut task = helper(format!("{name}-pre{number}"), line);
        task.remarks.push(format!("{key}= of {}; here it runs once, not before every restart", unit.name));
        if let Some((previous, may_fail)) = &previous {
            task.fields.depend(previous, edge(*may_fail));
        }
        previous = Some((task.name.clone(), may_fail));
        stack.add(task);
    }
    let after: Vec<Process> = helpers("ExecStartPost")
        .into_iter()
        .enumerate()
        .map(|(index, entry)| {
            let number = if index == 0 { String::new() } else { format!("-{}", index + 1) };
            let mut task = helper(format!("{name}-post{number}"), parsed(&entry));
            task.fields.depend(&name, Vec::new());
            task
        })
        .collect();
    if let Some((previous, may_fail)) = previous {
        fields.depend(&previous, edge(may_fail));
    }
    stack.add(Process { name: name.clone(), fields, remarks: remark.into_iter().collect() });
    stack.processes.extend(after.into_iter().filter(|task| task.fields.has("command")));
    Ok(name)
}

/// `Type=`: when a unit has started.
fn start_kind(unit: &Unit<'_>, kind: &str, reader: &mut Reader<'_>) {
    match kind {
        "simple" | "exec" | "idle" => {}
        "notify" | "notify-reload" => {
            reader.fields.set("ready.notify", Value::Bool(true));
            let limit = unit.last("Service", "TimeoutStartSec").or_else(|| unit.last("Service", "TimeoutSec"));
            let limit = limit.and_then(|entry| keys::duration(&entry.value)).unwrap_or_else(|| START.to_owned());
            reader.fields.text("ready.deadline", limit);
            if kind == "notify-reload" {
                reader.fields.text("reload.signal", "HUP");
            }
        }
        "oneshot" => reader.fields.set_from("type", Value::text("task"), "systemd: Type=oneshot"),
        kind => {
            let line = unit.last("Service", "Type").map_or(0, |entry| entry.line);
            let reason = match kind {
                "forking" => "let the program run in the foreground: when its main process ends, the rest of its tree is stopped",
                _ => "navigator takes it as started when its program runs: see `ready` for a probe",
            };
            reader.note(NoteKind::Changed, &format!("Type={kind}"), line, reason);
        }
    }
}

/// Replicas in the place of the instances of a template.
fn replicate(fields: &mut ImportedFields) {
    fields.set_from(
        "replicas",
        Value::Number(1.into()),
        "a template: its instances are numbers here, and each has its own in NAVIGATOR_REPLICA",
    );
}

/// A command of several, in a shell.
fn in_chain(line: &ExecLine) -> String {
    if line.may_fail { format!("{{ {} || true; }}", line.shell) } else { line.shell.clone() }
}

fn edge(may_fail: bool) -> Vec<(String, Value)> {
    may_fail.then(|| ("required".to_owned(), Value::Bool(false))).into_iter().collect()
}

/// Each key once, with the entry that counts; every entry of those that add up.
fn counted<'u>(unit: &'u Unit<'_>) -> Vec<&'u UnitEntry> {
    let mut found: Vec<&UnitEntry> = Vec::new();
    for entry in &unit.entries {
        let is_list = keys::ADD_UP.contains(&entry.key.as_str());
        let is_same = |other: &&UnitEntry| other.section == entry.section && other.key == entry.key;
        if entry.value.is_empty() || !is_list {
            found.retain(|other| !is_same(other));
        }
        // An empty set of capabilities is a strict one.
        if !entry.value.is_empty() || keys::HARDENING.contains(&entry.key.as_str()) {
            found.push(entry);
        }
    }
    found
}
