//! Parser of env files: `KEY=value` lines with comments, `export`, quotes and CRLF, without substitution.
//!
//! Without quotes a value ends at the end of the line or at ` #`. Single quotes have no escapes. Double quotes have `\n`,
//! `\r`, `\t`, `\"`, `\\` and `\$`. A quoted value may span several lines.

use super::words::is_variable;
use std::ops::Range;

/// A parsed env file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dotenv {
    /// Range of each key, and its value, in order. Of a repeated key the last value counts.
    pub(super) variables: Vec<(Range<usize>, String)>,
    pub(super) mistakes: Vec<Mistake>,
}

/// A line that can't be parsed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Its position. Only keys are ever shown, never values.
    pub(super) range: Range<usize>,
    pub(super) message: &'static str,
    pub(super) help: &'static str,
}

/// The variables of a file with their values; lines with mistakes are left out.
pub(crate) fn variables(text: &str) -> Vec<(&str, String)> {
    parse(text).variables.into_iter().map(|(key, value)| (&text[key], value)).collect()
}

/// Parses a whole file.
pub(super) fn parse(text: &str) -> Dotenv {
    let mut found = Dotenv::default();
    let mut at = 0;
    while at < text.len() {
        let end = text[at..].find('\n').map_or(text.len(), |length| at + length);
        let line = &text[at..end];
        let content = line.trim();
        if content.is_empty() || content.starts_with('#') {
            at = end + 1;
            continue;
        }
        let start = at + (line.len() - line.trim_start().len());
        at = match variable(text, start, end) {
            Ok((key, value, next)) => {
                found.variables.push((key, value));
                next
            }
            Err(mistake) => {
                found.mistakes.push(mistake);
                end + 1
            }
        };
    }
    found
}

/// Parses the variable on the line from `start` to `end`: range of the key, value, start of the next line.
fn variable(text: &str, start: usize, end: usize) -> Result<(Range<usize>, String, usize), Mistake> {
    let line = &text[start..end];
    let Some(equals) = line.find('=') else {
        let is_yaml = line.split_once(':').is_some_and(|(key, _)| is_variable(key.trim()));
        let help = if is_yaml {
            "an env file isn't YAML: write `KEY=value`"
        } else {
            "write `KEY=value`, and quote a value that spans several lines"
        };
        return Err(Mistake { range: start..end, message: "this line has no `=`", help });
    };
    let mut key = start..start + line[..equals].trim_end().len();
    if let Some(rest) = text[key.clone()].strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])) {
        key.start = key.end - rest.trim_start().len();
    }
    if key.is_empty() {
        return Err(Mistake { range: start..start + equals + 1, message: "a variable has no name", help: "write `KEY=value`" });
    }
    if text[key.clone()].contains(|char: char| char.is_whitespace() || char.is_control() || "\"'#".contains(char)) {
        return Err(Mistake { range: key, message: "this is not a variable name", help: "write `KEY=value`" });
    }
    let value_start = start + equals + 1;
    let rest = &text[value_start..end];
    let quote_at = value_start + (rest.len() - rest.trim_start().len());
    match text[quote_at..end].chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (value, length) = quoted(&text[quote_at + 1..], quote).ok_or_else(|| Mistake {
                range: key.clone(),
                message: "the quote of this value is never closed",
                help: "close it, or escape a quote that belongs to the value: `\\\"`",
            })?;
            let after = quote_at + 1 + length;
            let end = text[after..].find('\n').map_or(text.len(), |length| after + length);
            match behind_quote(&text[after..end], quote, &value) {
                None => Ok((key, value, end + 1)),
                Some((message, help)) => Err(Mistake { range: key, message, help }),
            }
        }
        _ => Ok((key, unquoted(rest).to_owned(), end + 1)),
    }
}

/// What is wrong with the text behind a closing quote, if it is no comment: the message and the help.
fn behind_quote(behind: &str, quote: char, value: &str) -> Option<(&'static str, &'static str)> {
    let text = behind.trim();
    let is_comment = text.starts_with('#') && behind.starts_with([' ', '\t']);
    if text.is_empty() || is_comment {
        return None;
    }
    Some(if quote == '\'' && value.ends_with('\\') {
        (
            "this value ends at its `\\'`: single quotes have no escapes",
            "use double quotes: in them, a `'` is text and `\\\\` is a backslash",
        )
    } else if quote == '\'' && behind.starts_with(char::is_alphanumeric) {
        ("this value ends at the `'` within it", "use double quotes: in them, a `'` is text")
    } else if text.starts_with('#') {
        (
            "a `#` directly behind the closing quote begins no comment",
            "write a space before the `#`, or put it before the closing quote",
        )
    } else if quote == '"' && behind.starts_with(char::is_alphanumeric) {
        ("this value ends at the `\"` within it", "write `\\\"` for a `\"` in double quotes")
    } else {
        ("text follows the closing quote of this value", "remove it, or put it before the closing quote")
    })
}

