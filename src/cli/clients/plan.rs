//! `navigator plan`: shows what a configuration would change, compared with the running navigator or, without one, with an empty
//! host.

use super::super::arguments::ReportFormat;
use super::super::check::reject;
use super::super::console::{FAILURE, OK, print, print_json};
use super::super::plan_text::full;
use super::{InstanceTarget, refused, unanswered, url};
use crate::config::Environment;
use crate::control::ClientError;
use crate::paths::absolute;
use crate::snapshot::PlanReport;
use crate::source::FileSource;
use crate::terminal::TerminalStyle;
use reconcile::engine::Engine;
use reconcile::time::Time;
use std::io::stdout;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Something would change.
const CHANGES: u8 = 2;

/// Shows what a candidate, or the configuration itself, would change. With `detailed`, the exit code says whether it would.
pub(in super::super) fn plan(
    target: &InstanceTarget,
    candidate: Option<&Path>,
    format: ReportFormat,
    detailed: bool,
) -> ExitCode {
    let plan = match request(target, candidate) {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    match format {
        ReportFormat::Text => print(&full(&plan, TerminalStyle::of(stdout()))),
        ReportFormat::Json => print_json(&json(plan.clone())),
    }
    if detailed && !plan.changes.is_empty() { CHANGES.into() } else { OK.into() }
}

/// Asks the running navigator for the plan.
fn request(target: &InstanceTarget, candidate: Option<&Path>) -> Result<PlanReport, ExitCode> {
    // Navigator may have another working directory.
    let path = candidate.map(absolute);
    let shown = path.as_ref().map(|path| path.to_string_lossy().into_owned());
    let url = url("/v1/plan", shown.iter().map(|path| ("path", path.as_str())));
    let answer = match target.connect().and_then(|mut client| client.get(&url)) {
        Ok((200, answer)) => answer,
        Ok((_, answer)) => return Err(refused(&answer)),
        Err(error @ (ClientError::NotRunning(_) | ClientError::NoneRunning)) => {
            return path.or_else(|| target.config.clone()).map_or_else(|| Err(unanswered(&error)), on_empty_host);
        }
        Err(error) => return Err(unanswered(&error)),
    };
    serde_json::from_value(answer).map_err(|error| unanswered(&ClientError::Broken(error.to_string())))
}

/// The plan if no navigator runs.
fn on_empty_host(path: PathBuf) -> Result<PlanReport, ExitCode> {
    match FileSource::new(path, Environment::current()).read().revision {
        Ok(loaded) => Ok(PlanReport::of(&Engine::new(), Time::ZERO, &loaded.desired)),
        Err(rejected) => {
            // Not 2, which means that something would change.
            reject(&rejected);
            Err(FAILURE.into())
        }
    }
}

/// The plan as JSON, without the parts that are only for people.
fn json(mut plan: PlanReport) -> String {
    plan.changes.iter_mut().for_each(|change| change.diff = None);
    plan.waves.clear();
    format!("{:#}\n", serde_json::json!(plan))
}
