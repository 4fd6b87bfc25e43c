//! `After=`, `Requires=` and the like, as `depends_on`.

use super::unit::Unit;
use crate::config::Value;
use crate::import::model::ImportedStack;
use std::collections::BTreeMap;

/// What a unit says about another one.
#[derive(Clone, Copy, Debug, Default)]
struct UnitEdge {
    after: bool,
    requires: bool,
    follows: bool,
}

/// Adds the dependencies between imported units, and notes those on others.
pub(super) fn add(units: &[Unit<'_>], names: &BTreeMap<String, Vec<String>>, stack: &mut ImportedStack) {
    let mut edges: BTreeMap<(String, String), UnitEdge> = BTreeMap::new();
    for unit in units {
        let own = service_of(&unit.name, names);
        for entry in unit.entries.iter().filter(|entry| entry.section == "Unit") {
            for other in entry.value.split_whitespace() {
                let key = entry.key.as_str();
                if !["After", "Before", "Requires", "Wants", "BindsTo", "PartOf", "Requisite", "Upholds"].contains(&key) {
                    continue;
                }
                let Some(target) = service_of(other, names) else {
                    note(unit, key, other, entry.line, stack);
                    continue;
                };
                let Some(own) = own.clone().filter(|own| *own != target) else { continue };
                let pair = if key == "Before" { (target, own) } else { (own, target) };
                let edge = edges.entry(pair).or_default();
                edge.after |= matches!(key, "After" | "Before");
                edge.requires |= matches!(key, "Requires" | "Requisite" | "BindsTo");
                edge.follows |= matches!(key, "BindsTo" | "PartOf");
            }
        }
    }
    for ((from, to), edge) in edges {
        if !edge.after && !edge.requires {
            continue;
        }
        for from in &names[&from] {
            for to in &names[&to] {
                let Some(process) = stack.processes.iter_mut().find(|process| process.name == *from) else { continue };
                let mut ours = Vec::new();
                if !edge.after {
                    ours.push(("condition".to_owned(), Value::text("started")));
                }
                if edge.follows {
                    ours.push(("restart".to_owned(), Value::Bool(true)));
                }
                if !edge.requires {
                    ours.push(("required".to_owned(), Value::Bool(false)));
                }
                process.fields.depend(to, ours);
            }
        }
    }
}

/// The service of a unit that is imported: a socket or timer stands for its service.
fn service_of(name: &str, names: &BTreeMap<String, Vec<String>>) -> Option<String> {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    [name.to_owned(), format!("{stem}.service")].into_iter().find(|name| names.contains_key(name))
}

/// Units of the host are up before navigator is: only requirements on others are worth a note.
fn note(unit: &Unit<'_>, key: &str, other: &str, line: usize, stack: &mut ImportedStack) {
    let is_of_host = [".target", ".mount", ".slice", ".device", ".swap"].iter().any(|kind| other.ends_with(kind));
    if !is_of_host && key != "Before" {
        let reason = format!("`{other}` is not imported: start navigator after it, by `{key}={other}` in navigator's own unit");
        stack.drop(unit.source, line, key, &reason);
    }
}
