//! What a problem tells, without what is veiled where it stands.
//!
//! Messages quote what is written, in backticks. Who writes one need not know whether that is a value of a variable: what an alias
//! brings from under `env`, or a tag that was to be a password.

use super::source_map::{SourceMap, SourceSpan};

/// As far around a place veiled words are looked for, in bytes: a line may have megabytes.
const AROUND: usize = 8 << 10;

/// Shorter words are part of too many others.
const SHORTEST: usize = 4;

/// The words that messages about some places may not hold.
pub(super) struct Hidden<'t>(Vec<&'t str>);

impl<'t> Hidden<'t> {
    /// What is veiled on the lines of these places, and on those before them.
    pub(super) fn near(places: impl Iterator<Item = SourceSpan>, texts: &'t SourceMap) -> Hidden<'t> {
        let mut words = Vec::new();
        for place in places {
            let text = texts.text(place.text);
            let line = texts.position(place).line;
            let first = texts.line(place.text, line.saturating_sub(1).max(1)).start;
            let start = text.floor_char_boundary(first.max(place.start().saturating_sub(AROUND)));
            let end = text.floor_char_boundary(texts.line(place.text, line).end.min(place.start() + AROUND));
            for range in texts.veiled(place.text, start..end) {
                words.extend(words_of(&text[range]));
            }
        }
        Hidden(words)
    }

    /// A message in which a mark stands for what quotes something hidden.
    pub(super) fn cut(&self, message: &str) -> String {
        if self.0.is_empty() {
            return message.to_owned();
        }
        let parts: Vec<&str> = message.split('`').collect();
        // Something that is quoted may hold a backtick itself; then nobody knows what is quoted.
        let is_clear = parts.len() % 2 == 1;
        let cut = parts.iter().enumerate().map(|(place, part)| {
            let is_quoted = !is_clear || place % 2 == 1;
            if is_quoted && self.is_told_by(part) { "…" } else { part }
        });
        cut.collect::<Vec<_>>().join("`")
    }

    fn is_told_by(&self, part: &str) -> bool {
        // Long texts are quoted by their beginning.
        let beginning = part.strip_suffix('…').filter(|beginning| beginning.len() >= SHORTEST);
        self.0.iter().any(|word| part.contains(word) || beginning.is_some_and(|beginning| word.starts_with(beginning)))
    }
}

/// The words of a value, without the names of variables that it refers to: those are what messages are about.
fn words_of(value: &str) -> impl Iterator<Item = &str> {
    let literal = value.split("${").enumerate().map(|(number, part)| match number {
        0 => part,
        _ => part.trim_start_matches(|char: char| char == '_' || char.is_ascii_alphanumeric()),
    });
    let separates = |char: char| char.is_whitespace() || "\"'`,[]{}".contains(char);
    let words = literal.flat_map(move |part| part.split(separates));
    // `!secret` and `*secret` are quoted without their marks.
    words.map(|word| word.trim_matches(|char: char| !char.is_alphanumeric())).filter(|word| word.len() >= SHORTEST)
}

/// A key without what would flood a terminal, or must not be shown.
pub(super) fn short(key: &str) -> String {
    // What stands behind a `=` or a `:` is a value that was glued to its key.
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
        texts.veil(id, std::iter::once(12..33));
        let at = |start| Hidden::near(std::iter::once(SourceSpan::new(id, start..start)), &texts);
        for (message, expected) in [
            ("`hunter2` is not a number", "`…` is not a number"),
            ("write `[a, hunter2]`, or `hunter`", "write `…`, or `hunter`"),
            ("`hunt…` is too long", "`…` is too long"),
            ("hunter2 is said by `nobody`", "hunter2 is said by `nobody`"),
            ("`a`b` is not hunter2", "`a`b`…"),
            ("variable `NAME` has no value", "variable `NAME` has no value"),
        ] {
            assert_eq!(at(12).cut(message), expected);
        }
        assert_eq!(at(40).cut("`hunter2`"), "`…`", "on the line before");
        assert_eq!(at(50).cut("`hunter2`"), "`hunter2`", "far from it");
        assert_eq!(at(0).cut("`hunter2`"), "`hunter2`", "before it");
    }
}
