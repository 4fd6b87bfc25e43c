//! One program of supervisord: its process, or several.

use super::expand::{Expansion, variables};
use crate::config::{Loose, Value, address_of_another_program};
use crate::import::ImportError;
use crate::import::context::{ForeignFile, ImportContext, Reader};
use crate::import::ini::{Entry, Section};
use crate::import::model::{ImportedFields, ImportedStack, NoteKind, Process};
use crate::import::words::words_without_shell;

/// The most processes of one program.
const MOST: i64 = 1000;

/// The longest text of all processes of one program, in bytes.
const MOST_TEXT: usize = 8 << 20;

/// Keys that are read together with others, or need no equivalent.
const READ_ELSEWHERE: [&str; 16] = [
    "command",
    "process_name",
    "numprocs",
    "numprocs_start",
    "priority",
    "environment",
    "autorestart",
    "startretries",
    "stdout_logfile",
    "stdout_logfile_maxbytes",
    "stdout_logfile_backups",
    "stderr_logfile",
    "redirect_stderr",
    "socket",
    "socket_owner",
    "socket_mode",
];

/// Adds the processes of a program.
pub(super) fn read(
    context: &ImportContext<'_>,
    source: &ForeignFile,
    section: &Section,
    expansion: Expansion,
    stack: &mut ImportedStack,
) -> Result<(), ImportError> {
    let Some(command) = section.get("command").filter(|command| !command.value.is_empty()) else {
        return Err(source.invalid(section.line, format!("`[{}]` has no `command`", section.name)));
    };
    let count = number(source, section, "numprocs", 1)?;
    if !(1..=MOST).contains(&count) {
        return Err(source.invalid(section.line, format!("`numprocs` of `{}` is not from 1 to {MOST}", expansion.program)));
    }
    let size: usize = section.entries.iter().map(|entry| entry.value.len()).sum();
    if size.saturating_mul(usize::try_from(count).unwrap_or_default()) > MOST_TEXT {
        return Err(source.invalid(section.line, format!("the processes of `{}` are too large together", expansion.program)));
    }
    let first = number(source, section, "numprocs_start", 0)?;
    let uses_number = section.entries.iter().any(|entry| entry.key != "process_name" && entry.value.contains("%(process_num)"));
    let mut remarks = Vec::new();
    if expansion.group != expansion.program {
        remarks.push(format!("of the group `{}`", expansion.group));
    }
    if count > 1 && uses_number {
        for number in first..first.saturating_add(count) {
            let expansion = Expansion { number, count, ..expansion.clone() };
            let pattern = section.text("process_name").unwrap_or("%(program_name)s_%(process_num)02d");
            let name = expansion.text(pattern, context, stack, &source.place(command.line));
            let fields = fields(context, source, section, &expansion, &name, stack);
            stack.add(Process { name, fields, remarks: remarks.clone() });
        }
        return Ok(());
    }
    let expansion = Expansion { number: first, count, ..expansion };
    let name = expansion.program.clone();
    let mut fields = fields(context, source, section, &expansion, &name, stack);
    if count > 1 {
        fields.set_from("replicas", Value::Number(count.into()), format!("supervisord: numprocs={count}"));
    }
    stack.add(Process { name, fields, remarks });
    Ok(())
}

fn number(source: &ForeignFile, section: &Section, key: &str, otherwise: i64) -> Result<i64, ImportError> {
    let Some(entry) = section.get(key) else { return Ok(otherwise) };
    let wrong = || source.invalid(entry.line, format!("`{key}` is not a whole number"));
    entry.value.parse::<i64>().ok().filter(|number| (0..=1_000_000).contains(number)).ok_or_else(wrong)
}

