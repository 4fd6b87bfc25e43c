//! Quotes and brackets that are never closed. The parser stops where the next one closes them, often many lines later.

use super::lines::{ErrorSite, Line, SyntaxHint};
use crate::config::subject::KEY;
use granit_parser::ErrorKind;

/// Number of lines above the error that are examined.
const EXAMINED: usize = 500;
/// The most brackets that may be open at once: a text with more has another mistake.
const MAX_OPEN: usize = 64;

pub(super) fn hint(around: &ErrorSite<'_>, kind: &ErrorKind) -> Option<SyntaxHint> {
    // Errors within a single value have other causes.
    if matches!(kind, ErrorKind::UnknownQuotedScalarEscape | ErrorKind::UnexpectedCharacter { .. } | ErrorKind::UnknownAnchor) {
        return None;
    }
    let lines = std::iter::successors(Some(around.here), |line| line.above(around.source)).take(EXAMINED);
    lines.filter(Line::has_key_or_dash).find_map(|line| unclosed(line, around.source))
}

/// The quote or bracket that a line opens, if the next entry begins before it is closed.
fn unclosed(line: Line<'_>, source: &str) -> Option<SyntaxHint> {
    let mut scan = Scan::default();
    let value = line.text.len() - line.key().map_or(line.item().len(), |key| line.item().len() - key.len() - 1);
    scan.text(line.text.get(value..)?, line.start + value);
    let mut last = line;
    while let Some((place, open)) = scan.open().filter(|_| scan.brackets.len() <= MAX_OPEN) {
        let next = std::iter::successors(last.below(source), |line| line.below(source)).find(Line::has_content);
        let is_outside = |next: &Line<'_>| next.has_key_or_dash() && next.indent() <= line.key_column();
        match next.filter(|next| !is_outside(next)) {
            // Its end is not missing, but the parser will say where the text ends.
            None if next.is_none() => return None,
            None => {
                let close = match open {
                    '[' => ']',
                    '{' => '}',
                    quote => quote,
                };
                // A quote ends before the brackets around it.
                let is_quote = scan.quote.is_some();
                let closers = last.text.bytes().rev().take_while(|byte| is_quote && b"]}".contains(byte)).count();
                let end = last.end() - closers.min(scan.brackets.len());
                let hint = SyntaxHint::new(
                    place..place + 1,
                    format!("the `{open}` in {KEY} is never closed"),
                    format!("write a `{close}` at the end of the value"),
                );
                return Some(hint.inserting(end, close));
            }
            Some(next) => {
                scan.text(next.text, next.start);
                last = next;
            }
        }
    }
    None
}

/// What is open in a value.
#[derive(Default)]
struct Scan {
    quote: Option<(usize, char)>,
    brackets: Vec<(usize, char)>,
}

impl Scan {
    /// The innermost quote or bracket that is open, and its place.
    fn open(&self) -> Option<(usize, char)> {
        self.quote.or_else(|| self.brackets.last().copied())
    }

    /// Reads on, in a text that begins at `start`.
    fn text(&mut self, text: &str, start: usize) {
        let mut begins_token = true;
        let mut chars = text.char_indices().peekable();
        while let Some((at, char)) = chars.next() {
            if self.brackets.len() > MAX_OPEN {
                return;
            }
            match (self.quote, char) {
                (Some((_, '"')), '\\') => drop(chars.next()),
                (Some((_, '\'')), '\'') if chars.next_if(|&(_, next)| next == '\'').is_some() => {}
                (Some((_, quote)), char) if char == quote => self.quote = None,
                (Some(_), _) => continue,
                (None, '#') if begins_token || text[..at].ends_with(char::is_whitespace) => return,
                (None, '"' | '\'') if begins_token => self.quote = Some((start + at, char)),
                (None, '[' | '{') if begins_token => self.brackets.push((start + at, char)),
                (None, ']' | '}') => drop(self.brackets.pop()),
                (None, _) => {}
            }
            let is_flow = !self.brackets.is_empty();
            begins_token = char.is_whitespace() && (begins_token || is_flow || text[..at].ends_with(':'))
                || is_flow && matches!(char, '[' | '{' | ',');
        }
    }
}
