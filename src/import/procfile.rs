//! `Procfile`, as foreman, honcho and overmind run it: a command line for each process, and variables in `.env`.

use super::ImportError;
use super::context::{ForeignFile, ImportContext, Reader};
use super::model::{ImportedFields, ImportedStack, MOST_PROCESSES, NoteKind, Process};
use crate::config::{Value, dotenv_variables};
use std::path::Path;

/// The port of the first process, if nothing else says.
const FIRST_PORT: u32 = 5000;

/// Reads `Procfile`s and their env files.
pub(super) fn read(context: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    let (env_files, procfiles): (Vec<&ForeignFile>, Vec<&ForeignFile>) = sources.iter().partition(|source| source.is_env_file());
    let Some(first) = procfiles.first() else { return Ok(()) };
    let mut port = FIRST_PORT;
    for (path, text) in env_texts(context, &env_files, first) {
        stack.top.push("env_file", Value::Text(path));
        let given = dotenv_variables(&text).into_iter().rev().find(|(name, _)| *name == "PORT");
        port = given.and_then(|(_, value)| value.parse().ok()).unwrap_or(port);
    }
    stack.defaults.set_from("working_dir", Value::Text(context.directory(first.directory())), "the directory of the Procfile");
    stack.defaults.set_from("depends_on", Value::Row(Vec::new()), "all start at once");
    stack.defaults.set("restart", Value::text("never"));
    stack.defaults.set_from("shutdown_on", Value::text("exit"), "when one process ends, foreman and honcho stop the others");
    stack.defaults.set_from("stop", Value::Map(vec![("timeout".to_owned(), Value::text("5s"))]), "their time limit of a stop");
    for source in procfiles {
        read_lines(source, stack, port)?;
    }
    let has_release = stack.has("release");
    for process in &mut stack.processes {
        if process.name == "release" {
            process.fields.set_from("type", Value::text("task"), "Heroku runs it to its end before the others");
            process.fields.set("shutdown_on", Value::text("failure"));
        } else if has_release {
            process.fields.depend("release", Vec::new());
        }
    }
    Ok(())
}

/// The paths of the env files for our file, and their texts.
fn env_texts(context: &ImportContext<'_>, given: &[&ForeignFile], procfile: &ForeignFile) -> Vec<(String, String)> {
    if !given.is_empty() {
        let texts = given.iter().map(|source| (context.file(source.directory(), source.name()), source.text.clone()));
        return texts.collect();
    }
    let path = procfile.directory().join(".env");
    let text = context.files.read(&path).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    text.map(|text| (context.file(procfile.directory(), ".env"), text)).into_iter().collect()
}

fn read_lines(source: &ForeignFile, stack: &mut ImportedStack, port: u32) -> Result<(), ImportError> {
    let first = stack.processes.len();
    for (index, line) in source.text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let entry = line.split_once(':').map(|(name, command)| (name.trim(), command.trim()));
        let is_name =
            |name: &str| !name.is_empty() && name.chars().all(|char| char.is_ascii_alphanumeric() || "_-".contains(char));
        let Some((name, command)) = entry.filter(|(name, command)| is_name(name) && !command.is_empty()) else {
            stack.drop(source, index + 1, "a line", "it is no `NAME: COMMAND`, and foreman ignores it, too");
            continue;
        };
        if stack.processes.len() > MOST_PROCESSES {
            return Ok(());
        }
        if stack.has(name) {
            return Err(source.invalid(index + 1, format!("a second process `{name}`: give it another name")));
        }
        let mut fields = ImportedFields::default();
        fields.shell_line(command, "sh");
        // foreman and honcho count ports by hundreds, in the order of the file.
        let own = port.saturating_add(u32::try_from(stack.processes.len() - first).unwrap_or_default().saturating_mul(100));
        fields.variable("PORT", own.to_string());
        let mut reader = Reader { source, process: name, fields: &mut fields, notes: &mut stack.notes };
        if Path::new(command.split_whitespace().next().unwrap_or_default()).ends_with("foreman") {
            reader.note(NoteKind::Changed, "command", index + 1, "it starts foreman itself: write what that starts");
        }
        stack.add(Process { name: name.to_owned(), fields, remarks: Vec::new() });
    }
    Ok(())
}
