//! Combines process definitions into a [`Desired`], or reports the places where they contradict.

use super::problems::{MAX_SHOWN, Problem, Problems};
use super::process::ParsedProcess;
use super::source_map::SourceSpan;
use crate::suggest::did_you_mean;
use reconcile::desired::{Desired, InvalidDesired};
use reconcile::spec::Spec;
use reconcile::text::Name;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// What is known of processes that could not be read.
#[derive(Default)]
pub(super) struct UnreadProcesses<'a> {
    /// Names of processes that have problems.
    pub(super) names: BTreeSet<&'a str>,
    /// A whole file is missing, or there are too many processes, so any name may be defined there.
    pub(super) any_name: bool,
}

impl UnreadProcesses<'_> {
    /// Whether a process of this name may be defined where nothing could be read.
    fn may_have(&self, name: &str) -> bool {
        self.any_name || self.names.contains(name)
    }
}

/// Drops dependencies on processes that may be defined where nothing could be read.
pub(super) fn drop_unread(processes: &mut [ParsedProcess], unread: &UnreadProcesses<'_>) {
    let names: BTreeSet<Name> = processes.iter().map(|process| process.spec.definition().clone()).collect();
    let is_dropped = |name: &Name| !names.contains(name) && unread.may_have(name);
    for process in processes {
        if process.spec.depends_on.iter().flatten().any(|(name, _)| is_dropped(name)) {
            let spec = Arc::make_mut(&mut process.spec);
            spec.depends_on = spec.depends_on.take().map(|all| all.into_iter().filter(|(name, _)| !is_dropped(name)).collect());
        }
    }
}

/// Combines these processes.
pub(super) fn resolve(
    processes: &[ParsedProcess],
    unread: &UnreadProcesses<'_>,
    timeout: Duration,
    problems: &mut Problems,
) -> Option<Desired> {
    let specs: Vec<Arc<Spec>> = processes.iter().map(|process| Arc::clone(&process.spec)).collect();
    match Desired::new(specs, timeout) {
        Ok(desired) => Some(desired),
        Err(invalid) => {
            let duplicates = invalid.iter().filter_map(|invalid| match invalid {
                InvalidDesired::Duplicate { second, .. } => Some(&processes[*second]),
                _ => None,
            });
            let duplicates: Vec<&ParsedProcess> = duplicates.collect();
            let spans = DefinitionSpans::of(processes);
            report_edges(&duplicates, &spans, unread, problems);
            report(invalid, &spans, unread, problems);
            None
        }
    }
}

/// The places of process definitions.
struct DefinitionSpans<'p> {
    /// The place of each name, in the order of the list.
    names: Vec<SourceSpan>,
    by_name: BTreeMap<&'p Name, SourceSpan>,
    edges: BTreeMap<&'p Name, &'p BTreeMap<Name, SourceSpan>>,
}

