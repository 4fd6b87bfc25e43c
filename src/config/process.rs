//! One process: its entries, what `defaults` add to them, and the definition they make.

use super::draft::{Draft, Given, given};
use super::fields::{EITHER, PROCESS, WITHOUT_DEFAULT, field_of};
use super::problems::{Problem, Problems};
use super::reader::{NodeReader, keys};
use super::shell_lints;
use super::source_map::SourceSpan;
use super::table::ConfigKey;
use super::tree::{MapEntry, Node, NodeKind, entry};
use super::unknown_keys;
use super::words::is_variable;
use reconcile::spec::{OnWatch, Spec};
use reconcile::text::Name;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A process that could be read, and where its parts stand.
pub(super) struct ParsedProcess {
    /// Large, and there may be very many.
    pub(super) spec: Arc<Spec>,
    pub(super) name: SourceSpan,
    pub(super) edges: BTreeMap<Name, SourceSpan>,
}

/// The keys that `defaults` takes.
pub(super) fn default_keys() -> Vec<ConfigKey> {
    keys(PROCESS).into_iter().filter(|key| !WITHOUT_DEFAULT.contains(&key.name)).collect()
}

/// The fields of a process or of `defaults`; keys that are none are reported.
pub(super) fn fields<'a>(node: &'a Node, problems: &mut Problems) -> Option<Vec<Given<'a>>> {
    let NodeKind::Map(map) = &node.kind else {
        problems.add(unknown_keys::not_a_process(node));
        return None;
    };
    let known = map.entries.iter().filter_map(|entry| Some(Given { entry, field: field_of(&entry.key)? }));
    let known: Vec<Given<'_>> = known.collect();
    // Where there are only fields, and something stands behind each, nothing is strange.
    if known.len() < map.entries.len() || known.iter().any(|given| given.entry.value.is_null()) {
        unknown_keys::report(map, problems);
    }
    if let [Some(restart), Some(auto_restart)] = EITHER.map(|key| given(&known, key)) {
        let problem = Problem::error(auto_restart.key_span, "`auto_restart` and `restart` exclude each other");
        problems.add(problem.label(restart.key_span, "`restart` is here").help("keep `restart`, and remove `auto_restart`"));
    }
    Some(known)
}

/// Whether a field is missing, and not just called by another name; that has been reported, and is looked for only where a
/// `guess` will be read.
fn is_missing(node: &Node, field: &str, guess: bool) -> bool {
    let NodeKind::Map(map) = &node.kind else { return false };
    entry(&map.entries, field).is_none() && !(guess && unknown_keys::some_key_means(map, field))
}

/// Reports the entries of `defaults` that no default can be given for, and returns the others.
pub(super) fn defaults<'a>(node: &'a Node, problems: &mut Problems) -> Vec<Given<'a>> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        let problem = Problem::error(node.span, format!("expected a map, found {}", node.described()));
        problems.add(problem.help("write fields of processes in it, as in `defaults: {restart: on-failure}`"));
        return Vec::new();
    }
    let mut fields = fields(node, problems).unwrap_or_default();
    fields.retain(|given| {
        let allowed = !WITHOUT_DEFAULT.contains(&given.name());
        if !allowed {
            problems.add(Problem::error(given.entry.key_span, format!("`{}` can't have a default", given.name())));
        }
        allowed
    });
    fields
}

/// A process's own fields and, of the defaults, those that it leaves open.
pub(super) fn filled_up<'a>(mut own: Vec<Given<'a>>, defaults: &[Given<'a>]) -> Vec<Given<'a>> {
    let says = |key: &str| given(&own, key).is_some();
    let left_open = |given: &&Given<'_>| match given.name() {
        key if EITHER.contains(&key) => !EITHER.into_iter().any(says),
        key => !says(key),
    };
    let filled: Vec<Given<'a>> = defaults.iter().filter(left_open).copied().collect();
    own.extend(filled);
    own
}

