//! Parses `${…}` in a single value.
//!
//! `$VAR` without braces, and braces with anything else inside (`${list[@]}`, `${#text}`), belong to shells and stay as they are.
//! Some of these forms look like references (`${PORT:=80}`, `${PORT:80}`): they are marked, because outside of a shell they are
//! mistakes.
//! A value is parsed once: the values of variables are never searched for references.

use std::collections::HashMap;
use std::ops::Range;

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ValuePart {
    /// Characters of the value as they are.
    Literal(Range<usize>),
    /// A reference to a variable.
    Reference(Reference),
    /// `${NAME…}` in a form that a shell or another program would replace.
    ForeignForm(Range<usize>),
}

/// A `${…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The name of the variable, as a range of the value.
    pub(super) name: Range<usize>,
    pub(super) form: ReferenceForm,
}

impl Reference {
    /// `${NAME}`, or `${NAME` if more follows: the part that may be shown.
    pub(super) fn head(&self) -> Range<usize> {
        self.name.start - "${".len()..self.name.end + usize::from(self.form == ReferenceForm::Plain)
    }
}

/// What a reference stands for if the variable has no value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReferenceForm {
    /// `${NAME}`: an error.
    Plain,
    /// `${NAME:-…}` and, with `set_is_enough`, `${NAME-…}`: this default.
    Default { pieces: Vec<ValuePart>, set_is_enough: bool },
    /// `${NAME:?…}`: an error with these words.
    Required(Range<usize>),
    /// `${NAME:+…}`: this if the variable has a value, else nothing.
    Alternative(Vec<ValuePart>),
}

/// Why a value can't be parsed, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum InvalidReference {
    /// A `${NAME` without its `}`.
    Unclosed(Range<usize>),
    /// References nested deeper than [`MAX_DEPTH`].
    TooDeep(Range<usize>),
    /// More parts than the longest value has characters.
    TooLong,
}

/// How deep references may be nested in each other's defaults.
const MAX_DEPTH: usize = 16;

/// With this many `$$`, a value is too long for any program: each is one character.
pub(super) const MAX_ESCAPED: usize = 128 << 10;

/// Parses a value into its parts.
pub(super) fn parse(text: &str) -> Result<Vec<ValuePart>, InvalidReference> {
    if !text.contains('$') {
        return Ok(vec![ValuePart::Literal(0..text.len())]);
    }
    let mut lexer = Lexer { text, at: 0, braces: None, escaped: 0 };
    lexer.pieces(0)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// The closing brace of each opening one. Computed once and on demand: otherwise many odd braces would take quadratic time.
    braces: Option<HashMap<usize, usize>>,
    /// How many `$$` were found.
    escaped: usize,
}

