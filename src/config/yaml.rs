//! YAML text → tree. The only module that knows the YAML library.
//!
//! Every scalar keeps the characters it is written with: what YAML would make of `1.10` or `0777` is of no interest here.
//! The library does anchors, merge keys and budgets; duplicate keys are found here, so that one doesn't hide the other
//! problems of the text.

use super::problems::{Problem, Problems};
use super::texts::{Span, TextId, Texts};
use super::tree::{Entry, Kind, Map, Node, Scalar, Style};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::granit_parser::ErrorKind;
use serde_yaml::localizer::ExternalMessageSource;
use serde_yaml::options::{DuplicateKeyPolicy, NonFiniteFloatPolicy};
use serde_yaml::{Error, Options, Spanned};
use std::collections::HashMap;
use std::fmt;

/// Lists and maps may stand in each other this deep.
pub(super) const MAX_DEPTH: usize = 64;

/// Parses a text. Duplicate keys are reported to `problems`; of each key the first value is kept.
///
/// # Errors
/// What keeps the text from being YAML, or from being read in bounded time and memory.
pub(super) fn parse(text: TextId, texts: &Texts, problems: &mut Problems) -> Result<Node, Problem> {
    let source = texts.text(text);
    let raw = serde_yaml::from_str_with_options::<Raw>(source, options()).map_err(|error| refused(&error, text, texts))?;
    let mut builder = Builder { text, source, problems };
    Ok(builder.node(raw))
}

fn options() -> Options {
    serde_yaml::options! {
        with_snippet: false,
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        reject_unsupported_tags: true,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: 200_000 },
        budget: serde_yaml::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_documents: 1,
            max_anchors: 10_000,
            max_aliases: 20_000,
            max_merge_keys: 10_000,
            max_total_scalar_bytes: 16 << 20,
            max_recorded_anchor_bytes: 16 << 20,
        },
    }
}

/// A node as the library gives it.
struct Raw(Spanned<RawKind>);

enum RawKind {
    Null,
    /// Something without quotes that YAML takes for more than a string, and its own idea of it.
    Typed(String),
    Text(String),
    List(Vec<Raw>),
    Map(Vec<(Raw, Raw)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        Spanned::deserialize(deserializer).map(Raw)
    }
}