impl<'p> DefinitionSpans<'p> {
    fn of(processes: &'p [ParsedProcess]) -> DefinitionSpans<'p> {
        let mut spans = DefinitionSpans { names: Vec::new(), by_name: BTreeMap::new(), edges: BTreeMap::new() };
        for ParsedProcess { spec, name, edges, .. } in processes {
            spans.names.push(*name);
            // Of two processes with one name, references mean the first.
            spans.by_name.entry(spec.definition()).or_insert(*name);
            spans.edges.entry(spec.definition()).or_insert(edges);
        }
        spans
    }

    /// The help for a dependency of `name` that doesn't exist.
    fn suggest(&self, name: &Name, dependency: &Name) -> String {
        let known = self.by_name.keys().map(|known| known.as_str()).filter(|known| known != &name.as_str());
        suggest(dependency, &known.collect::<Vec<_>>())
    }

    fn edge(&self, from: &Name, to: &Name) -> SourceSpan {
        self.edges.get(from).and_then(|edges| edges.get(to)).or_else(|| self.by_name.get(from)).copied().unwrap_or(self.names[0])
    }
}

/// Reports wrong dependencies of processes that repeat a name: [`Desired::new`] examines only the first of each.
fn report_edges(
    duplicates: &[&ParsedProcess],
    spans: &DefinitionSpans<'_>,
    unread: &UnreadProcesses<'_>,
    problems: &mut Problems,
) {
    for process in duplicates {
        for (dependency, &span) in &process.edges {
            if dependency == process.spec.definition() {
                problems.add(on_itself(span, InvalidDesired::Itself { name: dependency.clone() }.to_string()));
            } else if !spans.by_name.contains_key(dependency) && !unread.may_have(dependency) {
                let message = InvalidDesired::Unknown { name: process.spec.definition().clone(), dependency: dependency.clone() };
                problems
                    .add(Problem::error(span, message.to_string()).help(spans.suggest(process.spec.definition(), dependency)));
            }
        }
    }
}

fn on_itself(span: SourceSpan, message: String) -> Problem {
    Problem::error(span, message).help("remove it: a process can't wait for itself")
}

fn report(invalid: Vec<InvalidDesired>, spans: &DefinitionSpans<'_>, unread: &UnreadProcesses<'_>, problems: &mut Problems) {
    let mut suggested = 0;
    for invalid in invalid {
        let message = invalid.to_string();
        let problem = match &invalid {
            InvalidDesired::Duplicate { first, second, .. } => Problem::error(spans.names[*second], message)
                .label(spans.names[*first], "first given here")
                .help("give one of the two another name"),
            InvalidDesired::Unknown { dependency, .. } if unread.may_have(dependency) => continue,
            InvalidDesired::Unknown { name, dependency } => {
                // Comparing every unknown name with every known one could take long, and only some are shown.
                suggested += 1;
                let problem = Problem::error(spans.edge(name, dependency), message);
                if suggested <= MAX_SHOWN { problem.help(spans.suggest(name, dependency)) } else { problem }
            }
            InvalidDesired::Itself { name } => on_itself(spans.edge(name, name), message),
            InvalidDesired::Backwards { name, dependency } => {
                let problem = Problem::error(spans.edge(name, dependency), message);
                let problem = match spans.by_name.get(dependency) {
                    Some(&span) => problem.label(span, "this is an application"),
                    None => problem,
                };
                problem.help("move one of the two into the other list")
            }
            InvalidDesired::Cycle(names) => cycle(names, message, spans),
        };
        problems.add(problem);
    }
}

/// The help for an unknown dependency.
fn suggest(unknown: &str, known: &[&str]) -> String {
    const LISTED: usize = 8;
    let list = || known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    did_you_mean(unknown, known.iter().copied()).unwrap_or_else(|| match known.len() {
        0 => "there is no other process: define it, or remove it here".to_owned(),
        1 => format!("the only other process is {}: name it, or define `{unknown}`", list()),
        2..=LISTED => format!("the other processes are {}: name one, or define `{unknown}`", list()),
        _ => format!("define a process `{unknown}`, or remove it here"),
    })
}

/// The most members of a cycle that are shown.
const MAX_IN_CYCLE: usize = 10;

fn cycle(names: &[Name], message: String, spans: &DefinitionSpans<'_>) -> Problem {
    let next = |index: usize| &names[(index + 1) % names.len()];
    let message = if names.len() > MAX_IN_CYCLE {
        format!("dependency cycle of {} processes, beginning with `{}` → `{}` → …", names.len(), names[0], names[1])
    } else {
        message
    };
    let problem = Problem::error(spans.edge(&names[0], next(0)), message).help("remove one of these dependencies");
    names.iter().enumerate().take(MAX_IN_CYCLE).skip(1).fold(problem, |problem, (index, name)| {
        problem.label(spans.edge(name, next(index)), format!("`{name}` depends on `{}`", next(index)))
    })
}
