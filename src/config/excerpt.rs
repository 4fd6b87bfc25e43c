//! Cuts the source line that a diagnostic shows: cropped, with secret values masked.

use super::diagnostic::Excerpt;
use super::source_map::{SourceMap, SourceSpan, TextId};
use crate::terminal::is_dangerous;
use std::ops::Range;

/// Characters shown before and after the marked part.
const CONTEXT: usize = 120;

/// The excerpt of a span; `None` if its line is empty.
///
/// A span that is a reference (`${NAME}`) is shown even in a masked value: the name is not secret, and the message is
/// about it.
pub(super) fn excerpt(span: SourceSpan, texts: &SourceMap) -> Option<Excerpt> {
    let text = texts.text(span.text);
    let line = texts.line(span.text, texts.position(span).line);
    if text[line.clone()].trim().is_empty() {
        return None;
    }
    let start = span.start().min(line.end);
    let marked = start..span.end().clamp(start, line.end);
    let visible = crop(text, &line, start);
    let mut before = masked(span.text, visible.start..start, texts);
    if visible.start > line.start {
        before.insert(0, '…');
    }
    let place = if is_reference(&text[marked.clone()]) {
        text[marked.clone()].to_owned()
    } else {
        masked(span.text, start..marked.end.min(visible.end), texts)
    };
    let mut after = masked(span.text, marked.end.min(visible.end)..visible.end, texts);
    // In the middle of a masked range, one `…` is enough.
    if place.starts_with('…') && before.ends_with('…') {
        before.pop();
    }
    if place.ends_with('…') && after.starts_with('…') {
        after.remove(0);
    }
    if let Some(quote) = quotes_around(&marked, span.text, texts) {
        before.pop();
        before.push(quote);
        after.replace_range(..'…'.len_utf8(), quote.encode_utf8(&mut [0; 4]));
    }
    if visible.end < line.end {
        after.push('…');
    }
    let (start, length) = (before.chars().count(), place.chars().count().max(1));
    Some(Excerpt { line: before + &place + &after, start, length })
}

/// The quotes around a reference that is the whole of a masked value.
fn quotes_around(marked: &Range<usize>, id: TextId, texts: &SourceMap) -> Option<char> {
    let text = texts.text(id);
    let quote = text[..marked.start].chars().next_back().filter(|quote| matches!(quote, '"' | '\''))?;
    let quoted = marked.start - 1..marked.end + 1;
    let is_whole = is_reference(&text[marked.clone()]) && text[marked.end..].starts_with(quote);
    (is_whole && texts.masked(id, quoted.start.saturating_sub(1)..quoted.end + 1).eq([quoted])).then_some(quote)
}

/// A part of a line, each masked range replaced by one `…`.
fn masked(id: TextId, part: Range<usize>, texts: &SourceMap) -> String {
    let text = texts.text(id);
    let mut shown = String::new();
    let mut at = part.start;
    for masked in texts.masked(id, part.clone()) {
        shown.extend(text[at..masked.start].chars().map(printable));
        shown.push('…');
        at = masked.end;
    }
    shown.extend(text[at..part.end].chars().map(printable));
    shown
}

/// Replaces a control character by one of the same width, so that carets stay aligned. Tabs are kept.
fn printable(char: char) -> char {
    if is_dangerous(char) && char != '\t' { char::REPLACEMENT_CHARACTER } else { char }
}

/// Whether the text is a plain reference to a variable, or the beginning of one.
fn is_reference(marked: &str) -> bool {
    marked.strip_prefix("${").is_some_and(|name| {
        let name = name.strip_suffix('}').unwrap_or(name);
        name.chars().all(|char| char == '_' || char.is_ascii_alphanumeric())
    })
}

/// The part of a line around an offset: bounds the output for lines of megabytes.
fn crop(text: &str, line: &Range<usize>, at: usize) -> Range<usize> {
    let from = text[line.start..at].char_indices().rev().nth(CONTEXT).map_or(line.start, |(from, _)| line.start + from);
    let to = text[at..line.end].char_indices().nth(CONTEXT).map_or(line.end, |(to, _)| at + to);
    from..to
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// The excerpt for the span in square brackets; text in angle brackets is masked.
    fn shown(marked: &str) -> (String, String) {
        let mut text = String::new();
        let (mut opened, mut places, mut masks) = (0, Vec::new(), Vec::new());
        for char in marked.chars() {
            match char {
                '[' | '<' => opened = text.len(),
                ']' => places.push(opened..text.len()),
                '>' => masks.push(opened..text.len()),
                char => text.push(char),
            }
        }
        let mut texts = SourceMap::default();
        let id = texts.add(Path::new("a.yml"), text);
        texts.mask(id, masks);
        let place = places.remove(0);
        let excerpt = excerpt(SourceSpan::new(id, place), &texts).expect("the line isn't empty");
        let caret = " ".repeat(excerpt.start) + &"^".repeat(excerpt.length);
        (excerpt.line, caret)
    }

    #[test]
    fn masked_parts_are_not_shown() {
        for (marked, line, caret) in [
            ("a: [bc]\nd: e", "a: bc", "   ^^"),
            ("x\na: é[ü]", "a: éü", "    ^"),
            ("[A]: <secret> # note", "A: … # note", "^"),
            ("A: <secret> [b]", "A: … b", "     ^"),
            ("a: \t\u{1b}[b]", "a: \t\u{fffd}b", "     ^"),
            ("a: b[]", "a: b", "    ^"),
        ] {
            assert_eq!(shown(marked), (line.to_owned(), caret.to_owned()), "{marked}");
        }
    }

    #[test]
    fn a_reference_is_shown_inside_a_masked_value() {
        let mut texts = SourceMap::default();
        let id = texts.add(Path::new("a.yml"), "A: secret${B}secret".to_owned());
        texts.mask(id, std::iter::once(3..19));
        let at = |start, end| excerpt(SourceSpan::new(id, start..end), &texts).expect("the line isn't empty");
        assert_eq!(at(9, 13), Excerpt { line: "A: …${B}…".to_owned(), start: 4, length: 4 });
        assert_eq!(at(5, 8), Excerpt { line: "A: …".to_owned(), start: 3, length: 1 });
        let id = texts.add(Path::new("b.yml"), "A: \"${B}\", C: \"${B}${B}\"".to_owned());
        texts.mask(id, [3..9, 14..24]);
        let shown = |start| excerpt(SourceSpan::new(id, start..start + 4), &texts).expect("the line isn't empty").line;
        assert_eq!(shown(4), "A: \"${B}\", C: …");
        assert_eq!(shown(15), "A: …, C: …${B}…");
    }

    #[test]
    fn long_lines_are_cropped() {
        let (line, caret) = shown(&format!("{}[b]{}", "a".repeat(1000), "c".repeat(1000)));
        assert!(line.starts_with("…aaa") && line.ends_with("ccc…"), "{line}");
        assert_eq!((line.chars().count(), caret.chars().count()), (243, 123));
    }
}
