//! `navigator doctor`: shows what this host supports, and what in a configuration will not work on it.
//!
//! Starts are tested with a child that does everything except the final exec.

use super::check::reject;
use super::console::{FAILURE, OK, fail, print};
use super::run::log_trust;
use crate::access::Trust;
use crate::config::{Environment, Loaded};
use crate::control::StateDir;
use crate::runtime::{self, Feature, log_problem};
use crate::source::FileSource;
use crate::terminal::{escape, plural};
use reconcile::text::Name;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

/// How many descriptors navigator needs for itself.
const OWN_DESCRIPTORS: u64 = 64;

/// How many descriptors it needs for each process: pipes and pidfds.
const DESCRIPTORS_EACH: u64 = 4;

/// Examines the host, and the configuration if there is one.
pub(super) fn doctor(path: Option<PathBuf>, state: &StateDir, trust: Trust) -> ExitCode {
    // As in `navigator run`, so that a child inherits the same.
    let launcher = match runtime::init() {
        Ok(launcher) => launcher,
        Err(error) => return fail(FAILURE, &error.to_string()),
    };
    let mut rows: Vec<CheckRow> = runtime::platform().into_iter().map(CheckRow::of_feature).collect();
    rows.push(check_state_directory(state));
    print(&table("host", &rows));
    let Some(path) = path else { return OK.into() };
    let shown = path.display().to_string();
    let loaded = match FileSource::new(path, Environment::current()).with_trust(trust).read().revision {
        Ok(loaded) => loaded,
        Err(rejected) => return reject(&rejected),
    };
    let rows = match check_configuration(&loaded, &launcher, log_trust(trust)) {
        Ok(rows) => rows,
        Err(error) => return fail(FAILURE, &format!("failed to test the starts: {error}")),
    };
    print(&format!("\n{}", table(&shown, &rows)));
    let problems = rows.iter().filter(|row| row.verdict == CheckVerdict::Problem).count();
    if problems == 0 {
        return OK.into();
    }
    print(&format!("\n{} will not work here\n", plural(problems, "thing", "things")));
    FAILURE.into()
}

/// A line of the report.
struct CheckRow {
    verdict: CheckVerdict,
    name: String,
    meaning: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CheckVerdict {
    Fine,
    Missing,
    Problem,
}

impl CheckRow {
    fn of_feature(Feature { name, is_there, meaning }: Feature) -> CheckRow {
        let verdict = if is_there { CheckVerdict::Fine } else { CheckVerdict::Missing };
        CheckRow { verdict, name: name.to_owned(), meaning }
    }

    fn of_outcome(name: &str, problem: Option<String>) -> CheckRow {
        let verdict = if problem.is_some() { CheckVerdict::Problem } else { CheckVerdict::Fine };
        CheckRow { verdict, name: name.to_owned(), meaning: problem.unwrap_or_default() }
    }
}

fn check_state_directory(state: &StateDir) -> CheckRow {
    let (is_there, meaning) = match state.check() {
        Ok(()) => (true, format!("`{}` can be written", state.path().display())),
        Err(error) => (false, error.to_string()),
    };
    CheckRow::of_feature(Feature { name: "state directory", is_there, meaning })
}

fn check_configuration(loaded: &Loaded, launcher: &runtime::Launcher, trust: Trust) -> std::io::Result<Vec<CheckRow>> {
    let mut entries: Vec<_> = loaded.desired.entries().iter().collect();
    entries.sort_by_key(|entry| entry.position);
    let problems = runtime::rehearse(launcher, trust, entries.iter().map(|entry| &*entry.spec))?;
    let found: Vec<(&Name, Vec<String>)> = entries.iter().map(|entry| entry.spec.definition()).zip(problems).collect();
    let rehearsed = found.chunk_by(|(one, _), (other, _)| one == other).flat_map(|replicas| {
        // What is wrong with all replicas is said once.
        let mut said = BTreeSet::new();
        let problems: Vec<&String> = replicas.iter().flat_map(|(_, problems)| problems).filter(|one| said.insert(*one)).collect();
        let fine = problems.is_empty().then_some(None);
        let name = replicas[0].0;
        fine.into_iter().chain(problems.into_iter().cloned().map(Some)).map(|problem| CheckRow::of_outcome(name, problem))
    });
    let log = loaded.settings.file.iter().filter_map(|path| log_problem(path, trust));
    let log = log.map(|problem| CheckRow::of_outcome("logging.file", Some(problem)));
    Ok(rehearsed.chain(log).chain(descriptors(entries.len(), launcher)).collect())
}

/// The problem that all processes together need too many descriptors, if they do.
fn descriptors(processes: usize, launcher: &runtime::Launcher) -> Option<CheckRow> {
    let needed = OWN_DESCRIPTORS + DESCRIPTORS_EACH * u64::try_from(processes).unwrap_or(u64::MAX / DESCRIPTORS_EACH);
    let allowed = launcher.descriptors();
    (needed > allowed).then(|| {
        let problem =
            format!("{processes} processes need about {needed} descriptors, and {allowed} are allowed: raise `ulimit -Hn`");
        CheckRow::of_outcome("(all)", Some(problem))
    })
}

/// A title, and the rows in columns.
fn table(title: &str, rows: &[CheckRow]) -> String {
    let width = rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
    let line = |row: &CheckRow| {
        let verdict = match row.verdict {
            CheckVerdict::Fine => "ok",
            CheckVerdict::Missing => "missing",
            CheckVerdict::Problem => "problem",
        };
        format!("  {verdict:<7}  {:<width$}  {}", row.name, escape(&row.meaning)).trim_end().to_owned() + "\n"
    };
    format!("{}\n{}", escape(title), rows.iter().map(line).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows = [
            CheckRow::of_feature(Feature { name: "pidfds", is_there: true, meaning: "used".into() }),
            CheckRow::of_feature(Feature { name: "control groups", is_there: false, meaning: "marks instead".into() }),
            CheckRow::of_outcome("web", None),
            CheckRow::of_outcome("db", Some("unknown user: `x`".into())),
        ];
        let expected = "\
host
  ok       pidfds          used
  missing  control groups  marks instead
  ok       web
  problem  db              unknown user: `x`
";
        assert_eq!(table("host", &rows), expected);
    }
}
