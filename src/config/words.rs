//! Splits command lines into words, so that a help can show the definition to write. Nothing is run from this.

/// The name that stands for the directory of the configuration, as it was given. Its value is not secret.
pub(crate) const CONFIG_DIR: &str = "NAVIGATOR_CONFIG_DIR";

/// The variable with the number of a replica, where `replicas` is given. Its value is not secret.
pub(crate) const REPLICA: &str = "NAVIGATOR_REPLICA";

/// The command line needs a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NeedsShell;

/// Commands that exist only within a shell.
const BUILTINS: [&str; 13] =
    [".", "cd", "eval", "exec", "export", "for", "if", "set", "source", "trap", "ulimit", "umask", "while"];

/// Splits a command line into words, with quotes and backslashes as in a POSIX shell.
///
/// # Errors
/// The line has shell syntax, or a quote is never closed.
pub(crate) fn split(line: &str) -> Result<Vec<String>, NeedsShell> {
    // Several lines are a script, except where a backslash continues a line.
    let joined = line.trim().replace("\\\n", " ");
    if joined.contains('\n') {
        return Err(NeedsShell);
    }
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = joined.chars();
    while let Some(char) = chars.next() {
        match char {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' | '"' => quoted(char, &mut chars, word.get_or_insert_default())?,
            '\\' => word.get_or_insert_default().push(chars.next().ok_or(NeedsShell)?),
            '|' | '&' | ';' | '<' | '>' | '(' | ')' | '`' | '*' | '?' => return Err(NeedsShell),
            '#' if word.is_none() => return Err(NeedsShell),
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    // The shell is replaced by the program: the same as no shell.
    if words.len() > 1 && words[0] == "exec" && !words[1].starts_with('-') {
        words.remove(0);
    }
    let is_builtin = words.len() > 1 && words.first().is_some_and(|word| BUILTINS.contains(&word.as_str()));
    let sets_variable = words.first().is_some_and(|word| is_assignment(word));
    if is_builtin || sets_variable || words.iter().any(|word| has_variable(word) || word.starts_with("~/")) {
        return Err(NeedsShell);
    }
    Ok(words)
}

fn quoted(quote: char, chars: &mut std::str::Chars<'_>, word: &mut String) -> Result<(), NeedsShell> {
    while let Some(char) = chars.next() {
        match char {
            char if char == quote => return Ok(()),
            '`' if quote == '"' => return Err(NeedsShell),
            '\\' if quote == '"' => {
                let next = chars.next().ok_or(NeedsShell)?;
                if !matches!(next, '"' | '\\' | '$' | '`') {
                    word.push('\\');
                }
                word.push(next);
            }
            char => word.push(char),
        }
    }
    Err(NeedsShell)
}

/// `NAME=value` before a program, which sets a variable in a shell.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| is_variable(name))
}

/// Whether this is a valid name of a variable.
pub(crate) fn is_variable(name: &str) -> bool {
    let starts = name.starts_with(|char: char| char.is_ascii_alphabetic() || char == '_');
    starts && name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_')
}

/// Whether a word has a `$` that a shell would replace. `${…}` is replaced here too.
fn has_variable(word: &str) -> bool {
    word.split('$').skip(1).any(|behind| behind.starts_with(|char: char| char.is_ascii_alphanumeric() || "_(@*#!".contains(char)))
}

/// A command line with further arguments, as the lines of a process definition; `None` if it is empty.
pub(super) fn definition(line: &str, more: &[String]) -> Option<Vec<String>> {
    let (program, args) = match split(line) {
        Ok(words) => {
            let (program, args) = words.split_first()?;
            (program.clone(), args.to_vec())
        }
        Err(NeedsShell) if more.is_empty() => ("sh".to_owned(), vec!["-c".to_owned(), line.trim().to_owned()]),
        // The word behind the script is its name, `$0`.
        Err(NeedsShell) => ("sh".to_owned(), vec!["-c".to_owned(), format!("{} \"$@\"", line.trim()), "sh".to_owned()]),
    };
    Some(lines(&program, &[args, more.to_vec()].concat()))
}

/// The lines of a process definition for a program.
pub(super) fn lines(program: &str, args: &[String]) -> Vec<String> {
    let args = (!args.is_empty()).then(|| format!("args: {}", list(args)));
    std::iter::once(format!("command: {}", quoted_if_needed(program))).chain(args).collect()
}

/// A list in brackets.
pub(super) fn list(words: &[String]) -> String {
    let items: Vec<String> = words.iter().map(|word| quoted_if_needed(word)).collect();
    format!("[{}]", items.join(", "))
}

/// A word as it can be written after a key or in a list, in quotes if needed.
pub(super) fn quoted_if_needed(word: &str) -> String {
    let plain = word.chars().all(|char| char.is_ascii_alphanumeric() || "_-./=+@:".contains(char));
    let begins = word.starts_with(|char: char| char.is_ascii_alphanumeric() || "_./+".contains(char))
        || word.starts_with('-') && word.len() > 1;
    let is_null = matches!(word, "null" | "Null" | "NULL");
    if plain && begins && !is_null && !word.ends_with(':') { word.to_owned() } else { in_quotes(word) }
}

/// A text in double quotes.
pub(super) fn in_quotes(text: &str) -> String {
    format!("\"{}\"", text.trim().replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_by_a_shell() {
        for (line, expected) in [
            ("redis-server --port 6379", &["redis-server", "--port", "6379"] as &[&str]),
            ("  a   b ", &["a", "b"]),
            ("a 'b c' \"d \\\"e\\\"\" f\\ g", &["a", "b c", "d \"e\"", "f g"]),
            ("a ''", &["a", ""]),
            ("a b=c ${D:-e} 5$", &["a", "b=c", "${D:-e}", "5$"]),
            ("exec ./web -p 1", &["./web", "-p", "1"]),
            ("a \\\n  b", &["a", "b"]),
            ("", &[]),
        ] {
            assert_eq!(
                split(line).as_deref(),
                Ok(expected.iter().map(ToString::to_string).collect::<Vec<_>>().as_slice()),
                "{line}"
            );
        }
    }

    #[test]
    fn shell_syntax_is_not_split() {
        for line in [
            "cd /srv",
            "cd /srv\nexec ./web",
            "source venv/bin/activate",
            "a | b",
            "a && b",
            "a > b",
            "a *.log",
            "$HOME/a",
            "a $1",
            "a $(b)",
            "a `b`",
            "A=1 b",
            "a 'b",
            "a ~/b",
            "a &",
            "a # b",
        ] {
            assert_eq!(split(line), Err(NeedsShell), "{line}");
        }
    }

    #[test]
    fn a_command_line_is_written_as_a_definition() {
        let written = |line| definition(line, &[]).map(|lines| lines.join("; "));
        let with_more = |line| definition(line, &["x y".to_owned()]).map(|lines| lines.join("; "));
        assert_eq!(with_more("a -b").as_deref(), Some("command: a; args: [-b, \"x y\"]"));
        assert_eq!(with_more("cd /a && ./b").as_deref(), Some(r#"command: sh; args: [-c, "cd /a && ./b \"$@\"", sh, "x y"]"#));
        assert_eq!(written("bundle exec sidekiq").as_deref(), Some("command: bundle; args: [exec, sidekiq]"));
        assert_eq!(written("./web").as_deref(), Some("command: ./web"));
        assert_eq!(written("a \"b c\" x:y -").as_deref(), Some("command: a; args: [\"b c\", x:y, \"-\"]"));
        assert_eq!(written("a | \"b\"").as_deref(), Some("command: sh; args: [-c, \"a | \\\"b\\\"\"]"));
        assert_eq!(written(" "), None);
    }
}
