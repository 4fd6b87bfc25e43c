//! `navigator graph`: the dependency graph of a configuration, as text, for Graphviz or for Mermaid.

use super::arguments::GraphFormat;
use super::check::reject;
use super::console::{OK, print};
use crate::config::Environment;
use crate::source::FileSource;
use reconcile::desired::{Desired, DesiredProcess, ResolvedDependency};
use reconcile::fields::condition_word;
use reconcile::spec::Tier;
use std::collections::{BTreeSet, VecDeque};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

/// Prints the graph of a configuration.
pub(super) fn graph(path: &Path, format: GraphFormat) -> ExitCode {
    match FileSource::new(path.to_owned(), Environment::current()).read().revision {
        Ok(loaded) => {
            print(&match format {
                GraphFormat::Text => text(&loaded.desired),
                GraphFormat::Dot => dot(&loaded.desired),
                GraphFormat::Mermaid => mermaid(&loaded.desired),
            });
            OK.into()
        }
        Err(rejected) => reject(&rejected),
    }
}

/// An edge: `from` comes after `to`.
struct Edge<'a> {
    from: &'a str,
    to: &'a str,
    label: String,
    /// A required dependency, as opposed to order alone.
    blocks: bool,
    /// It comes from the order of the list alone.
    is_listed: bool,
}

/// The processes in the order in which they start.
fn in_start_order(desired: &Desired) -> impl Iterator<Item = &DesiredProcess> {
    desired.order().iter().map(|index| &desired.entries()[*index])
}

fn edges<'a>(desired: &'a Desired, entry: &'a DesiredProcess) -> Vec<Edge<'a>> {
    let name = |index: usize| desired.entries()[index].spec.name.as_str();
    let from = entry.spec.name.as_str();
    let named = entry.needs.iter().map(|need| Edge {
        from,
        to: name(need.on),
        label: label(need),
        blocks: need.required,
        is_listed: false,
    });
    let in_list = |on: usize| Edge { from, to: name(on), label: "listed".to_owned(), blocks: false, is_listed: true };
    let listed = entry.after.clone().map(in_list);
    named.chain(listed).collect()
}

fn label(need: &ResolvedDependency) -> String {
    let mut label = condition_word(need.condition).to_owned();
    if need.restart {
        label.push_str(", restart");
    }
    if !need.required {
        label.push_str(", not required");
    }
    label
}

/// At this depth, what is below a process is shown further down, so that a long chain is no wide text.
const DEEPEST: usize = 24;

/// A tree: each process that no other one names as a dependency, with its dependencies below it. What comes before a process in a
/// list alone is below it too, on a dashed branch that isn't followed: a long list would be a deep tree.
fn text(desired: &Desired) -> String {
    let named: BTreeSet<usize> = desired.entries().iter().flat_map(|entry| &entry.needs).map(|need| need.on).collect();
    let mut tree = Tree { desired, text: String::new(), shown: BTreeSet::new(), later: VecDeque::new() };
    tree.later.extend(desired.order().iter().filter(|index| !named.contains(index)).map(|index| &desired.entries()[*index]));
    while let Some(entry) = tree.later.pop_front() {
        tree.add(entry, "", "", 0);
    }
    tree.text
}

struct Tree<'a> {
    desired: &'a Desired,
    text: String,
    /// The processes below which something has been written.
    shown: BTreeSet<&'a str>,
    /// The processes that are still to be written at the margin.
    later: VecDeque<&'a DesiredProcess>,
}

