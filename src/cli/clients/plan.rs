//! `navigator plan`: what a configuration would do to the running navigator or, where none runs, to an empty host.

use super::super::arguments::ReportFormat;
use super::super::{INVALID, OK, plural, print, print_error};
use super::status::Look;
use super::{Target, refused, unanswered, url};
use crate::config::{Environment, render_all};
use crate::control::ClientError;
use crate::snapshot::Plan;
use crate::snapshot::plan::{Change, Field};
use crate::source::FileSource;
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::forecast::forecast;
use reconcile::time::Time;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Something would change.
const CHANGES: u8 = 2;

/// Shows what a candidate, or the configuration itself, would do. With `detailed`, the exit code tells whether anything.
pub(in super::super) fn plan(target: &Target, candidate: Option<&Path>, format: ReportFormat, detailed: bool) -> ExitCode {
    let plan = match asked(target, candidate) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    match format {
        ReportFormat::Text => print(&text(&plan, Look::of_stdout())),
        ReportFormat::Json => print(&json(plan.clone())),
    }
    if detailed && !plan.changes.is_empty() { CHANGES.into() } else { OK.into() }
}

fn asked(target: &Target, candidate: Option<&Path>) -> Result<Plan, ExitCode> {
    let path = match candidate {
        // The other end may have another working directory.
        Some(candidate) => Some(std::path::absolute(candidate).map_err(|error| unanswered(&ClientError::System(error)))?),
        None => None,
    };
    let shown = path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let url = url("/v1/plan", shown.iter().map(|path| ("path", path.as_str())));
    let answer = match target.connect().and_then(|mut client| client.get(&url)) {
        Ok((200, answer)) => answer,
        Ok((_, answer)) => return Err(refused(&answer)),
        Err(ClientError::NotRunning(_)) => return on_empty_host(path.unwrap_or_else(|| target.config.clone())),
        Err(error) => return Err(unanswered(&error)),
    };
    serde_json::from_value(answer).map_err(|error| unanswered(&ClientError::Broken(error.to_string())))
}

/// The plan where no navigator runs.
fn on_empty_host(path: PathBuf) -> Result<Plan, ExitCode> {
    match FileSource::new(path, Environment::current()).read().revision {
        Ok(loaded) => {
            let forecast = forecast(&Engine::new(), Time::ZERO, &loaded.desired);
            Ok(Plan::new(0, forecast.as_ref(), &Desired::nothing(), &loaded.desired))
        }
        Err(rejected) => {
            print_error(&render_all(&rejected.diagnostics, rejected.omitted, super::super::check::wants_color()));
            Err(INVALID.into())
        }
    }
}

/// As the contract has it, one object.
fn json(mut plan: Plan) -> String {
    plan.changes.iter_mut().for_each(|change| change.diff = None);
    format!("{:#}\n", serde_json::json!(plan))
}

fn text(plan: &Plan, look: Look) -> String {
    let mut text = String::new();
    for change in &plan.changes {
        text += &of_change(change, look);
    }
    for stale in &plan.stale {
        let _ = writeln!(
            text,
            "{} {}  stale: it would run on as it is, because of `on_change: none`",
            look.paint("35", "!"),
            stale.name
        );
        text += &fields(&stale.fields);
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text + &count(plan)
}

fn of_change(change: &Change, look: Look) -> String {
    let (sign, color) = match change.action.as_str() {
        "start" => ("+", "32"),
        "stop" => ("-", "31"),
        "restart" => ("±", "33"),
        _ => ("~", "36"),
    };
    let mut text =
        format!("{} {} {}  ({})\n", look.paint(color, sign), change.action, look.paint("1", &change.name), change.reason);
    text += &fields(&change.fields);
    // The whole of what is new or gone is in the file; what differs is worth seeing in its surroundings.
    let is_edited = !change.fields.is_empty();
    for line in change.diff.iter().filter(|_| is_edited).flat_map(|diff| diff.lines()) {
        let painted = match line.chars().next() {
            Some('+') => look.paint("32", line),
            Some('-') => look.paint("31", line),
            Some('@') => look.paint("36", line),
            _ => line.to_owned(),
        };
        let _ = writeln!(text, "      {painted}");
    }
    text
}

fn fields(fields: &[Field]) -> String {
    let widest = fields.iter().map(|field| field.field.chars().count()).max().unwrap_or(0);
    let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    let line = |field: &Field| {
        let what = match (&field.old, &field.new) {
            (Some(old), Some(new)) if old == new => format!("{old}, its value changed"),
            (old, new) => format!("{} → {}", or_none(old), or_none(new)),
        };
        format!("    {:widest$}  {what}\n", field.field)
    };
    fields.iter().map(line).collect()
}

/// The last line: how many of each.
fn count(plan: &Plan) -> String {
    if plan.changes.is_empty() && plan.stale.is_empty() {
        return format!("no changes: {} unchanged\n", plural(plan.summary.unchanged, "process", "processes"));
    }
    let count = |action: &str| plan.changes.iter().filter(|change| change.action == action).count();
    let counts = [
        (count("start"), "to start"),
        (count("stop"), "to stop"),
        (count("restart"), "to restart"),
        (count("update"), "to update in place"),
        (plan.stale.len(), "stale"),
        (plan.summary.unchanged, "unchanged"),
    ];
    let words: Vec<String> =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    format!("plan: {}\n", words.join(", "))
}
