//! Decodes one process: its fields, filled from `defaults`, become a [`Spec`].

use super::draft::{Draft, Given, given};
use super::fields::{NO_DEFAULT, PROCESS, RESTART_FIELDS, field_of};
use super::problems::{Problem, Problems};
use super::reader::{NodeReader, keys};
use super::schedules;
use super::serving_checks::SOCKET_VARIABLES;
use super::shell_lints;
use super::slice::SharedStr;
use super::source_map::SourceSpan;
use super::subject::OWNER;
use super::table::ConfigKey;
use super::tree::{MapEntry, Node, NodeKind, entry};
use super::unknown_keys;
use super::value_lints;
use super::words::is_variable;
use reconcile::spec::{OnChange, OnWatch, Spec};
use reconcile::text::{Name, Text};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A decoded process, with the positions of its parts.
pub(super) struct ParsedProcess {
    /// Shared: it is large, and there may be thousands.
    pub(super) spec: Arc<Spec>,
    pub(super) name: SourceSpan,
    pub(super) edges: BTreeMap<Name, SourceSpan>,
    /// Position of each socket.
    pub(super) sockets: Vec<SourceSpan>,
    /// How many equal processes the definition asks for.
    pub(super) replicas: u32,
    /// Position of its output.
    pub(super) output: Option<SourceSpan>,
}

/// The keys that are allowed in `defaults`.
pub(super) fn default_keys() -> Vec<ConfigKey> {
    keys(PROCESS).into_iter().filter(|key| !NO_DEFAULT.contains(&key.name)).collect()
}

/// The fields of a process or of `defaults`; reports unknown keys.
pub(super) fn fields<'a>(node: &'a Node, problems: &mut Problems) -> Option<Vec<Given<'a>>> {
    let NodeKind::Map(map) = &node.kind else {
        problems.add(unknown_keys::not_a_process(node));
        return None;
    };
    let found = map.entries.iter().filter_map(|entry| Some(Given { entry, field: field_of(&entry.key)? }));
    let found: Vec<Given<'_>> = found.collect();
    // If every key is a field and has a value, there is nothing to report.
    if found.len() < map.entries.len() || found.iter().any(|given| given.entry.value.is_null()) {
        unknown_keys::report(map, problems);
    }
    if let [Some(restart), Some(auto_restart)] = RESTART_FIELDS.map(|key| given(&found, key)) {
        let problem =
            Problem::error(auto_restart.key_span, format!("`auto_restart` and `restart`{OWNER} can't be used together"));
        problems.add(problem.label(restart.key_span, "`restart` is here").help("remove `auto_restart`"));
    }
    Some(found)
}

/// Whether a field is missing. With `guess`, a foreign key for it counts as present: that one is reported already.
fn is_missing(node: &Node, field: &str, guess: bool) -> bool {
    let NodeKind::Map(map) = &node.kind else { return false };
    entry(&map.entries, field).is_none() && !(guess && unknown_keys::some_key_means(map, field))
}

/// The fields of `defaults`; reports those that are not allowed in it.
pub(super) fn defaults<'a>(node: &'a Node, problems: &mut Problems) -> Vec<Given<'a>> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        let problem = Problem::error(node.span, format!("`defaults` must be a map, not {}", node.described()));
        problems.add(problem.help("write process fields in it, as in `defaults: {restart: on-failure}`"));
        return Vec::new();
    }
    let mut fields = fields(node, problems).unwrap_or_default();
    fields.retain(|given| {
        let allowed = !NO_DEFAULT.contains(&given.name());
        if !allowed {
            let problem = Problem::error(given.entry.key_span, format!("`{}` is not allowed in `defaults`", given.name()));
            problems.add(problem.help(match given.name() {
                "listen" => "write it in the one process that has the address",
                _ => "write it in each process",
            }));
        }
        allowed
    });
    fields
}

/// The fields of a process, and the defaults for fields that it doesn't set.
pub(super) fn with_defaults<'a>(mut own: Vec<Given<'a>>, defaults: &[Given<'a>]) -> Vec<Given<'a>> {
    let is_set = |key: &str| given(&own, key).is_some();
    let is_open = |given: &&Given<'_>| match given.name() {
        key if RESTART_FIELDS.contains(&key) => !RESTART_FIELDS.into_iter().any(is_set),
        key => !is_set(key),
    };
    let filled: Vec<Given<'a>> = defaults.iter().filter(is_open).copied().collect();
    own.extend(filled);
    own
}

/// The variables of `env` maps; the first map overrides the others.
pub(super) fn variables<'a>(maps: &[&'a Node], problems: &mut Problems) -> BTreeMap<&'a str, &'a Node> {
    let mut variables = BTreeMap::new();
    for node in maps {
        let NodeKind::Map(map) = &node.kind else {
            // A null is reported with its key.
            if !node.is_null() {
                problems.add(not_variables(node));
            }
            continue;
        };
        for MapEntry { key, key_span, value } in &map.entries {
            let reason = match key.as_str() {
                key if SOCKET_VARIABLES.contains(&key) => {
                    let problem = Problem::error(*key_span, format!("`{key}` in `env`{OWNER} is set by navigator"));
                    problems.add(problem.help("remove it: navigator passes the sockets of `listen`"));
                    continue;
                }
                "" => "has no name",
                key if key.contains('=') => "has a `=` in its name",
                key if value.is_empty() && key.split(':').next().is_some_and(|name| name != key && is_variable(name)) => {
                    "needs a space after its `:`"
                }
                key if key.contains('\0') => "has a NUL character in its name",
                key => {
                    value_lints::report_variable(key, value, problems);
                    variables.entry(key).or_insert(value);
                    continue;
                }
            };
            problems.add(Problem::error(*key_span, format!("a variable in `env`{OWNER} {reason}")).help(variable_hint(key)));
        }
    }
    variables
}

