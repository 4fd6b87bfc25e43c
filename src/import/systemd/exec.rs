//! Command lines of units: prefixes, quotes and variables.

use super::specifiers::Specifiers;
use crate::config::is_variable;
use crate::import::words::{escaped, shell_escaped, split_soon, words_without_shell};

/// A command line.
#[derive(Debug, Default, PartialEq)]
pub(super) struct ExecLine {
    /// The program and its arguments in our syntax.
    pub(super) words: Vec<String>,
    /// The same for a shell.
    pub(super) shell: String,
    /// A failure counts as success (`-`).
    pub(super) may_fail: bool,
    /// The prefixes that have no equivalent.
    pub(super) unknown: String,
}

/// Reads a command line. `variables` are those that the unit itself sets.
pub(super) fn parse(line: &str, specifiers: &Specifiers, variables: &[(String, String)]) -> ExecLine {
    let rest = line.trim_start_matches(['-', '@', ':', '+', '!', '|']);
    let prefixes = &line[..line.len() - rest.len()];
    let mut words = words_without_shell(rest);
    if prefixes.contains('@') && words.len() > 1 {
        words.remove(1);
    }
    let is_literal = prefixes.contains(':');
    // A variable alone becomes several words: those of its value if it is known, or those that a shell makes of it.
    let bare = |word: &str| word.strip_prefix('$').filter(|name| !is_literal && is_variable(name)).map(str::to_owned);
    let known = |name: &str| variables.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    let needs_shell = words.iter().filter_map(|word| bare(word)).any(|name| known(&name).is_none());
    let mut written: Vec<String> = Vec::new();
    let mut in_shell: Vec<String> = Vec::new();
    for word in &words {
        match bare(word).map(|name| (known(&name), name)) {
            Some((Some(value), _)) => {
                let parts = words_without_shell(&value);
                in_shell.extend(parts.iter().map(|part| quoted(part)));
                written.extend(parts);
            }
            Some((None, name)) => in_shell.push(format!("${name}")),
            None => {
                in_shell.push(shell_word(word, specifiers, is_literal));
                written.push(argument(word, specifiers, is_literal));
            }
        }
    }
    let shell = in_shell.join(" ");
    let words = if needs_shell { vec!["sh".to_owned(), "-c".to_owned(), format!("exec {shell}")] } else { written };
    let unknown = prefixes.chars().filter(|prefix| "+!@".contains(*prefix)).collect();
    ExecLine { words, shell, may_fail: prefixes.contains('-'), unknown }
}

/// A word in our syntax: `${NAME}` is a variable, anything else is taken as it is.
fn argument(word: &str, specifiers: &Specifiers, is_literal: bool) -> String {
    specifiers.replaced(word, |part| {
        let mut written = String::new();
        let mut rest = part;
        while let Some((before, behind)) = rest.split_once('$') {
            written.push_str(before);
            let variable = behind.strip_prefix('{').and_then(|inside| split_soon(inside, "}"));
            if let Some((name, behind)) = variable.filter(|(name, _)| !is_literal && is_variable(name)) {
                written.extend(["${", name, ":-}"]);
                rest = behind;
            } else {
                written.push_str("$$");
                rest = behind.strip_prefix('$').unwrap_or(behind);
            }
        }
        written + rest
    })
}

/// A word for a shell, which replaces the variables in it.
fn shell_word(word: &str, specifiers: &Specifiers, is_literal: bool) -> String {
    if is_literal || !word.contains("${") {
        return quoted(&argument(word, specifiers, is_literal));
    }
    let word = specifiers.raw(word);
    let mut written = String::new();
    let mut rest = word.as_str();
    let literal = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('`', "\\`");
    while let Some((before, behind)) = rest.split_once('$') {
        written.push_str(&literal(before));
        let variable = behind.strip_prefix('{').and_then(|inside| split_soon(inside, "}"));
        if let Some((expression, behind)) = variable {
            written.extend(["${", expression, "}"]);
            rest = behind;
        } else {
            written.push_str("\\$");
            rest = behind.strip_prefix('$').unwrap_or(behind);
        }
    }
    // navigator leaves these references to the shell, in which a value can't become code.
    shell_escaped(&format!("\"{written}{}\"", literal(rest)))
}

/// A word for a shell, in quotes if it needs them.
fn quoted(word: &str) -> String {
    let is_plain = !word.is_empty() && word.chars().all(|char| char.is_ascii_alphanumeric() || "_-./=:,@%+".contains(char));
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// `A=1 "B=two words" C=3`
pub(super) fn assignments(line: &str, specifiers: &Specifiers) -> Vec<(String, String)> {
    let words = words_without_shell(&specifiers.raw(line));
    words.iter().filter_map(|word| word.split_once('=')).map(|(name, value)| (name.to_owned(), escaped_value(value))).collect()
}

/// A value of a variable; a reference to the number of a replica stays.
fn escaped_value(value: &str) -> String {
    let own = format!("${{{}}}", crate::config::REPLICA);
    value.split(&own).map(escaped).collect::<Vec<_>>().join(&own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::context::ForeignFile;
    use crate::import::systemd::unit::Unit;
    use std::path::Path;

    #[test]
    fn prefixes_quotes_and_variables_are_read() {
        let source = ForeignFile::new(Path::new("w@.service"), String::new());
        let unit = Unit { name: "w@.service".to_owned(), source: &source, entries: Vec::new() };
        let specifiers = Specifiers::new(&unit, Some("1"));
        let known = [("OPTS".to_owned(), "-a 'b c'".to_owned())];
        for (line, words) in [
            ("/bin/a -n %i \"x y\" 100%%", &["/bin/a", "-n", "1", "x y", "100%"] as &[&str]),
            ("-/bin/a ${B}c $$d", &["/bin/a", "${B:-}c", "$$d"]),
            ("/bin/a $OPTS", &["/bin/a", "-a", "b c"]),
            ("/bin/a $MORE 'it''s'", &["sh", "-c", "exec /bin/a $MORE its"]),
            ("/bin/a $MORE ${B}c", &["sh", "-c", "exec /bin/a $MORE \"$${B}c\""]),
            ("@/bin/a argv0 b", &["/bin/a", "b"]),
            (":/bin/a ${B}", &["/bin/a", "$${B}"]),
        ] {
            assert_eq!(parse(line, &specifiers, &known).words, words, "{line}");
        }
        assert!(parse("-/bin/a", &specifiers, &known).may_fail);
        assert_eq!(parse("+/bin/a", &specifiers, &known).unknown, "+");
    }
}
