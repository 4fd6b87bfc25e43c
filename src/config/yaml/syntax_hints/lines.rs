//! The lines around the place where the parser stopped, and the hints about them.

use crate::config::fields::PROCESS;
use crate::config::scope::is_secret;
use crate::config::words::{is_variable, quoted_if_needed};
use crate::config::yaml::repair::Edit;
use std::ops::Range;

/// A guess at a mistake: its place, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::config::yaml) struct SyntaxHint {
    pub(in crate::config::yaml) place: Range<usize>,
    pub(in crate::config::yaml) message: String,
    pub(in crate::config::yaml) help: String,
    /// A related place.
    pub(in crate::config::yaml) also: Option<(Range<usize>, String)>,
    /// What to replace by what, so that mistakes after this one can be found. Empty: there is no safe guess.
    pub(in crate::config::yaml) repair: Vec<Edit>,
}

impl SyntaxHint {
    pub(super) fn new(place: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> SyntaxHint {
        SyntaxHint { place, message: message.into(), help: help.into(), also: None, repair: Vec::new() }
    }

    pub(super) fn also(self, place: Range<usize>, message: impl Into<String>) -> SyntaxHint {
        SyntaxHint { also: Some((place, message.into())), ..self }
    }

    /// Inserts a text before the source is parsed again.
    pub(super) fn inserting(self, at: usize, text: impl Into<String>) -> SyntaxHint {
        SyntaxHint { repair: vec![(at..at, text.into())], ..self }
    }

    /// Moves a line to another column, with what belongs to it.
    pub(super) fn moving(mut self, line: Line<'_>, column: usize, source: &str) -> SyntaxHint {
        self.repair = line.moved_to(column, source);
        if self.repair.len() > 1 {
            self.help += ", and move the lines that belong to it as far";
        }
        self
    }

    /// Applies these edits before the source is parsed again.
    pub(super) fn repaired(self, repair: Vec<Edit>) -> SyntaxHint {
        SyntaxHint { repair, ..self }
    }
}

/// The line where the parser stopped, and the line above.
pub(super) struct ErrorSite<'s> {
    pub(super) source: &'s str,
    /// Where the parser stopped.
    pub(super) at: usize,
    pub(super) here: Line<'s>,
    /// The nearest line above that isn't blank or a comment.
    pub(super) above: Option<Line<'s>>,
}

impl<'s> ErrorSite<'s> {
    /// The line above, the line itself and the line below, in order of likelihood.
    fn near(&self) -> impl Iterator<Item = Line<'s>> {
        self.above.into_iter().chain([self.here]).chain(self.here.below(self.source))
    }

    pub(super) fn first_hint(&self, find: fn(Line<'s>) -> Option<SyntaxHint>) -> Option<SyntaxHint> {
        self.near().find_map(find)
    }

    pub(super) fn first_line(&self, is_meant: impl Fn(Line<'s>) -> bool) -> Option<Line<'s>> {
        self.near().find(|&line| is_meant(line))
    }
}

/// A key and its value as they should be written; a value that may be secret is left out.
pub(super) fn written(key: &str, value: &str) -> String {
    let value = value.trim();
    let is_known = PROCESS.iter().any(|field| field.key.name == key) && key != "env";
    let is_shown = is_known && !is_secret(value) && !value.is_empty() && value.len() <= 60;
    let value = if !is_shown {
        "…".to_owned()
    } else if value.starts_with(['"', '\'', '[', '{']) || value.contains(' ') && !value.contains(": ") {
        value.to_owned()
    } else {
        quoted_if_needed(value)
    };
    format!("{key}: {value}")
}

/// The help for a line that begins in a wrong column.
pub(super) fn spaces_before(what: &str, count: usize) -> String {
    match count {
        0 => format!("begin the line with {what}"),
        1 => format!("write 1 space before {what}"),
        _ => format!("write {count} spaces before {what}"),
    }
}

/// Whether this could be a key: a name as programs have them.
pub(super) fn is_key_name(text: &str) -> bool {
    let mut parts = text.split(['-', '.']);
    parts.all(is_variable)
}

/// A line of a text, without its line break.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'s> {
    pub(super) start: usize,
    pub(super) text: &'s str,
}

impl<'s> Line<'s> {
    pub(super) fn at(source: &'s str, at: usize) -> Line<'s> {
        let start = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = source[at..].find('\n').map_or(source.len(), |length| at + length);
        Line { start, text: source[start..end].trim_end() }
    }

    /// The nearest line above that isn't blank or a comment.
    pub(super) fn above(&self, source: &'s str) -> Option<Line<'s>> {
        let mut line = *self;
        while line.start > 0 {
            line = Line::at(source, line.start - 1);
            if line.has_content() {
                return Some(line);
            }
        }
        None
    }

    pub(super) fn below(&self, source: &'s str) -> Option<Line<'s>> {
        let newline = source[self.start..].find('\n')?;
        Some(Line::at(source, self.start + newline + 1))
    }

    pub(super) fn has_content(&self) -> bool {
        let content = self.text.trim_start();
        !content.is_empty() && !content.starts_with('#')
    }

    /// Moves this line to another column, with the deeper ones below it if they belong to it.
    pub(super) fn moved_to(&self, column: usize, source: &str) -> Vec<Edit> {
        let depth = self.indent();
        let has_value = self.key() == self.text.trim_start().split(": ").next() && !self.text.ends_with(':');
        let below = std::iter::successors(self.below(source).filter(|_| !has_value), |line| line.below(source));
        let inside = below.take_while(|line| line.indent() > depth || line.text.is_empty()).filter(|line| !line.text.is_empty());
        let shift = |line: Line<'_>| match column.checked_sub(depth) {
            Some(more) => (line.start..line.start, " ".repeat(more)),
            None => (line.start..line.start + depth - column, String::new()),
        };
        std::iter::once(*self).chain(inside).map(shift).collect()
    }

    pub(super) fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// The number of blank characters at the start.
    pub(super) fn indent(&self) -> usize {
        self.text.len() - self.text.trim_start().len()
    }

    /// The content, without the dashes of lists.
    pub(super) fn item(&self) -> &'s str {
        let mut content = self.text.trim_start();
        while let Some(rest) = content.strip_prefix("- ") {
            content = rest.trim_start();
        }
        content
    }

    pub(super) fn has_key_or_dash(&self) -> bool {
        self.key().is_some() || self.text.trim_start().starts_with("- ")
    }

    /// The number of characters before the key.
    pub(super) fn key_column(&self) -> usize {
        self.text.len() - self.item().len()
    }

    /// The key, if there is one.
    pub(super) fn key(&self) -> Option<&'s str> {
        let content = self.item();
        let key = content.split_once(": ").map(|(key, _)| key).or_else(|| content.strip_suffix(':'))?;
        let key = key.trim();
        is_key_name(key.trim_matches(['"', '\''])).then_some(key)
    }

    /// The place of the first word, or of its part before a `:`.
    pub(super) fn word(&self) -> Range<usize> {
        let start = self.start + self.key_column();
        let length = self.item().find([' ', ':', '=', '\t']).unwrap_or(self.item().len());
        start..start + length
    }

    pub(super) fn begins_with_field(&self) -> bool {
        let content = self.item().trim_start_matches('-');
        let word = content.split([':', '=', ' ']).next().unwrap_or_default();
        PROCESS.iter().any(|field| field.key.name == word)
    }
}
