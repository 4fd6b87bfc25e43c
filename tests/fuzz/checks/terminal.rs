//! Text for terminals: every sequence that a terminal acts on is escaped, and nothing else is changed.

use navigator::terminal::{escape, escape_json, escape_lines, escape_output, guard};

/// The input is the output of a process; the part that is text is checked as every other kind of text.
pub(crate) fn check(input: &[u8]) {
    output(input);
    let text = String::from_utf8_lossy(input);
    let fields = [escape(&text), escape_lines(&text), guard(&text)];
    for (escaped, (breaks, colours)) in fields.iter().zip([(false, false), (true, false), (true, true)]) {
        assert!(is_safe(escaped, breaks, colours), "{text:?} became {escaped:?}");
        if is_safe(&text, breaks, colours) {
            assert_eq!(*escaped, text, "safe text is unchanged");
        }
        assert_eq!(*escaped, escape_all(&text, breaks, colours), "{text:?}");
    }
    assert_eq!(escape(&escape(&text)), escape(&text), "escaped text is safe");
    json(&text);
}

fn output(input: &[u8]) {
    let escaped = escape_output(input);
    let shown = std::str::from_utf8(&escaped).unwrap_or_else(|error| panic!("{input:?}: {error}"));
    assert!(is_safe(shown, true, true), "{input:?} became {shown:?}");
    assert!(!sets_colour(shown), "{shown:?} leaves a colour set");
    if std::str::from_utf8(input).is_ok_and(|text| is_safe(text, true, false)) {
        assert_eq!(*escaped, *input, "safe text is unchanged");
    }
}

fn json(text: &str) {
    let value = serde_json::json!({ text: [text] });
    for json in [format!("{value}"), format!("{value:#}")] {
        let escaped = escape_json(&json);
        assert!(is_safe(&escaped, true, false), "{json:?} became {escaped:?}");
        let same: serde_json::Value = serde_json::from_str(&escaped).expect("it is JSON");
        assert_eq!(same, value);
    }
    assert!(is_safe(&escape_json(text), true, false), "any text is made safe");
}

/// The escaper's rules, implemented a second time: character by character.
fn escape_all(text: &str, breaks: bool, colours: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let length = if colours { colour(rest) } else { None }.unwrap_or(0);
        if length > 0 {
            out.push_str(&rest[..length]);
        } else if acts(char) && !(breaks && matches!(char, '\n' | '\t')) {
            out.extend(char.escape_default());
        } else {
            out.push(char);
        }
        rest = &rest[length.max(char.len_utf8())..];
    }
    out
}

/// Whether a terminal shows this text as it is, apart from what is allowed.
fn is_safe(text: &str, breaks: bool, colours: bool) -> bool {
    let mut rest = text;
    while let Some(char) = rest.chars().next() {
        let length = match colour(rest) {
            Some(length) if colours => length,
            _ if acts(char) && !(breaks && matches!(char, '\n' | '\t')) => return false,
            _ => char.len_utf8(),
        };
        rest = &rest[length..];
    }
    true
}

/// The length of the colour sequence at the start of a text.
fn colour(text: &str) -> Option<usize> {
    let bytes = text.as_bytes().strip_prefix(b"\x1b[")?;
    let end = bytes.iter().position(|byte| !(byte.is_ascii_digit() || matches!(byte, b';' | b':')))?;
    (bytes[end] == b'm').then_some(end + 3)
}

/// Whether a text leaves a colour set: its last sequence is not all zeros.
fn sets_colour(text: &str) -> bool {
    let last = text.rfind('\x1b').map(|at| &text[at..]);
    last.is_some_and(|last| last[2..].chars().take_while(|char| *char != 'm').any(|char| !matches!(char, '0' | ';')))
}

/// The control characters, by number.
fn acts(char: char) -> bool {
    matches!(u32::from(char), 0..=0x1f | 0x7f..=0x9f | 0x61c | 0x200e | 0x200f | 0x2028..=0x202e | 0x2066..=0x2069)
}
