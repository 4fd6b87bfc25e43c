//! Reports duplicate keys.

use super::problems::{Problem, Problems};
use super::process;
use super::redact::short;
use super::source_map::SourceSpan;
use super::subject::{OWNER, Owner};
use super::tree::{Map, MapEntry, Node, NodeKind};
use std::collections::HashMap;

/// Reports every duplicate key of a file. A map in place of a list of processes is left out: its keys repeat because the
/// dashes are missing, which is reported elsewhere.
pub(super) fn report(root: &Node, problems: &mut Problems) {
    let NodeKind::Map(top) = &root.kind else { return check_node(root, problems) };
    report_map(top, problems);
    for entry in top.all() {
        let is_list_key = entry.key == "managed_processes" || entry.key == "applications";
        match &entry.value.kind {
            NodeKind::Map(map) if is_list_key && map.entries.iter().any(|entry| entry.key == "name") => {
                map.all().for_each(|entry| check_node(&entry.value, problems));
            }
            _ => check_node(&entry.value, problems),
        }
    }
}

fn check_node(node: &Node, problems: &mut Problems) {
    match &node.kind {
        NodeKind::Scalar(_) => {}
        NodeKind::List(items) => items.iter().for_each(|item| check_node(item, problems)),
        NodeKind::Map(map) => {
            let outer =
                process::name_entry(node).map(|name| std::mem::replace(&mut problems.subject.owner, Owner::Process(Some(name))));
            report_map(map, problems);
            map.all().for_each(|entry| check_node(&entry.value, problems));
            if let Some(outer) = outer {
                problems.subject.owner = outer;
            }
        }
    }
}

fn report_map(map: &Map, problems: &mut Problems) {
    if map.duplicates().is_empty() {
        return;
    }
    let places: HashMap<&str, SourceSpan> = map.entries.iter().map(|entry| (entry.key.as_str(), entry.key_span)).collect();
    for MapEntry { key, key_span, .. } in map.duplicates() {
        problems.add_with(|| {
            let problem = Problem::error(*key_span, format!("duplicate key `{}`{OWNER}", short(key)));
            problem.label(places[key.as_str()], "first given here").help("remove one of the two")
        });
    }
}
