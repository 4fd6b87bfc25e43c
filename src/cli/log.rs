//! Navigator's own log: turns events into lines of text or JSON, for whoever writes them.
//!
//! Text: `TIME LEVEL target: message field=value …`. JSON: `{"@timestamp","level","target","message",…fields}`. One event is one
//! line: control characters in a message or a field are escaped.

use crate::config::{Format, Level};
use crate::terminal::{escape, escape_json, is_plain};
use crate::utc::Utc;
use arc_swap::ArcSwap;
use std::fmt::{Debug, Write};
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// Hardly any line is longer.
const ROOM: usize = 256;

/// What is logged and how. It may change while navigator runs, and always as a whole: format and colour of a line are of the
/// same configuration.
#[derive(Debug)]
pub(super) struct LogSettings(ArcSwap<Shape>);

/// One state of the settings.
#[derive(Clone, Copy, Debug)]
struct Shape {
    level: tracing::Level,
    format: Format,
    color: bool,
}

impl LogSettings {
    pub(super) fn new(level: Level, format: Format, color: bool) -> LogSettings {
        LogSettings(ArcSwap::from_pointee(Shape { level: tracing_level(level), format, color }))
    }

    pub(super) fn set(&self, level: Level, format: Format, color: bool) {
        self.0.store(Arc::new(Shape { level: tracing_level(level), format, color }));
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
pub(super) struct Lines<W> {
    settings: Arc<LogSettings>,
    write: W,
}

impl<W: Fn(Vec<u8>)> Lines<W> {
    pub(super) fn new(settings: Arc<LogSettings>, write: W) -> Lines<W> {
        Lines { settings, write }
    }
}

impl<W: Fn(Vec<u8>) + 'static> Subscriber for Lines<W> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && *metadata.level() <= self.settings.0.load().level
    }

    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        // The level may change while navigator runs, so it is asked every time.
        Interest::sometimes()
    }

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let time = Utc::now().to_string();
        let Shape { format, color, .. } = **self.settings.0.load();
        let line = if format == Format::Json {
            as_json(&time, event.metadata(), &fields)
        } else {
            as_text(&time, event.metadata(), &fields, color)
        };
        (self.write)(line.into_bytes());
    }

    // Navigator has no spans: what an event is about is in its fields. A library's are not enabled.

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, serde_json::Value)>,
}

impl Visit for Fields {
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

fn as_json(time: &str, metadata: &Metadata<'_>, fields: &Fields) -> String {
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let mut line = String::with_capacity(ROOM);
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

fn as_text(time: &str, metadata: &Metadata<'_>, fields: &Fields, color: bool) -> String {
    let level = metadata.level();
    let style = match *level {
        tracing::Level::ERROR => "\x1b[31m",
        tracing::Level::WARN => "\x1b[33m",
        tracing::Level::INFO => "\x1b[32m",
        tracing::Level::DEBUG | tracing::Level::TRACE => "\x1b[34m",
    };
    let mut line = String::with_capacity(ROOM);
    let (target, message) = (metadata.target(), escape(&fields.message));
    // Nothing that is written to a text can fail.
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

/// Whether a value can stand in a text line without quotes: no space, quote, `=` or control character in it.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && is_plain(text) && !text.contains(|char: char| char.is_whitespace() || matches!(char, '"' | '\\' | '='))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// What is logged of an event with these texts.
    fn logged(format: Format, message: &str, field: &str) -> String {
        let (sender, lines) = mpsc::channel();
        let settings = Arc::new(LogSettings::new(Level::Info, format, false));
        let subscriber = Lines::new(settings, move |line| sender.send(line).expect("it is received"));
        tracing::subscriber::with_default(subscriber, || tracing::warn!(target: "navigator", field, "{message}"));
        String::from_utf8(lines.recv().expect("it was logged")).expect("it is text")
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let line = logged(Format::Text, "a\x1b[2J\nforged", "b\nforged\u{9b}\u{202e}");
        let expected = r#" WARN navigator: a\u{1b}[2J\nforged field="b\nforged\u009b\u202e""#;
        assert!(line.ends_with(&format!("{expected}\n")), "{line}");
        assert!(logged(Format::Text, "a", "b\u{200f}").ends_with("field=\"b\\u200f\"\n"), "no such text is bare");
    }

    #[test]
    fn json_is_one_line_of_the_same_value() {
        let line = logged(Format::Json, "a\x1b\n\u{9b}", "b\u{202e}\x7f");
        assert!(line.trim_end_matches('\n').chars().all(|char| !crate::terminal::is_dangerous(char)), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!([&object["message"], &object["field"]], ["a\x1b\n\u{9b}", "b\u{202e}\x7f"]);
    }
}
