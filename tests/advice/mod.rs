//! What a help advises can be done: applied to the file, it is accepted, or leads to the next true problem.
//!
//! `fixtures/config/foreign` has files in the manner of other programs' own.

mod applied;

use super::fixtures::{environment, over_disk, paths};
use super::unannotated;
use applied::applied;
use navigator::config::{Diagnostic, Severity, load, process_keys, top_keys};
use std::fs;
use std::path::{Path, PathBuf};

/// What an advised text may still lack, because a help can't know it.
const NEXT: [&str; 12] = [
    "variable `",
    "is set nowhere else",
    "unknown process `",
    "there is no such file",
    "has no `name`",
    "has no `command`",
    "neither `name` nor `command`",
    "is a directory",
    "in the same file",
    "must be one program",
    "needs `ready`",
    "has no effect without",
];

fn foreign() -> Vec<PathBuf> {
    let entries = fs::read_dir("fixtures/config/foreign").expect("the folder can be listed");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

fn diagnostics(path: &Path, text: &str) -> Vec<Diagnostic> {
    match load(path, &over_disk(path, text.as_bytes().to_vec()), &environment()) {
        Ok(loaded) => loaded.warnings,
        Err(rejected) => rejected.diagnostics,
    }
}

/// The errors of a text, except those that no help can avoid.
fn objections(path: &Path, text: &str) -> Vec<String> {
    let errors = diagnostics(path, text).into_iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let messages = errors.map(|diagnostic| diagnostic.message);
    messages.filter(|message| !NEXT.iter().any(|next| message.contains(next))).collect()
}

fn is_key(text: &str, keys: &[&str]) -> bool {
    text.split_once(": ").map(|(key, _)| key).or(text.strip_suffix(':')).is_some_and(|key| keys.contains(&key))
}

/// The files that a help asks for: the YAML on its own lines, and each `key: value` in backticks.
fn advised(help: &str) -> Vec<String> {
    let processes = process_keys();
    let fields: Vec<&str> = processes.iter().map(|key| key.name).collect();
    let tops = top_keys();
    let tops: Vec<&str> = tops.iter().map(|key| key.name).filter(|key| !fields.contains(key)).collect();
    let filled = help.replace('…', "1").replace("managed_processes: []\n", "");
    let mut lines = filled.lines();
    let sentence = lines.next().unwrap_or_default().to_owned();
    let block: Vec<&str> = lines.collect();
    let mut texts = Vec::new();
    let indented = |lines: &[&str], by: &str| lines.iter().flat_map(|line| [by, line, "\n"]).collect::<String>();
    let process = |lines: &[&str]| {
        let has_command = lines.iter().any(|line| line.starts_with("command:"));
        let command = if has_command { "" } else { "    command: ./a\n" };
        format!("managed_processes:\n  - name: advised\n{command}{}", indented(lines, "    "))
    };
    match block.first() {
        None => {}
        Some(first) if first.trim_start().starts_with("- ") => {
            texts.push(format!("managed_processes:\n{}", indented(&block, "  ")));
        }
        Some(first) if is_key(first, &tops) => texts.push(indented(&block, "")),
        Some(_) => texts.push(process(&block)),
    }
    for quoted in sentence.split('`').skip(1).step_by(2) {
        if is_key(quoted, &tops) && !quoted.ends_with(':') {
            texts.push(format!("{quoted}\n{}", if quoted.starts_with("managed") { "" } else { "managed_processes: []\n" }));
        } else if is_key(quoted, &fields) && !quoted.ends_with(':') {
            let name = if quoted.starts_with("name:") { "managed_processes:\n  - command: ./a\n" } else { "" };
            texts.push(if name.is_empty() { process(&[quoted]) } else { format!("{name}    {quoted}\n") });
        }
    }
    texts
}

/// The text with the marked part of a line replaced.
fn replaced(text: &str, diagnostic: &Diagnostic, by: &str) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let line = lines.get_mut(diagnostic.line - 1)?;
    let chars: Vec<char> = line.chars().collect();
    let (before, after) = (chars.get(..diagnostic.column - 1)?, chars.get(diagnostic.end_column - 1..)?);
    *line = before.iter().collect::<String>() + by + &after.iter().collect::<String>();
    Some(lines.join("\n") + "\n")
}

