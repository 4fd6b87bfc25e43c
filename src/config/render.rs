//! Diagnostics as people read them: places, source lines with carets, help. It decides no words, only where they stand.
//!
//! Every place of a problem has a line of its own that begins with `file:line:column:`, which editors and terminals turn
//! into a link. Source lines are cut around the caret, sentences go on in the next line, if a [`TerminalStyle`] has a width.

use super::diagnostic::{Diagnostic, Excerpt, Label, Severity};
use crate::terminal::{TerminalStyle, escape};
use std::path::Path;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const ERROR: &str = "1;31";
const WARNING: &str = "1;33";
const NOTE: &str = "1;34";
const HELP: &str = "1;36";

/// The text of a diagnostic for people, ending in a line break.
pub fn render(diagnostic: &Diagnostic, look: TerminalStyle) -> String {
    let Diagnostic { severity, file, line, column, message, help, labels, excerpt, .. } = diagnostic;
    let (word, style) = match severity {
        Severity::Error => ("error", ERROR),
        Severity::Warning => ("warning", WARNING),
    };
    let mut lines = place_lines((file, *line, *column), (word, style), message, look);
    lines.extend(excerpt_lines(*line, excerpt.as_ref(), style, look));
    for Label { file, line, column, message, excerpt, .. } in labels {
        lines.extend(place_lines((file, *line, *column), ("note", NOTE), message, look));
        lines.extend(excerpt_lines(*line, excerpt.as_ref(), NOTE, look));
    }
    lines.extend(help.iter().flat_map(|help| help_lines(help, look)));
    lines.push(String::new());
    lines.join("\n")
}

/// All diagnostics, and how many errors were left out.
pub fn render_all(diagnostics: &[Diagnostic], omitted: usize, look: TerminalStyle) -> String {
    let mut out: String = diagnostics.iter().map(|diagnostic| render(diagnostic, look)).collect();
    if omitted > 0 {
        out.extend(["and ", &omitted.to_string(), " more\n"]);
    }
    out
}

fn place_lines(place: (&Path, usize, usize), (word, style): (&str, &str), message: &str, look: TerminalStyle) -> Vec<String> {
    let (file, line, column) = place;
    let place = format!("{}:{line}:{column}:", escape(&file.to_string_lossy()));
    let mut lines = wrapped(&escape(message), place.width() + word.len() + 3, 4, look.width());
    let first = format!("{place} {} {}", look.painted(&format!("{word}:"), style), lines[0]);
    first.trim_end().clone_into(&mut lines[0]);
    lines
}

/// What to write instead. Only the first line is a sentence that may be broken; others are written out as they are meant.
fn help_lines(help: &str, look: TerminalStyle) -> Vec<String> {
    const INDENT: usize = "  help: ".len();
    let mut given = help.lines().map(escape);
    let mut lines = wrapped(&given.next().unwrap_or_default(), INDENT, INDENT, look.width());
    let first = format!("  {} {}", look.painted("help:", HELP), lines[0]);
    first.trim_end().clone_into(&mut lines[0]);
    lines.extend(given.map(|line| format!("{}{line}", " ".repeat(INDENT))));
    lines
}

/// A sentence in lines of a width, the first of which begins behind `taken` columns; the others are indented. A word that is
/// wider than a line is left whole.
fn wrapped(text: &str, taken: usize, indent: usize, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut used = taken;
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

/// The parts that a sentence may be broken between: words, and what stands in backticks as long as it isn't long.
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
fn excerpt_lines(line: usize, excerpt: Option<&Excerpt>, style: &str, look: TerminalStyle) -> Vec<String> {
    let Some(excerpt) = excerpt else { return Vec::new() };
    let number = line.to_string();
    let margin = " ".repeat(number.len());
    let Cut { line, start, length } = cut(excerpt, look.width().saturating_sub(number.len() + "   | ".len()));
    let before: String = line[..start].iter().map(|&char| blank(char)).collect();
    let carets = "^".repeat(line[start..].iter().take(length).map(|&char| columns(char)).sum::<usize>().max(1));
    let shown: String = line.into_iter().collect();
    vec![format!("  {number} | {shown}"), format!("  {margin} | {before}{}", look.painted(&carets, style))]
}

/// What stands below a character that has no caret. A tab stays a tab, so that the caret stands right however wide a terminal
/// makes it.
fn blank(char: char) -> String {
    if char == '\t' { "\t".to_owned() } else { " ".repeat(char.width().unwrap_or(0)) }
}

/// How many columns a character takes; a tab at most eight, and under a tab itself one caret is enough.
fn columns(char: char) -> usize {
    char.width().unwrap_or(usize::from(char == '\t'))
}

/// What is seen of a source line.
struct Cut {
    line: Vec<char>,
    start: usize,
    length: usize,
}

/// The part of a line around its place that fits into so many columns.
fn cut(excerpt: &Excerpt, room: usize) -> Cut {
    let line: Vec<char> = excerpt.line.chars().collect();
    let width_of = |chars: &[char]| chars.iter().map(|&char| if char == '\t' { 8 } else { columns(char) }).sum::<usize>();
    let end = (excerpt.start + excerpt.length).min(line.len());
    if width_of(&line) <= room {
        return Cut { length: end.saturating_sub(excerpt.start), start: excerpt.start.min(line.len()), line };
    }
    // Room for a mark at either end.
    let room = room.saturating_sub(2);
    let place = width_of(&line[excerpt.start..end]).min(room);
    // As long as the place is seen from the beginning of the line, that is where people look.
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
    let mark = |is_cut: bool| is_cut.then_some('…');
    let seen: Vec<char> = mark(from > 0).into_iter().chain(line[from..to].iter().copied()).chain(mark(to < line.len())).collect();
    let start = excerpt.start - from + usize::from(from > 0);
    Cut { line: seen, start, length: end.min(to) - excerpt.start }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_between_words() {
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
            let Cut { line, start, length } = cut(&Excerpt { line: line.to_owned(), start, length }, room);
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
