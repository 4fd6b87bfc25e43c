//! Slips with characters that mean something to YAML: quotes, brackets, backslashes, and what can't begin a value.

use super::lines::{ErrorSite, Slip};
use crate::suggest::nearest;
use granit_parser::ErrorKind;
use std::ops::Range;

pub(super) fn slip(around: &ErrorSite<'_>, kind: &ErrorKind) -> Option<Slip> {
    let first = around.source[around.at..].chars().next();
    let here = around.at..around.at + first.map_or(0, char::len_utf8);
    match kind {
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape
        | ErrorKind::InvalidLowSurrogateHexEscape
        | ErrorKind::UnpairedLowSurrogate
        | ErrorKind::MissingLowSurrogate => backslash(around),
        ErrorKind::UnclosedQuotedScalar => {
            let quote = first.filter(|char| matches!(char, '"' | '\''))?;
            Some(Slip::new(here, "this quote is never closed", format!("write a `{quote}` at the end of the value")))
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            Some(behind_quote(around, here))
        }
        ErrorKind::UnclosedFlowCollection { open } => Some(unclosed(here, *open)),
        ErrorKind::UnexpectedEofFlowSequence => Some(unclosed(here, '[')),
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => Some(unclosed(here, '{')),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            let help = format!("write `{}` instead of `{close}`, or close the `{close}` with what opens it", closing(*open));
            Some(Slip::new(here, format!("this `{open}` is closed by a `{close}`"), help))
        }
        ErrorKind::MisplacedFlowCollectionEnd => {
            let bracket = first?;
            Some(Slip::new(
                here,
                format!("this `{bracket}` closes no bracket that is open"),
                format!("remove it, or put the value in quotes if the `{bracket}` is text"),
            ))
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => Some(comma(around)),
        ErrorKind::UnexpectedCharacter { character: '`' } => Some(Slip::new(
            here,
            "a value can't begin with a backtick",
            "there is no shell to run a command in it: write `command: sh` and `args: [-c, \"…\"]`",
        )),
        ErrorKind::UnexpectedCharacter { character } => {
            let help = format!("put the whole value in quotes: `\"{}\"`", around.value());
            Some(Slip::new(here, format!("a value can't begin with `{character}`"), help))
        }
        ErrorKind::MissingAnchorOrAliasName => {
            let (mark, means) = if first == Some('*') { ('*', "an alias") } else { ('&', "an anchor") };
            let help = format!("put it in quotes if it is text: `\"{}\"`", around.value());
            Some(Slip::new(here, format!("`{mark}` begins {means}, but no name follows"), help))
        }
        _ => None,
    }
}

impl ErrorSite<'_> {
    /// The value that begins where the parser gave up.
    fn value(&self) -> &str {
        let rest = &self.source[self.at..];
        let end = rest.find(['\n', ',', ']', '}', '"']).unwrap_or(rest.len());
        let value = rest[..end].trim_end();
        if value.chars().count() > 40 || self.here.text.contains('=') { "…" } else { value }
    }
}

/// A tag, behind which the parser stands.
pub(in crate::config::yaml) fn tag(source: &str, at: usize) -> Option<Slip> {
    let line = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let start = line + source[line..at].rfind('!')?;
    let start = start - usize::from(source[..start].ends_with('!'));
    let end = start + source[start..].find(char::is_whitespace)?;
    let message = format!("the tag `{}` means nothing here", shortened(&source[start..end]));
    Some(Slip::new(start..end, message, "remove it; if the value itself begins with a `!`, put it in quotes"))
}

/// An alias of which no anchor is known: misspelled, or a text that begins with `*`.
pub(in crate::config::yaml) fn unknown_alias(source: &str, at: usize) -> Slip {
    let rest = &source[at..];
    let length = rest.find(|char: char| char.is_whitespace() || ",[]{}".contains(char)).unwrap_or(rest.len());
    let name = rest[..length].trim_start_matches('*');
    let anchors =
        source[..at].split(|char: char| char.is_whitespace() || ",[]{}".contains(char)).filter_map(|word| word.strip_prefix('&'));
    let help = match nearest(name, anchors) {
        Some(near) => format!("did you mean `*{near}`?"),
        None => format!(
            "a value that begins with `*` stands for an anchor: put it in quotes if it is text, `\"*{}\"`",
            shortened(name)
        ),
    };
    Slip::new(at..at + length, format!("there is no anchor `&{}` above this alias", shortened(name)), help)
}

