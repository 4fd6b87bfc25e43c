//! `supervisord.conf` with the files that it includes: programs, groups, and several processes of one program.

mod expand;
mod program;

use super::ImportError;
use super::context::text;
use super::context::{ForeignFile, ImportContext, Reader};
use super::ini::{Section, sections};
use super::model::{ImportedStack, MOST_PROCESSES};
use crate::config::{Loose, Value, expand as expand_glob};
use expand::{Expansion, variables};
use std::collections::BTreeMap;

/// The priority of a program or group that names none.
const PRIORITY: i64 = 999;

/// The most files that one import reads.
const MOST_FILES: usize = 1000;

/// Sections that only concern supervisord's own control interface.
const CONTROL: [&str; 3] = ["supervisorctl", "unix_http_server", "rpcinterface:supervisor"];

/// Reads the files, those that they include, and their programs in the order of priorities.
pub(super) fn read(context: &ImportContext<'_>, sources: &[ForeignFile], stack: &mut ImportedStack) -> Result<(), ImportError> {
    let included = included(context, sources, stack)?;
    let mut parsed: Vec<(&ForeignFile, Section)> = Vec::new();
    for source in sources.iter().chain(&included).filter(|source| !source.is_env_file()) {
        parsed.extend(sections(source)?.into_iter().map(|section| (source, section)));
    }
    let here = context.directory(sources[0].directory());
    stack.defaults.set_from("restart", Value::text("on-failure"), "supervisord: autorestart=unexpected");
    stack.defaults.set_from(
        "backoff",
        Value::Map(vec![("initial".to_owned(), Value::text("1s")), ("reset_after".to_owned(), Value::text("1s"))]),
        "supervisord: startsecs=1, and a second more before each retry",
    );
    stack.defaults.set_from(
        "stop",
        Value::Map(vec![("scope".to_owned(), Value::text("main"))]),
        "supervisord: stopasgroup=false",
    );
    let groups = groups(&parsed);
    let mut programs = Vec::new();
    for (source, section) in &parsed {
        let program = ["program:", "fcgi-program:"].iter().find_map(|head| section.named(head));
        if let Some(name) = program {
            let group = groups.get(name);
            let own = priority(section);
            let order = group.map_or((own, own), |(_, priority)| (*priority, own));
            programs.push((order, *source, section, name, group.map_or(name, |(group, _)| group.as_str())));
        } else {
            other_section(context, source, section, &here, stack);
        }
    }
    // The sort is stable: programs of one priority stay in the order of the file.
    programs.sort_by_key(|(order, ..)| *order);
    let is_ordered = programs.windows(2).any(|pair| pair[0].0 != pair[1].0);
    if !is_ordered {
        stack.defaults.set_from("depends_on", Value::Row(Vec::new()), "all have one priority");
    }
    for (_, source, section, name, group) in programs.into_iter().take(MOST_PROCESSES + 1) {
        program::read(context, source, section, Expansion::new(&here, name, group), stack)?;
    }
    Ok(())
}

/// The files of `[include]`.
fn included(
    context: &ImportContext<'_>,
    sources: &[ForeignFile],
    stack: &mut ImportedStack,
) -> Result<Vec<ForeignFile>, ImportError> {
    let mut found = Vec::new();
    for source in sources {
        for section in sections(source)?.iter().filter(|section| section.name == "include") {
            let here = source.directory();
            let entry = section.get("files");
            for pattern in entry.map(|entry| entry.value.split_whitespace()).into_iter().flatten() {
                let pattern = pattern.replace("%(here)s", &here.to_string_lossy());
                if pattern.contains("**") {
                    let line = entry.map_or(0, |entry| entry.line);
                    stack.drop(source, line, "files", "`**` is not supported: name these files on the command line");
                    continue;
                }
                let paths = expand_glob(&here.join(&pattern), context.files, &mut BTreeMap::new());
                let paths = paths.map_err(|error| source.invalid(section.line, error.to_string()))?;
                for path in paths {
                    if found.len() == MOST_FILES {
                        return Err(source.invalid(section.line, format!("more than {MOST_FILES} files are included")));
                    }
                    found.push(ForeignFile::new(&path, text(&path, context.files)?));
                }
            }
        }
    }
    Ok(found)
}

