//! Mistakes of layout: wrong columns, and missing or extra colons.

use super::lines::{ErrorSite, Line, SyntaxHint, is_key_name, spaces_before, written};
use crate::config::fields::is_field;
use crate::config::subject::{KEY, OWNER};
use crate::config::top::is_top_key;
use granit_parser::ErrorKind;

pub(super) fn hint(around: &ErrorSite<'_>, kind: &ErrorKind) -> Option<SyntaxHint> {
    match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => missing_colon_above(around)
            .or_else(|| around.above.filter(Line::begins_with_field).and_then(|above| missing_colon(above, around.source)))
            .or_else(|| too_deep(around))
            .or_else(|| colon_in_value(around)),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => missing_colon(around.here, around.source),
        ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidIndentation
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::ExpectedDocumentStart => {
            list_behind_key(around).or_else(|| misplaced_dash(around)).or_else(|| not_deep_enough(around))
        }
        _ => None,
    }
}

/// `command redis-server`
fn missing_colon(line: Line<'_>, source: &str) -> Option<SyntaxHint> {
    let content = line.item();
    let (key, rest) = content.split_once(' ').unwrap_or((content, ""));
    (is_key_name(key) && line.key().is_none()).then(|| {
        let has_value_below = || line.below(source).is_some_and(|below| below.indent() > line.key_column());
        let help = if rest.is_empty() && has_value_below() {
            format!("write `{key}:`")
        } else if rest.is_empty() {
            format!("write `{key}: …`, or `- {key}` for an item of a list")
        } else {
            format!("write `{}`", written(key, rest))
        };
        let end = line.word().end;
        SyntaxHint::new(line.word(), format!("a `:` is missing after `{key}`{OWNER}"), help).inserting(end, ":")
    })
}

/// `managed_processes` alone, above its value.
fn missing_colon_above(around: &ErrorSite<'_>) -> Option<SyntaxHint> {
    let above = around.above.filter(|above| above.indent() < around.here.indent() && above.key().is_none())?;
    let word = above.item();
    is_key_name(word).then(|| {
        let end = above.end();
        SyntaxHint::new(above.word(), format!("a `:` is missing after `{word}`"), format!("write `{word}:`")).inserting(end, ":")
    })
}

/// A key that is indented deeper than the one above, which has a value already.
fn too_deep(around: &ErrorSite<'_>) -> Option<SyntaxHint> {
    let (here, above) = (around.here, around.above?);
    let (key, upper) = (here.key()?, above.key()?);
    let has_value = above.item().len() > upper.len() + 2;
    let is_first_colon = around.at <= here.word().end + 1;
    (has_value && is_first_colon && here.key_column() > above.key_column()).then(|| {
        let message = format!("`{key}`{OWNER} is indented deeper than `{upper}` above it, which has a value already");
        SyntaxHint::new(here.word(), message, spaces_before(&format!("`{key}`"), above.key_column()))
            .also(above.word(), "its value is on this line")
            .moving(here, above.key_column(), around.source)
    })
}

/// `command: redis: server`
fn colon_in_value(around: &ErrorSite<'_>) -> Option<SyntaxHint> {
    let here = around.here;
    let key = here.key()?;
    let behind = here.item().split_once(": ").map(|(_, value)| value)?;
    let inner = behind.find(": ").or_else(|| behind.ends_with(':').then(|| behind.len() - 1))?;
    let colon = here.end() - behind.len() + inner;
    let quoted = written(key, &format!("\"{}\"", behind.replace('"', "'")));
    Some(SyntaxHint::new(
        colon..colon + 1,
        format!("{KEY} contains a `:` with a space after it, but has no quotes"),
        format!("put the value in quotes: `{quoted}`"),
    ))
}

/// `args: - a`
fn list_behind_key(around: &ErrorSite<'_>) -> Option<SyntaxHint> {
    let here = around.here;
    let key = here.key()?;
    let value = here.item().split_once(": ")?.1.trim_start();
    let item = value.strip_prefix("- ")?;
    let dash = here.end() - value.len();
    let in_brackets = written(key, &format!("[{item}]"));
    let own_lines = "begin each item on its own line";
    let is_short = !item.contains(": ") && !in_brackets.ends_with('…');
    let help = if is_short { format!("write `{in_brackets}`, or {own_lines}") } else { own_lines.to_owned() };
    Some(SyntaxHint::new(dash..dash + 1, format!("the list of {KEY} can't begin on the line of its key"), help))
}

/// A list item with its dash in another column than those above.
fn misplaced_dash(around: &ErrorSite<'_>) -> Option<SyntaxHint> {
    let here = around.here;
    let is_item = |line: &Line<'_>| line.text.trim_start().starts_with("- ");
    if !is_item(&here) {
        return None;
    }
    let start = here.start + here.indent();
    let mut above = around.above;
    while let Some(line) = above {
        if is_item(&line) && line.indent() != here.indent() {
            let help = spaces_before("this `-`", line.indent());
            let upper = line.start + line.indent();
            let hint = SyntaxHint::new(start..start + 1, format!("the `-` before {KEY} is not below the one before it"), help);
            let hint = hint.also(upper..upper + 1, "the one before it is here");
            return Some(hint.moving(here, line.indent(), around.source));
        }
        above = line.above(around.source);
    }
    None
}

/// A key that is indented less than the ones it belongs to.
fn not_deep_enough(around: &ErrorSite<'_>) -> Option<SyntaxHint> {
    let (here, above) = (around.here, around.above?);
    let key = here.key()?;
    if key == "name" {
        let help = format!("write `- {}`", written("name", here.item().split_once(':')?.1));
        return Some(SyntaxHint::new(here.word(), "a `-` is missing before this process", help));
    }
    let upper = above.key()?;
    if here.text.trim_start() == here.item() && is_top_key(key) && !is_field(key) {
        let hint = SyntaxHint::new(
            here.word(),
            format!("`{key}` belongs at the top of the file, but is indented"),
            spaces_before(&format!("`{key}`"), 0),
        );
        return Some(hint.moving(here, 0, around.source));
    }
    (here.key_column() < above.key_column()).then(|| {
        let (found, expected) = (here.key_column(), above.key_column());
        let message = format!("`{key}`{OWNER} begins {}, but `{upper}` above it {}", after_spaces(found), after_spaces(expected));
        let help = spaces_before(&format!("`{key}`"), expected);
        SyntaxHint::new(here.word(), message, help).moving(here, expected, around.source)
    })
}

fn after_spaces(count: usize) -> String {
    match count {
        0 => "at the beginning of the line".to_owned(),
        1 => "after 1 space".to_owned(),
        _ => format!("after {count} spaces"),
    }
}
