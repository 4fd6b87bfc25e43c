//! Warns about a `command` or `working_dir` that only a shell would read as it is meant, and rejects whole command lines.
//!
//! Such values are valid, because a program and its arguments are used as written, but hardly ever meant. Every warning can be
//! silenced by writing what is meant.

use super::draft::{Given, given};
use super::foreign_syntax;
use super::problems::{Problem, Problems};
use super::source_map::SourceSpan;
use super::subject::OWNER;
use super::tree::{Node, NodeKind};
use super::value_lints::{is_shell, quotes, text, tilde, variable};
use super::words::{self, definition, lines};

/// Warns about values of a process that expect a shell.
pub(super) fn report(fields: &[Given<'_>], problems: &mut Problems) {
    let find = |name: &str| given(fields, name).map(|entry| &entry.value);
    let args: Vec<(&str, SourceSpan)> = find("args").into_iter().flat_map(Node::one_or_more).filter_map(text).collect();
    let command = find("command").and_then(text);
    if let Some((command, span)) = command.filter(|(command, _)| !is_command_line(command, &args)) {
        problems.add_all(command_lint(command, span));
    }
    if let Some((directory, span)) = find("working_dir").and_then(text) {
        let place = format!("`working_dir`{OWNER}");
        problems.add_all(tilde(directory, span, &place).or_else(|| variable(directory, span, &place)));
    }
}

/// Whether a process runs a shell, which handles shell syntax itself.
pub(super) fn has_shell(fields: &[Given<'_>]) -> bool {
    let values = |name: &str| given(fields, name).into_iter().flat_map(|entry| entry.value.one_or_more());
    values("command").chain(values("args")).filter_map(Node::text).any(is_shell)
}

fn command_lint(command: &str, span: SourceSpan) -> Option<Problem> {
    let place = format!("`command`{OWNER}");
    quotes(command, span, &place)
        .or_else(|| windows(command, span))
        .or_else(|| tilde(command, span, &place))
        .or_else(|| variable(command, span, &place))
        .or_else(|| shell_word(command, span))
}

/// Whether this is a command line where one program is expected. It could be a file name, but hardly ever is.
fn is_command_line(command: &str, args: &[(&str, SourceSpan)]) -> bool {
    let mut words = command.split_whitespace();
    let (Some(first), Some(_)) = (words.next(), words.next()) else { return false };
    // If `args` is given, a path may well contain a space.
    !(foreign_syntax::reference(command).is_some()
        || first.starts_with(['\'', '"', '“', '”', '„'])
        || !args.is_empty() && first.contains('/'))
}

/// The error for a `command` that is a whole command line.
pub(super) fn command_line(fields: &[Given<'_>]) -> Option<Problem> {
    let find = |name: &str| given(fields, name).map(|entry| &entry.value);
    let args: Vec<(&str, SourceSpan)> = find("args").into_iter().flat_map(Node::one_or_more).filter_map(text).collect();
    let more: Vec<String> = match (find("args").map(|node| &node.kind), &args[..]) {
        // Meant as a list.
        (Some(NodeKind::Scalar(_)), [(line, _)]) => words::split(line).unwrap_or_else(|_| vec![(*line).to_owned()]),
        _ => args.iter().map(|&(arg, _)| arg.to_owned()).collect(),
    };
    let both = if more.is_empty() { "" } else { " in place of `command` and `args`" };
    if let Some(Node { kind: NodeKind::List(items), span }) = find("command") {
        let problem = Problem::error(*span, format!("`command`{OWNER} must be one program, not a list"));
        let words: Vec<String> = items.iter().filter_map(Node::text).map(str::to_owned).chain(more).collect();
        let written = words.split_first().map(|(program, args)| format!("write{both}\n{}", lines(program, args).join("\n")));
        return Some(problem.maybe_help(written));
    }
    let (command, span) = find("command").and_then(text)?;
    if !is_command_line(command, &args) {
        return None;
    }
    let lines = definition(command, &more)?;
    let why = if lines[0] == "command: sh" { "there is no shell unless you name it" } else { "there is no shell to split it" };
    let problem = Problem::error(span, format!("`command`{OWNER} must be one program; put its arguments in `args`"));
    Some(problem.help(format!("{why}: write{both}\n{}", lines.join("\n"))))
}

/// A single word that only a shell would understand.
fn shell_word(command: &str, span: SourceSpan) -> Option<Problem> {
    let found = command.chars().find(|&char| "|&;<>*?`".contains(char))?;
    let problem =
        Problem::warning(span, format!("`{found}` is part of the program's name in `command`{OWNER}: there is no shell"));
    Some(problem.help(format!("write\n{}", definition(command, &[])?.join("\n"))))
}

fn windows(command: &str, span: SourceSpan) -> Option<Problem> {
    let drive = command.strip_prefix(|char: char| char.is_ascii_alphabetic())?;
    drive.starts_with(":\\").then(|| {
        Problem::warning(span, format!("`command`{OWNER} is a Windows path"))
            .help("write the path on this host, with `/` between its parts")
    })
}
