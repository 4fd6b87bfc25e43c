//! The schema of the configuration, for editors: JSON Schema 2020-12, made from the tables that the file is read by.
//!
//! It says what can be said of a file without knowing its variables and what else it names; the whole truth is what `load`
//! says. Where the two can't agree, the schema allows too much rather than too little. What is not supported yet is left out.

use super::fields::{self, RESTART_FIELDS};
use super::reader::keys;
use super::scalar::{DURATION, MAX_DURATION, NAME, NUMBER, SIZE, UMASK};
use super::table::{ChangeEffect, ConfigKey, DefaultValue, NOT_YET, ValueShape};
use super::top;
use crate::signals;
use serde_json::{Map, Value, json};

/// A reference to a variable, which can stand wherever a single value does, whatever that is to be.
const REFERENCE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*(\}|:?-|:\?|:\+)";

/// The name of a header: a token (RFC 9110 §5.1).
const HEADER: &str = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+";

/// Where the fields of a process are described.
const PROCESS: &str = "#/$defs/process";

/// The keys at the top of the file, for schema and reference.
pub fn top_keys() -> Vec<ConfigKey> {
    top::TOP.to_vec()
}

/// The fields of a process, for schema and reference.
pub fn process_keys() -> Vec<ConfigKey> {
    keys(fields::PROCESS)
}

/// What may be named but isn't supported yet, using which is an error: fields of a process, `field.key` for a part of one,
/// `field: word` for one of its values.
pub fn not_yet() -> impl Iterator<Item = &'static str> {
    NOT_YET.iter().map(|later| later.path)
}

/// The schema of a configuration. Objects have their keys in alphabetical order, so that it is always the same text.
pub fn schema() -> Value {
    let mut schema = map(&top_keys(), "");
    let lists = json!([
        {"required": ["managed_processes"]},
        {"required": ["applications"], "properties": {"applications": {"type": "array"}}},
        {"required": ["include"]},
    ]);
    let mut own = others(&top::WEB_SERVER);
    set(&mut own, "^x-", true);
    set(&mut schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
    set(&mut schema, "title", "Configuration of navigator");
    set(&mut schema, "description", "The processes of one host: what runs, and how it is kept so.");
    set(&mut schema, "anyOf", lists);
    set(&mut schema, "patternProperties", own);
    set(&mut schema, "$defs", json!({ "process": process() }));
    schema
}

/// Keys that belong to another program: they are no mistake, but not offered either.
fn others(keys: &[&str]) -> Value {
    json!({ (whole(&format!("({})", keys.join("|")))): true })
}

fn process() -> Value {
    let mut process = map(&process_keys(), "");
    set(&mut process, "dependentSchemas", one_of_two());
    process
}

/// Where the second of [`EITHER`] is given, the first isn't possible.
fn one_of_two() -> Value {
    let [first, second] = RESTART_FIELDS;
    json!({ (second): { "properties": { (first): false } } })
}

/// A map with these keys and no others. `path` is the field that it belongs to, with a dot behind it.
fn map(keys: &[ConfigKey], path: &str) -> Value {
    let supported: Vec<&ConfigKey> = keys.iter().filter(|key| is_supported(&format!("{path}{}", key.name))).collect();
    let properties: Map<String, Value> = supported.iter().map(|key| (key.name.to_owned(), property(key, path))).collect();
    let required: Vec<&str> =
        supported.iter().filter(|key| key.otherwise == DefaultValue::Required).map(|key| key.name).collect();
    let mut map = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        set(&mut map, "required", required);
    }
    map
}

fn is_supported(path: &str) -> bool {
    !NOT_YET.iter().any(|later| later.path == path)
}

/// What a key takes, and what people are told about it.
fn property(key: &ConfigKey, path: &str) -> Value {
    let mut property = value(key, &format!("{path}{}", key.name));
    set(&mut property, "description", description(key, path.is_empty()));
    if let DefaultValue::Written(written) = key.otherwise {
        // What is no JSON (`500ms`) is a word of the file.
        set(&mut property, "default", serde_json::from_str(written).unwrap_or_else(|_| Value::from(written)));
    }
    property
}

fn description(key: &ConfigKey, whole: bool) -> String {
    let mut description = sentence(key.meaning);
    if let DefaultValue::InWords(words) = key.otherwise {
        description.extend([" Without it: ", words, "."]);
    }
    // Of a part, what a change does is said of the whole.
    description.push_str(match key.change {
        _ if !whole => "",
        ChangeEffect::Restart => " A change restarts the process.",
        ChangeEffect::InPlace => " A running process takes a change over.",
        ChangeEffect::StartsOrStops => " A change starts or stops the process.",
        ChangeEffect::AnotherProcess => " Under another name it is another process.",
        ChangeEffect::None => "",
    });
    description
}

