//! Indentation with tabs, and how many spaces to write instead.

use super::lines::{ErrorSite, Line, SyntaxHint, spaces_before};
use crate::config::fields::is_field;
use crate::config::subject::KEY;
use crate::config::top::is_top_key;

/// The most lines with tabs that are reported.
const MAX_TABS: usize = 100;
/// Number of lines above a line that are examined, and depth of the chain of lines with tabs.
const EXAMINED: usize = 500;

/// A hint for each line that is indented with tabs, if one is near the error.
pub(super) fn hints(around: &ErrorSite<'_>) -> Vec<SyntaxHint> {
    let source = around.source;
    let Some(first) = around.first_line(|line| tab(line).is_some()) else { return Vec::new() };
    let below = std::iter::successors(first.below(source), |line| line.below(source)).filter(Line::has_key_or_dash);
    std::iter::once(first).chain(below).filter_map(|line| hint(line, source)).take(MAX_TABS).collect()
}

/// Where the first tab before the content of a line is.
fn tab(line: Line<'_>) -> Option<usize> {
    let blank = line.text.len() - line.text.trim_start_matches([' ', '\t', '-']).len();
    line.text[..blank].find('\t')
}

fn hint(line: Line<'_>, source: &str) -> Option<SyntaxHint> {
    let tab = tab(line)?;
    let content = IndentedLine::of(line);
    let help = if tab > content.indent.len() {
        "write a space instead of the tab".to_owned()
    } else {
        match content.column(source, EXAMINED) {
            Some(column) => {
                let key = content.key.filter(|_| content.dashes.is_empty()).map(|key| format!("`{key}`"));
                let what = key.unwrap_or_else(|| if content.dashes.is_empty() { "the text" } else { "the `-`" }.to_owned());
                spaces_before(&what, column) + " instead"
            }
            None => "indent it with spaces, as the lines above".to_owned(),
        }
    };
    let place = line.start + tab;
    Some(SyntaxHint::new(place..place + 1, format!("{KEY} is indented with a tab"), help))
}

/// A line with its parts: indentation, dashes, key.
#[derive(Clone, Copy)]
struct IndentedLine<'s> {
    line: Line<'s>,
    indent: &'s str,
    /// The dashes of list items, with the blanks after them.
    dashes: &'s str,
    key: Option<&'s str>,
}

impl<'s> IndentedLine<'s> {
    fn of(line: Line<'s>) -> IndentedLine<'s> {
        let content = line.text.trim_start();
        let mut inner = content;
        while let Some(rest) = inner.strip_prefix('-').filter(|rest| rest.starts_with([' ', '\t'])) {
            inner = rest.trim_start();
        }
        let dashes = &content[..content.len() - inner.len()];
        IndentedLine { line, indent: &line.text[..line.indent()], dashes, key: inner.split_once(':').map(|(key, _)| key) }
    }

    fn is_field(&self) -> bool {
        self.key.is_some_and(is_field)
    }

    fn above(self, source: &'s str) -> impl Iterator<Item = IndentedLine<'s>> {
        std::iter::successors(self.line.above(source), |line| line.above(source)).take(EXAMINED).map(IndentedLine::of)
    }

    /// Where the content should begin, by the lines above. `depth` limits the recursion.
    fn column(self, source: &'s str, depth: usize) -> Option<usize> {
        if !self.indent.contains('\t') {
            return Some(self.indent.len());
        }
        let depth = depth.checked_sub(1)?;
        let nearest = self.above(source).next()?;
        if nearest.line.text.ends_with(':') {
            return Some(nearest.key_column(source, depth)? + 2);
        }
        if self.key.is_some_and(|key| is_top_key(key) && !is_field(key)) {
            return Some(0);
        }
        if !self.dashes.is_empty() {
            let is_sibling = |other: &IndentedLine<'_>| other.indent == self.indent || self.is_field() && other.is_field();
            return self.above(source).filter(|other| !other.dashes.is_empty()).find(is_sibling)?.column(source, depth);
        }
        // A dash takes the place of a space.
        let is_sibling = |other: &IndentedLine<'_>| {
            other.indent.len() + other.dashes.len() == self.indent.len()
                && self.indent.ends_with(&other.dashes.replace('-', " "))
                && self.indent.starts_with(other.indent)
        };
        let begins_process = |other: &IndentedLine<'_>| !other.dashes.is_empty() && other.is_field();
        let first = self.above(source).find(|other| is_sibling(other) || begins_process(other));
        if let Some(first) = first.filter(|first| is_sibling(first) || self.is_field()) {
            return first.key_column(source, depth);
        }
        if nearest.indent.contains('\t') { None } else { nearest.key_column(source, depth) }
    }

    /// Where the key should begin, behind the dashes.
    fn key_column(self, source: &'s str, depth: usize) -> Option<usize> {
        let has_tab = self.dashes.contains('\t');
        let dashes = if has_tab { 2 * self.dashes.matches('-').count() } else { self.dashes.len() };
        Some(self.column(source, depth)? + dashes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_follow_from_the_lines_above() {
        let text = "managed_processes:
\t- name: a
\t  command: ./a
\t  env:
\t\tPORT: 1
\t\tHOST: b
\t  stop:
\t    signal: INT
\t- name: b
\t\tcommand: ./b
\t\targs:
\t\t- x
\t\t- y
\tapplications:
  - name: c
    ready:
      tcp: x
\tcommand: ./c
  -\tname: d
   \tcommand: ./d
";
        let lines = std::iter::successors(Some(Line::at(text, 0)), |line| line.below(text)).filter(Line::has_content);
        let columns: Vec<Option<usize>> = lines.map(|line| IndentedLine::of(line).column(text, EXAMINED)).collect();
        let expected = [0, 2, 4, 4, 6, 6, 4, 6, 2, 4, 4, 6, 6, 0, 2, 4, 6, 4, 2, 4];
        assert_eq!(columns, expected.map(Some));
    }
}
