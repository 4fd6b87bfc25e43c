//! Quotes and brackets that are never closed. The parser stops where the next one closes them, often many lines later.

use super::lines::{ErrorSite, Line, SyntaxHint, written};
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
    // Where the text ends within a value, the parser is sure that its end is missing.
    let is_at_end = matches!(
        kind,
        ErrorKind::UnclosedQuotedScalar
            | ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::UnexpectedEofFlowSequence
            | ErrorKind::UnexpectedEofFlowMapping
            | ErrorKind::UnexpectedEofImplicitFlowMapping
    );
    lines.filter(Line::has_key_or_dash).find_map(|line| unclosed(line, around.source, is_at_end))
}

/// The quote or bracket that a line opens, if the next entry begins before it is closed, or with `is_at_end`, the text ends.
fn unclosed(line: Line<'_>, source: &str, is_at_end: bool) -> Option<SyntaxHint> {
    let mut scan = Scan::default();
    let value = line.text.len() - line.key().map_or(line.item().len(), |key| line.item().len() - key.len() - 1);
    scan.text(line.text.get(value..)?, line.start + value);
    let mut last = line;
    while let Some((place, open)) = scan.open().filter(|_| scan.brackets.len() <= MAX_OPEN) {
        let next = std::iter::successors(last.below(source), |line| line.below(source)).find(Line::has_content);
        let is_outside = |next: &Line<'_>| next.has_key_or_dash() && next.indent() <= line.key_column();
        match next.filter(|next| !is_outside(next)) {
            None if next.is_none() && !is_at_end => return None,
            None => {
                let hint = scan.hint(line, last, source, place, open);
                // A file that is cut off has one mistake, not one for each bracket.
                return Some(if next.is_none() { hint.repaired(Vec::new()) } else { hint });
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
    /// Where the text read so far ends, without a comment.
    end: usize,
}

impl Scan {
    /// The innermost quote or bracket that is open, and its place.
    fn open(&self) -> Option<(usize, char)> {
        self.quote.or_else(|| self.brackets.last().copied())
    }

    /// Reads on, in a text that begins at `start`.
    fn text(&mut self, text: &str, start: usize) {
        self.end = start + text.len();
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
                (None, '#') if begins_token || text[..at].ends_with(char::is_whitespace) => {
                    self.end = start + text[..at].trim_end().len();
                    return;
                }
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
    /// Says where to close what is open at `place`, and shows the finished line if it is short and no secret.
    fn hint(&self, line: Line<'_>, last: Line<'_>, source: &str, place: usize, open: char) -> SyntaxHint {
        let close = closing(open);
        let what = match open {
            '[' => "list",
            '{' => "map",
            _ => "text",
        };
        let is_alone = last.start == line.start;
        let mut end = self.end;
        if self.quote.is_some() && !self.brackets.is_empty() {
            // A text ends before the next item, and before the brackets around it.
            let comma = source[place..end].find(',').filter(|_| is_alone);
            let closers = source[..end].bytes().rev().take_while(|byte| b"]}".contains(byte)).count();
            end = comma.map_or(end - closers.min(self.brackets.len()), |length| place + length);
        }
        let finished = line.key().filter(|_| is_alone).map(|key| {
            let value = line.end() - line.item().len() + line.item().find(':').map_or(0, |colon| colon + 1);
            let mut finished = format!("{}{close}{}", &source[value..end], &source[end..self.end]);
            let mut scan = Scan::default();
            scan.text(&finished, 0);
            finished.truncate(scan.end);
            finished.extend(scan.brackets.iter().rev().map(|&(_, open)| closing(open)));
            written(key, &finished)
        });
        let place_of_end = match finished.filter(|finished| !finished.ends_with('…')) {
            Some(finished) => format!(": `{finished}`"),
            None if !is_alone => format!(", on line {}", source[..end].matches('\n').count() + 1),
            None if end < self.end => format!(", before the `{}`", &source[end..=end]),
            None => String::new(),
        };
        let help = format!("write a `{close}` at the end of the {what}{place_of_end}");
        let message = format!("the `{open}` in {KEY} is never closed");
        SyntaxHint::new(place..place + 1, message, help).inserting(end, close)
    }
}

/// What closes a quote or bracket.
pub(super) fn closing(open: char) -> char {
    match open {
        '[' => ']',
        '{' => '}',
        quote => quote,
    }
}
