//! Navigator's own log: formats events as lines of text or JSON.
//!
//! Text: `TIME LEVEL target: message field=value …`. JSON: `{"@timestamp","level","target","message",…fields}`. One event is one
//! line: control characters in it are escaped.

use crate::config::{Level, LogFormat};
use crate::terminal::{escape, escape_json, is_plain};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use std::fmt::{Debug, Write};
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// The initial capacity of a line, in bytes. Few lines are longer.
const LINE_CAPACITY: usize = 256;

/// What is logged and how. It changes atomically: level, format and colour of a line come from one configuration.
#[derive(Debug)]
pub(super) struct LogSettings(ArcSwap<LogShape>);

/// One state of the settings.
#[derive(Clone, Copy, Debug)]
struct LogShape {
    level: tracing::Level,
    format: LogFormat,
    color: bool,
}

impl LogSettings {
    pub(super) fn new(level: Level, format: LogFormat, color: bool) -> LogSettings {
        LogSettings(ArcSwap::from_pointee(LogShape { level: tracing_level(level), format, color }))
    }

    pub(super) fn set(&self, level: Level, format: LogFormat, color: bool) {
        self.0.store(Arc::new(LogShape { level: tracing_level(level), format, color }));
    }
}

fn tracing_level(level: Level) -> tracing::Level {
    match level {
        Level::Error => tracing::Level::ERROR,
        Level::Warn => tracing::Level::WARN,
        Level::Info => tracing::Level::INFO,
        Level::Debug => tracing::Level::DEBUG,
        Level::Trace => tracing::Level::TRACE,
    }
}

/// Formats events and gives each line, with its end, to `write`.
pub(super) struct LogLines<W> {
    settings: Arc<LogSettings>,
    write: W,
}

impl<W: Fn(Vec<u8>)> LogLines<W> {
    pub(super) fn new(settings: Arc<LogSettings>, write: W) -> LogLines<W> {
        LogLines { settings, write }
    }
}

impl<W: Fn(Vec<u8>) + 'static> Subscriber for LogLines<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.settings.0.load().level
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // Not cached: the level may change while navigator runs.
        Interest::sometimes()
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let time = format!("{:.3}", Timestamp::now());
        let LogShape { format, color, .. } = **self.settings.0.load();
        let line = if format == LogFormat::Json {
            as_json(&time, event.metadata(), &fields)
        } else {
            as_text(&time, event.metadata(), &fields, color)
        };
        (self.write)(line.into_bytes());
    }

    // Spans are not used; those of libraries are not enabled.

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct EventFields {
    message: String,
    others: Vec<(&'static str, serde_json::Value)>,
}

impl Visit for EventFields {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.others.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.others.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.others.push((field.name(), value.into()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.others.push((field.name(), value.into()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.others.push((field.name(), format!("{value:?}").into()));
        }
    }
}

fn as_json(time: &str, metadata: &Metadata<'_>, fields: &EventFields) -> String {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut line = String::with_capacity(LINE_CAPACITY);
    let _ = write!(
        line,
        r#"{{"@timestamp":{},"level":{},"target":{},"message":{}"#,
        quote(time),
        quote(metadata.level().as_str()),
        quote(metadata.target()),
        quote(&fields.message),
    );
    for (name, value) in &fields.others {
        let _ = write!(line, ",{}:{value}", quote(name));
    }
    line.push_str("}\n");
    escape_json(&line).into_owned()
}

fn as_text(time: &str, metadata: &Metadata<'_>, fields: &EventFields, color: bool) -> String {
    let level = metadata.level();
    let style = match *level {
        tracing::Level::ERROR => "\x1b[31m",
        tracing::Level::WARN => "\x1b[33m",
        tracing::Level::INFO => "\x1b[32m",
        tracing::Level::DEBUG | tracing::Level::TRACE => "\x1b[34m",
    };
    let mut line = String::with_capacity(LINE_CAPACITY);
    let (target, message) = (metadata.target(), escape(&fields.message));
    // Writing to a string doesn't fail.
    let _ = if color {
        write!(line, "\x1b[2m{time}\x1b[0m {style}{level}\x1b[0m \x1b[2m{target}:\x1b[0m {message}")
    } else {
        write!(line, "{time} {level} {target}: {message}")
    };
    for (name, value) in &fields.others {
        let _ = match value {
            serde_json::Value::String(text) if is_bare(text) => write!(line, " {name}={text}"),
            other => write!(line, " {name}={}", escape_json(&other.to_string())),
        };
    }
    line.push('\n');
    line
}

/// Whether a value needs no quotes in a text line: it has no space, quote, `=` or control character.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && is_plain(text) && !text.contains(|char: char| char.is_whitespace() || matches!(char, '"' | '\\' | '='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// The line for an event with this message and field.
    fn logged(format: LogFormat, message: &str, field: &str) -> String {
        let (sender, lines) = mpsc::channel();
        let settings = Arc::new(LogSettings::new(Level::Info, format, false));
        let subscriber = LogLines::new(settings, move |line| sender.send(line).expect("it is received"));
        tracing::subscriber::with_default(subscriber, || tracing::warn!(target: "navigator", field, "{message}"));
        String::from_utf8(lines.recv().expect("it was logged")).expect("it is text")
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let line = logged(LogFormat::Text, "a\x1b[2J\nforged", "b\nforged\u{9b}\u{202e}");
        let expected = r#" WARN navigator: a\u{1b}[2J\nforged field="b\nforged\u009b\u202e""#;
        assert!(line.ends_with(&format!("{expected}\n")), "{line}");
        assert!(
            logged(LogFormat::Text, "a", "b\u{200f}").ends_with("field=\"b\\u200f\"\n"),
            "a bidirectional control character needs quotes"
        );
    }

    #[test]
    fn json_is_one_line_that_keeps_the_values() {
        let line = logged(LogFormat::Json, "a\x1b\n\u{9b}", "b\u{202e}\x7f");
        assert!(line.trim_end_matches('\n').chars().all(|char| !crate::terminal::is_dangerous(char)), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!([&object["message"], &object["field"]], ["a\x1b\n\u{9b}", "b\u{202e}\x7f"]);
    }
}
