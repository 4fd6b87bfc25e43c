//! Navigator's own log: formats events as lines of text or JSON.
//!
//! Text: `TIME LEVEL target: message field=value …`. JSON: `{"@timestamp","level","target","message",…fields}`. One event is one
//! line: control characters in it are escaped. On a terminal, people read something shorter ([`super::log_terminal`]).

use super::log_fields::{EventFields, LINE_CAPACITY};
use super::log_terminal;
use crate::config::Level;
use crate::terminal::{TerminalStyle, escape, escape_json};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use std::fmt::Write;
use std::sync::Arc;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

/// What is logged and how. It changes atomically: level, format and colour of a line come from one configuration.
#[derive(Debug)]
pub(super) struct LogSettings(ArcSwap<LogShape>);

/// One state of the settings.
#[derive(Clone, Copy, Debug)]
struct LogShape {
    level: tracing::Level,
    form: LogForm,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug)]
pub(super) enum LogForm {
    /// For files and pipes.
    Text,
    /// For log collectors.
    Json,
    /// For people, on a terminal as standard error.
    Terminal,
}

impl LogSettings {
    pub(super) fn new(level: Level, form: LogForm) -> LogSettings {
        LogSettings(ArcSwap::from_pointee(LogShape { level: tracing_level(level), form }))
    }

    pub(super) fn set(&self, level: Level, form: LogForm) {
        self.0.store(Arc::new(LogShape { level: tracing_level(level), form }));
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

/// Formats events and gives each line, with its end, to `write`. On a terminal, `prefix` formats the name of a process, with
/// colours or without.
pub(super) struct LogLines<W, P> {
    settings: Arc<LogSettings>,
    write: W,
    prefix: P,
}

impl<W: Fn(Vec<u8>), P: Fn(&str, bool) -> String> LogLines<W, P> {
    pub(super) fn new(settings: Arc<LogSettings>, write: W, prefix: P) -> LogLines<W, P> {
        LogLines { settings, write, prefix }
    }
}

impl<W: Fn(Vec<u8>) + 'static, P: Fn(&str, bool) -> String + 'static> Subscriber for LogLines<W, P> {
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
        let time = || format!("{:.3}", Timestamp::now());
        let line = match self.settings.0.load().form {
            LogForm::Json => Some(as_json(&time(), event.metadata(), &fields)),
            LogForm::Text => Some(as_text(&time(), event.metadata(), &fields)),
            LogForm::Terminal => {
                log_terminal::lines(event.metadata(), &fields, TerminalStyle::of(std::io::stderr()), &self.prefix)
            }
        };
        if let Some(line) = line {
            (self.write)(line.into_bytes());
        }
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

fn as_text(time: &str, metadata: &Metadata<'_>, fields: &EventFields) -> String {
    let (level, target) = (metadata.level(), metadata.target());
    format!("{time} {level} {target}: {}{}\n", escape(&fields.message), fields.as_text(&[]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// The line for an event with this message and field.
    fn logged(form: LogForm, message: &str, field: &str) -> String {
        let (sender, lines) = mpsc::channel();
        let settings = Arc::new(LogSettings::new(Level::Info, form));
        let subscriber =
            LogLines::new(settings, move |line| sender.send(line).expect("it is received"), |name, _| format!("{name} | "));
        tracing::subscriber::with_default(subscriber, || tracing::warn!(target: "navigator", field, "{message}"));
        String::from_utf8(lines.recv().expect("it was logged")).expect("it is text")
    }

    #[test]
    fn an_event_is_one_line_without_control_characters() {
        let line = logged(LogForm::Text, "a\x1b[2J\nforged", "b\nforged\u{9b}\u{202e}");
        let expected = r#" WARN navigator: a\u{1b}[2J\nforged field="b\nforged\u009b\u202e""#;
        assert!(line.ends_with(&format!("{expected}\n")), "{line}");
        assert!(
            logged(LogForm::Text, "a", "b\u{200f}").ends_with("field=\"b\\u200f\"\n"),
            "a bidirectional control character needs quotes"
        );
    }

    #[test]
    fn json_is_one_line_that_keeps_the_values() {
        let line = logged(LogForm::Json, "a\x1b\n\u{9b}", "b\u{202e}\x7f");
        assert!(line.trim_end_matches('\n').chars().all(|char| !crate::terminal::is_dangerous(char)), "{line}");
        let object: serde_json::Value = serde_json::from_str(&line).expect("it is JSON");
        assert_eq!([&object["message"], &object["field"]], ["a\x1b\n\u{9b}", "b\u{202e}\x7f"]);
    }
}
