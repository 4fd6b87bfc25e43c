//! The file of the older navigator, a web server: its managed processes.

use super::ImportError;
use super::context::{ForeignFile, ImportContext, Reader};
use super::model::{ImportedFields, ImportedStack, NoteKind, Process};
use super::words::split_soon;
use crate::config::{Environment, Loose, LooseKind, Value, is_variable, read_loose};

/// Reads the files.
pub(super) fn read(context: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    for source in sources.iter().filter(|source| !source.is_env_file()) {
        let mut document = read_loose(&source.text).map_err(|reason| source.invalid(0, reason))?;
        references(&mut document, context.environment);
        for (key, value) in document.entries() {
            match key.as_str() {
                "managed_processes" => {
                    for process in value.items() {
                        add(source, process, stack);
                    }
                }
                "applications" => {
                    let reason = "the web server starts them on demand: write each program as a process under `applications`";
                    stack.drop(source, value.line, key, reason);
                }
                "logging" => {
                    let logging = value.entries().iter().map(|(key, value)| (key.as_str(), value, value.text()));
                    for (key, value, text) in logging {
                        match (key, text) {
                            ("level" | "format", Some(text)) => stack.top.text(&format!("logging.{key}"), text),
                            ("file", Some(text)) => stack.top.text("logging.file", text.replace("{{app}}", "navigator")),
                            _ => stack.drop(source, value.line, &format!("logging.{key}"), "navigator has no equivalent"),
                        }
                    }
                }
                key if key.starts_with("x-") => {}
                key => stack.drop(source, value.line, key, "it belongs to the web server: go on running that for it"),
            }
        }
    }
    Ok(())
}

/// A variable without a value is empty there.
fn references(value: &mut Loose, environment: &Environment) {
    match &mut value.kind {
        LooseKind::Text(text) => {
            let mut written = String::new();
            let mut rest = text.as_str();
            while let Some((before, behind)) = rest.split_once("${") {
                let inside = split_soon(behind, "}").filter(|(name, _)| is_variable(name) && environment.get(name).is_none());
                written.push_str(before);
                if let Some((name, behind)) = inside {
                    written.extend(["${", name, ":-}"]);
                    rest = behind;
                } else {
                    written.push_str("${");
                    rest = behind;
                }
            }
            *text = written + rest;
        }
        LooseKind::List(items) => items.iter_mut().for_each(|item| references(item, environment)),
        LooseKind::Map(entries) => entries.iter_mut().for_each(|(_, value)| references(value, environment)),
        LooseKind::Null => {}
    }
}

fn add(source: &ForeignFile, given: &Loose, stack: &mut ImportedStack) {
    let name = given.get_text("name").unwrap_or("process").to_owned();
    let mut fields = ImportedFields::default();
    let mut words = vec![given.get_text("command").unwrap_or_default().to_owned()];
    words
        .extend(given.get("args").map(Loose::items).unwrap_or_default().iter().filter_map(|item| item.text().map(str::to_owned)));
    let has_spaces = words.iter().skip(1).any(|word| word.starts_with('-') && word.contains(' '));
    if !fields.command(words) {
        stack.drop(source, given.line, &name, "it has no `command`");
        return;
    }
    let mut reader = Reader { source, process: &name, fields: &mut fields, notes: &mut stack.notes };
    if has_spaces {
        let reason =
            "an option and its value are one argument with a space, as before: write two items if the program refuses it";
        reader.note(NoteKind::Changed, "args", given.line, reason);
    }
    for (key, value) in given.entries() {
        match (key.as_str(), value.text()) {
            ("name" | "command" | "args", _) | ("start_delay", Some("0")) => {}
            ("env", _) => {
                for (name, value) in value.entries() {
                    if let Some(text) = value.text() {
                        reader.fields.variable(name, text.to_owned());
                    }
                }
            }
            ("auto_restart", _) => {
                if let Some(is_on) = value.truth() {
                    reader.fields.set("auto_restart", Value::Bool(is_on));
                }
            }
            ("start_delay", Some(text)) if crate::config::duration(text).is_ok() => reader.fields.text("start_delay", text),
            ("working_dir", Some(text)) if !text.is_empty() => reader.fields.text("working_dir", text),
            (key, _) => reader.drop(key, value.line, None),
        }
    }
    stack.add(Process { name, fields, remarks: Vec::new() });
}
