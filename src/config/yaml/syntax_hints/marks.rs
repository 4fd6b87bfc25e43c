//! Mistakes with quotes, brackets, backslashes, tags, aliases, and characters that can't begin a value.

use super::lines::{ErrorSite, Line, SyntaxHint, is_key_name};
use super::unclosed::closing;
use crate::config::scope::is_secret;
use crate::config::subject::{KEY, OWNER};
use crate::config::words::definition;
use crate::suggest::nearest;
use granit_parser::ErrorKind;
use std::ops::Range;

pub(super) fn hint(around: &ErrorSite<'_>, kind: &ErrorKind) -> Option<SyntaxHint> {
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
            Some(SyntaxHint::new(
                here,
                format!("the `{quote}` in {KEY} is never closed"),
                format!("write a `{quote}` at the end of the value"),
            ))
        }
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            Some(behind_quote(around, here))
        }
        ErrorKind::UnclosedFlowCollection { open } => Some(unclosed_bracket(here, *open)),
        ErrorKind::UnexpectedEofFlowSequence => Some(unclosed_bracket(here, '[')),
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofImplicitFlowMapping => Some(unclosed_bracket(here, '{')),
        ErrorKind::MismatchedFlowCollectionEnd { open, close } => {
            let help = format!("write `{}` instead of `{close}`, or close the `{close}` with what opens it", closing(*open));
            Some(SyntaxHint::new(here, format!("the `{open}` in {KEY} is closed by a `{close}`"), help))
        }
        ErrorKind::MisplacedFlowCollectionEnd => {
            let bracket = first?;
            Some(SyntaxHint::new(
                here,
                format!("the `{bracket}` in {KEY} closes no open bracket"),
                format!("remove it, or put the value in quotes if the `{bracket}` is text"),
            ))
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => Some(missing_comma(around)),
        ErrorKind::UnexpectedCharacter { character: '`' } => Some(SyntaxHint::new(
            here,
            format!("{KEY} can't begin with a backtick"),
            "there is no shell to run a command in it: write `command: sh` and `args: [-c, \"…\"]`",
        )),
        ErrorKind::UnexpectedCharacter { character } => {
            let help = format!("put the whole value in quotes: `\"{}\"`", around.value());
            Some(SyntaxHint::new(here, format!("{KEY} can't begin with `{character}`"), help))
        }
        ErrorKind::MissingAnchorOrAliasName => {
            let (mark, means) = if first == Some('*') { ('*', "an alias") } else { ('&', "an anchor") };
            let help = format!("put it in quotes if it is text: `\"{}\"`", around.value());
            Some(SyntaxHint::new(here, format!("the `{mark}` in {KEY} begins {means}, but no name follows"), help))
        }
        _ => None,
    }
}

/// `listen: [::1]:80`, which begins a list in YAML.
pub(super) fn bracketed_address(line: Line<'_>) -> Option<SyntaxHint> {
    let end = line.text.find("]:")?;
    let open = line.text[..end].rfind('[')?;
    let digits = line.text[end + 2..].bytes().take_while(u8::is_ascii_digit).count();
    let inside = &line.text[open + 1..end];
    let is_address = inside.contains(':') && inside.bytes().all(|byte| byte.is_ascii_hexdigit() || b":.%".contains(&byte));
    if digits == 0 || !is_address || line.text[..open].ends_with(['"', '\'']) {
        return None;
    }
    let beginning = line.end() - line.text.len();
    let place = beginning + open..beginning + end + 2 + digits;
    let help = format!("put the address in quotes: `\"{}\"`", &line.text[open..end + 2 + digits]);
    let repair = vec![(place.start..place.start, "\"".to_owned()), (place.end..place.end, "\"".to_owned())];
    Some(SyntaxHint::new(place, format!("a `[` begins a list, but {KEY} takes an address"), help).repaired(repair))
}

impl ErrorSite<'_> {
    /// The value that begins where the parser stopped.
    fn value(&self) -> &str {
        let rest = &self.source[self.at..];
        let end = rest.find(['\n', ',', ']', '}', '"']).unwrap_or(rest.len());
        let value = rest[..end].trim_end();
        if value.chars().count() > 40 || self.here.text.contains('=') { "…" } else { value }
    }
}