impl<'de> Deserialize<'de> for RawKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<RawKind, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = RawKind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<RawKind, E> {
        Ok(RawKind::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<RawKind, E> {
        Ok(RawKind::Typed(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<RawKind, E> {
        Ok(RawKind::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<RawKind, E> {
        Ok(RawKind::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<RawKind, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(RawKind::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<RawKind, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(RawKind::Map(map))
    }
}

/// Turns the library's nodes into ours.
struct Builder<'a> {
    text: TextId,
    source: &'a str,
    problems: &'a mut Problems,
}

impl Builder<'_> {
    fn node(&mut self, Raw(raw): Raw) -> Node {
        let span = self.span(raw.defined);
        let written = &self.source[span.start..span.end];
        match raw.value {
            RawKind::Null => scalar(span, written.to_owned(), Style::Null),
            // A tag (`!!int "5"`) can make a quoted scalar more than a string.
            RawKind::Typed(value) if written.starts_with(['"', '\'']) => scalar(span, value, Style::Quoted),
            RawKind::Typed(_) => scalar(span, written.to_owned(), Style::Plain),
            RawKind::Text(value) if written.starts_with(['"', '\'']) || self.is_block(span) => scalar(span, value, Style::Quoted),
            // Only over several lines is there a difference; and the library's idea of infinity is none of ours.
            RawKind::Text(value) => scalar(span, if written.contains('\n') { value } else { written.to_owned() }, Style::Plain),
            RawKind::List(items) => {
                let span = Span { end: span.end.max(self.next_char(span.start)), ..span };
                Node { span, kind: Kind::List(items.into_iter().map(|item| self.node(item)).collect()) }
            }
            RawKind::Map(entries) => self.map(span, entries),
        }
    }

    fn map(&mut self, span: Span, raw: Vec<(Raw, Raw)>) -> Node {
        let mut map = Map { entries: Vec::with_capacity(raw.len()), strays: Vec::new() };
        let mut places: HashMap<String, Span> = HashMap::with_capacity(raw.len());
        for (key, value) in raw {
            let (key, value) = (self.node(key), self.node(value));
            let key_span = key.span;
            let Kind::Scalar(scalar) = &key.kind else {
                self.problems.add(Problem::error(key_span, format!("a key must be a single value, not {}", key.described())));
                map.strays.push(Entry { key: String::new(), key_span, value });
                continue;
            };
            let entry = Entry { key: scalar.text.clone(), key_span, value };
            if let Some(&first) = places.get(&entry.key) {
                let problem = Problem::error(key_span, format!("duplicate key `{}`", entry.key));
                self.problems.add(problem.label(first, "first given here").help("remove one of the two"));
                map.strays.push(entry);
                continue;
            }
            places.insert(entry.key.clone(), key_span);
            map.entries.push(entry);
        }
        // A map in block style has no token of its own: its first key stands for it.
        let first = map.entries.first().filter(|entry| entry.key_span.start == span.start);
        let end = first.map_or_else(|| self.next_char(span.start).max(span.end), |entry| entry.key_span.end);
        Node { span: Span { end, ..span }, kind: Kind::Map(map) }
    }

    fn span(&self, location: serde_yaml::Location) -> Span {
        let span = location.span();
        let at = |bytes: Option<u64>| bytes.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0);
        let start = self.boundary(at(span.byte_offset()));
        let end = self.boundary(start.saturating_add(at(span.byte_len())));
        Span { text: self.text, start, end }
    }

    /// The nearest place at or before `at` that a character begins at.
    fn boundary(&self, at: usize) -> usize {
        self.source.floor_char_boundary(at)
    }

    fn next_char(&self, at: usize) -> usize {
        self.source[at..].chars().next().map_or(at, |char| at + char.len_utf8())
    }

    /// Whether a scalar is the content of a block (`|` or `>`): its header is the last thing on the line before.
    fn is_block(&self, span: Span) -> bool {
        let before = self.source[..span.start].trim_end_matches([' ', '\t', '\n', '\r']);
        let line = before.rsplit('\n').next().unwrap_or_default();
        let header = line.split(" #").next().unwrap_or_default().trim_end();
        let header = header.trim_end_matches(['+', '-', '1', '2', '3', '4', '5', '6', '7', '8', '9']);
        before.len() < span.start && self.source[before.len()..span.start].contains('\n') && header.ends_with(['|', '>'])
    }
}

fn scalar(span: Span, text: String, style: Style) -> Node {
    Node { span, kind: Kind::Scalar(Scalar { text, style }) }
}

/// A problem from what the library refuses.
fn refused(error: &Error, text: TextId, texts: &Texts) -> Problem {
    let start = error.location().map_or(0, |location| {
        let span = location.span();
        match span.byte_offset().and_then(|offset| usize::try_from(offset).ok()) {
            Some(offset) => offset,
            None => texts.byte_of_char(text, usize::try_from(span.offset()).unwrap_or(usize::MAX)),
        }
    });
    let source = texts.text(text);
    let start = source.floor_char_boundary(start);
    let end = source[start..].chars().next().filter(|char| !char.is_control()).map_or(start, |char| start + char.len_utf8());
    let (message, help) = explained(error);
    let problem = Problem::error(Span { text, start, end }, message);
    match help {
        Some(help) => problem.help(help),
        None => problem,
    }
}

/// What is wrong and what to write instead, in the words of somebody who writes a configuration.
fn explained(error: &Error) -> (String, Option<&'static str>) {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => explained(error),
        Error::ExternalMessage { source, msg, .. } => match &**source {
            ExternalMessageSource::Parser(scan) => explained_syntax(scan.kind(), msg),
            _ => (msg.clone(), None),
        },
        Error::MultipleDocuments { .. } => {
            ("a second YAML document begins here".to_owned(), Some("a configuration is one document: remove the `---`"))
        }
        Error::UnknownAnchor { .. } => (
            "this alias names no anchor".to_owned(),
            Some("a value that begins with `*` is an alias: put it in quotes if it is text"),
        ),
        Error::RecursiveReferencesRequireWeakTypes { .. } => ("an alias stands within its own anchor".to_owned(), None),
        Error::MergeValueNotMapOrSeqOfMaps { .. } => {
            ("`<<` takes a map or a list of maps".to_owned(), Some("write `<<: *anchor`, or `<<: [*one, *other]`"))
        }
        Error::Budget { breach, .. } => explained_budget(breach),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => (
            "the aliases of this document stand for too much".to_owned(),
            Some("write out what is meant, without nesting aliases"),
        ),
        other => (without_place(&other.to_string()), None),
    }
}

fn explained_budget(breach: &serde_yaml::budget::BudgetBreach) -> (String, Option<&'static str>) {
    use serde_yaml::budget::BudgetBreach;
    match breach {
        BudgetBreach::Depth { .. } => (format!("lists and maps are nested deeper than {MAX_DEPTH}"), None),
        BudgetBreach::Documents { .. } => {
            ("a second YAML document begins here".to_owned(), Some("a configuration is one document: remove the `---`"))
        }
        BudgetBreach::AliasAnchorRatio { .. }
        | BudgetBreach::RecordedAnchorEvents { .. }
        | BudgetBreach::RecordedAnchorBytes { .. } => (
            "the aliases of this document stand for too much".to_owned(),
            Some("write out what is meant, without nesting aliases"),
        ),
        _ => ("this document is too large".to_owned(), Some("split it with `include`")),
    }
}

fn explained_syntax(kind: &ErrorKind, message: &str) -> (String, Option<&'static str>) {
    let quote = "put the whole value in quotes";
    let indent = "give every key of a map, and every `-` of a list, the same indentation";
    let (message, help) = match kind {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement => {
            ("a `:` is not allowed here", Some("put a value that holds `: ` in quotes, or mend the indentation of this line"))
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::InvalidBlockEntryWhitespace
        | ErrorKind::InvalidMappingValueWhitespace => ("a tab is not allowed here", Some("indent with spaces")),
        ErrorKind::UnclosedQuotedScalar => ("this quote is never closed", None),
        ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofImplicitFlowMapping => ("this bracket is never closed", None),
        ErrorKind::MisplacedFlowCollectionEnd | ErrorKind::MismatchedFlowCollectionEnd { .. } => {
            ("this bracket closes none that is open", None)
        }
        ErrorKind::UnexpectedCharacter { character } => {
            return (format!("a value can't begin with `{character}`"), Some(quote));
        }
        ErrorKind::ExpectedBlockMappingKey => ("a key is expected here", Some(indent)),
        ErrorKind::ExpectedBlockSequenceEntry => ("a `-` is expected here", Some(indent)),
        ErrorKind::BlockSequenceEntryNotAllowed => ("a list can't begin here", Some("begin it on a line of its own")),
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => ("a `:` is missing behind this key", None),
        ErrorKind::InvalidIndentation => ("the indentation fits nothing above", Some(indent)),
        ErrorKind::InvalidTrailingSingleQuotedScalar | ErrorKind::InvalidTrailingDoubleQuotedScalar => {
            ("nothing may follow the closing quote", Some(quote))
        }
        ErrorKind::UnknownQuotedScalarEscape => {
            ("a backslash in this value begins no known escape", Some("write `\\\\` for a backslash, or use single quotes"))
        }
        ErrorKind::RecursionLimitExceeded => return (format!("lists and maps are nested deeper than {MAX_DEPTH}"), None),
        _ => return (message.to_owned(), None),
    };
    (message.to_owned(), help)
}

/// The library adds the place to some messages; it stands in front of ours already.
fn without_place(message: &str) -> String {
    message.split(" at line ").next().unwrap_or(message).to_owned()
}
