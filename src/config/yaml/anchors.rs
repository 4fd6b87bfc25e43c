//! The nodes that anchors name, and the copies that aliases make.
//!
//! The copies are counted, because a small text could expand to any number of values.

use super::errors::{MAX_ANCHORS, MAX_COPIED, MAX_DEPTH, MAX_KEPT, Unacceptable};
use crate::config::tree::{Node, NodeKind};

/// The anchors defined so far.
#[derive(Default)]
pub(super) struct Anchors {
    /// By the parser's number of each anchor; `None` while its value is being read.
    named: Vec<Option<Named>>,
    count: usize,
    /// The number of nodes stored here.
    nodes: usize,
    /// Bytes of text in all copies.
    bytes: usize,
}

struct Named {
    node: Node,
    weight: Weight,
}

impl Anchors {
    /// Stores a copy of the node that an anchor names.
    pub(super) fn define(&mut self, anchor: usize, node: &Node) -> Result<(), Unacceptable> {
        let weight = Weight::of(node);
        self.count += 1;
        self.nodes += weight.nodes;
        self.bytes += weight.bytes;
        if self.count > MAX_ANCHORS || self.nodes > MAX_KEPT || self.bytes > MAX_COPIED {
            return Err(Unacceptable::TooManyCopies);
        }
        if self.named.len() <= anchor {
            self.named.resize_with(anchor + 1, || None);
        }
        self.named[anchor] = Some(Named { node: node.clone(), weight });
        Ok(())
    }

    /// Returns a copy of an anchor's node, to be placed at `depth`, and its number of nodes, which is at most `room`.
    pub(super) fn copy(&mut self, anchor: usize, depth: usize, room: usize) -> Result<(Node, usize), Unacceptable> {
        let Some(Some(Named { node, weight })) = self.named.get(anchor) else { return Err(Unacceptable::RecursiveAlias) };
        self.bytes += weight.bytes;
        if depth + weight.depth > MAX_DEPTH {
            return Err(Unacceptable::TooDeep);
        }
        if weight.nodes > room || self.bytes > MAX_COPIED {
            return Err(Unacceptable::TooManyCopies);
        }
        Ok((node.clone(), weight.nodes))
    }
}

/// How much there is to copy.
#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
    /// How deep lists and maps are nested.
    depth: usize,
}

impl Weight {
    fn of(node: &Node) -> Weight {
        match &node.kind {
            NodeKind::Scalar(scalar) => Weight { nodes: 1, bytes: scalar.text.len(), depth: 0 },
            NodeKind::List(items) => Weight::around(items.iter().map(Weight::of)),
            NodeKind::Map(map) => Weight::around(map.all().map(|entry| {
                let value = Weight::of(&entry.value);
                Weight { nodes: value.nodes + 1, bytes: value.bytes + entry.key.len(), ..value }
            })),
        }
    }

    /// The weight of a list or a map.
    fn around(parts: impl Iterator<Item = Weight>) -> Weight {
        let (mut nodes, mut bytes, mut depth) = (1, 0, 0);
        for part in parts {
            nodes += part.nodes;
            bytes += part.bytes;
            depth = depth.max(part.depth);
        }
        Weight { nodes, bytes, depth: depth + 1 }
    }
}