/// The unknown tag that ends at `at`.
pub(in crate::config::yaml) fn tag(source: &str, at: usize) -> Option<SyntaxHint> {
    let line = source[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let start = line + source[line..at].rfind('!')?;
    let start = start - usize::from(source[..start].ends_with('!'));
    let end = start + source[start..].find(char::is_whitespace)?;
    let message = format!("the YAML tag `{}` in {KEY} is not supported", shortened(&source[start..end]));
    Some(SyntaxHint::new(start..end, message, "remove it; if the value itself begins with a `!`, put it in quotes"))
}

/// An alias without an anchor: misspelled, or a text that begins with `*`.
pub(in crate::config::yaml) fn unknown_alias(source: &str, at: usize) -> SyntaxHint {
    let rest = &source[at..];
    let length = rest.find(|char: char| char.is_whitespace() || ",[]{}".contains(char)).unwrap_or(rest.len());
    let name = rest[..length].trim_start_matches('*');
    let anchors =
        source[..at].split(|char: char| char.is_whitespace() || ",[]{}".contains(char)).filter_map(|word| word.strip_prefix('&'));
    let help = match nearest(name, anchors) {
        Some(near) => format!("did you mean `*{near}`?"),
        None => format!("a `*` begins an alias: put the value in quotes if it is text, `\"*{}\"`", shortened(name)),
    };
    SyntaxHint::new(at..at + length, format!("there is no anchor `&{}` above the alias in {KEY}", shortened(name)), help)
}

/// A merge key with an alias of something other than a map; the parser reports the anchor's place.
pub(in crate::config::yaml) fn merge(source: &str, at: usize) -> Option<SyntaxHint> {
    let anchor = source[..at].rfind('&')?;
    let name = source[anchor + 1..at].split_whitespace().next()?;
    let alias = format!("*{name}");
    let is_whole = |from: usize| !source[from..].starts_with(|char: char| char.is_alphanumeric() || "_-.".contains(char));
    let mut uses = source[at..].match_indices(&alias).map(|(offset, _)| at + offset);
    let place = uses.find(|&start| {
        let line = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        source[line..start].contains("<<") && is_whole(start + alias.len())
    })?;
    let message = format!("`<<`{OWNER} takes a map, but `{alias}` is not a map");
    let hint = SyntaxHint::new(place..place + alias.len(), message, "put the anchor before a map, or use another alias");
    Some(hint.also(anchor..anchor + 1 + name.len(), format!("`{alias}` refers to this value")))
}

fn shortened(name: &str) -> String {
    if name.chars().count() > 40 { name.chars().take(40).chain(['…']).collect() } else { name.to_owned() }
}

/// `"C:\Users"`, `"\d+"`
fn backslash(around: &ErrorSite<'_>) -> Option<SyntaxHint> {
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
    Some(SyntaxHint::new(found, format!("`{escape}` in {KEY} is not a YAML escape"), help))
}

/// Text after a closing quote.
fn behind_quote(around: &ErrorSite<'_>, here: Range<usize>) -> SyntaxHint {
    let before = around.source[..around.at].trim_end();
    let gap = around.at - before.len();
    let next = around.source[around.at..].chars().next().unwrap_or(' ');
    let in_brackets = around.here.text.contains(['[', '{']);
    if matches!(next, '"' | '\'') && gap > 0 && in_brackets {
        let end = before.len();
        return SyntaxHint::new(here, format!("a `,` is missing in {KEY}"), "write a `,` between the items")
            .also(end - 1..end, "after this");
    }
    if next.is_alphanumeric() && gap == 0 && before.ends_with('\'') && before.len() > 1 {
        let here = around.at - 1..around.at;
        return SyntaxHint::new(
            here,
            format!("the `'` within {KEY} closes it"),
            "write `''` for a `'` in single quotes, or use double quotes",
        );
    }
    let message = format!("{KEY} ends at its closing quote, but more text follows");
    if in_brackets {
        return SyntaxHint::new(here, message, "write a `,` between the items, or put the whole item in one pair of quotes");
    }
    let line = around.here.item().split_once(": ").map(|(_, value)| value).filter(|value| !is_secret(value));
    if around.here.key() == Some("command")
        && let Some(lines) = line.and_then(|line| definition(line, &[]))
    {
        return SyntaxHint::new(
            here,
            message,
            format!("write the program in `command`, and what follows in `args`:\n{}", lines.join("\n")),
        );
    }
    SyntaxHint::new(here, message, "put the whole value in one pair of quotes")
}

fn unclosed_bracket(place: Range<usize>, open: char) -> SyntaxHint {
    SyntaxHint::new(place, format!("the `{open}` in {KEY} is never closed"), format!("write a `{}` where it ends", closing(open)))
}

/// `{name: redis command: redis-server}`
fn missing_comma(around: &ErrorSite<'_>) -> SyntaxHint {
    let before = &around.source[..around.at];
    let word = before.rfind(|char: char| char.is_whitespace() || ",[{".contains(char)).map_or(0, |at| at + 1);
    let message = match &around.source[word..around.at] {
        key if is_key_name(key) => format!("a `,` is missing before `{key}`{OWNER}"),
        _ => format!("a `,` is missing in {KEY}"),
    };
    SyntaxHint::new(word..around.at, message, "write a `,` between the entries")
}
