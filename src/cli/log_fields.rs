//! The fields of a log event, and how they are written as text.

use crate::terminal::{escape_json, is_plain};
use std::fmt::{Debug, Write};
use tracing::field::{Field, Visit};

/// The initial capacity of a line, in bytes. Few lines are longer.
pub(super) const LINE_CAPACITY: usize = 256;

/// The message and the fields of an event.
#[derive(Default)]
pub(super) struct EventFields {
    pub(super) message: String,
    /// What a terminal shows instead of message and fields.
    pub(super) sentence: Option<String>,
    pub(super) others: Vec<(&'static str, serde_json::Value)>,
}

impl EventFields {
    /// The process that it is about.
    pub(super) fn process(&self) -> Option<&str> {
        self.others.iter().find(|(name, _)| *name == "name").and_then(|(_, value)| value.as_str())
    }

    /// The fields as ` name=value`, without some.
    pub(super) fn as_text(&self, without: &[&str]) -> String {
        let mut text = String::with_capacity(LINE_CAPACITY);
        for (name, value) in self.others.iter().filter(|(name, _)| !without.contains(name)) {
            // Writing to a string doesn't fail.
            let _ = match value {
                serde_json::Value::String(value) if is_bare(value) => write!(text, " {name}={value}"),
                other => write!(text, " {name}={}", escape_json(&other.to_string())),
            };
        }
        text
    }
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
        if field.name() == "sentence" {
            self.sentence = Some(value.to_owned());
        } else {
            self.others.push((field.name(), value.into()));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        } else {
            self.others.push((field.name(), format!("{value:?}").into()));
        }
    }
}

/// Whether a value needs no quotes in a text line: it has no space, quote, `=` or control character.
fn is_bare(text: &str) -> bool {
    !text.is_empty() && is_plain(text) && !text.contains(|char: char| char.is_whitespace() || matches!(char, '"' | '\\' | '='))
}
