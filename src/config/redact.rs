//! Removes masked text from messages.
//!
//! Messages quote what is written, in backticks. The code that writes a message need not know whether the quoted text is secret:
//! an alias may bring the value from an `env` map, or a tag may be a mistyped password.

use super::source_map::{SourceMap, SourceSpan};

/// How far around a place masked words are collected, in bytes: a line may have megabytes.
const CONTEXT_BYTES: usize = 8 << 10;

/// Shorter words are part of too many others.
const MIN_WORD: usize = 4;

/// The words that messages about some places must not show.
pub(super) struct MaskedWords<'t> {
    words: Vec<&'t str>,
    /// Whether a text is a key of navigator's own, which is no secret even if a comment or a value contains it.
    is_key: IsKey,
}

pub(super) type IsKey = fn(&str) -> bool;

impl<'t> MaskedWords<'t> {
    /// The masked words on the lines of these places and on the lines before them.
    pub(super) fn near(places: impl Iterator<Item = SourceSpan>, texts: &'t SourceMap, is_key: IsKey) -> MaskedWords<'t> {
        let mut words = Vec::new();
        for place in places {
            let text = texts.text(place.text);
            let line = texts.position(place).line;
            let first = texts.line(place.text, line.saturating_sub(1).max(1)).start;
            let start = text.floor_char_boundary(first.max(place.start().saturating_sub(CONTEXT_BYTES)));
            let end = text.floor_char_boundary(texts.line(place.text, line).end.min(place.start() + CONTEXT_BYTES));
            for range in texts.masked(place.text, start..end) {
                words.extend(words_of(&text[range]));
            }
        }
        MaskedWords { words, is_key }
    }

    /// The message, with every quotation of a masked word replaced by `…`.
    /// The name of a process is no secret.
    pub(super) fn redact(&self, message: &str, process: Option<&str>) -> String {
        if self.words.is_empty() {
            return message.to_owned();
        }
        let parts: Vec<&str> = message.split('`').collect();
        // Quoted text may contain a backtick; then any part may be quoted.
        let is_clear = parts.len() % 2 == 1;
        let cut = parts.iter().enumerate().map(|(place, part)| {
            let is_quoted = !is_clear || place % 2 == 1;
            if is_quoted && process != Some(*part) && self.is_revealed_by(part) { "…" } else { part }
        });
        cut.collect::<Vec<_>>().join("`")
    }

    fn is_revealed_by(&self, part: &str) -> bool {
        // Long texts are quoted by their beginning.
        if (self.is_key)(part) {
            return false;
        }
        let beginning = part.strip_suffix('…').filter(|beginning| beginning.len() >= MIN_WORD);
        self.words.iter().any(|word| part.contains(word) || beginning.is_some_and(|beginning| word.starts_with(beginning)))
    }
}

/// The words of a value, except names of variables that it refers to: messages are about those.
fn words_of(value: &str) -> impl Iterator<Item = &str> {
    let literal = value.split("${").enumerate().map(|(number, part)| match number {
        0 => part,
        _ => part.trim_start_matches(|char: char| char == '_' || char.is_ascii_alphanumeric()),
    });
    let separates = |char: char| char.is_whitespace() || "\"'`,[]{}".contains(char);
    let words = literal.flat_map(move |part| part.split(separates));
    // `!secret` and `*secret` are quoted without their marks.
    words.map(|word| word.trim_matches(|char: char| !char.is_alphanumeric())).filter(|word| word.len() >= MIN_WORD)
}

/// A key, shortened to 60 characters and without a value glued to it.
pub(super) fn short(key: &str) -> String {
    // After a `=` or `:` comes a value glued to the key.
    let key_alone = key.split(['=', ':']).next().unwrap_or(key);
    let end = key_alone.char_indices().nth(60).map_or(key_alone.len(), |(end, _)| end);
    if end == key.len() { key.to_owned() } else { format!("{}…", &key_alone[..end]) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn only_what_quotes_something_hidden_is_cut() {
        let mut texts = SourceMap::default();
        let id = texts.add(Path::new("a.yml"), "port: 80\nA: hunter2 ${NAME:-other}\nuser: hunter2\nx: y".to_owned());
        texts.mask(id, std::iter::once(12..33));
        let at = |start| MaskedWords::near(std::iter::once(SourceSpan::new(id, start..start)), &texts, |_| false);
        for (message, expected) in [
            ("`hunter2` is not a number", "`…` is not a number"),
            ("write `[a, hunter2]`, or `hunter`", "write `…`, or `hunter`"),
            ("`hunt…` is too long", "`…` is too long"),
            ("hunter2 is used by `root`", "hunter2 is used by `root`"),
            ("`a`b` is not hunter2", "`a`b`…"),
            ("variable `NAME` has no value", "variable `NAME` has no value"),
        ] {
            assert_eq!(at(12).redact(message, None), expected);
        }
        assert_eq!(at(40).redact("`hunter2`", None), "`…`", "on the line before");
        assert_eq!(at(50).redact("`hunter2`", None), "`hunter2`", "far from it");
        assert_eq!(at(0).redact("`hunter2`", None), "`hunter2`", "before it");
    }
}
