//! What was probably typed wrong where a text is not YAML.
//!
//! A parser sees the mistake where it can't go on, which is often a line later. So the line there and the one above it are
//! looked at the way a person would, one question after the other. Nothing here decides whether a text is YAML.

mod layout;
mod marks;

pub(super) use marks::{merge, tag, unknown_alias};

use crate::config::fields::PROCESS;
use crate::config::scope::is_secret;
use crate::config::words::{is_variable, quoted_if_needed};
use granit_parser::ErrorKind;
use std::ops::Range;

/// A guess at what is wrong, where, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Slip {
    pub(super) place: Range<usize>,
    pub(super) message: String,
    pub(super) help: String,
    /// Another place that belongs to it.
    pub(super) also: Option<(Range<usize>, String)>,
}

impl Slip {
    fn new(place: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Slip {
        Slip { place, message: message.into(), help: help.into(), also: None }
    }

    fn also(self, place: Range<usize>, message: impl Into<String>) -> Slip {
        Slip { also: Some((place, message.into())), ..self }
    }
}

/// What was probably meant where the parser gave up.
pub(super) fn slip(source: &str, at: usize, kind: &ErrorKind) -> Option<Slip> {
    let at = source.floor_char_boundary(at.min(source.len()));
    let here = Line::at(source, at);
    let around = Around { source, at, above: here.above(source), here };
    conflict(source)
        .or_else(|| around.either(tab))
        .or_else(|| around.either(comment))
        .or_else(|| around.either(invisible))
        .or_else(|| around.glued())
        .or_else(|| around.assigned())
        .or_else(|| marks::slip(&around, kind))
        .or_else(|| layout::slip(&around, kind))
}

/// The line at which the parser gave up, and what stands above it.
struct Around<'s> {
    source: &'s str,
    /// Where the parser gave up.
    at: usize,
    here: Line<'s>,
    /// The nearest line above that isn't blank or a comment.
    above: Option<Line<'s>>,
}

impl<'s> Around<'s> {
    /// Asks of both lines, the upper one first: it is more often to blame.
    fn either(&self, ask: fn(Line<'s>) -> Option<Slip>) -> Option<Slip> {
        self.above.and_then(ask).or_else(|| ask(self.here)).or_else(|| self.here.below(self.source).and_then(ask))
    }

    /// `name:redis` or `-name: redis`.
    fn glued(&self) -> Option<Slip> {
        let missing = |line: Line<'s>| {
            let content = line.item();
            if let Some(rest) = content.strip_prefix('-').filter(|rest| is_word(rest.split(':').next().unwrap_or_default())) {
                let start = line.end() - content.len();
                let help = format!("write `- {}: …`", rest.split(':').next().unwrap_or_default());
                return rest.contains(": ").then(|| Slip::new(start..start + 1, "a space is missing behind this `-`", help));
            }
            let (key, value) = content.split_once(':')?;
            let is_glued = is_word(key) && value.starts_with(|char: char| !char.is_whitespace() && char != '/');
            let colon = line.end() - content.len() + key.len();
            is_glued.then(|| {
                Slip::new(colon..colon + 1, "a space is missing behind this `:`", format!("write `{}`", written(key, value)))
            })
        };
        self.above.filter(Line::begins_with_field).and_then(missing).or_else(|| missing(self.here))
    }

    /// `name = redis`.
    fn assigned(&self) -> Option<Slip> {
        let assigned = |line: Line<'s>| {
            let content = line.item();
            let (key, value) = content.split_once('=')?;
            let equals = line.end() - content.len() + key.len();
            let key = key.trim_end();
            (is_word(key) && !value.starts_with('=')).then(|| {
                let message = "a key is followed by `:`, not by `=`";
                Slip::new(equals..equals + 1, message, format!("write `{}`", written(key, value)))
            })
        };
        assigned(self.here).or_else(|| self.above.filter(Line::begins_with_field).and_then(assigned))
    }
}

/// A key and its value as they should stand; a value that may be nobody's business is left out.
fn written(key: &str, value: &str) -> String {
    let value = value.trim();
    let is_shown =
        PROCESS.iter().any(|field| field.key.name == key) && !is_secret(value) && !value.is_empty() && value.len() <= 60;
    let value = if !is_shown {
        "…".to_owned()
    } else if value.starts_with(['"', '\'', '[', '{']) || value.contains(' ') && !value.contains(": ") {
        value.to_owned()
    } else {
        quoted_if_needed(value)
    };
    format!("{key}: {value}")
}

