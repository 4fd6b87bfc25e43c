//! Guesses the mistake where a text is not YAML.
//!
//! A parser stops where it can't go on, which is often a line after the mistake. So this examines that line and the one above,
//! one kind of mistake after the other. It doesn't decide whether a text is YAML.

mod layout;
mod lines;
mod marks;
mod naming;
mod tabs;
mod unclosed;

pub(super) use lines::SyntaxHint;
pub(super) use marks::{merge, tag, unknown_alias};
pub(super) use naming::fill_in;

use crate::config::foreign_syntax::is_invisible;
use crate::config::subject::{KEY, OWNER};
use granit_parser::ErrorKind;
use lines::{ErrorSite, Line, is_key_name, written};

/// Guesses at the mistake that made the parser stop; several only for tabs, one for each line.
pub(super) fn hints(source: &str, at: usize, kind: &ErrorKind) -> Vec<SyntaxHint> {
    let at = source.floor_char_boundary(at.min(source.len()));
    let here = Line::at(source, at);
    let around = ErrorSite { source, at, above: here.above(source), here };
    if let Some(hint) = conflict(source) {
        return vec![hint];
    }
    let tabs = tabs::hints(&around);
    if !tabs.is_empty() {
        return tabs;
    }
    let hint = unclosed::hint(&around, kind)
        .or_else(|| around.first_hint(comment))
        .or_else(|| around.first_hint(invisible))
        .or_else(|| marks::bracketed_address(around.here))
        .or_else(|| around.missing_space())
        .or_else(|| around.equals_sign())
        .or_else(|| marks::hint(&around, kind))
        .or_else(|| layout::hint(&around, kind));
    hint.into_iter().collect()
}

impl<'s> ErrorSite<'s> {
    /// `name:redis` or `-name: redis`.
    fn missing_space(&self) -> Option<SyntaxHint> {
        let missing = |line: Line<'s>| {
            let content = line.item();
            if let Some(rest) = content.strip_prefix('-').filter(|rest| is_key_name(rest.split(':').next().unwrap_or_default())) {
                let start = line.end() - content.len();
                let help = format!("write `- {}: …`", rest.split(':').next().unwrap_or_default());
                return rest.contains(": ").then(|| {
                    let hint = SyntaxHint::new(
                        start..start + 1,
                        format!(
                            "a space is missing after the `-` before `{}`{OWNER}",
                            rest.split(':').next().unwrap_or_default()
                        ),
                        help,
                    );
                    hint.inserting(start + 1, " ")
                });
            }
            let (key, value) = content.split_once(':')?;
            let is_glued = is_key_name(key) && value.starts_with(|char: char| !char.is_whitespace() && char != '/');
            let colon = line.end() - content.len() + key.len();
            is_glued.then(|| {
                let message = format!("a space is missing after the `:` of `{key}`{OWNER}");
                SyntaxHint::new(colon..colon + 1, message, format!("write `{}`", written(key, value))).inserting(colon + 1, " ")
            })
        };
        self.above.filter(Line::begins_with_field).and_then(missing).or_else(|| missing(self.here))
    }

    /// `name = redis`.
    fn equals_sign(&self) -> Option<SyntaxHint> {
        let assigned = |line: Line<'s>| {
            let content = line.item();
            let (key, value) = content.split_once('=')?;
            let equals = line.end() - content.len() + key.len();
            let key = key.trim_end();
            (is_key_name(key) && !value.starts_with('=')).then(|| {
                let message = format!("`{key}`{OWNER} must be followed by `:`, not by `=`");
                SyntaxHint::new(equals..equals + 1, message, format!("write `{}`", written(key, value)))
                    .repaired(vec![(equals..equals + 1, ": ".to_owned())])
            })
        };
        assigned(self.here).or_else(|| self.above.filter(Line::begins_with_field).and_then(assigned))
    }
}

/// A merge conflict of version control.
fn conflict(source: &str) -> Option<SyntaxHint> {
    let marker = |line: &&str| line.starts_with("<<<<<<< ") || line.starts_with(">>>>>>> ");
    let start: usize = source.split_inclusive('\n').take_while(|line| !marker(line)).map(str::len).sum();
    if start >= source.len() {
        return None;
    }
    let help = "keep one of the two sides, and remove the lines with `<<<<<<<`, `=======` and `>>>>>>>`";
    Some(SyntaxHint::new(start..start + 7, "this file has a merge conflict", help))
}

fn comment(line: Line<'_>) -> Option<SyntaxHint> {
    let content = line.text.trim_start();
    let mark = ["//", "/*", ";", "<!--", "-- "].into_iter().find(|mark| content.starts_with(mark))?;
    let start = line.start + line.indent();
    Some(SyntaxHint::new(
        start..start + mark.trim_end().len(),
        format!("`{}` does not begin a comment in YAML", mark.trim_end()),
        "begin a comment with `#`",
    ))
}

/// Characters that look like a space, or like nothing.
fn invisible(line: Line<'_>) -> Option<SyntaxHint> {
    let (at, char) = line.text.char_indices().find(|&(_, char)| is_invisible(char))?;
    let place = line.start + at..line.start + at + char.len_utf8();
    let message = format!("the line of {KEY} has the character U+{:04X} instead of a plain space", u32::from(char));
    Some(SyntaxHint::new(place, message, "replace it by a space; it often comes with text copied from a document"))
}
