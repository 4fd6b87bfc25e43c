//! Finds a piece of code by its shape: whatever its layout, wherever it is, and even if some of its names are now other ones.
//!
//! A pattern is Rust code. It matches code of the same tokens, except that a name of the pattern may be another name there,
//! the same one each time. At least half of the names must be unchanged, so that similar code elsewhere doesn't match.

use std::collections::BTreeMap;
use std::ops::Range;

/// A token of Rust code, with its bytes in the text.
#[derive(Debug)]
struct Token<'t> {
    text: &'t str,
    at: Range<usize>,
}

impl Token<'_> {
    fn is_name(&self) -> bool {
        const KEYWORDS: &[&str] = &[
            "_", "as", "const", "else", "enum", "false", "fn", "for", "if", "impl", "in", "let", "loop", "match", "move", "mut",
            "pub", "ref", "return", "self", "Self", "struct", "true", "use", "while",
        ];
        is_word(self.text) && !self.text.starts_with(|first: char| first.is_ascii_digit()) && !KEYWORDS.contains(&self.text)
    }
}

/// A place in a text that has the shape of a pattern.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The bytes of what is marked in the pattern.
    pub(crate) marked: Range<usize>,
    /// The names of the pattern that are other ones here.
    names: BTreeMap<String, String>,
}

impl Place {
    /// Puts the names of this place into code that is written with the names of the pattern.
    pub(crate) fn rename(&self, code: &str) -> String {
        let mut renamed = String::new();
        let mut copied = 0;
        for token in tokens(code) {
            if let Some(name) = self.names.get(token.text).filter(|_| token.is_name()) {
                renamed.push_str(&code[copied..token.at.start]);
                renamed.push_str(name);
                copied = token.at.end;
            }
        }
        renamed + &code[copied..]
    }
}

/// Every place in a text that has the shape of a pattern, in which `«` and `»` mark a part.
pub(crate) fn places(text: &str, pattern: &str) -> Vec<Place> {
    let (before, rest) = pattern.split_once('«').expect("`«` begins the marked part");
    let (marked, after) = rest.split_once('»').expect("`»` ends the marked part");
    let marked = tokens(before).len()..tokens(before).len() + tokens(marked).len();
    let unmarked = [before, rest.split_once('»').map_or("", |(marked, _)| marked), after].join(" ");
    let (pattern, text) = (tokens(&unmarked), tokens(text));
    let found = text.windows(pattern.len()).filter_map(|here| {
        let names = renamed(&pattern, here)?;
        Some(Place { marked: here[marked.start].at.start..here[marked.end - 1].at.end, names })
    });
    found.collect()
}

/// The names of a pattern that are other ones here; `None`: this is not its shape.
fn renamed(pattern: &[Token<'_>], here: &[Token<'_>]) -> Option<BTreeMap<String, String>> {
    let (mut there, mut back) = (BTreeMap::new(), BTreeMap::new());
    for (expected, found) in pattern.iter().zip(here) {
        if !(expected.is_name() && found.is_name()) {
            if expected.text != found.text {
                return None;
            }
        } else if *there.entry(expected.text).or_insert(found.text) != found.text
            || *back.entry(found.text).or_insert(expected.text) != expected.text
        {
            return None;
        }
    }
    let count = there.len();
    let renamed: BTreeMap<String, String> =
        there.into_iter().filter(|(before, now)| before != now).map(|(before, now)| (before.into(), now.into())).collect();
    (2 * renamed.len() <= count).then_some(renamed)
}

/// The tokens of Rust code without its comments. A comma before a closing bracket is left out: whether it is there is layout.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        let rest = &text[at..];
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '"' => quoted(rest),
            '\'' if rest[1..].starts_with('\\') => quoted(rest),
            '\'' if rest.chars().nth(2) == Some('\'') => quoted(rest),
            // A lifetime.
            '\'' => 1 + word(&rest[1..]),
            _ if is_word(&rest[..first.len_utf8()]) => word(rest),
            _ => first.len_utf8(),
        };
        let token = Token { text: &rest[..length], at: at..at + length };
        at += length;
        if first.is_whitespace() || token.text.starts_with("//") {
            continue;
        }
        if matches!(token.text, ")" | "]" | "}") && tokens.last().is_some_and(|last| last.text == ",") {
            tokens.pop();
        }
        tokens.push(token);
    }
    tokens
}

fn is_word(text: &str) -> bool {
    text.chars().all(|each| each.is_alphanumeric() || each == '_')
}

/// The length of the word that a text begins with.
fn word(text: &str) -> usize {
    text.find(|each: char| !(each.is_alphanumeric() || each == '_')).unwrap_or(text.len())
}

/// The length of the literal that a text begins with; its first character also ends it.
fn quoted(text: &str) -> usize {
    let mut is_escaped = false;
    let mut characters = text.char_indices();
    let quote = characters.next().map(|(_, quote)| quote);
    let end = characters.find(|&(_, each)| {
        let ends = !is_escaped && Some(each) == quote;
        is_escaped = !is_escaped && each == '\\';
        ends
    });
    end.map_or(text.len(), |(at, quote)| at + quote.len_utf8())
}

#[test]
fn code_is_found_in_another_layout_and_with_other_names() {
    let pattern = "let due = «now >= run.up + deadline»; if due { run.fail(due) }";
    let text = "// now\nlet due =\n    now >= process.up + deadline; // '\nif due {\n    process.fail(\n        due,\n    )\n}";
    let found = places(text, pattern);
    assert_eq!(found.iter().map(|place| &text[place.marked.clone()]).collect::<Vec<_>>(), ["now >= process.up + deadline"]);
    assert_eq!(found[0].rename("run.runs < now"), "process.runs < now");
}

#[test]
fn other_code_is_not_found() {
    let pattern = "if «run.is_late(now)» { stop(run) }";
    let is_found = |text: &str| !places(text, pattern).is_empty();
    assert!(is_found("if run.is_late(now) { stop(run) }"));
    assert!(!is_found("if !run.is_late(now) { stop(run) }"), "its tokens are others");
    assert!(!is_found("if run.is_late(now) { stop(other) }"), "one name would be two");
    assert!(!is_found("if run.is_late(run) { stop(run) }"), "two names would be one");
    assert!(!is_found("if old.is_dead(at) { stop(old) }"), "most of its names are others");
    assert!(!is_found("{ stop(run) }"));
}