/// A fragment, as a sentence of its own.
fn sentence(fragment: &str) -> String {
    let mut chars = fragment.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(std::iter::once('.')).collect()
}

/// What a key takes. `path` is its own.
fn value(key: &ConfigKey, path: &str) -> Value {
    let inner = format!("{path}.");
    match key.shape {
        ValueShape::Text(_) | ValueShape::File => text(),
        ValueShape::Program => {
            let mut program = any_text();
            set(&mut program, "minLength", 1);
            program
        }
        ValueShape::Texts => json!({ "type": "array", "items": any_text() }),
        ValueShape::Files => one_or_more(&text()),
        ValueShape::Globs => {
            let mut glob = text();
            set(&mut glob, "not", json!({ "type": "string", "pattern": r"\*\*" }));
            one_or_more(&glob)
        }
        ValueShape::Command => json!({ "type": "array", "items": any_text(), "minItems": 1 }),
        ValueShape::Name => name(),
        ValueShape::Url => written_as("http://[^/]+.*"),
        ValueShape::Address => written_as(".+:[0-9]{1,5}"),
        ValueShape::Sockets => one_or_more(&written_as("([/.].*|.+:[0-9]{1,5})")),
        ValueShape::Schedule => written_as(r"(@(hourly|daily|weekly|monthly|yearly)|\S+(\s+\S+){4})"),
        ValueShape::Bool => json!({ "anyOf": [{ "type": "boolean" }, reference()] }),
        ValueShape::BoolOrNames => {
            let name = json!({ "type": ["string", "number", "boolean"], "minLength": 1, "pattern": "^[^=\\u0000]+$" });
            let names = json!({ "type": "array", "items": name, "uniqueItems": true });
            json!({ "anyOf": [{ "type": "boolean" }, names, reference()] })
        }
        ValueShape::True => json!({ "anyOf": [{ "const": true }, reference()] }),
        ValueShape::Whole(from, to) => whole_number(from, to),
        ValueShape::Wholes(from, to) => one_or_more(&whole_number(from, to)),
        ValueShape::Number(from, to) => {
            json!({ "anyOf": [{ "type": "number", "minimum": from, "maximum": to }, reference()] })
        }
        ValueShape::Duration => duration(),
        ValueShape::SomeDuration => {
            let mut duration = duration();
            set(&mut duration, "exclusiveMinimum", 0);
            set(&mut duration, "not", json!({ "type": "string", "pattern": "^[^1-9$]*$" }));
            duration
        }
        ValueShape::Size => number_or(SIZE, json!({ "minimum": 0, "examples": ["50MB", "10MiB"] })),
        ValueShape::Octal => number_or(UMASK, json!({ "minimum": 0, "maximum": 777 })),
        ValueShape::Signal => signal(),
        ValueShape::Words(words) => json!({ "anyOf": [{ "enum": supported_words(words, path) }, reference()] }),
        ValueShape::Variables => {
            json!({ "type": "object", "propertyNames": { "pattern": "^[^=\\u0000]+$" }, "additionalProperties": any_text() })
        }
        ValueShape::Headers => {
            json!({ "type": "object", "propertyNames": { "pattern": whole(HEADER) }, "additionalProperties": any_text() })
        }
        ValueShape::Part(keys) if path == "defaults" => shared(&keys()),
        ValueShape::Part(keys) if path == "logging" => {
            let mut logging = map(&keys(), &inner);
            set(&mut logging, "patternProperties", others(&[top::WEB_SERVER_LOGGING]));
            logging
        }
        ValueShape::Part(keys) => map(&keys(), &inner),
        ValueShape::Choice(of, keys) => choice(of, map(&keys(), &inner)),
        ValueShape::Edges(keys) => {
            let mut edge = map(&keys(), &inner);
            set(&mut edge, "type", ["object", "null"]);
            let list = json!({ "type": "array", "items": name(), "uniqueItems": true });
            let names = json!({ "pattern": whole(NAME) });
            let map = json!({ "type": "object", "propertyNames": names, "additionalProperties": edge });
            json!({ "anyOf": [list, map] })
        }
        ValueShape::WordsOrPart(words, keys) => {
            // `null` without quotes is YAML's own, and means the word.
            let words: Vec<Value> = words.iter().map(|&word| word.into()).chain([Value::Null]).collect();
            json!({ "anyOf": [{ "enum": words }, map(&keys(), &inner), reference()] })
        }
        ValueShape::Limits(names) => {
            let limit = number_or("([0-9]+|unlimited)", json!({ "minimum": 0 }));
            let limits: Map<String, Value> = names.iter().map(|&name| (name.to_owned(), limit.clone())).collect();
            json!({ "type": "object", "properties": limits, "additionalProperties": false })
        }
        ValueShape::Processes => {
            let list = json!({ "type": "array", "items": { "$ref": PROCESS } });
            if key.name == "applications" { json!({ "anyOf": [list, { "type": "object" }] }) } else { list }
        }
    }
}

