//! A directed graph of numbered nodes: order, cycles and reachability.
//!
//! An edge leads from a dependent to its dependency. No walk is recursive, so long chains can't overflow the stack.

use alloc::vec;
use alloc::vec::Vec;

/// A directed graph over the nodes `0..len`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Graph {
    edges: Vec<Vec<usize>>,
}

impl Graph {
    /// A graph of `len` nodes without edges.
    pub fn new(len: usize) -> Graph {
        Graph { edges: vec![Vec::new(); len] }
    }

    /// The number of nodes.
    pub fn len(&self) -> usize {
        self.edges.len()
    }

    /// Whether there is no node.
    pub fn is_empty(&self) -> bool {
        self.edges.is_empty()
    }

    /// Adds an edge. The same edge may be added again.
    pub fn add(&mut self, from: usize, to: usize) {
        self.edges[from].push(to);
    }

    /// The nodes that the edges of a node lead to.
    pub fn next(&self, from: usize) -> &[usize] {
        &self.edges[from]
    }

    /// The same graph with every edge reversed.
    #[must_use]
    pub fn reversed(&self) -> Graph {
        let mut reversed = Graph::new(self.edges.len());
        for (from, edges) in self.edges.iter().enumerate() {
            for &to in edges {
                reversed.add(to, from);
            }
        }
        reversed
    }

    /// For each node, whether it can be reached from `start` over one or more edges.
    pub fn reachable(&self, start: usize) -> Vec<bool> {
        let mut seen = vec![false; self.edges.len()];
        let mut stack = self.edges[start].clone();
        while let Some(node) = stack.pop() {
            if !core::mem::replace(&mut seen[node], true) {
                stack.extend_from_slice(&self.edges[node]);
            }
        }
        seen
    }

    /// The strongly connected components, each after all components that its edges lead to: dependencies first.
    ///
    /// Source: Tarjan, "Depth-first search and linear graph algorithms" (1972), with the recursion unrolled.
    pub fn components(&self) -> Vec<Vec<usize>> {
        const UNSEEN: usize = usize::MAX;
        let len = self.edges.len();
        let (mut index, mut low) = (vec![UNSEEN; len], vec![UNSEEN; len]);
        let (mut open, mut on_stack) = (Vec::new(), vec![false; len]);
        let (mut found, mut clock) = (Vec::new(), 0);
        let mut visits: Vec<(usize, usize)> = Vec::new();
        for root in 0..len {
            if index[root] != UNSEEN {
                continue;
            }
            visits.push((root, 0));
            while let Some((node, edge)) = visits.pop() {
                if edge == 0 {
                    index[node] = clock;
                    low[node] = clock;
                    clock += 1;
                    open.push(node);
                    on_stack[node] = true;
                } else {
                    let child = self.edges[node][edge - 1];
                    if on_stack[child] {
                        low[node] = low[node].min(low[child]);
                    }
                }
                let mut edge = edge;
                let unseen = loop {
                    match self.edges[node].get(edge) {
                        None => break None,
                        Some(&child) if index[child] == UNSEEN => break Some(child),
                        Some(&child) => {
                            if on_stack[child] {
                                low[node] = low[node].min(index[child]);
                            }
                            edge += 1;
                        }
                    }
                };
                if let Some(child) = unseen {
                    visits.push((node, edge + 1));
                    visits.push((child, 0));
                } else if low[node] == index[node] {
                    let mut component = Vec::new();
                    while let Some(member) = open.pop() {
                        on_stack[member] = false;
                        component.push(member);
                        if member == node {
                            break;
                        }
                    }
                    found.push(component);
                }
            }
        }
        found
    }

    /// A path from `start` back to itself through nodes of `within`: the nodes in order, `start` once.
    pub fn cycle_through(&self, start: usize, within: &[usize]) -> Option<Vec<usize>> {
        let mut open = vec![false; self.edges.len()];
        for &node in within {
            open[node] = true;
        }
        let mut came_from = vec![usize::MAX; self.edges.len()];
        let mut queue = alloc::collections::VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for &to in &self.edges[node] {
                if to == start {
                    let mut path = vec![node];
                    while path[path.len() - 1] != start {
                        path.push(came_from[path[path.len() - 1]]);
                    }
                    path.reverse();
                    return Some(path);
                }
                if core::mem::take(&mut open[to]) {
                    came_from[to] = node;
                    queue.push_back(to);
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(len: usize, edges: &[(usize, usize)]) -> Graph {
        let mut graph = Graph::new(len);
        for &(from, to) in edges {
            graph.add(from, to);
        }
        graph
    }

    #[test]
    fn components_come_after_what_they_lead_to() {
        let graph = graph(5, &[(0, 1), (1, 2), (2, 1), (2, 3), (4, 0)]);
        let mut components = graph.components();
        for component in &mut components {
            component.sort_unstable();
        }
        assert_eq!(components, [vec![3], vec![1, 2], vec![0], vec![4]]);
    }

    #[test]
    fn long_chains_do_not_overflow_the_stack() {
        let mut graph = Graph::new(100_000);
        for node in 1..100_000 {
            graph.add(node, node - 1);
        }
        assert_eq!(graph.components().len(), 100_000);
        assert!(graph.reachable(99_999)[0]);
    }

    #[test]
    fn a_cycle_is_given_in_order() {
        let graph = graph(4, &[(0, 1), (1, 2), (2, 0), (1, 3)]);
        assert_eq!(graph.cycle_through(1, &[0, 1, 2]), Some(vec![1, 2, 0]));
        assert_eq!(graph.cycle_through(3, &[3]), None);
    }
}
