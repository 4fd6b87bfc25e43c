//! Workflow commands of GitHub Actions, which become annotations at the lines of a pull request.

use super::checked_file::sentence;
use crate::config::{Diagnostic, Severity};

/// One command a line.
pub(super) fn commands(problems: &[Diagnostic]) -> String {
    problems.iter().map(command).collect()
}

fn command(problem: &Diagnostic) -> String {
    let Diagnostic { severity, file, line, column, end_column, .. } = problem;
    let level = match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let file = property(&file.to_string_lossy());
    // The range includes its last column.
    let end = end_column.saturating_sub(1).max(*column);
    let message = data(&sentence(problem));
    format!("::{level} file={file},line={line},endLine={line},col={column},endColumn={end}::{message}\n")
}

/// Escapes a message, as the commands of `actions/toolkit` do.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::super::tests::problem;
    use super::*;

    #[test]
    fn what_ends_a_command_or_a_property_is_escaped() {
        let found = problem("a,b:c%.yml", 3, "100% wrong::warning::\nnext", Some("write `a`\n  b"));
        let expected = "::error file=a%2Cb%3Ac%25.yml,line=3,endLine=3,col=5,endColumn=8::\
                        100%25 wrong::warning::%0Anext%0Ahelp: write `a`%0A  b\n";
        assert_eq!(commands(&[found]), expected);
    }
}
