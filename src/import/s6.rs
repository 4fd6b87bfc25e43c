//! Service directories of s6 and runit: a `run` script, and what stands beside it.

use super::ImportError;
use super::context::{ForeignFile, ImportContext, Reader};
use super::model::{ImportedFields, ImportedStack, NoteKind, Process};
use crate::config::{Files, Loose, Value};
use std::path::{Path, PathBuf};

/// The most service directories of one import.
const MOST: usize = 1000;

/// Whether a directory is a service, or has services in it.
pub(super) fn is_service_tree(path: &Path, files: &dyn Files) -> bool {
    !services(path, files).is_empty()
}

/// The service directories at a path: itself, or those in it.
fn services(path: &Path, files: &dyn Files) -> Vec<PathBuf> {
    let is_service = |path: &Path| ["run", "up"].iter().any(|name| files.read(&path.join(name)).is_ok());
    if is_service(path) {
        return vec![path.to_owned()];
    }
    let names = files.list(path).unwrap_or_default();
    let mut found: Vec<PathBuf> = names.iter().map(|name| path.join(name)).filter(|path| is_service(path)).take(MOST).collect();
    found.sort();
    found
}

/// Reads the directories.
pub(super) fn read(context: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    stack.defaults.set_from("restart", Value::text("always"), "s6 and runit restart a process however it ended");
    stack.defaults.set_from("backoff", Value::text("1s"), "s6 and runit: at most one start in a second");
    stack.defaults.set_from("depends_on", Value::Row(Vec::new()), "s6 and runit: all start at once");
    let stop = [("scope", "main"), ("timeout", "1m")];
    stack.defaults.set_from(
        "stop",
        Value::Map(stop.into_iter().map(|(key, value)| (key.to_owned(), Value::text(value))).collect()),
        "the signal goes to the main process; s6 kills nothing by itself, unless `timeout-kill` says so",
    );
    let mut paths: Vec<PathBuf> = Vec::new();
    for source in sources {
        let found = services(&source.path, context.files);
        if found.is_empty() {
            let reason = "expected a service directory with a `run` script, or a directory of them";
            return Err(source.invalid(0, reason));
        }
        paths.extend(found);
    }
    for path in paths {
        add(context, &path, stack);
    }
    Ok(())
}

fn add(context: &ImportContext<'_>, path: &Path, stack: &mut ImportedStack) {
    let source = ForeignFile::new(path, String::new());
    let name = source.name().to_owned();
    let read = |file: &str| {
        let bytes = context.files.read(&path.join(file)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    };
    let names = context.files.list(path).unwrap_or_default();
    let has = |file: &str| names.iter().any(|name| name == file);
    let mut fields = ImportedFields::default();
    if has("run") {
        fields.command(vec!["./run".to_owned()]);
    } else {
        fields.command(vec!["execlineb".to_owned(), "-P".to_owned(), "./up".to_owned()]);
        fields.set_from("type", Value::text("task"), "s6-rc: a oneshot");
        fields.text("restart", "never");
    }
    fields.text("working_dir", directory(context, path));
    if has("down") && has("run") {
        fields.set_from("enabled", Value::Bool(false), "it has a file `down`");
    }
    let mut reader = Reader { source: &source, process: &name, fields: &mut fields, notes: &mut stack.notes };
    match read("notification-fd").map(|text| text.parse::<u32>()) {
        Some(Ok(number @ 3..=1023)) => reader.fields.set("ready.fd", Value::Number(number.into())),
        Some(_) => reader.drop("notification-fd", 0, Some("navigator takes descriptors from 3 to 1023")),
        None => {}
    }
    if let Some(signal) = read("down-signal") {
        reader.carry("stop_signal", &Loose::of(&signal, 0));
    }
    if let Some(millis) = read("timeout-kill").filter(|millis| millis != "0") {
        reader.carry("kill_timeout", &Loose::of(&millis, 0));
    }
    if let Some(most) = read("max-death-tally").filter(|most| most != "0") {
        reader.carry("max_restarts", &Loose::of(&most, 0));
    }
    for (file, reason) in [
        ("finish", "navigator runs nothing when a process has ended: do that in `run`, or in a task"),
        ("check", "write it as `ready: {exec: [./check]}`"),
        ("log", "navigator writes the output of processes itself: see `output`"),
        ("producer-for", "navigator writes the output of processes itself: see `output`"),
        ("consumer-for", "navigator pipes no process into another one: write a shell line"),
        ("down", "it stops a oneshot: run it by hand, or as the last task of a shutdown"),
        ("timeout-up", "see `ready.deadline`"),
    ] {
        if has(file) && (file != "down" || !has("run")) {
            reader.drop(file, 0, Some(reason));
        }
    }
    if has("env") {
        reader.note(NoteKind::Changed, "env", 0, "its files are read by `run` itself, as before (`s6-envdir`, `chpst`)");
    }
    let listed: Vec<String> = if has("dependencies.d") {
        let names = context.files.list(&path.join("dependencies.d")).unwrap_or_default();
        names.into_iter().filter_map(|name| name.into_string().ok()).collect()
    } else {
        read("dependencies").unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let mut listed: Vec<String> = listed.into_iter().filter(|on| on != "base").collect();
    listed.sort();
    for on in listed {
        reader.fields.depend(&on, Vec::new());
    }
    stack.add(Process { name, fields, remarks: Vec::new() });
}

/// The service directory in our syntax, relative to the configuration if it is below its directory.
fn directory(context: &ImportContext<'_>, path: &Path) -> String {
    let base = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (context.directory(base), path.file_name().and_then(|name| name.to_str())) {
        (base, Some(name)) => format!("{base}/{}", super::words::escaped(name)),
        (base, None) => base,
    }
}
