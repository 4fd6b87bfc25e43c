//! Escapes text for terminals. All text from outside passes one of these functions before it is printed.
//!
//! Dangerous characters are control characters (C0, DEL, C1), bidirectional controls, and line and paragraph separators: a
//! terminal acts on them instead of showing them. They are replaced by text, as `\n` or `\u{1b}`; bytes that are not UTF-8
//! become `\x9b`. Text without any is returned unchanged.

pub(crate) mod columns;
mod style;

pub use style::TerminalStyle;
pub(crate) use style::is_color_welcome;

use memchr::memchr;
use std::borrow::Cow;
use std::fmt::Write;

/// Ends every colour and style.
const RESET: &str = "\x1b[0m";

/// A count with its noun.
pub(crate) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// Whether a terminal acts on a character instead of showing it.
pub fn is_dangerous(char: char) -> bool {
    let is_bidirectional =
        matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    char.is_control() || is_bidirectional || matches!(char, '\u{2028}' | '\u{2029}')
}

/// Whether a text holds no dangerous character, and no line break or tab either.
pub fn is_plain(text: &str) -> bool {
    is_printable_ascii(text.as_bytes()) || !text.chars().any(is_dangerous)
}

/// Escapes every dangerous character, also line breaks, tabs and colours. For a single field.
pub fn escape(text: &str) -> Cow<'_, str> {
    rewrite(text, Keep::Nothing, write_out)
}

/// Escapes every dangerous character except line breaks and tabs. For a text of several lines.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    rewrite(text, Keep::Breaks, write_out)
}

/// Escapes every dangerous character except line breaks, tabs and colours (SGR sequences). For a complete text: its fields from
/// outside were escaped by [`escape`], so its colours are navigator's own.
pub fn guard(text: &str) -> Cow<'_, str> {
    rewrite(text, Keep::BreaksAndColours, write_out)
}

/// Escapes one line of process output, without its line break. Tabs and colours pass; a colour that is still set at the end is
/// reset. A carriage return at the end is dropped, since the following line break has the same effect.
pub fn escape_output(line: &[u8]) -> Cow<'_, [u8]> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if is_printable_ascii(line) {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    for chunk in line.utf8_chunks() {
        out.push_str(&guard(chunk.valid()));
        for byte in chunk.invalid() {
            // Writing to a string cannot fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    if sets_colour(&out) {
        out.push_str(RESET);
    }
    Cow::Owned(out.into_bytes())
}

/// A line of process output without escape sequences (colours, titles, cursor movements), for comparisons.
pub(crate) fn without_sequences(line: &[u8]) -> Cow<'_, [u8]> {
    if memchr(ESCAPE, line).is_none() {
        return Cow::Borrowed(line);
    }
    let (mut out, mut rest) = (Vec::with_capacity(line.len()), line);
    while let Some(at) = memchr(ESCAPE, rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at + sequence_length(&rest[at..])..];
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

const ESCAPE: u8 = b'\x1b';

/// The length of the escape sequence that the text begins with; an unfinished one takes the rest.
fn sequence_length(text: &[u8]) -> usize {
    let after = |end: Option<usize>| end.map_or(text.len(), |end| end + 1);
    match text.get(1) {
        Some(b'[') => after((2..text.len()).find(|&at| matches!(text[at], 0x40..=0x7e))),
        // Ends with BEL, or with `ESC \`.
        Some(b']') => after((2..text.len()).find(|&at| text[at] == 0x07 || text[at - 1..].starts_with(b"\x1b\\"))),
        Some(_) => 2,
        None => 1,
    }
}

/// Escapes the dangerous characters that JSON allows in a string (DEL, C1, bidirectional controls) as `\u009b`. The result is
/// valid JSON of the same value.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    rewrite(json, Keep::Breaks, |out, char| {
        // Every dangerous character is below U+10000, so four digits suffice. Writing to a string cannot fail.
        let _ = write!(out, "\\u{:04x}", u32::from(char));
    })
}

fn is_printable_ascii(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The dangerous characters that stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    Nothing,
    /// Line breaks and tabs.
    Breaks,
    BreaksAndColours,
}

impl Keep {
    /// Whether the dangerous character at the start of `text` stays.
    fn keeps(self, text: &str) -> bool {
        match text.as_bytes().first() {
            Some(b'\n' | b'\t') => self != Keep::Nothing,
            Some(b'\x1b') => self == Keep::BreaksAndColours && colour(text).is_some(),
            _ => false,
        }
    }

    /// The first dangerous character to escape, and its offset.
    fn first_rejected(self, text: &str) -> Option<(usize, char)> {
        text.char_indices().find(|&(at, char)| is_dangerous(char) && !self.keeps(&text[at..]))
    }
}

