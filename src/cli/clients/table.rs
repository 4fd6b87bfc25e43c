//! Tables: columns as wide as their content, lines cut at the width of the terminal.

use crate::terminal::columns::{cut, padded, width};

/// A column: its head, and its minimum width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) head: &'static str,
    pub(super) least: usize,
}

impl Column {
    pub(super) const fn new(head: &'static str) -> Column {
        Column { head, least: 0 }
    }
}

/// The lines of a table: the head, then the rows. `room`: the width of the terminal, if it is one.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>], room: Option<usize>) -> Vec<String> {
    let head: Vec<String> = columns.iter().map(|column| column.head.to_owned()).collect();
    let all = || std::iter::once(&head).chain(rows);
    let widest = |place: usize| all().map(|row| width(&row[place])).max().unwrap_or(0);
    let widths: Vec<usize> = columns.iter().enumerate().map(|(place, column)| widest(place).max(column.least)).collect();
    all().map(|row| line(row, &widths, room)).collect()
}

fn line(row: &[String], widths: &[usize], room: Option<usize>) -> String {
    let cells: Vec<String> = row.iter().zip(widths).map(|(cell, width)| padded(cell, *width)).collect();
    let text = cells.join("  ");
    let text = text.trim_end();
    room.map_or_else(|| text.to_owned(), |room| cut(text, room))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_their_content_and_lines_the_terminal() {
        let columns = [Column { head: "N", least: 5 }, Column::new("WHY")];
        let rows = [vec!["a".to_owned(), "a long reason".to_owned()], vec!["wide".to_owned(), "é".to_owned()]];
        assert_eq!(table(&columns, &rows, None), ["N      WHY", "a      a long reason", "wide   é"]);
        assert_eq!(table(&columns, &rows, Some(12)), ["N      WHY", "a      a lo…", "wide   é"]);
    }
}