fn fields(
    context: &ImportContext<'_>,
    source: &ForeignFile,
    section: &Section,
    expansion: &Expansion,
    name: &str,
    stack: &mut ImportedStack,
) -> ImportedFields {
    let mut fields = ImportedFields::default();
    let text = |entry: &Entry, stack: &mut ImportedStack| expansion.text(&entry.value, context, stack, &source.place(entry.line));
    if let Some(command) = section.get("command") {
        let program = command.value.split_whitespace().next().unwrap_or_default();
        let is_shell = ["sh", "bash", "dash", "zsh"].contains(&program.rsplit('/').next().unwrap_or_default());
        let place = source.place(command.line);
        let line = if is_shell {
            expansion.shell(&command.value, context, stack, &place)
        } else {
            expansion.text(&command.value, context, stack, &place)
        };
        fields.command(words_without_shell(&line));
    }
    if let Some(entry) = section.get("environment") {
        for (name, value) in variables(&text(entry, stack)) {
            fields.variable(&name, value);
        }
    }
    restarts(section, &mut fields);
    output(section, &mut fields, |entry| text(entry, stack));
    let known = |entry: &&Entry| !READ_ELSEWHERE.contains(&entry.key.as_str()) && !entry.value.is_empty();
    for entry in section.entries.iter().filter(known) {
        let value = Loose::of(&text(entry, stack), entry.line);
        let mut reader = Reader { source, process: name, fields: &mut fields, notes: &mut stack.notes };
        match entry.key.as_str() {
            "stopasgroup" if value.truth() == Some(true) => reader.fields.text("stop.scope", "tree"),
            "killasgroup" | "stopasgroup" => {}
            "startsecs" if value.text() == Some("0") => {}
            "umask" | "directory" | "user" | "startsecs" | "exitcodes" | "stopsignal" | "stopwaitsecs" | "autostart" => {
                reader.carry(&entry.key, &value);
            }
            key if key.starts_with("stderr_logfile_") => {}
            key if key.ends_with("_events_enabled") && value.truth() == Some(false) => {}
            key if key.ends_with("_capture_maxbytes") && value.text() == Some("0") => {}
            key if key.ends_with("_syslog") && value.truth() == Some(false) => {}
            "stdout_syslog" | "stderr_syslog" => {
                reader.drop(&entry.key, entry.line, Some("navigator does not write to syslog: see `output` and `logging`"));
            }
            "serverurl" => {
                reader.drop(
                    "serverurl",
                    entry.line,
                    Some("navigator has no such interface: its control socket is in docs/api.md"),
                );
            }
            key => reader.drop(key, entry.line, Some("navigator has no equivalent")),
        }
    }
    if section.name.starts_with("fcgi-program:") {
        let mut reader = Reader { source, process: name, fields: &mut fields, notes: &mut stack.notes };
        fast_cgi(section, expansion, &mut reader);
    }
    fields
}

/// `autorestart` and `startretries`. The program of `startsecs=0` is never seen as failing to start.
fn restarts(section: &Section, fields: &mut ImportedFields) {
    let restart = match section.text("autorestart").map(str::to_ascii_lowercase).as_deref() {
        Some("true" | "yes" | "on" | "1") => "always",
        Some("false" | "no" | "off" | "0") => "never",
        _ => "on-failure",
    };
    if restart != "on-failure" {
        fields.text("restart", restart);
    }
    if restart != "never" && section.text("startsecs") != Some("0") {
        let retries = section.text("startretries").and_then(|text| text.parse::<u32>().ok()).unwrap_or(3);
        fields.set_from("max_restarts", Value::Number(retries.into()), format!("supervisord: startretries={retries}"));
    }
}

/// A log of supervisord as a destination of ours.
fn destination(path: &str) -> Option<&str> {
    let is_stream = path.starts_with("/dev/std") || path.starts_with("/dev/fd/") || path.starts_with("/proc/self/fd/");
    (path != "AUTO" && path != "syslog" && !is_stream).then_some(path)
}