impl Lexer<'_> {
    /// Parses up to the end or, within a reference, up to the brace that closes it. The caller skips that brace.
    fn pieces(&mut self, depth: usize) -> Result<Vec<ValuePart>, InvalidReference> {
        let mut pieces = Vec::new();
        let mut literal = self.at;
        while let Some(found) = self.text[self.at..].find(['$', '}']) {
            let here = self.at + found;
            let rest = &self.text[here..];
            if rest.starts_with('}') {
                self.at = here;
                if depth > 0 {
                    break;
                }
                self.at += 1;
            } else if rest.starts_with("$$") {
                push_literal(&mut pieces, literal..here + 1);
                self.escaped += 1;
                if self.escaped >= MAX_ESCAPED {
                    return Err(InvalidReference::TooLong);
                }
                self.at = here + 2;
                literal = self.at;
            } else if let Some((name, follows)) = head(rest) {
                let name = here + name.start..here + name.end;
                match follows {
                    Follows::Nothing => return Err(InvalidReference::Unclosed(here..name.end)),
                    Follows::Foreign if self.skip_braces(here) => {
                        push_literal(&mut pieces, literal..here);
                        pieces.push(ValuePart::ForeignForm(here..self.at));
                        literal = self.at;
                    }
                    Follows::Foreign => {}
                    Follows::Other => drop(self.skip_braces(here)),
                    Follows::Form(operator) => {
                        push_literal(&mut pieces, literal..here);
                        pieces.push(ValuePart::Reference(self.reference(here, name, operator, depth)?));
                        literal = self.at;
                    }
                }
            } else if rest.starts_with("${") {
                self.skip_braces(here);
            } else {
                self.at = here + 1;
            }
        }
        let end = if depth > 0 { self.at } else { self.text.len() };
        push_literal(&mut pieces, literal..end.max(literal));
        Ok(pieces)
    }

    /// Parses a reference with its `${NAME` at `start`, including its closing brace.
    fn reference(
        &mut self,
        start: usize,
        name: Range<usize>,
        operator: &str,
        depth: usize,
    ) -> Result<Reference, InvalidReference> {
        if depth >= MAX_DEPTH {
            return Err(InvalidReference::TooDeep(start..name.end));
        }
        self.at = name.end + operator.len();
        if operator == "}" {
            return Ok(Reference { name, form: ReferenceForm::Plain });
        }
        let operand = self.at;
        let pieces = self.pieces(depth + 1)?;
        if !self.text[self.at..].starts_with('}') {
            return Err(InvalidReference::Unclosed(start..name.end));
        }
        let form = match operator {
            ":-" => ReferenceForm::Default { pieces, set_is_enough: false },
            "-" => ReferenceForm::Default { pieces, set_is_enough: true },
            ":?" => ReferenceForm::Required(operand..self.at),
            _ => ReferenceForm::Alternative(pieces),
        };
        self.at += 1;
        Ok(Reference { name, form })
    }

    /// Skips the braces that open at `${`, or only the `${` if they are never closed. Returns whether they are closed.
    fn skip_braces(&mut self, dollar: usize) -> bool {
        let text = self.text;
        let braces = self.braces.get_or_insert_with(|| matching_braces(text));
        let close = braces.get(&(dollar + 1));
        self.at = close.map_or(dollar + 2, |close| close + 1);
        close.is_some()
    }
}

fn push_literal(pieces: &mut Vec<ValuePart>, range: Range<usize>) {
    if !range.is_empty() {
        pieces.push(ValuePart::Literal(range));
    }
}