/// Whether this could be a key: a name as programs have them.
fn is_word(text: &str) -> bool {
    let mut parts = text.split(['-', '.']);
    parts.all(is_variable)
}

/// A line of a text, without its line break.
#[derive(Clone, Copy, Debug)]
struct Line<'s> {
    start: usize,
    text: &'s str,
}

impl<'s> Line<'s> {
    fn at(source: &'s str, at: usize) -> Line<'s> {
        let start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = source[at..].find('\n').map_or(source.len(), |length| at + length);
        Line { start, text: source[start..end].trim_end() }
    }

    /// The nearest line above that says something.
    fn above(&self, source: &'s str) -> Option<Line<'s>> {
        let mut line = *self;
        while line.start > 0 {
            line = Line::at(source, line.start - 1);
            if line.says_something() {
                return Some(line);
            }
        }
        None
    }

    fn below(&self, source: &'s str) -> Option<Line<'s>> {
        let newline = source[self.start..].find('\n')?;
        Some(Line::at(source, self.start + newline + 1))
    }

    fn says_something(&self) -> bool {
        let content = self.text.trim_start();
        !content.is_empty() && !content.starts_with('#')
    }

    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// How many characters stand before the first one that isn't blank.
    fn indent(&self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }

    /// What stands on it, without the dashes of lists.
    fn item(&self) -> &'s str {
        let mut content = self.text.trim_start();
        while let Some(rest) = content.strip_prefix("- ") {
            content = rest.trim_start();
        }
        content
    }

    /// How many characters stand before its key.
    fn key_column(&self) -> usize {
        self.text.len() - self.item().len()
    }

    /// Its key, if it has one.
    fn key(&self) -> Option<&'s str> {
        let content = self.item();
        let key = content.split_once(": ").map(|(key, _)| key).or_else(|| content.strip_suffix(':'))?;
        let key = key.trim();
        is_word(key.trim_matches(['"', '\''])).then_some(key)
    }

    /// Where its first word is, or the part of it before a `:`.
    fn word(&self) -> Range<usize> {
        let start = self.start + self.key_column();
        let length = self.item().find([' ', ':', '=', '\t']).unwrap_or(self.item().len());
        start..start + length
    }

    fn begins_with_field(&self) -> bool {
        let content = self.item().trim_start_matches('-');
        let word = content.split([':', '=', ' ']).next().unwrap_or_default();
        PROCESS.iter().any(|field| field.key.name == word)
    }
}

/// What version control leaves in a file of which two versions couldn't be put together.
fn conflict(source: &str) -> Option<Slip> {
    let marker = |line: &&str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    let start: usize = source.split_inclusive('\n').take_while(|line| !marker(line)).map(str::len).sum();
    if start >= source.len() {
        return None;
    }
    let help = "keep one of the two sides, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`";
    Some(Slip::new(start..start + 7, "a merge conflict was left in this file", help))
}

fn tab(line: Line<'_>) -> Option<Slip> {
    let blank = line.text.len() - line.text.trim_start_matches([' ', '\t', '-']).len();
    let tab = line.start + line.text[..blank].find('\t')?;
    Some(Slip::new(tab..tab + 1, "a tab is not allowed in indentation", "indent with spaces"))
}

fn comment(line: Line<'_>) -> Option<Slip> {
    let content = line.text.trim_start();
    let mark = ["//", "/*", ";", "<!--", "-- "].into_iter().find(|mark| content.starts_with(mark))?;
    let start = line.start + line.indent();
    Some(Slip::new(
        start..start + mark.trim_end().len(),
        format!("`{}` begins no comment in YAML", mark.trim_end()),
        "begin a comment with `#`",
    ))
}

/// Blanks that look like a space and aren't one.
fn invisible(line: Line<'_>) -> Option<Slip> {
    let (at, char) = line.text.char_indices().find(|&(_, char)| {
        matches!(
            char,
            '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200d}' | '\u{202f}' | '\u{205f}' | '\u{2060}' | '\u{3000}' | '\u{feff}'
        )
    })?;
    let place = line.start + at..line.start + at + char.len_utf8();
    let message = format!("this is no plain space but the character U+{:04X}", u32::from(char));
    Some(Slip::new(place, message, "replace it by a space; it often comes along when text is copied from a document"))
}
