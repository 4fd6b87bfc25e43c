//! PM2's ecosystem files: JSON, YAML, or JavaScript that `node` evaluates.

mod app;
mod node;

use super::ImportError;
use super::context::{ForeignFile, ImportContext};
use super::model::ImportedStack;
use crate::config::{Loose, LooseKind, Value, read_loose};

/// The endings of files that `node` has to evaluate.
const SCRIPTS: [&str; 3] = [".js", ".cjs", ".mjs"];

/// Whether a file is JavaScript.
pub(super) fn is_script(name: &str) -> bool {
    SCRIPTS.iter().any(|ending| name.ends_with(ending))
}

/// Reads the files.
pub(super) fn read(context: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    let Some(first) = sources.iter().find(|source| !source.is_env_file()) else { return Ok(()) };
    stack.defaults.set_from(
        "working_dir",
        Value::Text(context.directory(first.directory())),
        "the directory of the ecosystem file",
    );
    stack.defaults.set_from("depends_on", Value::Row(Vec::new()), "PM2: all start at once");
    stack.defaults.set_from("restart", Value::text("always"), "PM2: autorestart: true");
    stack.defaults.set_from("max_restarts", Value::Number(16.into()), "PM2: max_restarts: 16, of restarts within min_uptime");
    let backoff = [("initial", Value::text("1ms")), ("factor", Value::Number(1.into())), ("reset_after", Value::text("1s"))];
    stack.defaults.set_from(
        "backoff",
        Value::Map(backoff.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        "PM2: no delay, min_uptime: 1000",
    );
    let stop = [("signal", Value::text("INT")), ("timeout", Value::text("1600ms"))];
    stack.defaults.set_from(
        "stop",
        Value::Map(stop.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        "PM2: SIGINT, kill_timeout: 1600",
    );
    for source in sources.iter().filter(|source| !source.is_env_file()) {
        let document = document(source)?;
        for app in apps(&document) {
            app::add(context, source, app, stack);
        }
        for (key, value) in document.entries().iter().filter(|_| document.get("apps").is_some()) {
            if key == "deploy" {
                stack.drop(source, value.line, key, "navigator does not deploy: see docs/gitops.md");
            }
        }
    }
    Ok(())
}

fn document(source: &ForeignFile) -> Result<Loose, ImportError> {
    let is_script = is_script(source.name());
    let text = if is_script { node::evaluated(source)? } else { source.text.clone() };
    let mut document = read_loose(&text).map_err(|reason| source.invalid(0, reason))?;
    if is_script {
        without_lines(&mut document);
    }
    Ok(document)
}

/// The apps of `{apps: […]}`, `[…]`, `{apps: {…}}` or one app alone.
fn apps(document: &Loose) -> &[Loose] {
    match document.get("apps") {
        Some(apps) => apps.items(),
        None if document.get("script").is_some() => std::slice::from_ref(document),
        None => match &document.kind {
            LooseKind::List(apps) => apps,
            _ => &[],
        },
    }
}

/// What `node` prints has lines of its own.
fn without_lines(value: &mut Loose) {
    value.line = 0;
    match &mut value.kind {
        LooseKind::List(items) => items.iter_mut().for_each(without_lines),
        LooseKind::Map(entries) => entries.iter_mut().for_each(|(_, value)| without_lines(value)),
        _ => {}
    }
}