/// The error for an `env` that is not a map. Shows the name of a variable at most, never its value.
fn not_variables(node: &Node) -> Problem {
    let first = node.one_or_more().first().and_then(Node::text).unwrap_or_default();
    Problem::error(node.span, format!("`env`{OWNER} must be a map of variables, not {}", node.described()))
        .help(variable_hint(first))
}

/// The help for a variable; its name is the text before the first `=` or `:`.
fn variable_hint(text: &str) -> String {
    let name = text.split(['=', ':']).next().map(str::trim).filter(|name| is_variable(name) && text.len() > name.len());
    format!("write each variable as `{}: …`, on a line of its own", name.unwrap_or("NAME"))
}

/// Decodes fields into a draft; reports those that are not supported yet.
pub(super) fn read(reader: &mut NodeReader<'_, '_, '_>, fields: &[Given<'_>]) -> Draft {
    let mut draft = Draft { has_shell: shell_lints::has_shell(fields), ..Draft::new() };
    for &Given { entry, field } in fields {
        reader.not_yet(field.key.name, entry.key_span);
        // `output: null` and `command: null` are values; a key without any value isn't.
        reader.at(field.key.name, |reader| {
            if field.key.shape.takes_null() && !entry.value.is_empty() || reader.is_given(entry, field.key.otherwise) {
                (field.read)(reader, &entry.value, &mut draft);
            }
        });
    }
    schedules::check_kind(reader, &draft);
    on_watch(reader, &mut draft, given(fields, "reload").is_some());
    // The process may be named below its sockets.
    let exec = &mut draft.spec.exec;
    let name = if exec.sockets.is_empty() { Text::default() } else { Text::plain(&draft.spec.name) };
    for socket in &mut exec.sockets {
        if socket.name.value().is_empty() {
            socket.name = name.clone();
        }
        (socket.process_user, socket.process_group) = (exec.user.clone(), exec.group.clone());
    }
    // A default for others means nothing here.
    if draft.spec.on_change != OnChange::Rolling {
        draft.spec.stable = Spec::STABLE;
    }
    draft
}

/// Reports mistakes in the values of repeated keys; otherwise they would show up only once a key is removed.
pub(super) fn check_duplicates(reader: &mut NodeReader<'_, '_, '_>, node: &Node) {
    let NodeKind::Map(map) = &node.kind else { return };
    let duplicates = map.duplicates().iter().filter_map(|entry| Some(Given { entry, field: field_of(&entry.key)? }));
    let duplicates: Vec<Given<'_>> = duplicates.collect();
    if !duplicates.is_empty() {
        read(reader, &duplicates);
    }
}

fn on_watch(reader: &mut NodeReader<'_, '_, '_>, draft: &mut Draft, can_reload: bool) {
    draft.spec.on_watch = match draft.on_watch {
        Some((OnWatch::Reload, span)) if !can_reload => {
            let problem = Problem::error(span, format!("`on_watch: reload`{OWNER} needs a `reload`"));
            reader.report(problem.help("add `reload: {signal: HUP}`, or write `on_watch: restart`"));
            OnWatch::Reload
        }
        Some((on_watch, _)) => on_watch,
        None if can_reload => OnWatch::Reload,
        None => OnWatch::Restart,
    };
}

/// Turns a draft into a process; reports a missing `name` or `command`.
///
/// `stray_command`: the file has a `command` outside of any process. That is reported already, so no other is missed.
pub(super) fn finish(
    draft: Draft,
    node: &Node,
    fields: &[Given<'_>],
    stray_command: bool,
    problems: &mut Problems,
) -> Option<ParsedProcess> {
    let guess = problems.has_room();
    let no_command = is_missing(node, "command", guess) && !stray_command;
    if is_missing(node, "name", guess) {
        let (lacks, help) = if no_command {
            ("neither `name` nor `command`", "write `- name: …` and, below it, `command: …`")
        } else {
            ("no `name`", "add `name: …`")
        };
        problems.add(Problem::error(node.span, format!("this process has {lacks}")).help(help));
    } else if no_command {
        let (span, subject) = match (given(fields, "name"), draft.name) {
            (Some(entry), Some(name)) => (name, format!("process `{}`", entry.value.text().unwrap_or_default())),
            _ => (node.span, "this process".to_owned()),
        };
        problems.add(Problem::error(span, format!("{subject} has no `command`")).help("add `command: …`"));
    }
    shell_lints::report(fields, problems);
    Some(ParsedProcess {
        name: draft.name?,
        spec: Arc::new(draft.spec),
        edges: draft.edges,
        sockets: draft.sockets,
        replicas: draft.replicas.unwrap_or(1),
        output: given(fields, "output").map(|entry| entry.value.span),
    })
}

/// The name of a process as written, for messages about it.
pub(super) fn name_entry(node: &Node) -> Option<SharedStr> {
    let NodeKind::Map(map) = &node.kind else { return None };
    match &entry(&map.entries, "name")?.value.kind {
        NodeKind::Scalar(scalar) if !scalar.text.is_empty() => Some(scalar.text.clone()),
        _ => None,
    }
}

/// The name of a process as written, for messages about references to it.
pub(super) fn written_name(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::Map(map) => entry(&map.entries, "name").map(|entry| entry.value.text().unwrap_or_default()),
        _ => None,
    }
}