fn whole_number(from: i64, to: i64) -> Value {
    json!({ "anyOf": [{ "type": "integer", "minimum": from, "maximum": to }, reference()] })
}

/// Fields of a process that stand elsewhere.
fn shared(keys: &[ConfigKey]) -> Value {
    let supported = keys.iter().filter(|key| is_supported(key.name));
    let property = |key: &ConfigKey| (key.name.to_owned(), json!({ "$ref": format!("{PROCESS}/properties/{}", key.name) }));
    let properties: Map<String, Value> = supported.map(property).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false, "dependentSchemas": one_of_two() })
}

/// A map that has exactly one of these keys.
fn choice(of: &[&str], mut map: Value) -> Value {
    let one: Vec<Value> = of.iter().map(|name| json!({ "required": [name] })).collect();
    set(&mut map, "oneOf", one);
    map
}

/// A single value that isn't empty. What YAML makes of it doesn't matter: it is taken as written.
fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"], "minLength": 1 })
}

/// A single value, also an empty one and the word `null`.
fn any_text() -> Value {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

fn one_or_more(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

/// A text of this form, or one that a variable decides.
fn written_as(form: &str) -> Value {
    json!({ "type": "string", "pattern": whole_or_reference(form) })
}

/// The name of a process, which may look like a number or a truth value.
fn name() -> Value {
    json!({ "type": ["string", "number", "boolean"], "minimum": 0, "pattern": whole_or_reference(NAME) })
}

/// A number within bounds, or a text of this form, or one that a variable decides.
fn number_or(form: &str, bounds: Value) -> Value {
    let mut value = bounds;
    set(&mut value, "type", ["integer", "string"]);
    set(&mut value, "pattern", whole_or_reference(form));
    value
}

fn duration() -> Value {
    let bounds = json!({ "minimum": 0, "maximum": MAX_DURATION.as_secs(), "minLength": 1 });
    let mut duration = number_or(&DURATION.replace('N', NUMBER), bounds);
    set(&mut duration, "examples", json!(["250ms", "2s", "1m30s", "1h", "2d"]));
    set(&mut duration, "type", ["number", "string"]);
    duration
}

/// A signal; its usual name is offered, in capitals and without `SIG`.
fn signal() -> Value {
    let names: Vec<&str> = signals::names().collect();
    let known = signals::spellings().map(in_any_case).collect::<Vec<_>>().join("|");
    let [sig, min, max] = ["SIG", "RTMIN", "RTMAX"].map(in_any_case);
    let distance = "([0-9]|[12][0-9]|30)";
    let form = format!(r"(({sig})?({known}|{min}(\+{distance})?|{max}(-{distance})?)|[1-9]|[1-5][0-9]|6[0-4])");
    let any = number_or(&form, json!({ "minimum": 1, "maximum": 64 }));
    json!({ "anyOf": [{ "enum": names }, any] })
}

fn in_any_case(name: &str) -> String {
    let either = |char: char| match char.to_ascii_lowercase() {
        lower if lower == char => lower.to_string(),
        lower => format!("[{char}{lower}]"),
    };
    name.chars().map(either).collect()
}

/// Of some words those that can be used.
fn supported_words(words: &[&'static str], path: &str) -> Vec<&'static str> {
    words.iter().copied().filter(|word| is_supported(&format!("{path}: {word}"))).collect()
}

fn reference() -> Value {
    json!({ "type": "string", "pattern": REFERENCE })
}

fn whole(form: &str) -> String {
    format!("^{form}$")
}

fn whole_or_reference(form: &str) -> String {
    format!("^{form}$|{REFERENCE}")
}

fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    object[key] = value.into();
}
