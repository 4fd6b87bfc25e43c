//! Writes an imported configuration as YAML, with comments on what it comes from.

use super::model::{ImportedField, ImportedFields, ImportedStack, Process};
use crate::config::{Value, process_keys, write_value};

/// Longest list that is written on one line, in characters.
const ROW: usize = 100;

/// The text of a configuration.
///
/// # Errors
/// The library can't write a value.
pub(super) fn written(mut stack: ImportedStack, header: &str) -> Result<String, String> {
    for process in &mut stack.processes {
        complete(&mut process.fields, &stack.defaults);
    }
    let mut text = format!("# {header}\n");
    write_fields(&mut text, stack.top.0, "")?;
    if !stack.defaults.0.is_empty() {
        text.push_str("defaults:\n");
        write_fields(&mut text, ordered(stack.defaults), "  ")?;
    }
    if stack.processes.is_empty() {
        text.push_str("managed_processes: []\n");
        return Ok(text);
    }
    text.push_str("managed_processes:\n");
    for (index, process) in stack.processes.into_iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        write_process(&mut text, process)?;
    }
    Ok(text)
}

/// Adds the keys of a default map that a process overrides: a field replaces the default as a whole.
fn complete(fields: &mut ImportedFields, defaults: &ImportedFields) {
    for ImportedField { key, value, .. } in &defaults.0 {
        let (Value::Map(defaults), false) = (value, key == "env") else { continue };
        let Some(field) = fields.0.iter_mut().find(|field| field.key == *key) else { continue };
        let Value::Map(own) = &mut field.value else { continue };
        for (name, value) in defaults {
            if !own.iter().any(|(own, _)| own == name) {
                own.push((name.clone(), value.clone()));
            }
        }
    }
}

/// The fields in the order of the reference.
fn ordered(fields: ImportedFields) -> Vec<ImportedField> {
    let keys = process_keys();
    let mut fields = fields.0;
    fields.sort_by_key(|field| keys.iter().position(|key| key.name == field.key));
    fields
}

fn write_process(text: &mut String, process: Process) -> Result<(), String> {
    for remark in &process.remarks {
        write_comment(text, remark, "  ");
    }
    let mut lines = String::new();
    write_fields(
        &mut lines,
        vec![ImportedField { key: "name".to_owned(), value: Value::Text(process.name), comments: Vec::new() }],
        "    ",
    )?;
    write_fields(&mut lines, ordered(process.fields), "    ")?;
    text.push_str("  - ");
    text.push_str(lines.trim_start());
    Ok(())
}

fn write_fields(text: &mut String, fields: Vec<ImportedField>, indent: &str) -> Result<(), String> {
    for ImportedField { key, value, comments } in fields {
        for comment in &comments {
            write_comment(text, comment, indent);
        }
        let written = write_value(&Value::Map(vec![(key, laid_out(value))]))?;
        for line in written.lines() {
            if !line.is_empty() {
                text.push_str(indent);
                text.push_str(line);
            }
            text.push('\n');
        }
    }
    Ok(())
}

/// A value with its short lists on one line each. Texts that YAML could fold stay in lists of several lines.
fn laid_out(value: Value) -> Value {
    let length = |item: &Value| match item {
        Value::Text(text) if text.contains(['\n', '\r']) => ROW,
        Value::Text(text) => text.chars().count() + 2,
        Value::Number(_) | Value::Bool(_) | Value::Null => 6,
        _ => ROW,
    };
    match value {
        Value::List(items) | Value::Row(items) => {
            let items: Vec<Value> = items.into_iter().map(laid_out).collect();
            if items.iter().map(length).sum::<usize>() < ROW { Value::Row(items) } else { Value::List(items) }
        }
        Value::Map(entries) => Value::Map(entries.into_iter().map(|(key, value)| (key, laid_out(value))).collect()),
        value => value,
    }
}

fn write_comment(text: &mut String, comment: &str, indent: &str) {
    for line in comment.lines() {
        let plain: String = line.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
        text.extend([indent, "# ", plain.trim_end(), "\n"]);
    }
}
