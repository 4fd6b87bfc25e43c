//! Texts of other programs in our syntax.

use crate::config::Environment;

/// A text that has to arrive as it is: every `$` is written as `$$`.
pub(super) fn escaped(text: &str) -> String {
    text.replace('$', "$$")
}

/// A line for a shell: only a `$` that navigator would replace is written as `$$`.
pub(super) fn shell_escaped(line: &str) -> String {
    let mut escaped = String::with_capacity(line.len());
    let mut chars = line.chars().peekable();
    while let Some(char) = chars.next() {
        escaped.push(char);
        if char == '$' && matches!(chars.peek(), Some('{' | '$')) {
            escaped.push('$');
        }
    }
    escaped
}

/// A reference to a variable without which the other program refuses to start. Where it has no value now, it may be empty, so that
/// the result can be checked; the second value says so.
pub(super) fn needed_variable(name: &str, environment: &Environment) -> (String, bool) {
    let is_set = environment.get(name).is_some();
    (if is_set { format!("${{{name}}}") } else { format!("${{{name}:-}}") }, !is_set)
}

/// The longest expression in brackets that is looked for, in bytes.
const LONGEST: usize = 1000;

/// What is before the end of an expression, and what is behind it, if it ends soon: texts may be large, and have many begins.
pub(super) fn split_soon<'t>(text: &'t str, close: &str) -> Option<(&'t str, &'t str)> {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let at = text[..end].find(close)?;
    Some((&text[..at], &text[at + close.len()..]))
}

/// Splits a line into words by quotes and backslashes alone, as programs do that run no shell. An open quote ends with the line.
pub(super) fn words_without_shell(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(char) = chars.next() {
        match char {
            char if char.is_whitespace() => words.extend(word.take()),
            '\'' => word.get_or_insert_default().extend(chars.by_ref().take_while(|&char| char != '\'')),
            '"' => {
                let word = word.get_or_insert_default();
                while let Some(char) = chars.next().filter(|&char| char != '"') {
                    match char {
                        '\\' => match chars.next() {
                            Some(next @ ('"' | '\\' | '$' | '`')) => word.push(next),
                            Some(next) => word.extend(['\\', next]),
                            None => word.push('\\'),
                        },
                        char => word.push(char),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(chars.next()),
            '$' => reference(&mut chars, word.get_or_insert_default()),
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    words
}

/// Copies a `$` with what belongs to it: a second one, or all within its braces.
fn reference(chars: &mut std::str::Chars<'_>, word: &mut String) {
    word.push('$');
    let mut depth = 0_usize;
    while let Some(next) = chars.clone().next() {
        match next {
            '$' if depth == 0 && word.ends_with('$') && !word.ends_with("$$") => {}
            '{' if depth > 0 || word.ends_with('$') && !word.ends_with("$$") => depth += 1,
            '}' if depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            _ => return,
        }
        word.push(next);
        chars.next();
        if depth == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_navigator_would_replace_is_escaped_for_a_shell() {
        for (line, written) in
            [("a $PORT", "a $PORT"), ("a ${PORT:=1}", "a $${PORT:=1}"), ("echo $$ $", "echo $$$ $"), ("a $${x}", "a $$$${x}")]
        {
            assert_eq!(shell_escaped(line), written, "{line}");
        }
    }

    #[test]
    fn words_are_split_without_a_shell() {
        for (line, words) in [
            ("a 'b c' \"d \\\"e\\\" \\n\" f\\ g ''", &["a", "b c", "d \"e\" \\n", "f g", ""] as &[&str]),
            ("a | $b > c", &["a", "|", "$b", ">", "c"]),
            ("a 'open", &["a", "open"]),
            ("a ${B:-c d} $${e f} ${G:+${H:-i j} k}l", &["a", "${B:-c d}", "$${e", "f}", "${G:+${H:-i j} k}l"]),
            ("", &[]),
        ] {
            assert_eq!(words_without_shell(line), words, "{line}");
        }
    }
}
