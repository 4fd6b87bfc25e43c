//! A table for people: columns as wide as what stands in them, the last one cut where the terminal ends.

use unicode_width::UnicodeWidthStr;

/// Writes rows below a head; `width`: of the terminal, if it is one.
pub(super) fn table(head: &[&str], rows: &[Vec<String>], width: Option<usize>) -> String {
    let columns = head.len();
    let widest = |column: usize| {
        let cells = rows.iter().map(|row| row[column].width());
        cells.chain([head[column].width()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(widest).collect();
    let head: Vec<String> = head.iter().map(|word| (*word).to_owned()).collect();
    std::iter::once(&head).chain(rows).map(|row| line(row, &widths, width)).collect()
}

fn line(row: &[String], widths: &[usize], width: Option<usize>) -> String {
    let mut text = String::new();
    for (cell, width) in row.iter().zip(widths) {
        text.push_str(cell);
        text.extend(std::iter::repeat_n(' ', width - cell.width() + 2));
    }
    shortened(text.trim_end(), width) + "\n"
}

/// As much of a text as fits, with a mark at its end if that isn't all.
pub(super) fn shortened(text: &str, width: Option<usize>) -> String {
    let Some(width) = width.filter(|&width| text.width() > width) else { return text.to_owned() };
    let mut short = String::new();
    for char in text.chars() {
        short.push(char);
        if short.width() + 1 > width {
            short.pop();
            break;
        }
    }
    short + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_stands_in_them_and_lines_as_the_terminal() {
        let rows = [vec!["a".to_owned(), "a long reason".to_owned()], vec!["wide".to_owned(), "é".to_owned()]];
        assert_eq!(table(&["N", "WHY"], &rows, None), "N     WHY\na     a long reason\nwide  é\n");
        assert_eq!(table(&["N", "WHY"], &rows, Some(12)), "N     WHY\na     a lon…\nwide  é\n");
    }
}
