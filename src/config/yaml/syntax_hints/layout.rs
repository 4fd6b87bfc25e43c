//! Mistakes of layout: wrong columns, and missing or extra colons.

use super::lines::{ErrorSite, Line, SyntaxHint, is_key_name, written};
use granit_parser::ErrorKind;

pub(super) fn hint(around: &ErrorSite<'_>, kind: &ErrorKind) -> Option<SyntaxHint> {
    match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            missing_colon_above(around).or_else(|| too_deep(around)).or_else(|| colon_in_value(around))
        }
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => missing_colon(around.here),
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
fn missing_colon(line: Line<'_>) -> Option<SyntaxHint> {
    let content = line.item();
    let (key, rest) = content.split_once(' ').unwrap_or((content, ""));
    (is_key_name(key) && line.key().is_none()).then(|| {
        let help = if rest.is_empty() {
            format!("write `{key}: …`, or `- {key}` for an item of a list")
        } else {
            format!("write `{}`", written(key, rest))
        };
        SyntaxHint::new(line.word(), format!("a `:` is missing after `{key}`"), help)
    })
}

/// `managed_processes` alone, above its value.
fn missing_colon_above(around: &ErrorSite<'_>) -> Option<SyntaxHint> {
    let above = around.above.filter(|above| above.indent() < around.here.indent() && above.key().is_none())?;
    let word = above.item();
    is_key_name(word)
        .then(|| SyntaxHint::new(above.word(), format!("a `:` is missing after `{word}`"), format!("write `{word}:`")))
}

/// A key that is indented deeper than the one above, which has a value already.
fn too_deep(around: &ErrorSite<'_>) -> Option<SyntaxHint> {
    let (here, above) = (around.here, around.above?);
    let (key, upper) = (here.key()?, above.key()?);
    let has_value = above.item().len() > upper.len() + 2;
    let is_first_colon = around.at <= here.word().end + 1;
    (has_value && is_first_colon && here.key_column() > above.key_column()).then(|| {
        let help = format!("begin it below `{upper}`, after {}", spaces(above.key_column()));
        SyntaxHint::new(here.word(), format!("`{key}` is indented deeper than `{upper}` above it"), help)
            .also(above.word(), "which has a value already")
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
        "a value without quotes can't contain a `:` with a space after it",
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
    Some(SyntaxHint::new(dash..dash + 1, "a list can't begin on the line of its key", help))
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
            let help = format!("write every `-` of a list in one column: here after {}", spaces(line.indent()));
            let upper = line.start + line.indent();
            return Some(
                SyntaxHint::new(start..start + 1, "this `-` is not below the one before it", help)
                    .also(upper..upper + 1, "the list goes on from here"),
            );
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
    (here.key_column() < above.key_column()).then(|| {
        let help = format!("begin it below `{upper}`, after {}", spaces(above.key_column()));
        SyntaxHint::new(here.word(), format!("`{key}` is not aligned with `{upper}` or any other key above it"), help)
    })
}

fn spaces(count: usize) -> String {
    if count == 1 { "1 space".to_owned() } else { format!("{count} spaces") }
}
