//! Measures, cuts and wraps text by terminal columns.
//!
//! A width counts columns, not characters: an ideograph takes two, a combining accent none.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Marks omitted text.
const MARK: char = '…';

/// The width of a text.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Pads a text with spaces to this width.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// Cuts a text at its end to this width.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    format!("{}{MARK}", &text[..fitting(text, room.saturating_sub(1))])
}

/// Cuts a text in its middle to this width: differences are often near the end.
pub(crate) fn cut_within(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let half = room.saturating_sub(1) / 2;
    let mut end = text.len();
    for (at, char) in text.char_indices().rev() {
        if width(&text[at..]) > half {
            break;
        }
        // A combining accent belongs to the character before it.
        if char.width() != Some(0) {
            end = at;
        }
    }
    format!("{}{MARK}{}", &text[..fitting(text, half)], &text[end..])
}

/// Wraps a text between words; a word that is too long is broken.
pub(crate) fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for (place, mut word) in text.split(' ').enumerate() {
        if place > 0 && width(&line) + 1 + width(word) <= room {
            line.push(' ');
            line.push_str(word);
            continue;
        }
        if place > 0 {
            lines.push(std::mem::take(&mut line));
        }
        while width(word) > room {
            let (start, rest) = word.split_at(fitting(word, room).max(first_length(word)));
            if rest.is_empty() {
                break;
            }
            lines.push(start.to_owned());
            word = rest;
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// The length in bytes of the longest prefix that fits.
fn fitting(text: &str, room: usize) -> usize {
    let ends = text.char_indices().map(|(at, char)| at + char.len_utf8());
    ends.take_while(|end| width(&text[..*end]) <= room).last().unwrap_or(0)
}

fn first_length(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_counts_columns_not_characters() {
        assert_eq!(["web", "é", "e\u{301}", "数据"].map(width), [3, 1, 1, 4]);
        assert_eq!(padded("数据", 6), "数据  ");
        assert_eq!(cut("数据库", 4), "数…");
        assert_eq!(cut("数据库", 6), "数据库");
        assert_eq!(cut_within("数据库的名字", 7), "数…字");
        assert_eq!(cut_within("cafe\u{301}, cafe\u{301}", 7), "caf…afe\u{301}");
    }

    #[test]
    fn words_stay_whole_where_they_fit() {
        assert_eq!(wrapped("waits for redis: not ready", 12), ["waits for", "redis: not", "ready"]);
        assert_eq!(wrapped("a abcdefgh b", 4), ["a", "abcd", "efgh", "b"]);
        assert_eq!(wrapped("数据库", 1), ["数", "据", "库"]);
        assert_eq!(wrapped("", 10), [""]);
        assert_eq!(wrapped("  two blanks", 20), ["  two blanks"]);
    }
}
