//! `${…}`, compared with a second implementation of the rules in `docs/reference.md` that goes character by character.

use super::files::{process, quoted, text, variables};

pub(crate) fn check(input: &[u8]) {
    let Some(written) = text(input, 2_000) else { return };
    let loaded = process(&format!("args: [{}]", quoted(written))).load();
    let found = loaded.as_ref().map(|loaded| loaded.desired.entries()[0].spec.exec.args[0].value());
    assert_eq!(found.ok(), expand(written).as_deref(), "{written:?}");
}

/// The value of a text; `None` if a reference in it is invalid or has no value.
fn expand(written: &str) -> Option<String> {
    let text: Vec<char> = written.chars().collect();
    let mut reading = Reading { text: &text, at: 0, is_right: true };
    let value = reading.value(0, true);
    reading.is_right.then_some(value)
}

struct Reading<'t> {
    text: &'t [char],
    at: usize,
    is_right: bool,
}

impl Reading<'_> {
    /// The value up to the end or, within a reference, up to the brace that closes it. If it isn't `wanted`, only its form
    /// counts.
    fn value(&mut self, depth: usize, wanted: bool) -> String {
        let mut value = String::new();
        while let Some(&char) = self.text.get(self.at) {
            if char == '}' && depth > 0 {
                break;
            }
            if self.begins_with("$$") {
                self.at += 2;
                value.push('$');
            } else if self.begins_with("${") {
                self.braces(depth, wanted, &mut value);
            } else {
                self.at += 1;
                value.push(char);
            }
        }
        value
    }

    fn braces(&mut self, depth: usize, wanted: bool, value: &mut String) {
        let start = self.at;
        let is_word = |char: &&char| char.is_ascii_alphanumeric() || **char == '_';
        let name: String = self.text[start + 2..].iter().take_while(is_word).collect();
        self.at = start + 2 + name.len();
        let operator = ["}", ":-", "-", ":?", ":+"].into_iter().find(|operator| self.begins_with(operator));
        let is_name = !name.is_empty() && !name.starts_with(|char: char| char.is_ascii_digit());
        match operator {
            Some(operator) if is_name => {
                self.is_right &= depth < 16;
                self.at += operator.len();
                if self.is_right {
                    self.reference(&name, operator, depth, wanted, value);
                }
            }
            // A name and then the end: the closing brace is missing.
            None if is_name && self.at == self.text.len() => self.is_right = false,
            _ => {
                let end = self.closing(start + 1).map_or(start + 2, |end| end + 1);
                value.extend(&self.text[start..end]);
                self.at = end;
            }
        }
    }

    fn reference(&mut self, name: &str, operator: &str, depth: usize, wanted: bool, value: &mut String) {
        let known = variables().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value);
        let filled = known.filter(|known| !known.is_empty());
        let (taken, takes_operand) = match operator {
            "}" => (known, false),
            ":-" => (filled, filled.is_none()),
            "-" => (known, known.is_none()),
            ":?" => (filled, false),
            _ => (Some(""), filled.is_some()),
        };
        if operator != "}" {
            let operand = self.value(depth + 1, wanted && takes_operand);
            self.is_right &= self.text.get(self.at) == Some(&'}');
            self.at += 1;
            if takes_operand {
                return value.push_str(&operand);
            }
        }
        self.is_right &= taken.is_some() || !wanted;
        value.push_str(taken.unwrap_or_default());
    }

    fn begins_with(&self, part: &str) -> bool {
        self.text[self.at..].iter().copied().take(part.len()).eq(part.chars())
    }

    /// The position of the brace that closes the one at `open`.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0;
        (open..self.text.len()).find(|&at| {
            depth += match self.text[at] {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            depth == 0
        })
    }
}