fn rewrite(text: &str, keep: Keep, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    let Some((mut at, mut char)) = keep.first_rejected(text) else { return Cow::Borrowed(text) };
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    loop {
        out.push_str(&rest[..at]);
        write(&mut out, char);
        rest = &rest[at + char.len_utf8()..];
        match keep.first_rejected(rest) {
            Some(next) => (at, char) = next,
            None => break,
        }
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn write_out(out: &mut String, char: char) {
    out.extend(char.escape_default());
}

/// The parameters of the colour sequence (`ESC [ … m`) that the text begins with.
fn colour(text: &str) -> Option<&str> {
    let rest = text.strip_prefix("\x1b[")?;
    let end = rest.find(|char| !matches!(char, '0'..='9' | ';' | ':'))?;
    rest[end..].starts_with('m').then_some(&rest[..end])
}

/// Whether a colour or style may still be set at the end of the text. Only a sequence of zeros resets all of them.
fn sets_colour(text: &str) -> bool {
    let last = text.rmatch_indices('\x1b').find_map(|(at, _)| colour(&text[at..]));
    last.is_some_and(|parameters| parameters.bytes().any(|byte| !matches!(byte, b'0' | b';')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_contains_no_control_character() {
        assert_eq!(escape("a\x1b[2Jb\r\n\t\x7f"), "a\\u{1b}[2Jb\\r\\n\\t\\u{7f}");
        assert_eq!(escape("\u{9b}31m\u{202e}\u{200f}\u{61c}\u{2028}"), "\\u{9b}31m\\u{202e}\\u{200f}\\u{61c}\\u{2028}");
        assert_eq!(escape_lines("a\n\tb\x1b[1m"), "a\n\tb\\u{1b}[1m");
        assert!(matches!(escape("é 数据 e\u{301} \u{200d}"), Cow::Borrowed(_)), "it is harmless");
    }

    #[test]
    fn only_colour_sequences_pass_the_guard() {
        for text in ["\x1b[m", "\x1b[0m", "\x1b[1;31mred\x1b[0m", "\x1b[38:5:1m", "a\n\tb"] {
            assert!(matches!(guard(text), Cow::Borrowed(_)), "{text:?}");
        }
        for (text, expected) in [
            ("\x1b[2J", "\\u{1b}[2J"),
            ("\x1b[31", "\\u{1b}[31"),
            ("\x1b\x1b[1m", "\\u{1b}\x1b[1m"),
            ("\x1b[?1m", "\\u{1b}[?1m"),
            ("\x1b]0;x\x07", "\\u{1b}]0;x\\u{7}"),
            ("\u{9b}1m", "\\u{9b}1m"),
            ("a\rb", "a\\rb"),
        ] {
            assert_eq!(guard(text), expected);
        }
    }

    #[test]
    fn process_output_keeps_its_colours_and_resets_them() {
        for (line, expected) in [
            (&b"plain"[..], "plain"),
            (b"a\tb", "a\tb"),
            (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
            (b"\x1b[31mred\x1b[m", "\x1b[31mred\x1b[m"),
            (b"\x1b[31mred", "\x1b[31mred\x1b[0m"),
            (b"\x1b[0m\x1b[0;1mbold", "\x1b[0m\x1b[0;1mbold\x1b[0m"),
            (b"dos\r", "dos"),
            (b"50%\r60%", "50%\\r60%"),
            (b"\x9b2J \xff\xc3\xa9", "\\x9b2J \\xffé"),
            (b"\xc2\x9b2J", "\\u{9b}2J"),
            (b"\x1b[3\xff1m", "\\u{1b}[3\\xff1m"),
        ] {
            assert_eq!(String::from_utf8_lossy(&escape_output(line)), expected, "{line:?}");
        }
    }

    #[test]
    fn sequences_are_removed_whole() {
        for (line, expected) in [
            (&b"plain \xff"[..], &b"plain \xff"[..]),
            (b"\x1b[1;32mListening\x1b[0m on 80", b"Listening on 80"),
            (b"\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", b"ab"),
            (b"\x1b[2K\x1b[1Ga\x1b7b\x1b", b"ab"),
            (b"a\x1b[31", b"a"),
        ] {
            assert_eq!(without_sequences(line), expected);
        }
    }

    #[test]
    fn escaped_json_has_the_same_value() {
        let value = serde_json::json!({ "a\u{9b}": "\x1b\x07\n\x7f\u{85}\u{202e}\u{2029}é" });
        let json = format!("{value:#}");
        let escaped = escape_json(&json);
        assert!(!escaped.contains(|char| is_dangerous(char) && char != '\n'), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
    }
}