#[test]
fn what_a_help_advises_is_valid() {
    let foreign = foreign();
    assert!(foreign.len() >= 60, "only {} foreign files", foreign.len());
    let mut failures = Vec::new();
    let (mut files, mut values) = (0, 0);
    for path in paths("bad").into_iter().chain(foreign) {
        let Ok(text) = String::from_utf8(unannotated(&path)) else { continue };
        for diagnostic in diagnostics(&path, &text).iter().filter(|diagnostic| diagnostic.file == path) {
            let Some(help) = &diagnostic.help else { continue };
            for advised in advised(help) {
                files += 1;
                let objections = objections(&path, &advised);
                if !objections.is_empty() {
                    failures.push(format!(
                        "{}:{}: {}\n  help: {help}\n  but then: {}\n{advised}",
                        path.display(),
                        diagnostic.line,
                        diagnostic.message,
                        objections.join("; ")
                    ));
                }
            }
            let Some(word) = help.strip_prefix("did you mean `").and_then(|rest| rest.strip_suffix("`?")) else { continue };
            let Some(text) = replaced(&text, diagnostic, word) else { continue };
            values += 1;
            if diagnostics(&path, &text).iter().any(|other| other.message == diagnostic.message && other.line == diagnostic.line)
            {
                failures.push(format!("{}:{}: {}\n  help: {help}", path.display(), diagnostic.line, diagnostic.message));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {files}:\n{}", failures.len(), failures.join("\n"));
    assert!(files > 150 && values > 15, "only {files} files and {values} values");
}

/// Each of them is recognized as another program's, or has an error for each of its keys: none is taken for ours.
#[test]
fn files_of_other_programs_are_rejected_with_a_help() {
    for path in foreign() {
        let text = fs::read_to_string(&path).expect("a fixture");
        let rejected = load(&path, &navigator::config::Disk, &environment()).map(|_| text.clone());
        let Err(rejected) = rejected else { panic!("{} is accepted:\n{text}", path.display()) };
        assert!(
            rejected.diagnostics.iter().all(|diagnostic| diagnostic.help.is_some()),
            "{}: {:?}",
            path.display(),
            rejected.diagnostics
        );
        assert!(!format!("{:?}", rejected.diagnostics).contains("hunter2"), "{} shows a value", path.display());
    }
}

/// The text that a help names is put in the place of the mistake: then the mistake is gone, and it is no other in its place.
#[test]
fn what_a_help_says_to_write_ends_the_problem() {
    let mut failures = Vec::new();
    let mut applications = 0;
    for path in paths("bad").into_iter().chain(paths("good")).chain(foreign()) {
        let Ok(text) = String::from_utf8(unannotated(&path)) else { continue };
        let before = diagnostics(&path, &text);
        for diagnostic in before.iter().filter(|diagnostic| diagnostic.file == path) {
            for fixed in applied(&text, diagnostic) {
                applications += 1;
                let after = diagnostics(&path, &fixed);
                let count = |all: &[Diagnostic]| all.iter().filter(|other| other.message == diagnostic.message).count();
                let others = new_mistakes(diagnostic, &before, &after);
                if count(&after) >= count(&before) || !others.is_empty() {
                    failures.push(format!(
                        "{}:{}: {}\n  help: {}\n  but then: {others:?}\n{fixed}",
                        path.display(),
                        diagnostic.line,
                        diagnostic.message,
                        diagnostic.help.as_deref().unwrap_or_default(),
                    ));
                }
            }
        }
    }
    assert!(failures.is_empty(), "{} of {applications}:\n{}", failures.len(), failures.join("\n"));
    assert!(applications > 350, "only {applications}");
}

/// The mistakes of layout and of keys that a text has only now.
fn new_mistakes(mended: &Diagnostic, before: &[Diagnostic], after: &[Diagnostic]) -> Vec<String> {
    const KINDS: [&str; 11] = [
        "duplicate key",
        "unknown key `",
        "is missing",
        "closes no open",
        "is closed by",
        "is never closed",
        "more text follows",
        "is indented deeper",
        "spaces, but `",
        "belongs at the top",
        "contains a `:`",
    ];
    // A name or a place that the advice changes is no new mistake.
    let kind = |diagnostic: &Diagnostic| {
        let words = diagnostic.message.split(" of `").next().unwrap_or_default().to_owned();
        // What is unknown further below could only not be read before.
        let is_hidden = diagnostic.message.starts_with("unknown key") && diagnostic.line != mended.line;
        (!is_hidden && KINDS.iter().any(|kind| diagnostic.message.contains(kind))).then_some(words)
    };
    let known: Vec<String> = before.iter().filter_map(kind).collect();
    after.iter().filter_map(kind).filter(|mistake| !known.contains(mistake)).collect()
}