/// An unquoted value, without the comment that follows it.
fn unquoted(rest: &str) -> &str {
    let comment = rest.char_indices().find(|&(at, char)| char == '#' && (at == 0 || rest[..at].ends_with([' ', '\t'])));
    rest[..comment.map_or(rest.len(), |(at, _)| at)].trim()
}

/// The value up to its closing quote, and the offset after that quote.
fn quoted(text: &str, quote: char) -> Option<(String, usize)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            char if char == quote => return Some((value, at + 1)),
            '\\' if quote == '"' => match chars.next()?.1 {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                escaped @ ('"' | '\\' | '$') => value.push(escaped),
                // Not an escape: both are kept, as in a Windows path.
                other => value.extend(['\\', other]),
            },
            // CRLF becomes LF.
            '\r' if text[at..].starts_with("\r\n") => {}
            char => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(&str, String)> {
        let found = parse(text);
        assert_eq!(found.mistakes, [], "{text}");
        found.variables.into_iter().map(|(key, value)| (&text[key], value)).collect()
    }

    #[test]
    fn values_are_read() {
        for (text, key, value) in [
            ("A=1", "A", "1"),
            ("  A = 1  \r\n", "A", "1"),
            ("export A=1", "A", "1"),
            ("export\tA=1", "A", "1"),
            ("exported=1", "exported", "1"),
            ("A=", "A", ""),
            ("A=b=c", "A", "b=c"),
            ("A=x # comment", "A", "x"),
            ("A=x#y", "A", "x#y"),
            ("A=# comment", "A", ""),
            ("A='x # $Y \\n'", "A", "x # $Y \\n"),
            ("A=\"x\\n\\\"y\\\" \\$ \\q\" # comment", "A", "x\n\"y\" $ \\q"),
            ("A=\"one\r\ntwo\"", "A", "one\ntwo"),
            ("A=${B}", "A", "${B}"),
            ("a.b-c=1", "a.b-c", "1"),
            ("A=it's", "A", "it's"),
        ] {
            assert_eq!(read(text), [(key, value.to_owned())], "{text}");
        }
        assert_eq!(read("# comment\n\n\tA=1\nA=2\n").len(), 2);
    }

    #[test]
    fn nothing_is_cut_behind_a_closing_quote() {
        for (text, message) in [
            (r"A='a\'b'#c", r"this value ends at its `\'`: single quotes have no escapes"),
            (r"A='Let\'s go'", r"this value ends at its `\'`: single quotes have no escapes"),
            ("A='Let's go'", "this value ends at the `'` within it"),
            ("A='a'#c", "a `#` directly behind the closing quote begins no comment"),
            ("A=\"a\"#c", "a `#` directly behind the closing quote begins no comment"),
            ("A=\"say \"hi\"\"", "this value ends at the `\"` within it"),
            ("A='a' 'b'", "text follows the closing quote of this value"),
            ("A=\"a\" b # c", "text follows the closing quote of this value"),
        ] {
            let messages: Vec<_> = parse(text).mistakes.iter().map(|mistake| mistake.message).collect();
            assert_eq!(messages, [message], "{text}");
        }
        assert_eq!(read("A='a'\t# b"), [("A", "a".to_owned())]);
    }

    #[test]
    fn mistakes_are_all_found() {
        let found = parse("A\n=1\nA B=1\nC=\"x\" y\nD=ok\nE=\"x\nF=1\n");
        let messages: Vec<_> = found.mistakes.iter().map(|mistake| mistake.message).collect();
        assert_eq!(
            messages,
            [
                "this line has no `=`",
                "a variable has no name",
                "this is not a variable name",
                "text follows the closing quote of this value",
                "the quote of this value is never closed"
            ]
        );
        assert_eq!(found.variables.len(), 2);
    }
}
