//! This program as the one that takes over from another: it is tried out first.

use super::run::log_trust;
use crate::access::{Directory, Trust};
use crate::config::Environment;
use crate::control::{TrialReport, TrialRestart};
use crate::error_text::words;
use crate::journal::Journal;
use crate::ledger::DataDir;
use crate::paths::lasting;
use crate::runtime;
use crate::source::{CommitInForce, FileSource, in_force_at_start};
use crate::supervisor::{RecordedLife, differing};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What a navigator was started with.
pub(super) struct RunArguments {
    /// The configuration.
    pub(super) config: PathBuf,
    /// The trusted users.
    pub(super) trust: Trust,
    /// The directory for followed repositories.
    pub(super) data: PathBuf,
}

/// Finds out what this program would do if it took over from the running navigator with this configuration and these trusted users. Changes nothing, and writes
/// a report.
pub(super) fn try_out(report: &Path, parsed: Result<RunArguments, String>) -> ExitCode {
    let said = TrialReport::of_this(parsed.and_then(|arguments| restarts(report, &arguments)));
    let written = serde_json::to_vec(&said).map_err(Into::into).and_then(|text| std::fs::write(report, text));
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The processes that it would restart.
fn restarts(report: &Path, arguments: &RunArguments) -> Result<Vec<TrialRestart>, String> {
    let RunArguments { config, trust, data } = arguments;
    let trust = *trust;
    let in_force = CommitInForce::default();
    let source = FileSource::new(lasting(config), Environment::current()).with_trust(trust).with_commit(in_force.clone());
    let read = || source.read().revision.map_err(|rejected| rejected.summary());
    let mut loaded = read()?;
    if loaded.source.is_some() {
        let data = DataDir::open_to_read(data, config, trust).map_err(|error| error.to_string())?;
        in_force_at_start(&data, &in_force)?;
        loaded = read()?;
    }
    let log_file = loaded.settings.file.as_ref();
    if let Some(problem) = log_file.and_then(|path| runtime::log_problem(path, log_trust(trust))) {
        return Err(format!("`logging.file`: {problem}"));
    }
    let directory = report.parent().unwrap_or(report);
    let directory = Directory::open(directory, trust).map_err(|error| words(&error))?;
    let boot = runtime::boot().ok_or("there is no `/proc`")?;
    let (record, facts, secret) = Journal::read(&directory, &boot).ok_or("it can't read what is recorded")?;
    let life = RecordedLife { orphans: Vec::new(), record, facts, secret };
    let differing = differing(&life, &loaded.desired).into_iter();
    Ok(differing.map(|(name, fields)| TrialRestart { name: name.to_string(), fields }).collect())
}
