//! `navigator graph`: the dependency graph of a configuration, as text, for Graphviz or for Mermaid.

use super::arguments::GraphFormat;
use super::check::reject;
use super::console::{OK, print};
use crate::config::Environment;
use crate::source::FileSource;
use reconcile::desired::{Desired, DesiredProcess, ResolvedDependency};
use reconcile::fields::condition_word;
use reconcile::spec::Tier;
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
}

/// The processes in the order in which they start.
fn in_start_order(desired: &Desired) -> impl Iterator<Item = &DesiredProcess> {
    desired.order().iter().map(|index| &desired.entries()[*index])
}

fn edges<'a>(desired: &'a Desired, entry: &'a DesiredProcess) -> Vec<Edge<'a>> {
    let name = |index: usize| desired.entries()[index].spec.name.as_str();
    let from = entry.spec.name.as_str();
    let named = entry.needs.iter().map(|need| Edge { from, to: name(need.on), label: label(need), blocks: need.required });
    let listed = entry.after.map(|on| Edge { from, to: name(on), label: "listed".to_owned(), blocks: false });
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

fn text(desired: &Desired) -> String {
    let mut text = String::new();
    for entry in in_start_order(desired) {
        let after: Vec<String> = edges(desired, entry).iter().map(|edge| format!("{} ({})", edge.to, edge.label)).collect();
        let tier = if entry.spec.tier == Tier::Application { ", an application" } else { "" };
        let disabled = if entry.spec.enabled { "" } else { ", disabled" };
        let after = if after.is_empty() { String::new() } else { format!(" after {}", after.join(", ")) };
        let _ = writeln!(text, "{}{tier}{disabled}{after}", entry.spec.name);
    }
    text
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
