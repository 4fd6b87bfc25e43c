//! A file with `source`: it says where the configuration of this host is followed from, and has no processes of its own.

use super::host_source::{BESIDE, GitSource, HOST, SOURCE, SourceParts};
use super::problems::{Problem, Problems};
use super::read::Loader;
use super::reader::NodeReader;
use super::scope::{Context, VariableScope};
use super::subject::KEY;
use super::top::is_top_key;
use super::tree::{MapEntry, NodeKind, entry};

/// Reports the keys that have no meaning beside `source`.
fn report_others(entries: &[MapEntry], problems: &mut Problems) {
    let others = entries.iter().filter(|entry| is_top_key(&entry.key));
    for entry in others.filter(|entry| entry.key != "source" && !BESIDE.contains(&entry.key.as_str())) {
        let problem = Problem::error(entry.key_span, format!("`{}` can't stand beside `source`", entry.key));
        problems.add(problem.help("put it into the file in the repository, or remove `source` to run this file alone"));
    }
}

/// Reports `source` in the repository.
pub(super) fn report_in_repository(entries: &[MapEntry], problems: &mut Problems) {
    if let Some(entry) = entry(entries, "source") {
        let problem = Problem::error(entry.key_span, "`source` is read from this host alone: remove it from the repository");
        problems.add(problem.help("a repository can't say where it is followed from"));
    }
}

/// The name of this host, as the kernel has it.
fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

impl Loader<'_> {
    /// Reads `source`: the repository, and the name of the host.
    pub(super) fn bootstrap(
        &mut self,
        entries: &[MapEntry],
        source: &MapEntry,
        mut scope: VariableScope<'_>,
    ) -> Option<(GitSource, String)> {
        report_others(entries, &mut self.problems);
        let NodeKind::Map(map) = &source.value.kind else {
            let problem = Problem::error(source.value.span, format!("`source` must be a map, not {}", source.value.described()));
            self.problems.add(problem.help("write a map with `git`, and in it the `url` of the repository"));
            return None;
        };
        let host = entry(&map.entries, "host").filter(|entry| !entry.value.is_null());
        let host = host.map(|host| {
            self.with_reader(&mut scope, |reader| {
                reader.at("source", |reader| reader.at("host", |reader| reader.filled(&host.value)))
            })
        });
        let host = match host {
            Some(host) => host?.value().to_owned(),
            None => host_name(),
        };
        let environment = self.environment.with([(HOST, host.as_str())]);
        let mut context = Context { environment: &environment, ..self.context() };
        let mut parts = SourceParts::default();
        let mut reader = NodeReader { scope: &mut scope, context: &mut context };
        reader.at("source", |reader| {
            reader.map(&source.value, "source", SOURCE, &mut parts);
            if entry(&map.entries, "git").is_none() {
                let problem = Problem::error(source.value.span, format!("{KEY} has no `git`"));
                reader.report(problem.help("write a map with `git`, and in it the `url` of the repository"));
            }
        });
        Some((parts.git?, host))
    }
}
