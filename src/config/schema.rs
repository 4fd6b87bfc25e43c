//! The JSON Schema (2020-12) of the configuration, for editors, made from the tables that the file is read by.
//!
//! A schema can't know variables or other files, so where it can't be exact it allows too much rather than too little; `load`
//! decides. Unsupported keys are left out.

use super::address::{NO_PATH, PATH, PORT};
use super::fields::{self, RESTART_FIELDS};
use super::host_source::BESIDE;
use super::listen::{ADDRESS, ONLY_FOR_PATHS, SOCKET_NAME};
use super::parts;
use super::reader::keys;
use super::scalar::{DURATION, MAX_DURATION, MEMORY, NAME, NUMBER, OCTAL, PERCENT, SIZE};
use super::schedules::WHEN;
use super::table::{ChangeEffect, ConfigKey, DefaultValue, NOT_YET, ValueShape};
use super::top;
use crate::schedule::Cron;
use crate::signals;
use serde_json::{Map, Value, json};

/// A reference to a variable, allowed wherever a single value is.
const REFERENCE: &str = r"\$\{[A-Za-z_][A-Za-z0-9_]*(\}|:?-|:\?|:\+)";

/// The name of a header: a token (RFC 9110 §5.1).
const HEADER: &str = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+";

/// The definition of a process.
const PROCESS: &str = "#/$defs/process";

/// The keys at the top of the file, for schema and reference.
pub fn top_keys() -> Vec<ConfigKey> {
    top::TOP.to_vec()
}

/// The fields of a process, for schema and reference.
pub fn process_keys() -> Vec<ConfigKey> {
    keys(fields::PROCESS)
}

/// The keys that are errors because they aren't supported yet: `field` or `field.key`.
pub fn not_yet() -> impl Iterator<Item = &'static str> {
    NOT_YET.iter().map(|later| later.path)
}

/// The schema of a configuration. Keys are in alphabetical order, so that the text is always the same.
pub fn schema() -> Value {
    let mut schema = map(&top_keys(), "");
    let lists = json!([
        {"required": ["managed_processes"]},
        {"required": ["applications"], "properties": {"applications": {"type": "array"}}},
        {"required": ["include"]},
        {"required": ["source"]},
    ]);
    let mut ignored = foreign_keys(&top::WEB_SERVER);
    set(&mut ignored, "^x-", true);
    set(&mut schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
    set(&mut schema, "title", "Configuration of navigator");
    set(&mut schema, "description", "The processes of one host: what runs, and how it is kept so.");
    set(&mut schema, "anyOf", lists);
    set(&mut schema, "dependentSchemas", beside_source());
    set(&mut schema, "patternProperties", ignored);
    set(&mut schema, "$defs", json!({ "process": process() }));
    schema
}

/// Keys of other programs: allowed, but not offered.
fn foreign_keys(keys: &[&str]) -> Value {
    json!({ (anchored(&format!("({})", keys.join("|")))): true })
}

fn process() -> Value {
    let mut process = map(&process_keys(), "");
    set(&mut process, "dependentSchemas", exclusive_fields());
    process
}

/// If the second key of [`RESTART_FIELDS`] is given, the first isn't allowed.
fn exclusive_fields() -> Value {
    let [first, second] = RESTART_FIELDS;
    json!({ (second): { "properties": { (first): false } } })
}

/// A map with these keys and no others. `path` is the field that holds it, with a dot at its end.
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

/// The schema of a key's value, with its description and default.
fn property(key: &ConfigKey, path: &str) -> Value {
    let mut property = value(key, &format!("{path}{}", key.name));
    set(&mut property, "description", description(key, path.is_empty()));
    if let DefaultValue::Written(written) = key.otherwise {
        // A default that is not JSON, such as `500ms`, is a string.
        set(&mut property, "default", serde_json::from_str(written).unwrap_or_else(|_| Value::from(written)));
    }
    property
}

fn description(key: &ConfigKey, is_field: bool) -> String {
    let mut description = sentence(key.meaning);
    if let DefaultValue::InWords(words) = key.otherwise {
        description.extend([" Without it: ", words, "."]);
    }
    // The effect of a change is described on the whole field, not on its parts.
    description.push_str(match key.change {
        _ if !is_field => "",
        ChangeEffect::Restart => " A change restarts the process.",
        ChangeEffect::InPlace => " A change is applied to the running process.",
        ChangeEffect::StartsOrStops => " A change starts or stops the process.",
        ChangeEffect::AnotherProcess => " Under another name it is another process.",
        ChangeEffect::None => "",
    });
    description
}

/// Turns a fragment into a sentence.
fn sentence(fragment: &str) -> String {
    let mut chars = fragment.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).chain(std::iter::once('.')).collect()
}

