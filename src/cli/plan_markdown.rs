//! Formats a plan as Markdown, for the comment on a merge request: a table of changes, their order, and the unified diff.
//!
//! Values are shown as code, so that nothing in them is taken for Markdown or HTML.

use super::plan_text::{counts, sign, why, why_stale};
use crate::snapshot::PlanReport;
use crate::snapshot::plan::{FieldChange, PlannedSocket};
use crate::terminal::columns::cut_within;
use crate::terminal::escape;
use std::fmt::Write;

/// The most columns of a value in the table. The diff has it in full.
const MAX_VALUE: usize = 80;

/// The plan as Markdown in the dialect of GitHub and GitLab.
pub fn markdown(plan: &PlanReport) -> String {
    let counts = counts(plan);
    let (first, rest) = counts.trim_end().split_once(": ").unwrap_or((&counts, ""));
    let mut text = format!("**{first}**: {rest}\n");
    let rows = rows(plan);
    if !rows.is_empty() {
        text.push_str("\n| | process | fields | reason |\n|---|---|---|---|\n");
        text.extend(rows);
    }
    text.push_str(&order(plan));
    text.push_str(&diff(plan));
    text
}

fn rows(plan: &PlanReport) -> Vec<String> {
    let row = |sign: char, name: &str, fields: &[FieldChange], why: &str| {
        let fields: Vec<String> = fields.iter().map(field).collect();
        format!("| {sign} | {} | {} | {} |\n", code(name), fields.join("<br>"), plain(why))
    };
    let mut rows: Vec<String> =
        plan.changes.iter().map(|change| row(sign(&change.action), &change.name, &change.fields, &why(change))).collect();
    rows.extend(plan.stale.iter().map(|stale| row('!', &stale.name, &stale.fields, &why_stale(stale))));
    rows.extend(plan.sockets.iter().map(|PlannedSocket { action, address, name, from }| {
        let why = match from {
            Some(from) => format!("{action} socket, held for {from} now"),
            None => format!("{action} socket"),
        };
        format!("| | {} | {} | {} |\n", code(name), code(address), plain(&why))
    }));
    rows.extend(plan.stopped_by_hand.iter().map(|name| row('·', name, &[], "stopped by hand, and stays so")));
    rows
}

fn field(change: &FieldChange) -> String {
    let FieldChange { field, old, new } = change;
    let value = |value: &Option<String>| value.as_ref().map_or_else(|| "(none)".to_owned(), |value| code(value));
    // A difference that isn't shown is secret.
    if old.is_some() && old == new {
        return format!("{}: {}, its value changed", code(field), value(old));
    }
    format!("{}: {} → {}", code(field), value(old), value(new))
}

/// The steps in waves, as a list; empty if they are all for one process.
fn order(plan: &PlanReport) -> String {
    let mut names = plan.waves.iter().flatten().map(|step| &step.name);
    let first = names.next();
    if names.all(|name| Some(name) == first) {
        return String::new();
    }
    let mut text = "\nIn this order, each when the one before it is done:\n\n".to_owned();
    for (number, wave) in plan.waves.iter().enumerate() {
        let steps: Vec<String> = wave.iter().map(|step| format!("{} {}", plain(&step.action), code(&step.name))).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}. {}", number + 1, steps.join(", "));
    }
    text
}

/// The definitions that differ, as one block.
fn diff(plan: &PlanReport) -> String {
    let mut lines = String::new();
    for change in &plan.changes {
        let Some(diff) = &change.diff else { continue };
        let name = escape(&change.name);
        let (old, new) = match change.action.as_str() {
            "start" => ("/dev/null", &*name),
            "stop" => (&*name, "/dev/null"),
            _ => (&*name, &*name),
        };
        let _ = writeln!(lines, "--- {old}\n+++ {new}");
        for line in diff.lines() {
            let _ = writeln!(lines, "{}", escape(line));
        }
    }
    if lines.is_empty() {
        return lines;
    }
    let fence = "`".repeat(longest_run(&lines).max(2) + 1);
    format!("\n{fence}diff\n{lines}{fence}\n")
}

/// Text as a code span in a cell of a table.
fn code(text: &str) -> String {
    let text = escape(text);
    // A pipe would end the cell, also in code; `\|` is shown as a pipe.
    let text = cut_within(&text, MAX_VALUE).replace('|', "\\|");
    if text.is_empty() {
        return "`\"\"`".to_owned();
    }
    let ticks = "`".repeat(longest_run(&text) + 1);
    // A blank on both sides is not shown. A text that begins or ends with a tick or a blank needs them.
    let needs_blanks = text.starts_with(['`', ' ']) || text.ends_with(['`', ' ']);
    let blank = if needs_blanks { " " } else { "" };
    format!("{ticks}{blank}{text}{blank}{ticks}")
}

/// The longest run of backticks.
fn longest_run(text: &str) -> usize {
    text.split(|char| char != '`').map(str::len).max().unwrap_or_default()
}

/// Text outside of code, with everything escaped that has a meaning in Markdown.
fn plain(text: &str) -> String {
    let mut plain = String::new();
    for char in escape(text).chars() {
        match char {
            '&' => plain.push_str("&amp;"),
            '<' => plain.push_str("&lt;"),
            '>' => plain.push_str("&gt;"),
            // Also what makes a link or a mention of a name.
            '@' => plain.push_str("&#64;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '#' | '!' | '$' => plain.extend(['\\', char]),
            _ => plain.push(char),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::plan::PlannedChange;

    #[test]
    fn code_is_closed_by_more_ticks_than_it_holds() {
        for (text, expected) in [
            ("80", "`80`"),
            ("", "`\"\"`"),
            ("a|b", "`a\\|b`"),
            ("`a`", "`` `a` ``"),
            ("a``b`c", "```a``b`c```"),
            ("</td><script>", "`</td><script>`"),
            ("two\nlines", "`two\\nlines`"),
            (" blank ", "`  blank  `"),
        ] {
            assert_eq!(code(text), expected);
        }
    }

    #[test]
    fn plain_text_has_no_markup() {
        let text = plain("<b> *a* _b_ [c](d) | `e` @all #1 & $x$");
        assert_eq!(text, "&lt;b&gt; \\*a\\* \\_b\\_ \\[c\\](d) \\| \\`e\\` &#64;all \\#1 &amp; \\$x\\$");
    }

    #[test]
    fn a_fence_in_a_value_does_not_end_the_block() {
        let change = PlannedChange {
            action: "restart".to_owned(),
            name: "web".to_owned(),
            fields: Vec::new(),
            reason: "args changed".to_owned(),
            how: None,
            manner: None,
            diff: Some("@@ -1,1 +1,1 @@\n-args: [a]\n+args: [\n```\n````\n".to_owned()),
        };
        let text = diff(&PlanReport { changes: vec![change], ..PlanReport::default() });
        assert!(text.starts_with("\n`````diff\n--- web\n+++ web\n@@") && text.ends_with("\n````\n`````\n"), "{text}");
    }
}