/// What follows a name.
enum Follows {
    /// The end of the value.
    Nothing,
    /// `}` or an operator.
    Form(&'static str),
    /// An operator of shells or other programs: `:=`, `=`, `?`, `+`, or `:` and a default.
    Foreign,
    /// Anything else.
    Other,
}

/// If this begins with `${` and a name: the range of the name, and what follows it.
fn head(rest: &str) -> Option<(Range<usize>, Follows)> {
    let name = rest.strip_prefix("${")?;
    let length = name.find(|char: char| char != '_' && !char.is_ascii_alphanumeric()).unwrap_or(name.len());
    if length == 0 || name.as_bytes()[0].is_ascii_digit() {
        return None;
    }
    let rest = &name[length..];
    let form = ["}", ":-", "-", ":?", ":+"].into_iter().find(|form| rest.starts_with(form));
    let follows = match form {
        Some(form) => Follows::Form(form),
        None if rest.is_empty() => Follows::Nothing,
        None if rest.starts_with(['=', '?', '+']) || rest.starts_with(':') && !is_substring(&rest[1..]) => Follows::Foreign,
        None => Follows::Other,
    };
    Some((2..2 + length, follows))
}

/// `${text:1:3}`, a part of a text in shells.
fn is_substring(rest: &str) -> bool {
    let inside = rest.split('}').next().unwrap_or_default();
    inside.contains(':') && inside.bytes().all(|byte| byte.is_ascii_digit() || b": -".contains(&byte))
}

fn matching_braces(text: &str) -> HashMap<usize, usize> {
    let mut open = Vec::new();
    let mut matching = HashMap::new();
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open.push(at),
            b'}' => {
                if let Some(start) = open.pop() {
                    matching.insert(start, at);
                }
            }
            _ => {}
        }
    }
    matching
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The parts as text: literals as they are, references in angle brackets.
    fn shown(text: &str) -> String {
        fn write(text: &str, pieces: &[ValuePart], out: &mut String) {
            for piece in pieces {
                match piece {
                    ValuePart::Literal(range) => out.push_str(&text[range.clone()]),
                    ValuePart::ForeignForm(range) => out.extend(["(", &text[range.clone()], ")"]),
                    ValuePart::Reference(reference) => {
                        out.push('<');
                        out.push_str(&text[reference.name.clone()]);
                        match &reference.form {
                            ReferenceForm::Plain => {}
                            ReferenceForm::Default { pieces, set_is_enough } => {
                                out.push_str(if *set_is_enough { " unset " } else { " or " });
                                write(text, pieces, out);
                            }
                            ReferenceForm::Required(words) => {
                                out.push_str(" else ");
                                out.push_str(&text[words.clone()]);
                            }
                            ReferenceForm::Alternative(pieces) => {
                                out.push_str(" then ");
                                write(text, pieces, out);
                            }
                        }
                        out.push('>');
                    }
                }
            }
        }
        match parse(text) {
            Ok(pieces) => {
                let mut out = String::new();
                write(text, &pieces, &mut out);
                out
            }
            Err(InvalidReference::Unclosed(range)) => format!("unclosed {}", &text[range]),
            Err(InvalidReference::TooDeep(_)) => "too deep".to_owned(),
            Err(InvalidReference::TooLong) => "too long".to_owned(),
        }
    }

    #[test]
    fn references_are_parsed() {
        for (text, expected) in [
            ("", ""),
            ("plain", "plain"),
            ("${A}", "<A>"),
            ("a${A}b${B_2}c", "a<A>b<B_2>c"),
            ("${A:-x y}", "<A or x y>"),
            ("${A:-}", "<A or >"),
            ("${A-x}", "<A unset x>"),
            ("${A:?set A}", "<A else set A>"),
            ("${A:+x}", "<A then x>"),
            ("${A:-${B:-${C}}}", "<A or <B or <C>>>"),
            ("${A:-a${B}b}c", "<A or a<B>b>c"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("$$$${A}", "$${A}"),
            ("$$${A}", "$<A>"),
            ("é${A:-ü}€", "é<A or ü>€"),
            ("${A:-$$}", "<A or $>"),
            ("}${A}}", "}<A>}"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn shell_syntax_is_left_alone() {
        for text in [
            "$A",
            "$",
            "$(date)",
            "${a[@]}",
            "${#a}",
            "${a%%.*}",
            "${a/b/c}",
            "${a:0:3}",
            "${}",
            "${1}",
            "${!a}",
            "${",
            "${ A }",
            "${a[${i}]}",
            "$1",
        ] {
            assert_eq!(shown(text), text);
        }
        assert_eq!(shown("${A:-${b[@]}}"), "<A or ${b[@]}>");
        assert_eq!(shown("${#a} ${A}"), "${#a} <A>");
    }

    #[test]
    fn forms_of_other_programs_are_marked() {
        for form in ["${A:=80}", "${A:80}", "${A: 80}", "${A=80}", "${A?set A}", "${A+x}", "${A:=${B}}", "${A:}"] {
            assert_eq!(shown(&format!("a{form}b")), format!("a({form})b"));
        }
        assert_eq!(shown("${A:-${B:80}}"), "<A or (${B:80})>");
        assert_eq!(shown("$${A:80}"), "${A:80}");
        assert_eq!(shown("${A:80"), "${A:80");
    }

    #[test]
    fn a_reference_must_be_closed() {
        assert_eq!(shown("x${A"), "unclosed ${A");
        assert_eq!(shown("${A:-b"), "unclosed ${A");
        assert_eq!(shown("${A:-${B}"), "unclosed ${A");
        assert_eq!(shown("${A:-${B"), "unclosed ${B");
    }

    #[test]
    fn hostile_texts_are_parsed_in_linear_time() {
        assert_eq!(shown(&"${A:-".repeat(100_000)), "too deep");
        assert_eq!(shown(&"$$".repeat(1_000_000)), "too long");
        let odd = "${#".repeat(1_000_000);
        assert_eq!(shown(&odd), odd);
        let nested = format!("{}{}", "${#".repeat(300_000), "}".repeat(300_000));
        assert_eq!(shown(&nested), nested);
    }
}