impl<'a> Tree<'a> {
    /// Adds a process and what is below it. `label`: what the one above it needs of it; `margin`: before each line below it.
    fn add(&mut self, entry: &'a DesiredProcess, label: &str, margin: &str, depth: usize) {
        let name = entry.spec.name.as_str();
        let edges = edges(self.desired, entry);
        let is_deep = depth == DEEPEST && !edges.is_empty() && !self.shown.contains(name);
        let is_elsewhere = is_deep || !edges.is_empty() && !self.shown.insert(name);
        let notes = [
            label,
            if entry.spec.tier == Tier::Application { "application" } else { "" },
            if entry.spec.enabled { "" } else { "disabled" },
        ];
        let notes = notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ");
        let notes = if notes.is_empty() { notes } else { format!(" ({notes})") };
        let _ = writeln!(self.text, "{name}{notes}{}", if is_elsewhere { " (*)" } else { "" });
        if is_deep && !self.later.iter().any(|other| other.spec.name == entry.spec.name) {
            self.later.push_back(entry);
        }
        if is_elsewhere {
            return;
        }
        for (number, edge) in edges.iter().enumerate() {
            let (corner, below) = if number + 1 == edges.len() { ('└', "   ") } else { ('├', "│  ") };
            if edge.is_listed {
                let _ = writeln!(self.text, "{margin}{corner}╌ {} (listed)", edge.to);
            } else if let Some(on) = self.desired.get(edge.to) {
                let _ = write!(self.text, "{margin}{corner}─ ");
                self.add(on, &edge.label, &format!("{margin}{below}"), depth + 1);
            }
        }
    }
}

fn dot(desired: &Desired) -> String {
    let mut text = "digraph navigator {\n  rankdir = BT;\n  node [shape = box];\n".to_owned();
    for entry in in_start_order(desired) {
        let style = if entry.spec.tier == Tier::Application { " [style = rounded]" } else { "" };
        let _ = writeln!(text, "  \"{}\"{style};", entry.spec.name);
        for edge in edges(desired, entry) {
            let style = if edge.blocks { "solid" } else { "dashed" };
            let _ = writeln!(text, "  \"{}\" -> \"{}\" [label = \"{}\", style = {style}];", edge.from, edge.to, edge.label);
        }
    }
    text + "}\n"
}

fn mermaid(desired: &Desired) -> String {
    let mut text = "flowchart BT\n".to_owned();
    // Names may have characters with a meaning in Mermaid, so nodes are numbered.
    let number = |name: &str| desired.index(name).unwrap_or_default();
    for entry in in_start_order(desired) {
        let name = entry.spec.name.as_str();
        let (open, close) = if entry.spec.tier == Tier::Application { ("(", ")") } else { ("[", "]") };
        let _ = writeln!(text, "  n{}{open}\"{name}\"{close}", number(name));
        for edge in edges(desired, entry) {
            let arrow = if edge.blocks { "-->" } else { "-.->" };
            let _ = writeln!(text, "  n{} {arrow}|\"{}\"| n{}", number(edge.from), edge.label, number(edge.to));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use reconcile::spec::{Dependency, Spec};
    use std::time::Duration;

    /// Processes by name, each with the names of its dependencies.
    fn desired(processes: &[(&str, &[&str])]) -> Desired {
        let spec = |(name, needs): &(&str, &[&str])| {
            let mut spec = Spec::new(name, "server");
            spec.depends_on = Some(needs.iter().map(|need| ((*need).into(), Dependency::default())).collect());
            spec
        };
        Desired::new(processes.iter().map(spec).collect(), Duration::ZERO).expect("it is valid")
    }

    #[test]
    fn a_repeated_process_is_followed_once() {
        let desired = desired(&[("disk", &[]), ("db", &["disk"]), ("web", &["db"]), ("worker", &["db", "disk"])]);
        let expected = "\
web
└─ db (ready)
   └─ disk (ready)
worker
├─ db (ready) (*)
└─ disk (ready)
";
        assert_eq!(text(&desired), expected);
    }

    #[test]
    fn a_long_chain_is_shown_in_pieces() {
        let names: Vec<String> = (0..1_000).map(|number| format!("p{number}")).collect();
        let needs: Vec<Vec<&str>> =
            (0..1_000).map(|number| names[..number].last().map(String::as_str).into_iter().collect()).collect();
        let processes: Vec<(&str, &[&str])> = names.iter().zip(&needs).map(|(name, needs)| (name.as_str(), &needs[..])).collect();
        let text = text(&desired(&processes));
        assert!(text.lines().all(|line| line.chars().count() < 100), "a line is as long as the chain");
        let shown: BTreeSet<&str> = text.split([' ', '\n']).filter(|word| word.starts_with('p')).collect();
        assert_eq!(shown.len(), names.len());
    }
}
