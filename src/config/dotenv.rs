//! Env files: `KEY=value` lines with comments, `export`, quotes and CRLF. There is no substitution in them.
//!
//! Without quotes a value ends at the end of the line or at ` #`. In single quotes everything stands for itself; in double
//! quotes `\n`, `\r`, `\t`, `\"`, `\\` and `\$` are escapes. A quoted value may go over several lines.

use super::words::is_variable;
use std::ops::Range;

/// What an env file says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Dotenv {
    /// Where each key is, and its value, in the order of the text; a key may come twice, and then the last one counts.
    pub(super) variables: Vec<(Range<usize>, String)>,
    pub(super) mistakes: Vec<Mistake>,
}

/// A line that says nothing usable.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    /// Where. Never shown beyond keys.
    pub(super) range: Range<usize>,
    pub(super) message: &'static str,
    pub(super) help: &'static str,
}

/// Reads a whole file.
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

/// The variable whose line begins at `start` and ends at `end`: its key, its value, and where the next line begins.
fn variable(text: &str, start: usize, end: usize) -> Result<(Range<usize>, String, usize), Mistake> {
    let line = &text[start..end];
    let Some(equals) = line.find('=') else {
        let is_yaml = line.split_once(':').is_some_and(|(key, _)| is_variable(key.trim()));
        let help = if is_yaml {
            "an env file isn't YAML: write `KEY=value`"
        } else {
            "write `KEY=value`, and quote a value that goes over several lines"
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
        return Err(Mistake { range: key, message: "this is no name of a variable", help: "write `KEY=value`" });
    }
    let value_start = start + equals + 1;
    let rest = &text[value_start..end];
    let quote_at = value_start + (rest.len() - rest.trim_start().len());
    match text[quote_at..end].chars().next() {
        Some(quote @ ('"' | '\'')) => {
            let (value, behind) = quoted(&text[quote_at + 1..], quote).ok_or_else(|| Mistake {
                range: key.clone(),
                message: "the quote of this value is never closed",
                help: "close it, or escape a quote that belongs to the value: `\\\"`",
            })?;
            let behind = quote_at + 1 + behind;
            let end = text[behind..].find('\n').map_or(text.len(), |length| behind + length);
            let rest = text[behind..end].trim();
            if !rest.is_empty() && !rest.starts_with('#') {
                let help = "put the whole value in quotes";
                return Err(Mistake { range: key, message: "something follows the closing quote of this value", help });
            }
            Ok((key, value, end + 1))
        }
        _ => Ok((key, unquoted(rest).to_owned(), end + 1)),
    }
}

/// A value without quotes, without the comment behind it.
fn unquoted(rest: &str) -> &str {
    let comment = rest.char_indices().find(|&(at, char)| char == '#' && (at == 0 || rest[..at].ends_with([' ', '\t'])));
    rest[..comment.map_or(rest.len(), |(at, _)| at)].trim()
}

/// The value up to its closing quote, and how far that reaches.
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
                // Not an escape: both stand for themselves, as in a Windows path.
                other => value.extend(['\\', other]),
            },
            // A line break of the file is one line break, whatever the file was edited with.
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
    fn mistakes_are_all_found() {
        let found = parse("A\n=1\nA B=1\nC=\"x\" y\nD=ok\nE=\"x\nF=1\n");
        let messages: Vec<_> = found.mistakes.iter().map(|mistake| mistake.message).collect();
        assert_eq!(
            messages,
            [
                "this line has no `=`",
                "a variable has no name",
                "this is no name of a variable",
                "something follows the closing quote of this value",
                "the quote of this value is never closed"
            ]
        );
        assert_eq!(found.variables.len(), 2);
    }
}
