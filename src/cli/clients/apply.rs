//! `navigator apply`: checks a file, puts it in the place of the configuration, and waits until it is in force.

use super::super::check::DiskAndInput;
use super::super::console::{FAILURE, OK, USAGE, fail, print};
use super::super::replacement::FileReplacement;
use super::wait::wait;
use super::{InstanceTarget, TIMEOUT, print_problems, problems, refused, unanswered, url};
use crate::config::{Disk, Files};
use crate::control::{Client, ClientError};
use crate::error_text::words;
use crate::paths::followed;
use crate::snapshot::Snapshot;
use serde_json::{Value, json};
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// The file is in the place of the configuration, but not every process is as it says.
const NOT_CONVERGED: u8 = 3;

/// How many seconds saves are waited for, if not everything has converged anyway. A file that loses most of its processes is read
/// after 1.2 seconds.
const MOST_FOR_SAVES: &str = "2";

/// Applies a file; `if_generation`: only if this generation is in force.
pub(in super::super) fn apply(target: &InstanceTarget, file: &Path, if_generation: Option<u64>, timeout: Duration) -> ExitCode {
    let content = match DiskAndInput.read(file) {
        Ok(content) => content,
        Err(error) => return fail(USAGE, &format!("{}: {}", file.display(), words(&error))),
    };
    match put_in_place(target, file, &content, if_generation) {
        Ok(applied) => {
            print(&applied.summary());
            let code = wait(target, &[], timeout);
            // No other code may say that nothing changed.
            if code == OK.into() { code } else { NOT_CONVERGED.into() }
        }
        Err(code) => code,
    }
}

/// What became of a file that is in the place of the configuration.
struct AppliedFile {
    is_written: bool,
    /// The generation in force before and after.
    generations: (u64, u64),
}

impl AppliedFile {
    fn summary(&self) -> String {
        let AppliedFile { is_written, generations: (before, after) } = self;
        match (is_written, before == after) {
            (false, _) => format!("unchanged: generation {after}\n"),
            (true, false) => format!("changed: generation {after}\n"),
            (true, true) => format!("changed: generation {after}, which means the same\n"),
        }
    }
}

/// Puts the content in the place of the configuration, unless it is there. `Err`: the exit code.
fn put_in_place(
    target: &InstanceTarget,
    file: &Path,
    content: &[u8],
    if_generation: Option<u64>,
) -> Result<AppliedFile, ExitCode> {
    let config = status(target)?.config.path;
    let place = followed(&config);
    let failed = |what: &str, error: &io::Error| {
        fail(FAILURE, &format!("{what} `{}`: {}; nothing was changed", place.display(), words(error)))
    };
    // From here to the end, so that of two that name the same generation only one is applied.
    let mut replacement = FileReplacement::begin(&place).map_err(|error| failed("failed to lock the directory of", &error))?;
    // What was saved just before is not overwritten unseen.
    let before = if if_generation.is_some() { after_saves(target)? } else { status(target)? }.generation;
    if let Some(expected) = if_generation.filter(|expected| *expected != before) {
        return Err(fail(FAILURE, &format!("generation {before} is in force, not {expected}; nothing was changed")));
    }
    let is_written = match Disk.read(&place) {
        Ok(found) if found == content => false,
        Ok(_) => true,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => true,
        Err(error) => return Err(failed("failed to read", &error)),
    };
    if is_written {
        let written = replacement.write(content).map_err(|error| failed("failed to write beside", &error))?;
        check(target, file, &written, &config)?;
        replacement.commit().map_err(|error| match error.raw_os_error() {
            Some(libc::EBUSY) => fail(
                FAILURE,
                &format!(
                    "`{}` is a mount point and can't be replaced: mount the directory that it is in; nothing was changed",
                    place.display()
                ),
            ),
            _ => failed("failed to replace", &error),
        })?;
    }
    let synced = if is_written { replacement.sync() } else { Ok(()) };
    let after = reload(target).map_err(|code| if is_written { NOT_CONVERGED.into() } else { code })?;
    if let Err(error) = synced {
        let place = place.display();
        return Err(fail(NOT_CONVERGED, &format!("`{place}` is replaced, but a crash may undo that: {}", words(&error))));
    }
    Ok(AppliedFile { is_written, generations: (before, after) })
}

/// Asks the running navigator.
fn ask(target: &InstanceTarget, request: impl FnOnce(Client) -> Result<(u16, Value), ClientError>) -> Result<Value, ExitCode> {
    match target.connect().and_then(request) {
        Ok((200, answer)) => Ok(answer),
        Ok((_, answer)) => Err(refused(&answer)),
        Err(error) => Err(unanswered(&error)),
    }
}

fn status(target: &InstanceTarget) -> Result<Snapshot, ExitCode> {
    let answer = ask(target, |client| client.within(TIMEOUT).get("/v1/status"))?;
    serde_json::from_value(answer).map_err(|error| unanswered(&ClientError::Broken(error.to_string())))
}

/// The status once everything saved so far has been read.
fn after_saves(target: &InstanceTarget) -> Result<Snapshot, ExitCode> {
    let url = url("/v1/wait", [("timeout", MOST_FOR_SAVES)]);
    let answer = match target.connect().and_then(|mut client| client.get(&url)) {
        Ok((200 | 408 | 409, answer)) => answer,
        Ok((_, answer)) => return Err(refused(&answer)),
        Err(error) => return Err(unanswered(&error)),
    };
    serde_json::from_value(answer).map_err(|error| unanswered(&ClientError::Broken(error.to_string())))
}

/// Lets the running navigator check the file, which has another environment and trusts other users than this client.
fn check(target: &InstanceTarget, file: &Path, written: &Path, config: &Path) -> Result<(), ExitCode> {
    let path = |path: &Path| path.to_string_lossy().into_owned();
    let (written_path, config) = (path(written), path(config));
    let url = url("/v1/plan", [("path", written_path.as_str()), ("as", config.as_str())]);
    match target.connect().and_then(|mut client| client.get(&url)) {
        Ok((200, _)) => Ok(()),
        Ok((422, answer)) => {
            let mut problems = problems(&answer);
            let of_file = problems.iter_mut().filter(|problem| problem.file == written);
            of_file.for_each(|problem| file.clone_into(&mut problem.file));
            print_problems(&problems);
            Err(fail(FAILURE, &format!("`{}` is rejected; nothing was changed", file.display())))
        }
        Ok((_, answer)) => Err(refused(&answer)),
        Err(error) => Err(unanswered(&error)),
    }
}

/// Has the file read. Returns the generation that is in force then.
fn reload(target: &InstanceTarget) -> Result<u64, ExitCode> {
    let answer = ask(target, |mut client| client.post("/v1/reload", &json!({})))?;
    answer["generation"].as_u64().ok_or_else(|| unanswered(&ClientError::Broken("no generation".to_owned())))
}
