//! What was probably typed wrong where a text is not YAML.
//!
//! A parser sees the mistake where it can't go on, which is often a line later. So the line there and the one above it are
//! looked at the way a person would, one question after the other. Nothing here decides whether a text is YAML.

mod layout;
mod lines;
mod marks;

pub(super) use lines::Slip;
pub(super) use marks::{merge, tag, unknown_alias};

use granit_parser::ErrorKind;
use lines::{ErrorSite, Line, is_word, written};

/// What was probably meant where the parser gave up.
pub(super) fn slip(source: &str, at: usize, kind: &ErrorKind) -> Option<Slip> {
    let at = source.floor_char_boundary(at.min(source.len()));
    let here = Line::at(source, at);
    let around = ErrorSite { source, at, above: here.above(source), here };
    conflict(source)
        .or_else(|| around.either(tab))
        .or_else(|| around.either(comment))
        .or_else(|| around.either(invisible))
        .or_else(|| around.glued())
        .or_else(|| around.assigned())
        .or_else(|| marks::slip(&around, kind))
        .or_else(|| layout::slip(&around, kind))
}

impl<'s> ErrorSite<'s> {
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