/// The schema of a key's value. `path` is the key's own.
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
        ValueShape::Files => one_or_more(&json!({ "anyOf": [text(), map(&keys(parts::ENV_FILE), &inner)] })),
        ValueShape::Globs => {
            let mut glob = text();
            set(&mut glob, "not", json!({ "type": "string", "pattern": r"\*\*" }));
            one_or_more(&glob)
        }
        ValueShape::Command => json!({ "type": "array", "items": any_text(), "minItems": 1 }),
        ValueShape::Repositories => {
            let mut list = one_or_more(&repository());
            set(&mut list["anyOf"][1], "minItems", 1);
            list
        }
        ValueShape::Name => name(),
        ValueShape::Url => written_as("http://[^/]+.*"),
        ValueShape::Address => written_as(".+:[0-9]{1,5}"),
        ValueShape::Socket => socket(),
        ValueShape::Sockets(keys) => sockets(map(&keys(), &inner)),
        ValueShape::Cron => cron(),
        ValueShape::CronOrPart(keys) => json!({ "anyOf": [cron(), schedule(map(&keys(), &inner))] }),
        ValueShape::Bool => json!({ "anyOf": [{ "type": "boolean" }, reference()] }),
        ValueShape::BoolOrNames => {
            let name = json!({ "type": ["string", "number", "boolean"], "minLength": 1, "pattern": "^[^=\\u0000]+$" });
            let names = json!({ "type": "array", "items": name, "uniqueItems": true });
            json!({ "anyOf": [{ "type": "boolean" }, names, reference()] })
        }
        ValueShape::BoolOrPart(keys) => json!({ "anyOf": [{ "type": "boolean" }, map(&keys(), &inner), reference()] }),
        ValueShape::True => json!({ "anyOf": [{ "const": true }, reference()] }),
        ValueShape::Whole(from, to) => whole_number(from, to),
        ValueShape::WholeOrPercent(from, to) => {
            json!({ "anyOf": [whole_number(from, to), { "type": "string", "pattern": "^(100|[0-9]{1,2})%$" }] })
        }
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
        ValueShape::Delay => delay(),
        ValueShape::DelayOrPart(keys) => json!({ "anyOf": [delay(), map(&keys(), &inner)] }),
        ValueShape::Size => number_or(SIZE, json!({ "minimum": 0, "examples": ["50MB", "10MiB"] })),
        ValueShape::Memory => memory(),
        ValueShape::Percent => percent(),
        ValueShape::Octal => number_or(OCTAL, json!({ "minimum": 0, "maximum": 777 })),
        ValueShape::Signal => signal(),
        ValueShape::Words(words) => json!({ "anyOf": [{ "enum": words }, reference()] }),
        ValueShape::Variables => {
            json!({ "type": "object", "propertyNames": { "pattern": "^[^=\\u0000]+$" }, "additionalProperties": any_text() })
        }
        ValueShape::Headers => {
            json!({ "type": "object", "propertyNames": { "pattern": anchored(HEADER) }, "additionalProperties": any_text() })
        }
        ValueShape::Part(keys) if path == "defaults" => process_properties(&keys()),
        ValueShape::Part(keys) if path == "logging" => {
            let mut logging = map(&keys(), &inner);
            set(&mut logging, "patternProperties", foreign_keys(&[top::WEB_SERVER_LOGGING]));
            logging
        }
        ValueShape::Part(keys) if path == "source.git" => git(map(&keys(), &inner)),
        ValueShape::Part(keys) => map(&keys(), &inner),
        ValueShape::Choice(of, keys) => choice(of, map(&keys(), &inner)),
        ValueShape::Edges(keys) => {
            let mut edge = map(&keys(), &inner);
            set(&mut edge, "type", ["object", "null"]);
            let list = json!({ "type": "array", "items": name(), "uniqueItems": true });
            let names = json!({ "pattern": anchored(NAME) });
            let map = json!({ "type": "object", "propertyNames": names, "additionalProperties": edge });
            json!({ "anyOf": [list, map] })
        }
        ValueShape::WordsOrPart(words, keys) => {
            // YAML's own `null` without quotes means the word.
            let words: Vec<Value> = words.iter().map(|&word| word.into()).chain([Value::Null]).collect();
            let mut part = map(&keys(), &inner);
            if path == "output" {
                set(&mut part, "anyOf", json!([{ "required": ["file"] }, { "required": ["stderr"] }]));
            }
            json!({ "anyOf": [{ "enum": words }, part, reference()] })
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

/// With `source`, only some keys are allowed.
fn beside_source() -> Value {
    let others = top::TOP.iter().filter(|key| key.name != "source" && !BESIDE.contains(&key.name));
    let others: Map<String, Value> = others.map(|key| (key.name.to_owned(), Value::Bool(false))).collect();
    json!({ "source": { "properties": others } })
}

/// The address of a repository.
fn repository() -> Value {
    let mut url = text();
    set(&mut url, "pattern", r"^[^-\u0000-\u001f]");
    set(&mut url, "not", json!({ "pattern": r"^(http|git)://|::|^[a-z]+://[^/@]*:[^/@]*@|^(ssh|https)://-" }));
    url
}

/// `source.git`: one of `branch`, `tag` and `tags`.
fn git(mut map: Value) -> Value {
    let exclusive = json!({
        "branch": { "properties": { "tag": false, "tags": false } },
        "tag": { "properties": { "tags": false } },
    });
    set(&mut map, "dependentSchemas", exclusive);
    map
}

/// An amount of memory that isn't zero.
fn memory() -> Value {
    let mut memory = number_or(MEMORY, json!({ "minimum": 1, "examples": ["512M", "2GiB"] }));
    set(&mut memory, "not", json!({ "type": "string", "pattern": "^0*[A-Za-z]*$" }));
    memory
}

/// A percentage that isn't zero.
fn percent() -> Value {
    let mut percent = written_as(PERCENT);
    set(&mut percent, "not", json!({ "pattern": "^0*%$" }));
    set(&mut percent, "examples", json!(["50%", "200%"]));
    percent
}

/// A schedule in its map form.
fn schedule(map: Value) -> Value {
    let mut schedule = choice(&WHEN, map);
    set(&mut schedule, "dependentSchemas", json!({ "timezone": { "properties": { "every": false } } }));
    schedule
}

/// A cron expression. What its fields may contain is checked by the loader alone.
fn cron() -> Value {
    let words = Cron::words().collect::<Vec<_>>().join("|");
    written_as(&format!(r"({words}|\s*\S+(\s+\S+){{4}}\s*)"))
}

fn whole_number(from: i64, to: i64) -> Value {
    json!({ "anyOf": [{ "type": "integer", "minimum": from, "maximum": to }, reference()] })
}

/// The fields of a process that `defaults` takes, by reference.
fn process_properties(keys: &[ConfigKey]) -> Value {
    let supported = keys.iter().filter(|key| is_supported(key.name));
    let property = |key: &ConfigKey| (key.name.to_owned(), json!({ "$ref": format!("{PROCESS}/properties/{}", key.name) }));
    let properties: Map<String, Value> = supported.map(property).collect();
    json!({ "type": "object", "properties": properties, "additionalProperties": false, "dependentSchemas": exclusive_fields() })
}

/// A map that has exactly one of these keys.
fn choice(of: &[&str], mut map: Value) -> Value {
    let one: Vec<Value> = of.iter().map(|name| json!({ "required": [name] })).collect();
    set(&mut map, "oneOf", one);
    map
}

/// A single value that isn't empty. Its YAML type doesn't matter: it is read as written.
fn text() -> Value {
    json!({ "type": ["string", "number", "boolean"], "minLength": 1 })
}

/// A single value, including an empty one and `null`.
fn any_text() -> Value {
    json!({ "type": ["string", "number", "boolean", "null"] })
}

fn one_or_more(one: &Value) -> Value {
    json!({ "anyOf": [one, { "type": "array", "items": one }] })
}

/// A string in this format, or with a reference.
fn written_as(form: &str) -> Value {
    json!({ "type": "string", "pattern": anchored_or_reference(form) })
}

/// A process name, which may look like a number or a boolean.
fn name() -> Value {
    json!({ "type": ["string", "number", "boolean"], "minimum": 0, "pattern": anchored_or_reference(NAME) })
}

/// A number within bounds, a string in this format, or one with a reference.
fn number_or(form: &str, bounds: Value) -> Value {
    let mut value = bounds;
    set(&mut value, "type", ["integer", "string"]);
    set(&mut value, "pattern", anchored_or_reference(form));
    value
}

fn duration() -> Value {
    let bounds = json!({ "minimum": 0, "maximum": MAX_DURATION.as_secs(), "minLength": 1 });
    let mut duration = number_or(&DURATION.replace('N', NUMBER), bounds);
    set(&mut duration, "examples", json!(["250ms", "2s", "1m30s", "1h", "2d"]));
    set(&mut duration, "type", ["number", "string"]);
    duration
}

/// A duration of at least a millisecond.
fn delay() -> Value {
    let mut delay = duration();
    set(&mut delay, "minimum", 0.001);
    let shorter = r"^([^1-9$]*|[0-9]{0,3}(\.[0-9]*)?us|0*\.[0-9]*ms|0*\.0{3}[0-9]*s?)$";
    set(&mut delay, "not", json!({ "type": "string", "pattern": shorter }));
    delay
}

/// A signal. Editors offer its usual name, in capitals and without `SIG`.
fn signal() -> Value {
    let names: Vec<&str> = signals::names().collect();
    let known = signals::spellings().map(in_any_case).collect::<Vec<_>>().join("|");
    let [sig, min, max] = ["SIG", "RTMIN", "RTMAX"].map(in_any_case);
    let distance = "([0-9]|[12][0-9]|30)";
    let form = format!(r"(({sig})?({known}|{min}(\+{distance})?|{max}(-{distance})?)|[1-9]|[1-5][0-9]|6[0-4])");
    let any = number_or(&form, json!({ "minimum": 1, "maximum": 64 }));
    json!({ "anyOf": [{ "enum": names }, any] })
}

/// The address of a listening socket.
fn socket() -> Value {
    written_as(&format!("({PATH}|{})", NO_PATH.replace("PORT", PORT)))
}

/// An address, a list of addresses, or a map from names to addresses or to maps like `in_map`.
fn sockets(mut in_map: Value) -> Value {
    let path = json!({ "properties": { (ADDRESS): written_as(PATH) } });
    let only_for_paths: Map<String, Value> = ONLY_FOR_PATHS.iter().map(|key| ((*key).to_owned(), path.clone())).collect();
    set(&mut in_map, "dependentSchemas", only_for_paths);
    let names = json!({ "pattern": anchored(SOCKET_NAME), "not": { "const": ADDRESS } });
    let one = socket();
    let map = json!({ "type": "object", "propertyNames": names, "additionalProperties": { "anyOf": [one, in_map] } });
    json!({ "anyOf": [one, { "type": "array", "items": one }, map] })
}

fn in_any_case(name: &str) -> String {
    let either = |char: char| match char.to_ascii_lowercase() {
        lower if lower == char => lower.to_string(),
        lower => format!("[{char}{lower}]"),
    };
    name.chars().map(either).collect()
}

fn reference() -> Value {
    json!({ "type": "string", "pattern": REFERENCE })
}

fn anchored(form: &str) -> String {
    format!("^{form}$")
}

fn anchored_or_reference(form: &str) -> String {
    format!("^{form}$|{REFERENCE}")
}

fn set(object: &mut Value, key: &str, value: impl Into<Value>) {
    object[key] = value.into();
}