/// The variables of `env` maps, the first map being the highest.
pub(super) fn variables<'a>(maps: &[&'a Node], problems: &mut Problems) -> BTreeMap<&'a str, &'a Node> {
    let mut variables = BTreeMap::new();
    for node in maps {
        let NodeKind::Map(map) = &node.kind else {
            // A null has been reported by whoever saw the key.
            if !node.is_null() {
                problems.add(no_variables(node));
            }
            continue;
        };
        for MapEntry { key, key_span, value } in &map.entries {
            let reason = match key.as_str() {
                "" => "a variable needs a name",
                key if key.contains('=') => "the name of a variable can't hold a `=`",
                key if value.is_empty() && key.split(':').next().is_some_and(|name| name != key && is_variable(name)) => {
                    "a space is missing after the `:`"
                }
                key if key.contains('\0') => "the name of a variable can't hold a NUL character",
                _ => {
                    shell_lints::report_variable(value, problems);
                    variables.entry(key.as_str()).or_insert(value);
                    continue;
                }
            };
            problems.add(Problem::error(*key_span, reason).help(variable_form(key)));
        }
    }
    variables
}

/// What is wrong with an `env` that is no map. Of what stands there only the name of a variable is told.
fn no_variables(node: &Node) -> Problem {
    let first = node.one_or_more().first().and_then(Node::text).unwrap_or_default();
    Problem::error(node.span, format!("expected a map of variables, found {}", node.described())).help(variable_form(first))
}

/// How a variable is written, its name being what stands before a `=` or `:` here.
fn variable_form(text: &str) -> String {
    let name = text.split(['=', ':']).next().map(str::trim).filter(|name| is_variable(name) && text.len() > name.len());
    format!("write each variable as `{}: …`, on a line of its own", name.unwrap_or("NAME"))
}

/// Reads fields into a draft; those that this version can't do are reported.
pub(super) fn read(reader: &mut NodeReader<'_, '_, '_>, fields: &[Given<'_>]) -> Draft {
    let mut draft = Draft::new();
    for &Given { entry, field } in fields {
        reader.not_yet(field.key.name, entry.key_span);
        // `output: null` and `command: null` say something; nothing at all behind the key doesn't.
        if field.key.shape.takes_null() && !entry.value.is_empty() || reader.is_given(entry) {
            (field.read)(reader, &entry.value, &mut draft);
        }
    }
    on_watch(reader, &mut draft, given(fields, "reload").is_some());
    draft
}

fn on_watch(reader: &mut NodeReader<'_, '_, '_>, draft: &mut Draft, can_reload: bool) {
    draft.spec.on_watch = match draft.on_watch {
        Some((OnWatch::Reload, span)) if !can_reload => {
            let problem = Problem::error(span, "this process has no `reload` that a change could lead to");
            reader.report(problem.help("add `reload: {signal: HUP}`, or write `on_watch: restart`"));
            OnWatch::Reload
        }
        Some((on_watch, _)) => on_watch,
        None if can_reload => OnWatch::Reload,
        None => OnWatch::Restart,
    };
}

/// Turns a draft into a process; what it lacks is reported.
/// A `command` that stands outside of any process has been reported, and is hardly missing elsewhere.
pub(super) fn complete(
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
        let (span, whose) = match (given(fields, "name"), draft.name) {
            (Some(entry), Some(name)) => (name, format!("process `{}`", entry.value.text().unwrap_or_default())),
            _ => (node.span, "this process".to_owned()),
        };
        problems.add(Problem::error(span, format!("{whose} has no `command`")).help("add `command: …`"));
    }
    shell_lints::report(fields, problems);
    Some(ParsedProcess { name: draft.name?, spec: Arc::new(draft.spec), edges: draft.edges })
}

/// The name that a process bears as written, for messages about others that refer to it.
pub(super) fn written_name(node: &Node) -> Option<&str> {
    match &node.kind {
        NodeKind::Map(map) => entry(&map.entries, "name").map(|entry| entry.value.text().unwrap_or_default()),
        _ => None,
    }
}
