//! What a line of navigator means: an event of its own log, or a line of one of its processes.
//!
//! Reads both formats, text and JSON, by what the contract says of them and nothing more.

use super::log::{Line, Stream};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// A line of navigator's own log.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Its place among all lines read; smaller is earlier.
    pub(crate) index: usize,
    pub(crate) at: Instant,
    pub(crate) target: String,
    pub(crate) message: String,
    pub(crate) fields: BTreeMap<String, String>,
}

impl Event {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    #[track_caller]
    pub(crate) fn pid(&self) -> u32 {
        let pid = self.field("pid").unwrap_or_else(|| panic!("no field `pid` in {self:?}"));
        pid.parse().unwrap_or_else(|_| panic!("`pid` is not a number in {self:?}"))
    }

    pub(crate) fn is(&self, message: &str, name: &str) -> bool {
        self.message == message && self.field("name") == Some(name)
    }
}

/// A line of a process.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) index: usize,
    pub(crate) name: String,
    pub(crate) stream: String,
    pub(crate) message: String,
}

/// The event that this line is, if it is one.
pub(crate) fn event(index: usize, line: &Line) -> Option<Event> {
    if line.stream != Stream::Stderr {
        return None;
    }
    let text = line.text();
    let mut event = if text.starts_with('{') { json_event(&text) } else { text_event(&text) }?;
    event.index = index;
    event.at = line.at;
    Some(event)
}

fn json_event(text: &str) -> Option<Event> {
    let Value::Object(mut fields) = serde_json::from_str(text).ok()? else { return None };
    let mut take = |key: &str| fields.remove(key).and_then(|value| value.as_str().map(str::to_owned));
    let (_time, _level, target, message) = (take("@timestamp")?, take("level")?, take("target")?, take("message")?);
    let fields = fields.into_iter().map(|(key, value)| (key, plain(&value))).collect();
    Some(Event { index: 0, at: Instant::now(), target, message, fields })
}

/// A JSON value as the text format writes it.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// `TIME LEVEL TARGET: MESSAGE key=value key="value with spaces"`.
fn text_event(text: &str) -> Option<Event> {
    let (_time, rest) = text.split_once(' ')?;
    let (_level, rest) = rest.trim_start().split_once(' ')?;
    let (target, rest) = rest.trim_start().split_once(": ")?;
    let first_field = rest.split(' ').take_while(|word| !is_field(word)).map(|word| word.len() + 1).sum::<usize>();
    let (message, mut rest) = rest.split_at(first_field.min(rest.len()));
    let mut fields = BTreeMap::new();
    while let Some((key, value)) = rest.trim_start().split_once('=') {
        let (value, after) = text_value(value);
        fields.insert(key.to_owned(), value);
        rest = after;
    }
    let message = message.trim_end().to_owned();
    Some(Event { index: 0, at: Instant::now(), target: target.into(), message, fields })
}

fn is_field(word: &str) -> bool {
    word.split_once('=').is_some_and(|(key, _)| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
}

/// The value at the start of `text`, and what comes after it.
fn text_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(' ').unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// The line of a process that this line is, if it is one.
pub(crate) fn said(index: usize, line: &Line) -> Option<Said> {
    if line.stream != Stream::Stdout {
        return None;
    }
    let text = line.text();
    if text.starts_with('{') {
        let value: Value = serde_json::from_str(&text).ok()?;
        let part = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        return Some(Said { index, name: part("source")?, stream: part("stream")?, message: part("message")? });
    }
    let (prefix, message) = text.strip_prefix('[')?.split_once("] ")?;
    let (name, stream) = prefix.rsplit_once('.')?;
    Some(Said { index, name: name.into(), stream: stream.into(), message: message.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(stream: Stream, text: &str) -> Line {
        Line { at: Instant::now(), stream, bytes: text.into() }
    }

    #[test]
    fn both_formats_are_the_same_event() {
        let text =
            r#"2026-11-22T18:00:00.000Z WARN managed_processes: Process crashed name=web pid=72 reason="exit \"1\", no = more""#;
        let json = r#"{"@timestamp":"2026-11-22T18:00:00.000Z","level":"WARN","target":"managed_processes","message":"Process crashed","name":"web","pid":72,"reason":"exit \"1\", no = more"}"#;
        for text in [text, json] {
            let event = event(5, &line(Stream::Stderr, text)).expect("it is an event");
            assert!(event.is("Process crashed", "web"), "{event:?}");
            assert_eq!((event.index, event.pid(), event.target.as_str()), (5, 72, "managed_processes"));
            assert_eq!(event.field("reason"), Some("exit \"1\", no = more"));
        }
    }

    #[test]
    fn both_formats_are_the_same_line_of_a_process() {
        for text in ["[a.b.stderr] x] y", r#"{"@timestamp":"","source":"a.b","stream":"stderr","message":"x] y"}"#] {
            let said = said(0, &line(Stream::Stdout, text)).expect("it is a line of a process");
            assert_eq!((said.name.as_str(), said.stream.as_str(), said.message.as_str()), ("a.b", "stderr", "x] y"));
        }
    }
}
