//! A report in the XML of `JUnit`, which most build servers show: each file is a test case.

use super::checked_file::{CheckOutcome, CheckedFile};
use crate::config::{Diagnostic, Severity, render_all};
use crate::terminal::{TerminalStyle, plural};

/// One suite, with a test case for each file.
pub(super) fn test_suite(files: &[CheckedFile]) -> String {
    let count = |outcome| files.iter().filter(|file| file.outcome == outcome).count();
    let counts = format!(
        "name=\"navigator check\" tests=\"{}\" failures=\"{}\" errors=\"{}\"",
        files.len(),
        count(CheckOutcome::Invalid),
        count(CheckOutcome::Unreadable)
    );
    let cases: String = files.iter().map(test_case).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}>\n  <testsuite {counts}>\n{cases}  </testsuite>\n</testsuites>\n"
    )
}

fn test_case(file: &CheckedFile) -> String {
    let found = render_all(&file.diagnostics, file.omitted, TerminalStyle::PLAIN);
    let errors: Vec<&Diagnostic> = file.diagnostics.iter().filter(|found| found.severity == Severity::Error).collect();
    let message = match errors[..] {
        [only] if file.omitted == 0 => only.message.clone(),
        _ => plural(errors.len() + file.omitted, "error", "errors"),
    };
    let element = match file.outcome {
        CheckOutcome::Valid if found.is_empty() => None,
        CheckOutcome::Valid => Some(("system-out", String::new())),
        CheckOutcome::Invalid => Some(("failure", format!(" message=\"{}\" type=\"invalid\"", escaped(&message)))),
        CheckOutcome::Unreadable => Some(("error", format!(" message=\"{}\" type=\"unreadable\"", escaped(&message)))),
    };
    let name = escaped(&file.path.to_string_lossy());
    let start = format!("    <testcase name=\"{name}\" classname=\"navigator\"");
    match element {
        None => format!("{start}/>\n"),
        Some((element, attributes)) => {
            format!("{start}>\n      <{element}{attributes}>{}</{element}>\n    </testcase>\n", escaped(&found))
        }
    }
}

/// Escapes text for elements and attributes. Characters that XML 1.0 doesn't allow are replaced.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            // A parser turns it into a blank in an attribute, and leaves it out at the end of a line.
            '\r' => escaped.push_str("&#13;"),
            '\t' | '\n' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'.. => escaped.push(char),
            _ => escaped.push('\u{fffd}'),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_for_xml() {
        for (text, expected) in [
            ("a & b < c > d \"e\" 'f'", "a &amp; b &lt; c &gt; d &quot;e&quot; 'f'"),
            ("]]>", "]]&gt;"),
            ("\u{1}\u{fffe}\u{ffff}", "\u{fffd}\u{fffd}\u{fffd}"),
            ("line\n\tnext\r", "line\n\tnext&#13;"),
            ("ü😀", "ü😀"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }
}
