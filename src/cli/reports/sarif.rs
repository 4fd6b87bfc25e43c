//! A SARIF log (Static Analysis Results Interchange Format, version 2.1.0 of OASIS).

use super::checked_file::sentence;
use crate::config::{Diagnostic, Label, Severity};
use serde_json::{Value, json};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A log of one run.
pub(super) fn log(problems: &[Diagnostic]) -> String {
    let log = json!({
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "navigator",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": RULES.map(|(id, text)| json!({ "id": id, "shortDescription": { "text": text } })),
            } },
            "columnKind": "unicodeCodePoints",
            "results": problems.iter().map(result).collect::<Vec<_>>(),
        }],
    });
    format!("{log:#}\n")
}

/// The kinds of results, with their descriptions.
const RULES: [(&str, &str); 2] =
    [("invalid", "A mistake that makes the configuration invalid."), ("suspicious", "A part that is probably not as intended.")];

fn result(problem: &Diagnostic) -> Value {
    let Diagnostic { severity, file, line, column, end_column, labels, .. } = problem;
    let (rule, level) = match severity {
        Severity::Error => (0, "error"),
        Severity::Warning => (1, "warning"),
    };
    let mut result = json!({
        "ruleId": RULES[rule].0,
        "ruleIndex": rule,
        "level": level,
        "message": { "text": sentence(problem) },
        "locations": [{ "physicalLocation": physical(file, *line, *column, *end_column) }],
    });
    if !labels.is_empty() {
        result["relatedLocations"] = labels.iter().map(related).collect();
    }
    result
}

fn related(label: &Label) -> Value {
    let Label { file, line, column, end_column, message, .. } = label;
    json!({ "message": { "text": message }, "physicalLocation": physical(file, *line, *column, *end_column) })
}

fn physical(file: &Path, line: usize, column: usize, end_column: usize) -> Value {
    json!({
        "artifactLocation": { "uri": uri(file) },
        "region": { "startLine": line, "startColumn": column, "endColumn": end_column.max(column) },
    })
}

/// A path as a URI reference (RFC 3986), relative if the path is.
fn uri(path: &Path) -> String {
    let mut uri = String::from(if path.is_absolute() { "file://" } else { "" });
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_becomes_a_uri() {
        for (path, expected) in [
            ("hosts/web1/navigator.yml", "hosts/web1/navigator.yml"),
            ("/etc/navigator.yml", "file:///etc/navigator.yml"),
            ("my file:1#2%?.yml", "my%20file%3A1%232%25%3F.yml"),
            ("ü.yml", "%C3%BC.yml"),
        ] {
            assert_eq!(uri(Path::new(path)), expected);
        }
    }
}
