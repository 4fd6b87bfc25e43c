//! Warns about shell syntax in values that no shell reads, and about what was copied from documents and other programs' files.
//!
//! Such values are valid, because a program and its arguments are used as written, but hardly ever meant. Every warning can be
//! silenced by writing what is meant.

use super::draft::{Given, given};
use super::foreign_syntax;
use super::problems::{Problem, Problems};
use super::scope::instead_of_reference;
use super::source_map::SourceSpan;
use super::subject::{KEY, OWNER};
use super::tree::Node;
use super::words::{self, definition, is_variable};

/// Programs that handle shell syntax themselves.
const SHELLS: [&str; 11] = ["sh", "bash", "dash", "zsh", "ksh", "fish", "ash", "busybox", "envsubst", "ssh", "su"];

/// Operators between the commands of a shell.
const OPERATORS: [&str; 10] = ["|", "||", "&&", "&", ">", ">>", "2>", "2>&1", "&>", "<"];

/// Warns about values of a process that expect a shell.
pub(super) fn report(fields: &[Given<'_>], problems: &mut Problems) {
    let find = |name: &str| given(fields, name).map(|entry| &entry.value);
    let args: Vec<(&str, SourceSpan)> = find("args").into_iter().flat_map(Node::one_or_more).filter_map(text).collect();
    let command = find("command").and_then(text);
    if let Some((command, span)) = command.filter(|(command, _)| !is_command_line(command, &args)) {
        problems.add_all(command_lint(command, span));
    }
    if let Some((directory, span)) = find("working_dir").and_then(text) {
        problems.add_all(tilde(directory, span).or_else(|| variable(directory, span)));
    }
}

/// Whether a process runs a shell, which handles shell syntax itself.
pub(super) fn has_shell(fields: &[Given<'_>]) -> bool {
    let values = |name: &str| given(fields, name).into_iter().flat_map(|entry| entry.value.one_or_more());
    values("command").chain(values("args")).filter_map(Node::text).any(is_shell)
}

/// Warns about the arguments of a command.
pub(super) fn report_arguments(args: &[Node], has_shell: bool, problems: &mut Problems) {
    for (arg, span) in args.iter().filter_map(text) {
        if !has_shell {
            problems.add_all(argument_lint(arg, span).or_else(|| template(arg, span, true)));
        }
        problems.add_all(dash(arg, span).or_else(|| invisible(arg, span)));
    }
}

/// Warns about `$NAME` in a variable's value, but only where it can't be part of a password: alone, or in a path.
pub(super) fn report_variable(node: &Node, problems: &mut Problems) {
    let Some((value, span)) = text(node) else { return };
    problems.add_all(template(value, span, false).or_else(|| invisible(value, span)));
    let mut parts = value.split([':', '/']);
    let is_path = parts.clone().count() > 1 || value.starts_with('$');
    let Some(name) = parts.find_map(unbraced).filter(|_| is_path) else { return };
    problems.add(not_replaced(span, name));
}

fn text(node: &Node) -> Option<(&str, SourceSpan)> {
    node.text().map(|text| (text, node.span))
}

pub(super) fn is_shell(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    SHELLS.contains(&first.rsplit('/').next().unwrap_or_default())
}

fn command_lint(command: &str, span: SourceSpan) -> Option<Problem> {
    quotes(command, span)
        .or_else(|| windows(command, span))
        .or_else(|| tilde(command, span))
        .or_else(|| variable(command, span))
        .or_else(|| shell_word(command, span))
}

fn argument_lint(arg: &str, span: SourceSpan) -> Option<Problem> {
    let operator = OPERATORS.contains(&arg).then(|| {
        Problem::warning(span, format!("`{arg}` in {KEY} is an argument like any other: there is no shell"))
            .help("write `command: sh` and `args: [-c, \"…\"]` with the whole line in the quotes")
    });
    operator.or_else(|| quotes(arg, span)).or_else(|| tilde(arg, span)).or_else(|| variable(arg, span))
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
    let (command, span) = find("command").and_then(text)?;
    let args: Vec<(&str, SourceSpan)> = find("args").into_iter().flat_map(Node::one_or_more).filter_map(text).collect();
    if !is_command_line(command, &args) {
        return None;
    }
    let mut lines = definition(command)?;
    if !args.is_empty() {
        let (program, rest) =
            words::split(command).ok()?.split_first().map(|(program, rest)| (program.clone(), rest.to_vec()))?;
        let all: Vec<String> = rest.into_iter().chain(args.iter().map(|&(arg, _)| arg.to_owned())).collect();
        lines = vec![format!("command: {}", words::quoted_if_needed(&program)), format!("args: {}", words::list(&all))];
    }
    let why = if lines[0] == "command: sh" { "there is no shell unless you name it" } else { "there is no shell to split it" };
    let problem = Problem::error(span, format!("`command`{OWNER} must be one program; put its arguments in `args`"));
    Some(problem.help(format!("{why}: write\n{}", lines.join("\n"))))
}

/// `~/…`, which only a shell replaces.
fn tilde(text: &str, span: SourceSpan) -> Option<Problem> {
    let rest = text.strip_prefix("~/")?;
    let problem = Problem::warning(span, format!("`~`{OWNER} is not replaced: there is no shell"));
    Some(problem.help(format!("write `${{HOME}}/{rest}`")))
}

/// `$NAME` as the whole text, or after a `=`.
fn variable(text: &str, span: SourceSpan) -> Option<Problem> {
    let value = text.rsplit('=').next().unwrap_or(text);
    let name = value.split(['/', ':']).find_map(unbraced).filter(|_| !text.contains(char::is_whitespace))?;
    Some(not_replaced(span, name))
}

/// The name in `$NAME`. `$$NAME` and `${NAME}` don't count, nor do lower-case names, which belong to other languages.
fn unbraced(part: &str) -> Option<&str> {
    let name = part.strip_prefix('$')?;
    (is_variable(name) && !name.contains(|char: char| char.is_ascii_lowercase())).then_some(name)
}

fn not_replaced(span: SourceSpan, name: &str) -> Problem {
    Problem::warning(span, format!("`${name}`{OWNER} is not replaced: its braces are missing"))
        .help(format!("write `${{{name}}}` for the value of the variable, or `$${name}` for these characters themselves"))
}

/// A single word that only a shell would understand.
fn shell_word(command: &str, span: SourceSpan) -> Option<Problem> {
    let found = command.chars().find(|&char| "|&;<>*?`".contains(char))?;
    let problem =
        Problem::warning(span, format!("`{found}` is part of the program's name in `command`{OWNER}: there is no shell"));
    Some(problem.help(format!("write\n{}", definition(command)?.join("\n"))))
}

/// Typographic quotes, as word processors write them.
fn quotes(text: &str, span: SourceSpan) -> Option<Problem> {
    let inside = text.strip_prefix(['“', '”', '„', '‘', '’'])?.strip_suffix(['“', '”', '‘', '’'])?;
    let problem = Problem::warning(span, format!("typographic quotes are part of a value{OWNER}: YAML doesn't know them"));
    Some(problem.help(format!("write `\"{inside}\"`")))
}

/// A reference in a template language, which a program may take as it is. With `is_shown`, the message quotes it.
fn template(text: &str, span: SourceSpan, is_shown: bool) -> Option<Problem> {
    let reference = foreign_syntax::reference(text).filter(|reference| !reference.is_certain)?;
    let (shown, name) = if is_shown { (reference.text, reference.name) } else { ("{{…}}", None) };
    let problem = Problem::warning(span, format!("`{shown}`{OWNER} is not replaced: navigator knows no templates"));
    Some(problem.help(instead_of_reference(name)))
}

/// A dash as word processors write it.
fn dash(arg: &str, span: SourceSpan) -> Option<Problem> {
    let meant = foreign_syntax::with_hyphens(arg)?;
    let problem = Problem::warning(span, format!("`{arg}` in {KEY} begins with a dash that no program takes for an option"));
    Some(problem.help(format!("write `{meant}`")))
}

/// A space or nothing that only seems to be one.
fn invisible(text: &str, span: SourceSpan) -> Option<Problem> {
    let char = foreign_syntax::invisible_at_end(text)?;
    let message = format!("a value{OWNER} contains an invisible character, U+{:04X}", u32::from(char));
    Some(Problem::warning(span, message).help("remove it; it often comes with text copied from a document"))
}

fn windows(command: &str, span: SourceSpan) -> Option<Problem> {
    let drive = command.strip_prefix(|char: char| char.is_ascii_alphabetic())?;
    drive.starts_with(":\\").then(|| {
        Problem::warning(span, format!("`command`{OWNER} is a Windows path"))
            .help("write the path on this host, with `/` between its parts")
    })
}
