//! A code quality report of GitLab: <https://docs.gitlab.com/ci/testing/code_quality/>.

use super::checked_file::sentence;
use crate::checksum::fnv1a;
use crate::config::{Diagnostic, Severity};
use serde_json::{Value, json};
use std::collections::HashMap;

/// A list with one entry for each problem.
pub(super) fn code_quality(problems: &[Diagnostic]) -> String {
    let mut counts = HashMap::new();
    let entries: Vec<Value> = problems
        .iter()
        .map(|problem| {
            let count: &mut u32 = counts.entry((&problem.file, &problem.message)).or_default();
            *count += 1;
            entry(problem, *count)
        })
        .collect();
    format!("{:#}\n", Value::from(entries))
}

/// `count`: how many problems in the file have had this message. The fingerprint has it in place of a line, so that a problem stays
/// the same one where lines are added above it.
fn entry(problem: &Diagnostic, count: u32) -> Value {
    let Diagnostic { severity, file, line, message, .. } = problem;
    let path = file.to_string_lossy();
    json!({
        "description": sentence(problem),
        "check_name": "navigator",
        "fingerprint": format!("{:016x}", fnv1a(format!("{path}\0{message}\0{count}").as_bytes())),
        "severity": match severity {
            Severity::Error => "major",
            Severity::Warning => "minor",
        },
        "location": { "path": path, "lines": { "begin": line } },
    })
}

#[cfg(test)]
mod tests {
    use super::super::tests::problem;
    use super::*;
    use std::collections::BTreeSet;

    fn fingerprints(problems: &[Diagnostic]) -> BTreeSet<String> {
        let report: Vec<Value> = serde_json::from_str(&code_quality(problems)).expect("it is JSON");
        report.iter().map(|entry| entry["fingerprint"].as_str().expect("a text").to_owned()).collect()
    }

    #[test]
    fn fingerprints_differ_and_outlive_a_move_to_another_line() {
        let at = |lines: [usize; 3]| {
            [
                problem("a.yml", lines[0], "wrong", None),
                problem("a.yml", lines[1], "wrong", None),
                problem("b.yml", lines[2], "wrong", None),
            ]
        };
        let before = fingerprints(&at([3, 5, 3]));
        assert_eq!(before.len(), 3);
        assert_eq!(fingerprints(&at([4, 6, 9])), before);
    }
}