/// A merge key whose alias stands for something that can't be merged, which the parser names.
pub(in crate::config::yaml) fn merge(source: &str, at: usize) -> Option<Slip> {
    let anchor = source[..at].rfind('&')?;
    let name = source[anchor + 1..at].split_whitespace().next()?;
    let alias = format!("*{name}");
    let is_whole = |from: usize| !source[from..].starts_with(|char: char| char.is_alphanumeric() || "_-.".contains(char));
    let mut uses = source[at..].match_indices(&alias).map(|(offset, _)| at + offset);
    let place = uses.find(|&start| {
        let line = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        source[line..start].contains("<<") && is_whole(start + alias.len())
    })?;
    let message = format!("`<<` takes a map, and `{alias}` is none");
    let slip = Slip::new(place..place + alias.len(), message, "let the anchor stand before a map, or name another one");
    Some(slip.also(anchor..anchor + 1 + name.len(), format!("`{alias}` stands for what is here")))
}

fn shortened(name: &str) -> String {
    if name.chars().count() > 40 { name.chars().take(40).chain(['…']).collect() } else { name.to_owned() }
}

/// `"C:\Users"`, `"\d+"`
fn backslash(around: &ErrorSite<'_>) -> Option<Slip> {
    let known = |char: char| "0abtnvfre \"/\\N_LP\t\n".contains(char);
    let mut chars = around.source[around.at..].char_indices().peekable();
    let found = loop {
        let (offset, char) = chars.next()?;
        if char != '\\' {
            continue;
        }
        let (_, next) = chars.next()?;
        if !known(next) {
            break around.at + offset..around.at + offset + 1 + next.len_utf8();
        }
    };
    let escape = &around.source[found.clone()];
    let help = "a `\\` in double quotes begins an escape: use single quotes, or write `\\\\` for each `\\`";
    Some(Slip::new(found, format!("`{escape}` is no escape of YAML"), help))
}

/// What follows a closing quote.
fn behind_quote(around: &ErrorSite<'_>, here: Range<usize>) -> Slip {
    let before = around.source[..around.at].trim_end();
    let gap = around.at - before.len();
    let next = around.source[around.at..].chars().next().unwrap_or(' ');
    let in_brackets = around.here.text.contains(['[', '{']);
    if matches!(next, '"' | '\'') && gap > 0 && in_brackets {
        let end = before.len();
        return Slip::new(here, "a `,` is missing before this", "write a `,` between the items")
            .also(end - 1..end, "behind this");
    }
    if next.is_alphanumeric() && gap == 0 && before.ends_with('\'') && before.len() > 1 {
        let here = around.at - 1..around.at;
        return Slip::new(
            here,
            "the `'` within this value closes it",
            "write `''` for a `'` in single quotes, or use double quotes",
        );
    }
    if around.here.key() == Some("command") {
        return Slip::new(
            here,
            "nothing may follow the closing quote",
            "write the program in `command`, and what follows in `args`",
        );
    }
    Slip::new(here, "nothing may follow the closing quote", "put the whole value in one pair of quotes")
}

fn closing(open: char) -> char {
    if open == '[' { ']' } else { '}' }
}

fn unclosed(place: Range<usize>, open: char) -> Slip {
    Slip::new(place, format!("this `{open}` is never closed"), format!("write a `{}` where it ends", closing(open)))
}

/// `{name: redis command: redis-server}`
fn comma(around: &ErrorSite<'_>) -> Slip {
    let before = &around.source[..around.at];
    let word = before.rfind(|char: char| char.is_whitespace() || ",[{".contains(char)).map_or(0, |at| at + 1);
    let word = if word == around.at { around.at..around.at } else { word..around.at };
    Slip::new(word, "a `,` is missing before this", "write a `,` between the entries")
}
