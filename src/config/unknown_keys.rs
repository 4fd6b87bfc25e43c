//! Reports unknown keys of a process and suggests what was meant, once for each mistake.
//!
//! `foreign` knows the keys of other programs.

use super::draft::Draft;
use super::fields::{PROCESS, field_of};
use super::foreign::{self, list_item, process_as_yaml, procfile_line};
use super::problems::{Problem, Problems};
use super::reader::FieldReader;
use super::redact::short;
use super::scalar;
use super::subject::OWNER;
use super::table::ValueShape;
use super::tree::{Map, MapEntry, Node, NodeKind, entry};
use super::words::is_variable;

/// Reports the unknown keys of a process or of `defaults`.
pub(super) fn report(map: &Map, problems: &mut Problems) {
    if let Some(problem) = named_by_key(map) {
        return problems.add(problem);
    }
    let mut entries = map.entries.iter().enumerate();
    while let Some((index, entry)) = entries.next() {
        let Some(field) = field_of(&entry.key) else {
            let with_help = problems.has_room();
            problems.add_with(|| unknown(entry, with_help));
            continue;
        };
        let unindented = if entry.value.is_empty() { not_indented(field, &map.entries[index + 1..]) } else { &[] };
        if let [first, ..] = unindented {
            problems.add(not_indented_problem(entry, first));
            entries.nth(unindented.len() - 1);
        }
    }
}

/// Whether an unknown key was probably meant as this field, or the map as a process under its name. Both have been reported.
pub(super) fn some_key_means(map: &Map, field: &str) -> bool {
    let words = [format!("`{field}`"), format!("`{field}: ")];
    let means_field = |entry: &MapEntry| {
        field_of(&entry.key).is_none()
            && (missing_space(&entry.key) == Some(field)
                || instead_of(&entry.key).is_some_and(|instead| words.iter().any(|word| instead.contains(word))))
    };
    named_by_key(map).is_some() || map.entries.iter().any(means_field)
}

/// Describes an item of a list of processes that isn't a map.
pub(super) fn not_a_process(node: &Node) -> Problem {
    let problem =
        Problem::error(node.span, format!("a process must be a map with `name` and `command`, not {}", node.described()));
    let NodeKind::Scalar(scalar) = &node.kind else {
        return problem.help("write `- name: …` and, below it, `command: …`");
    };
    let text = scalar.text.as_str();
    let key = text.split(['=', ':']).next().unwrap_or_default().trim();
    let has_no_space = field_of(key).is_some() && key.len() < text.len();
    if has_no_space && text[key.len()..].trim_start().starts_with('=') {
        return Problem::error(node.span, format!("`{key}` must be followed by `:`, not by `=`"))
            .help(format!("write `{key}: …`"));
    }
    if has_no_space {
        return Problem::error(node.span, format!("a space is missing after the `:` of `{key}`"))
            .help(format!("write `{key}: …`"));
    }
    let name =
        text.split_whitespace().next().and_then(|program| program.rsplit('/').next()).filter(|name| scalar::name(name).is_ok());
    let lines = name.and_then(|name| procfile_line(name, text)).unwrap_or_else(|| list_item("…", vec!["command: …".to_owned()]));
    problem.help(format!("write a name and a command:\n{}", lines.join("\n")))
}

fn instead_of(key: &str) -> Option<String> {
    foreign::instead_of_field(key, PROCESS.iter().map(|field| field.key.name))
}

/// Whether a key is a field of processes, here or in other programs.
pub(super) fn belongs_to_process(key: &str) -> bool {
    field_of(key).is_some() || instead_of(key).is_some()
}

fn unknown(entry: &MapEntry, with_help: bool) -> Problem {
    let MapEntry { key, key_span, value } = entry;
    if let Some(field) = missing_space(key) {
        return Problem::error(*key_span, format!("a space is missing after the `:` of `{field}`{OWNER}"))
            .help(format!("write `{field}: …`"));
    }
    let problem = Problem::error(*key_span, format!("unknown key `{}`{OWNER}", short(key)));
    if !with_help {
        return problem;
    }
    if key.starts_with("//") {
        return problem.help("a comment begins with `#`");
    }
    if key.starts_with("x-") {
        return problem.help("your own keys belong at the top of the file, not in a process");
    }
    let nothing_near = || "a process has no field of this or a similar name: remove it".to_owned();
    problem.help(foreign::instead_of_entry(key, value).or_else(|| instead_of(key)).unwrap_or_else(nothing_near))
}

/// The field in `name:redis`, which is one word in YAML.
fn missing_space(key: &str) -> Option<&'static str> {
    let (before, _) = key.split_once(':')?;
    field_of(before).map(|field| field.key.name)
}

/// The entries after an empty field that belong to it, but aren't indented.
fn not_indented<'a>(field: &FieldReader<Draft>, behind: &'a [MapEntry]) -> &'a [MapEntry] {
    let belongs = |entry: &&MapEntry| {
        let key = entry.key.as_str();
        field_of(key).is_none()
            && match field.key.shape {
                ValueShape::Variables => is_variable(key) && !key.contains(|char: char| char.is_ascii_lowercase()),
                ValueShape::Part(keys) | ValueShape::Choice(_, keys) => keys().iter().any(|part| part.name == key),
                ValueShape::Limits(names) => names.contains(&key),
                _ => false,
            }
    };
    &behind[..behind.iter().take_while(belongs).count()]
}

fn not_indented_problem(entry: &MapEntry, first: &MapEntry) -> Problem {
    let problem = Problem::error(entry.key_span, format!("`{}`{OWNER} has no value", entry.key));
    problem
        .label(first.key_span, format!("`{}` is on the same level, not inside", first.key))
        .help(format!("indent what belongs to it:\n{}:\n  {}: …", entry.key, first.key))
}

/// A process under its name: `redis: {command: …}`, or `redis: redis-server --port 6379`.
fn named_by_key(map: &Map) -> Option<Problem> {
    let [first, rest @ ..] = &*map.entries else { return None };
    if field_of(&first.key).is_some() || scalar::name(&first.key).is_err() || entry(rest, "name").is_some() {
        return None;
    }
    let is_foreign = instead_of(&first.key).is_some();
    let inside = match &first.value.kind {
        NodeKind::Map(inside) if rest.is_empty() && has_command(&inside.entries) => process_as_yaml(&first.key, &inside.entries),
        NodeKind::Scalar(_) if is_foreign => return None,
        NodeKind::Scalar(_) if first.value.is_empty() && has_command(rest) => process_as_yaml(&first.key, rest),
        NodeKind::Scalar(line) if rest.is_empty() && !line.text.is_empty() => procfile_line(&first.key, &line.text)?,
        _ => return None,
    };
    let message = format!("`{}` is a key here, not the name of a process", first.key);
    Some(Problem::error(first.key_span, message).help(format!("write its name as a value:\n{}", inside.join("\n"))))
}

fn has_command(entries: &[MapEntry]) -> bool {
    entry(entries, "command").is_some()
}
