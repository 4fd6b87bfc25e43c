//! Writes values as YAML text.
//!
//! `serde_json` can write the same values: hints for the YAML library have no effect there.

use crate::terminal::{escape_json, is_dangerous};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::Number;
use serde_yaml::{DoubleQuoted, FlowSeq, ser_options, to_string_with_options};

/// A value to write. Maps keep the order of their keys.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Value>),
    /// A list on one line.
    Row(Vec<Value>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// A text as a value.
    pub(crate) fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    /// Whether this is a map without keys.
    pub(crate) fn is_empty_map(&self) -> bool {
        matches!(self, Value::Map(entries) if entries.is_empty())
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Number(number) => number.serialize(serializer),
            Value::Text(text) if text.chars().any(must_be_escaped) => DoubleQuoted(text).serialize(serializer),
            Value::Text(text) => serializer.serialize_str(text),
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Value::Row(items) => FlowSeq(items).serialize(serializer),
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}

/// Whether a terminal would act on a character that the library writes unescaped.
fn must_be_escaped(char: char) -> bool {
    is_dangerous(char) && !matches!(char, '\n' | '\t')
}

/// Writes a value as a YAML document. Texts that could be read as another type are quoted.
///
/// # Errors
/// The library can't write the value.
pub(crate) fn write(value: &Value) -> Result<String, String> {
    // Long texts stay on one line.
    let options = ser_options! { compact_list_indent: false, folded_wrap_chars: usize::MAX };
    let text = to_string_with_options(value, options).map_err(|error| error.to_string())?;
    // In double quotes, YAML has the escapes of JSON.
    Ok(escape_json(&text).into_owned())
}