/// The logs: a file with its limits, nothing, or navigator's own output.
fn output(section: &Section, fields: &mut ImportedFields, mut text: impl FnMut(&Entry) -> String) {
    let path = |key: &str, text: &mut dyn FnMut(&Entry) -> String| {
        section.get(key).map(text).filter(|path| !path.is_empty()).unwrap_or_else(|| "AUTO".to_owned())
    };
    let stdout = path("stdout_logfile", &mut text);
    let stderr = path("stderr_logfile", &mut text);
    let is_joined = section.text("redirect_stderr").is_some_and(|value| Loose::of(value, 0).truth() == Some(true));
    let is_nothing = |path: &str| path == "NONE" || path == "/dev/null";
    if is_nothing(&stdout) && (is_joined || destination(&stderr).is_none_or(is_nothing)) {
        fields.set("output", Value::Null);
        return;
    }
    if let Some(stdout) = destination(&stdout) {
        fields.text("output.file", if stdout == "NONE" { "/dev/null" } else { stdout });
        let size = section.text("stdout_logfile_maxbytes").unwrap_or("50MB");
        fields.text("output.max_size", binary_size(size));
        let keep = section.text("stdout_logfile_backups").and_then(|text| text.parse::<u32>().ok()).unwrap_or(10);
        fields.set("output.keep", Value::Number(keep.min(1000).into()));
    }
    if let (Some(stderr), false) = (destination(&stderr), is_joined) {
        fields.text("output.stderr", if stderr == "NONE" { "/dev/null" } else { stderr });
    }
}

/// supervisord's units are powers of 1024.
fn binary_size(text: &str) -> String {
    let upper = text.trim().to_ascii_uppercase();
    let written = ["KB", "MB", "GB"].iter().find_map(|unit| {
        let number = upper.strip_suffix(unit)?.trim();
        Some(format!("{number}{}iB", &unit[..1]))
    });
    let is_number = |text: &str| !text.is_empty() && text.len() < 12 && text.bytes().all(|byte| byte.is_ascii_digit());
    let written = written.unwrap_or(upper);
    if is_number(written.trim_end_matches(|char: char| char.is_ascii_alphabetic())) { written } else { "50MiB".to_owned() }
}

/// A `FastCGI` program gets its socket as descriptor 0; navigator passes it as 3.
fn fast_cgi(section: &Section, expansion: &Expansion, reader: &mut Reader<'_>) {
    let Some(socket) = section.get("socket") else { return };
    let address = expansion.here_and_name(&socket.value);
    let Some(address) = address_of_another_program(&address).map(|address| address.trim_matches('"').to_owned()) else {
        reader.drop("socket", socket.line, Some("it is no address that navigator knows"));
        return;
    };
    let mut fields = vec![("address".to_owned(), Value::Text(address.clone()))];
    if address.contains('/') {
        fields.push(("mode".to_owned(), Value::text(section.text("socket_mode").unwrap_or("0700"))));
        if let Some((user, group)) = section.text("socket_owner").map(|owner| owner.split_once(':').unwrap_or((owner, ""))) {
            fields.push(("user".to_owned(), Value::text(user)));
            fields.extend((!group.is_empty()).then(|| ("group".to_owned(), Value::text(group))));
        }
    }
    reader.fields.set_from(
        "listen",
        Value::Map(vec![("fcgi".to_owned(), Value::Map(fields))]),
        format!("supervisord: socket={}", socket.value),
    );
    let command = reader.fields.get("command").cloned();
    let args = reader.fields.get("args").cloned();
    let mut words = vec!["sh".to_owned(), "-c".to_owned(), "exec \"$@\" 0<&3 3<&-".to_owned(), "sh".to_owned()];
    let items = match args {
        Some(Value::Row(items) | Value::List(items)) => items,
        _ => Vec::new(),
    };
    words.extend(command.into_iter().chain(items).filter_map(|word| match word {
        Value::Text(word) => Some(word),
        _ => None,
    }));
    reader.fields.command(words);
    reader.fields.comment("command", "a FastCGI program takes its socket from standard input");
    if reader.fields.has("replicas") {
        reader.note(NoteKind::Changed, "numprocs", section.line, "the processes of a FastCGI program share one socket");
    }
}