fn priority(section: &Section) -> i64 {
    section.text("priority").and_then(|text| text.parse().ok()).unwrap_or(PRIORITY)
}

/// The group of each program, and its priority.
fn groups(parsed: &[(&ForeignFile, Section)]) -> BTreeMap<String, (String, i64)> {
    let mut groups = BTreeMap::new();
    for (_, section) in parsed {
        let Some(name) = section.named("group:") else { continue };
        let programs = section.text("programs").unwrap_or_default().split(',').map(str::trim);
        groups.extend(programs.map(|program| (program.to_owned(), (name.to_owned(), priority(section)))));
    }
    groups
}

/// A section that is no program.
fn other_section(context: &ImportContext<'_>, source: &ForeignFile, section: &Section, here: &str, stack: &mut ImportedStack) {
    let head = section.name.split(':').next().unwrap_or_default();
    match head {
        "supervisord" => settings(context, source, section, here, stack),
        "group" => {
            for entry in section.entries.iter().filter(|entry| !["programs", "priority"].contains(&entry.key.as_str())) {
                stack.drop(source, entry.line, &entry.key, "a group has programs and a priority only");
            }
        }
        "include" => {}
        "inet_http_server" => stack.drop(
            source,
            section.line,
            "[inet_http_server]",
            "navigator listens on no port: its control socket is a Unix socket with HTTP, see docs/api.md",
        ),
        "eventlistener" => stack.drop(
            source,
            section.line,
            &format!("[{}]", section.name),
            "it speaks supervisord's event protocol: `navigator events` prints events as lines of JSON for a program of yours",
        ),
        _ if CONTROL.contains(&section.name.as_str()) => {}
        _ => stack.drop(source, section.line, &format!("[{}]", section.name), "navigator has no such section"),
    }
}

/// `[supervisord]`: what concerns all programs.
fn settings(context: &ImportContext<'_>, source: &ForeignFile, section: &Section, here: &str, stack: &mut ImportedStack) {
    for entry in &section.entries {
        let expanded =
            Expansion::new(here, "supervisord", "supervisord").text(&entry.value, context, stack, &source.place(entry.line));
        let value = Loose::of(&expanded, entry.line);
        match entry.key.as_str() {
            "environment" => {
                for (name, text) in variables(&expanded) {
                    stack.top.variable(&name, text);
                }
            }
            "loglevel" => {
                let level = match entry.value.as_str() {
                    "critical" | "error" => "error",
                    "warn" => "warn",
                    "debug" => "debug",
                    "trace" | "blather" => "trace",
                    _ => "info",
                };
                stack.top.set("logging.level", Value::text(level));
            }
            "minfds" | "minprocs" => {
                let name = if entry.key == "minfds" { "limitnofile" } else { "limitnproc" };
                Reader { source, process: "", fields: &mut stack.defaults, notes: &mut stack.notes }.carry(name, &value);
            }
            "user" if entry.value == "root" => {}
            "user" | "umask" | "directory" => {
                Reader { source, process: "", fields: &mut stack.defaults, notes: &mut stack.notes }.carry(&entry.key, &value);
            }
            "nodaemon" | "pidfile" | "nocleanup" | "childlogdir" | "silent" | "identifier" | "strip_ansi" => {}
            "logfile" | "logfile_maxbytes" | "logfile_backups" => stack.drop(
                source,
                entry.line,
                &entry.key,
                "navigator writes its log to standard error: `logging.file` names a file for it and for the output of processes",
            ),
            key => stack.drop(source, entry.line, key, "navigator has no equivalent"),
        }
    }
}
