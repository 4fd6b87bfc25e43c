//! Keys that are given twice in one map. Whether a map should be one at all is not asked here.

use super::problems::{Problem, Problems};
use super::redact::short;
use super::source_map::SourceSpan;
use super::tree::{Map, MapEntry, Node, NodeKind};
use std::collections::HashMap;

/// Reports every duplicate key of a file, but for those of a map that stands where a list of processes is expected: there the
/// same keys come again for every process, and what is missing is the dashes.
pub(super) fn report(root: &Node, problems: &mut Problems) {
    let NodeKind::Map(top) = &root.kind else { return within(root, problems) };
    twice(top, problems);
    for entry in top.all() {
        let without_dashes = entry.key == "managed_processes" || entry.key == "applications";
        match &entry.value.kind {
            NodeKind::Map(map) if without_dashes && map.entries.iter().any(|entry| entry.key == "name") => {
                map.all().for_each(|entry| within(&entry.value, problems));
            }
            _ => within(&entry.value, problems),
        }
    }
}

fn within(node: &Node, problems: &mut Problems) {
    match &node.kind {
        NodeKind::Scalar(_) => {}
        NodeKind::List(items) => items.iter().for_each(|item| within(item, problems)),
        NodeKind::Map(map) => {
            twice(map, problems);
            map.all().for_each(|entry| within(&entry.value, problems));
        }
    }
}

fn twice(map: &Map, problems: &mut Problems) {
    if map.duplicates().is_empty() {
        return;
    }
    let places: HashMap<&str, SourceSpan> = map.entries.iter().map(|entry| (entry.key.as_str(), entry.key_span)).collect();
    for MapEntry { key, key_span, .. } in map.duplicates() {
        problems.add_with(|| {
            let problem = Problem::error(*key_span, format!("duplicate key `{}`", short(key)));
            problem.label(places[key.as_str()], "first given here").help("remove one of the two")
        });
    }
}
