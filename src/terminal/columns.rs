//! Texts in the columns of a terminal: how wide they are, cut and wrapped to fit. It knows nothing of what they mean.
//!
//! A width counts columns, not characters: an ideograph takes two, an accent that is put on another character none.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands for what is left out.
const MARK: char = '…';

/// How many columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// A text with blanks behind it, to this width.
pub(crate) fn padded(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// As much of the beginning of a text as fits.
pub(crate) fn cut(text: &str, room: usize) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    format!("{}{MARK}", &text[..fitting(text, room.saturating_sub(1))])
}

/// Beginning and end of a text, as much as fits: what differs is nearer to its end than to its beginning as often as not.
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
        // An accent belongs to what stands before it.
        if char.width() != Some(0) {
            end = at;
        }
    }
    format!("{}{MARK}{}", &text[..fitting(text, half)], &text[end..])
}

/// A text in lines of at most this width, broken between words; a word that is longer is broken within.
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

/// How many bytes of the beginning of a text fit.
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
    fn columns_are_counted_and_not_characters() {
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
