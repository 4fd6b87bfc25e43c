//! Warns about single values that only a shell would read as they are meant, or that were copied from documents and other
//! programs' files.

use super::foreign_syntax::{self, ForeignReference};
use super::problems::{Problem, Problems};
use super::source_map::SourceSpan;
use super::subject::{KEY, OWNER};
use super::tree::Node;
use super::words::{in_quotes, is_variable, quoted_if_needed};

/// Programs that handle shell syntax themselves.
const SHELLS: [&str; 11] = ["sh", "bash", "dash", "zsh", "ksh", "fish", "ash", "busybox", "envsubst", "ssh", "su"];

/// Operators between the commands of a shell.
const OPERATORS: [&str; 10] = ["|", "||", "&&", "&", ">", ">>", "2>", "2>&1", "&>", "<"];

/// Warns about the arguments of a command.
pub(super) fn report_arguments(args: &[Node], has_shell: bool, problems: &mut Problems) {
    for (arg, span) in args.iter().filter_map(text) {
        if !has_shell {
            problems.add_all(argument_lint(arg, span).or_else(|| template(arg, span, true, KEY)));
        }
        problems.add_all(dash(arg, span).or_else(|| invisible(arg, span, KEY)));
    }
}

/// Warns about `$NAME` in a variable's value, but only where it can't be part of a password: alone, or in a path.
pub(super) fn report_variable(name: &str, node: &Node, problems: &mut Problems) {
    let Some((value, span)) = text(node) else { return };
    let place = format!("`{}` in `env`{OWNER}", if is_variable(name) { name } else { "…" });
    problems.add_all(template(value, span, false, &place).or_else(|| invisible(value, span, &place)));
    let mut parts = value.split([':', '/']);
    let is_path = parts.clone().count() > 1 || value.starts_with('$');
    let Some(name) = parts.find_map(unbraced).filter(|_| is_path) else { return };
    let whole = value.strip_prefix('$').filter(|whole| *whole == name);
    problems.add(not_replaced(span, name, whole.map(|_| value), &place));
}

pub(super) fn text(node: &Node) -> Option<(&str, SourceSpan)> {
    node.text().map(|text| (text, node.span))
}

pub(super) fn is_shell(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    SHELLS.contains(&first.rsplit('/').next().unwrap_or_default())
}

fn argument_lint(arg: &str, span: SourceSpan) -> Option<Problem> {
    let operator = OPERATORS.contains(&arg).then(|| {
        Problem::warning(span, format!("`{arg}` in {KEY} is an argument like any other: there is no shell"))
            .help("write `command: sh` and `args: [-c, \"…\"]` with the whole line in the quotes")
    });
    operator.or_else(|| quotes(arg, span, KEY)).or_else(|| tilde(arg, span, KEY)).or_else(|| variable(arg, span, KEY))
}

/// `~/…`, which only a shell replaces. `place` names the value.
pub(super) fn tilde(text: &str, span: SourceSpan, place: &str) -> Option<Problem> {
    let rest = text.strip_prefix("~/")?;
    let problem = Problem::warning(span, format!("`~` in {place} is not replaced: there is no shell"));
    Some(problem.help(format!("write `{}`", quoted_if_needed(&format!("${{HOME}}/{rest}")))))
}

/// `$NAME` as the whole text, or after a `=`.
pub(super) fn variable(text: &str, span: SourceSpan, place: &str) -> Option<Problem> {
    let value = text.rsplit('=').next().unwrap_or(text);
    let name = value.split(['/', ':']).find_map(unbraced).filter(|_| !text.contains(char::is_whitespace))?;
    Some(not_replaced(span, name, Some(text), place))
}

/// The name in `$NAME`. `$$NAME` and `${NAME}` don't count, nor do lower-case names, which belong to other languages.
fn unbraced(part: &str) -> Option<&str> {
    let name = part.strip_prefix('$')?;
    (is_variable(name) && !name.contains(|char: char| char.is_ascii_lowercase())).then_some(name)
}

/// With `shown`, the help quotes this whole value.
fn not_replaced(span: SourceSpan, name: &str, shown: Option<&str>, place: &str) -> Problem {
    let with = |reference: &str| match shown {
        // In brackets, braces need quotes.
        Some(value) => quoted_if_needed(&value.replacen(&format!("${name}"), reference, 1)),
        None => reference.to_owned(),
    };
    let (verb, quotes) = if shown.is_some() { ("write", "") } else { ("use", " in quotes") };
    let (value, text) = (with(&format!("${{{name}}}")), with(&format!("$${name}")));
    Problem::warning(span, format!("`${name}` in {place} is not replaced: its braces are missing"))
        .help(format!("{verb} `{value}`{quotes} for the value of the variable, or `{text}` for these characters themselves"))
}

/// Typographic quotes, as word processors write them.
pub(super) fn quotes(text: &str, span: SourceSpan, place: &str) -> Option<Problem> {
    let inside = text.strip_prefix(['“', '”', '„', '‘', '’'])?.strip_suffix(['“', '”', '‘', '’'])?;
    let problem = Problem::warning(span, format!("typographic quotes are part of {place}: YAML doesn't know them"));
    Some(problem.help(format!("write `{}`", in_quotes(inside))))
}

/// A reference in a template language, which a program may take as it is. With `is_shown`, the message quotes it.
fn template(text: &str, span: SourceSpan, is_shown: bool, place: &str) -> Option<Problem> {
    let reference = foreign_syntax::reference(text).filter(|reference| !reference.is_certain)?;
    let help = if is_shown { reference.help(text, true) } else { ForeignReference { name: None, ..reference }.help(text, false) };
    let shown = if is_shown { reference.text } else { "{{…}}" };
    let problem = Problem::warning(span, format!("`{shown}` in {place} is not replaced: navigator knows no templates"));
    Some(problem.help(help))
}

/// A dash as word processors write it.
fn dash(arg: &str, span: SourceSpan) -> Option<Problem> {
    let meant = foreign_syntax::with_hyphens(arg)?;
    let problem = Problem::warning(span, format!("`{arg}` in {KEY} begins with a dash that no program takes for an option"));
    Some(problem.help(format!("write `{}`", quoted_if_needed(&meant))))
}

/// A space or nothing that only seems to be one.
fn invisible(text: &str, span: SourceSpan, place: &str) -> Option<Problem> {
    let char = foreign_syntax::invisible_at_end(text)?;
    let message = format!("{place} contains an invisible character, U+{:04X}", u32::from(char));
    Some(Problem::warning(span, message).help("remove it; it often comes with text copied from a document"))
}
