//! Renders diagnostics as text: places, source lines with carets, help.
//!
//! Every place of a problem has its own line, which begins with `file:line:column:`: editors and terminals turn it into a link.
//! If the [`TerminalStyle`] has a width, source lines are cut around the caret and sentences are wrapped.

use super::diagnostic::{Diagnostic, Excerpt, Label, Severity};
use crate::terminal::{TerminalStyle, escape};
use std::path::Path;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const ERROR: &str = "1;31";
const WARNING: &str = "1;33";
const NOTE: &str = "1;34";
const HELP: &str = "1;36";

/// The text of a diagnostic, ending in a line break.
pub fn render(diagnostic: &Diagnostic, terminal: TerminalStyle) -> String {
    let Diagnostic { severity, file, line, column, message, help, labels, excerpt, .. } = diagnostic;
    let (word, style) = match severity {
        Severity::Error => ("error", ERROR),
        Severity::Warning => ("warning", WARNING),
    };
    let mut lines = place_lines((file, *line, *column), (word, style), message, terminal);
    lines.extend(excerpt_lines(*line, excerpt.as_ref(), style, terminal));
    for Label { file, line, column, message, excerpt, .. } in labels {
        lines.extend(place_lines((file, *line, *column), ("note", NOTE), message, terminal));
        lines.extend(excerpt_lines(*line, excerpt.as_ref(), NOTE, terminal));
    }
    lines.extend(help.iter().flat_map(|help| help_lines(help, terminal)));
    lines.push(String::new());
    lines.join("\n")
}

/// The text of all diagnostics, and how many errors were left out.
pub fn render_all(diagnostics: &[Diagnostic], omitted: usize, terminal: TerminalStyle) -> String {
    let mut out: String = diagnostics.iter().map(|diagnostic| render(diagnostic, terminal)).collect();
    if omitted > 0 {
        out.extend(["and ", &omitted.to_string(), " more\n"]);
    }
    out
}

fn place_lines(place: (&Path, usize, usize), (word, style): (&str, &str), message: &str, terminal: TerminalStyle) -> Vec<String> {
    let (file, line, column) = place;
    let place = format!("{}:{line}:{column}:", escape(&file.to_string_lossy()));
    let mut lines = wrapped(&escape(message), place.width() + word.len() + 3, 4, terminal.width());
    let first = format!("{place} {} {}", terminal.painted(&format!("{word}:"), style), lines[0]);
    first.trim_end().clone_into(&mut lines[0]);
    lines
}

/// What to write instead. Only the first line may be wrapped; the others are code.
fn help_lines(help: &str, terminal: TerminalStyle) -> Vec<String> {
    const INDENT: usize = "  help: ".len();
    let mut help_text = help.lines().map(escape);
    let mut lines = wrapped(&help_text.next().unwrap_or_default(), INDENT, INDENT, terminal.width());
    let first = format!("  {} {}", terminal.painted("help:", HELP), lines[0]);
    first.trim_end().clone_into(&mut lines[0]);
    lines.extend(help_text.map(|line| format!("{}{line}", " ".repeat(INDENT))));
    lines
}

/// Wraps a sentence. The first line begins after `start_column` columns, the others are indented. A word that is wider than a line stays
/// in one piece.
fn wrapped(text: &str, start_column: usize, indent: usize, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = start_column;
    for (index, word) in words(text).into_iter().enumerate() {
        let gap = if index == 0 { "" } else { " " };
        if used + gap.len() + word.width() <= width {
            lines.last_mut().expect("there is a first line").extend([gap, word]);
            used += gap.len() + word.width();
        } else {
            lines.push(" ".repeat(indent) + word);
            used = indent + word.width();
        }
    }
    lines
}

/// The parts between which a sentence may be wrapped: words, and short quotations in backticks.
fn words(text: &str) -> Vec<&str> {
    const MAX: usize = 40;
    let mut words = Vec::new();
    let mut start = 0;
    for (at, _) in text.match_indices(' ') {
        let inside = text[start..at].matches('`').count() % 2 == 1;
        let end = text[at..].find('`').map_or(usize::MAX, |length| at + length);
        if !inside || end.saturating_sub(start) > MAX {
            words.push(&text[start..at]);
            start = at + 1;
        }
    }
    words.push(&text[start..]);
    words
}

