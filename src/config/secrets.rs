//! Marks secret values in a tree, wherever aliases and merge keys copy them.

use super::scope::is_secret;
use super::tree::{Node, NodeKind};
use std::collections::HashSet;

/// Marks every value under a key with a name for secrets, and its copies elsewhere.
pub(super) fn mark(root: &mut Node) {
    let mut places = HashSet::new();
    collect(root, false, &mut places);
    if !places.is_empty() {
        mark_at(root, &places);
    }
}

/// Collects the places of secrets.
fn collect(node: &Node, secret: bool, places: &mut HashSet<u32>) {
    match &node.kind {
        NodeKind::Scalar(_) => {
            if secret {
                places.insert(node.span.start);
            }
        }
        NodeKind::List(items) => items.iter().for_each(|item| collect(item, secret, places)),
        NodeKind::Map(map) => map.all().for_each(|entry| collect(&entry.value, secret || is_secret(&entry.key), places)),
    }
}

fn mark_at(node: &mut Node, places: &HashSet<u32>) {
    match &mut node.kind {
        NodeKind::Scalar(scalar) => scalar.is_secret = places.contains(&node.span.start),
        NodeKind::List(items) => items.iter_mut().for_each(|item| mark_at(item, places)),
        NodeKind::Map(map) => map.all_mut().for_each(|entry| mark_at(&mut entry.value, places)),
    }
}
