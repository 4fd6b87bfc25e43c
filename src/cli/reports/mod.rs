//! Reports of `navigator check` for programs: JSON, GitHub, GitLab, SARIF and `JUnit`.

mod checked_file;
mod github;
mod gitlab;
mod junit;
mod sarif;

pub(super) use checked_file::{CheckOutcome, CheckedFile};

use crate::config::{Diagnostic, Label, Severity};
use crate::paths::tidied;
use crate::terminal::plural;
use serde_json::json;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// A format of reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MachineFormat {
    Json,
    Github,
    Gitlab,
    Sarif,
    Junit,
}

/// The report about these files. Paths below the working directory `root` are relative to it.
pub(super) fn report(format: MachineFormat, files: &[CheckedFile], root: &Path) -> String {
    match format {
        MachineFormat::Json => json_report(files),
        MachineFormat::Github => github::commands(&problems(files, root)),
        MachineFormat::Gitlab => gitlab::code_quality(&problems(files, root)),
        MachineFormat::Sarif => sarif::log(&problems(files, root)),
        MachineFormat::Junit => junit::test_suite(files),
    }
}

fn json_report(files: &[CheckedFile]) -> String {
    let all: Vec<&Diagnostic> = files.iter().flat_map(|file| &file.diagnostics).collect();
    let mut report = json!({ "diagnostics": all });
    let omitted: usize = files.iter().map(|file| file.omitted).sum();
    if omitted > 0 {
        report["omitted"] = omitted.into();
    }
    format!("{report}\n")
}

/// Every problem once, also those of a file that several others include. The number of errors that are left out is a problem too.
fn problems(files: &[CheckedFile], root: &Path) -> Vec<Diagnostic> {
    let mut seen = HashSet::new();
    let diagnostics = files.iter().flat_map(|file| file.diagnostics.iter().cloned().chain(omitted(file)));
    let mut located: Vec<Diagnostic> = diagnostics.map(|diagnostic| with_location(diagnostic, root)).collect();
    located.retain(|found| seen.insert((found.file.clone(), found.line, found.column, found.message.clone())));
    located
}

fn omitted(file: &CheckedFile) -> Option<Diagnostic> {
    let message = format!("{} not shown", plural(file.omitted, "more error is", "more errors are"));
    (file.omitted > 0).then(|| Diagnostic {
        severity: Severity::Error,
        file: file.path.clone(),
        line: 1,
        column: 1,
        end_column: 2,
        message,
        help: None,
        labels: Vec::new(),
        excerpt: None,
    })
}

fn with_location(diagnostic: Diagnostic, root: &Path) -> Diagnostic {
    let labels = diagnostic.labels.into_iter().map(|label| Label { file: location(&label.file, root), ..label }).collect();
    Diagnostic { file: location(&diagnostic.file, root), labels, ..diagnostic }
}

/// A path as services name the files of a repository: relative to the working directory, without `./`.
fn location(path: &Path, root: &Path) -> PathBuf {
    let path = tidied(path);
    path.strip_prefix(root).map(Path::to_owned).unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn problem(file: &str, line: usize, message: &str, help: Option<&str>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: file.into(),
            line,
            column: 5,
            end_column: 9,
            message: message.to_owned(),
            help: help.map(str::to_owned),
            labels: Vec::new(),
            excerpt: None,
        }
    }

    pub(super) fn checked(path: &str, diagnostics: Vec<Diagnostic>, omitted: usize) -> CheckedFile {
        let outcome = if diagnostics.is_empty() { CheckOutcome::Valid } else { CheckOutcome::Invalid };
        CheckedFile { path: path.into(), outcome, diagnostics, omitted }
    }

    #[test]
    fn each_problem_is_reported_once_at_a_path_of_the_repository() {
        let shared = || problem("./conf.d/web.yml", 3, "wrong", None);
        let outside = problem("/etc/navigator/navigator.yml", 1, "wrong", None);
        let files = [
            checked("./a.yml", vec![shared()], 1),
            checked("/repo/b.yml", vec![shared(), problem("/repo/b.yml", 3, "wrong", None), outside], 7),
        ];
        let found = problems(&files, Path::new("/repo"));
        let found: Vec<String> = found.iter().map(|found| format!("{}: {}", found.file.display(), found.message)).collect();
        let expected = [
            "conf.d/web.yml: wrong",
            "a.yml: 1 more error is not shown",
            "b.yml: wrong",
            "/etc/navigator/navigator.yml: wrong",
            "b.yml: 7 more errors are not shown",
        ];
        assert_eq!(found, expected);
    }
}