/// The source line, and below it a caret under every character of the place.
fn excerpt_lines(line: usize, excerpt: Option<&Excerpt>, style: &str, terminal: TerminalStyle) -> Vec<String> {
    let Some(excerpt) = excerpt else { return Vec::new() };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let ExcerptWindow { line, start, length } =
        excerpt_window(excerpt, terminal.width().saturating_sub(number.len() + "   | ".len()));
    let before: String = line[..start].iter().map(|&char| padding(char)).collect();
    let carets = "^".repeat(line[start..].iter().take(length).map(|&char| columns(char)).sum::<usize>().max(1));
    let shown: String = line.into_iter().collect();
    vec![format!("  {number} | {shown}"), format!("  {margin} | {before}{}", terminal.painted(&carets, style))]
}

/// The padding below a character without a caret. A tab stays a tab, so that the caret is in the right column at any tab width.
fn padding(char: char) -> String {
    if char == '\t' { "\t".to_owned() } else { " ".repeat(char.width().unwrap_or(0)) }
}

/// How many columns a character takes. Under a tab, one caret is enough.
fn columns(char: char) -> usize {
    char.width().unwrap_or(usize::from(char == '\t'))
}

/// The visible part of a source line.
struct ExcerptWindow {
    line: Vec<char>,
    start: usize,
    length: usize,
}

/// The part of a line around its place that fits into `room` columns.
fn excerpt_window(excerpt: &Excerpt, room: usize) -> ExcerptWindow {
    let line: Vec<char> = excerpt.line.chars().collect();
    let width_of = |chars: &[char]| chars.iter().map(|&char| if char == '\t' { 8 } else { columns(char) }).sum::<usize>();
    let end = (excerpt.start + excerpt.length).min(line.len());
    if width_of(&line) <= room {
        return ExcerptWindow { length: end.saturating_sub(excerpt.start), start: excerpt.start.min(line.len()), line };
    }
    // Room for a `…` at either end.
    let room = room.saturating_sub(2);
    let place = width_of(&line[excerpt.start..end]).min(room);
    // Begin at the start of the line if the place is visible from there.
    let before = if width_of(&line[..excerpt.start]) + place <= room { usize::MAX } else { (room - place) / 2 };
    let mut from = excerpt.start;
    let mut used = 0;
    while from > 0 && used + width_of(&line[from - 1..from]) <= before {
        from -= 1;
        used += width_of(&line[from..=from]);
    }
    let mut to = excerpt.start;
    while to < line.len() && used + width_of(&line[to..=to]) <= room {
        used += width_of(&line[to..=to]);
        to += 1;
    }
    let ellipsis = |is_cut: bool| is_cut.then_some('…');
    let visible: Vec<char> =
        ellipsis(from > 0).into_iter().chain(line[from..to].iter().copied()).chain(ellipsis(to < line.len())).collect();
    let start = excerpt.start - from + usize::from(from > 0);
    ExcerptWindow { line: visible, start, length: end.min(to) - excerpt.start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three", 0, 2, 9), ["one two", "  three"]);
        assert_eq!(wrapped("one two three", 6, 2, 9), ["one", "  two", "  three"]);
        assert_eq!(wrapped("one", 8, 2, 9), ["", "  one"]);
        assert_eq!(wrapped("incomprehensible word", 0, 2, 9), ["", "  incomprehensible", "  word"]);
        assert_eq!(wrapped("one  two", 0, 2, 90), ["one  two"]);
        assert_eq!(wrapped("", 0, 2, 9), [""]);
        assert_eq!(wrapped("a `b c` d", 0, 2, 6), ["a", "  `b c`", "  d"]);
        assert_eq!(wrapped("a `b c", 0, 2, 4), ["a `b", "  c"]);
        assert_eq!(wrapped("日本 日本", 0, 2, 9), ["日本 日本"]);
        assert_eq!(wrapped("日本 日本", 0, 2, 8), ["日本", "  日本"]);
    }

    #[test]
    fn lines_are_cut_around_the_place() {
        let shown = |line: &str, start, length, room| {
            let ExcerptWindow { line, start, length } = excerpt_window(&Excerpt { line: line.to_owned(), start, length }, room);
            (line.into_iter().collect::<String>(), " ".repeat(start) + &"^".repeat(length))
        };
        let of = |line: &str, carets: &str| (line.to_owned(), carets.to_owned());
        assert_eq!(shown("abcdefghij", 2, 3, 10), of("abcdefghij", "  ^^^"));
        assert_eq!(shown("abcdefghij", 2, 3, 9), of("abcdefg…", "  ^^^"));
        assert_eq!(shown("abcdefghij", 8, 2, 8), of("…ghij", "   ^^"));
        assert_eq!(shown("abcdefghijklmnopqrst", 10, 2, 8), of("…ijklmn…", "   ^^"));
        assert_eq!(shown("abcdefghij", 2, 8, 6), of("…cdef…", " ^^^^"));
        assert_eq!(shown("日本日本日本", 3, 1, 8), of("…日本日…", "  ^"));
    }
}
