//! `$VAR`, `${VAR:-default}` and `$$` of Compose, in our syntax: a variable that isn't set is empty.

use super::context::{ForeignFile, ImportContext};
use super::model::ImportedStack;
use crate::config::{Loose, LooseKind, is_variable};

/// Replaces references in each value by ours.
pub(super) fn interpolate(value: &mut Loose, context: &ImportContext<'_>, stack: &mut ImportedStack, source: &ForeignFile) {
    let line = value.line;
    match &mut value.kind {
        LooseKind::Text(text) => *text = interpolated(text, context, stack, &source.place(line)),
        LooseKind::List(items) => items.iter_mut().for_each(|item| interpolate(item, context, stack, source)),
        LooseKind::Map(entries) => entries.iter_mut().for_each(|(_, value)| interpolate(value, context, stack, source)),
        LooseKind::Null => {}
    }
}

/// A text in our syntax.
fn interpolated(text: &str, context: &ImportContext<'_>, stack: &mut ImportedStack, place: &str) -> String {
    let mut written = String::new();
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        written.push_str(before);
        if let Some(behind) = behind.strip_prefix('$') {
            written.push_str("$$");
            rest = behind;
        } else if let Some((inside, behind)) = behind.strip_prefix('{').and_then(braces) {
            written.push_str(&reference(inside, context, stack, place).unwrap_or_else(|| format!("$${{{inside}}}")));
            rest = behind;
        } else {
            let end = behind.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(behind.len());
            let (name, behind) = behind.split_at(end);
            if is_variable(name) {
                written.extend(["${", name, ":-}"]);
            } else {
                written.extend(["$$", name]);
            }
            rest = behind;
        }
    }
    written + rest
}

/// The longest expression in braces, in characters.
const LONGEST: usize = 1000;

/// What is in braces that were opened, and what follows them.
fn braces(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0;
    let end = text.char_indices().take(LONGEST).find_map(|(at, char)| match char {
        '}' if depth == 0 => Some(at),
        '}' => {
            depth -= 1;
            None
        }
        '{' => {
            depth += 1;
            None
        }
        _ => None,
    })?;
    Some((&text[..end], &text[end + 1..]))
}

/// A reference in our syntax. Defaults may have references, too.
fn reference(inside: &str, context: &ImportContext<'_>, stack: &mut ImportedStack, place: &str) -> Option<String> {
    let end = inside.find(|char: char| !char.is_ascii_alphanumeric() && char != '_').unwrap_or(inside.len());
    let (name, rest) = inside.split_at(end);
    if !is_variable(name) {
        return None;
    }
    let operator = [":-", "-", ":?", "?", ":+", "+"].into_iter().find(|operator| rest.starts_with(operator));
    let Some(operator) = operator else {
        return rest.is_empty().then(|| format!("${{{name}:-}}"));
    };
    let word = interpolated(&rest[operator.len()..], context, stack, place);
    Some(match operator {
        ":-" | "-" => format!("${{{name}{operator}{word}}}"),
        ":+" | "+" => format!("${{{name}:+{word}}}"),
        _ => context.needed_variable(name, stack, place),
    })
}
