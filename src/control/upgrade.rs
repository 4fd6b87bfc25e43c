//! `POST /v1/upgrade`: tries another program of navigator out, and has it take over this process.

use super::answers::{Answer, ErrorAnswer, json};
use super::loop_access::{LoopAccess, ask};
use crate::handover::Program;
use crate::supervisor::{HandoverOrder, Request};
use crate::sys::exec;
use hyper::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// The hidden command that tries a program out; the path for its report and the usual arguments follow.
pub(super) const TRIAL: &str = "__trial";
/// The file in the instance's directory with the report.
const REPORT: &str = "trial";
/// What may be handed over is as it is known by this number.
const FORMAT: u32 = 1;
/// How long a program may take to be tried out.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of the request.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct UpgradeBody {
    /// The program; by default the file that navigator was started from.
    binary: Option<PathBuf>,
    /// Only try it out.
    check: bool,
    /// Upgrade although the new program reads the configuration otherwise.
    force: bool,
}

/// What a program says that was tried out.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TrialReport {
    /// Its version.
    pub version: String,
    /// What it can take over.
    pub format: u32,
    /// Why it can't take over.
    #[serde(default)]
    pub error: Option<String>,
    /// The processes that it would restart, because it reads their definitions otherwise.
    #[serde(default)]
    pub restarts: Vec<TrialRestart>,
}

/// A process that would be restarted.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct TrialRestart {
    /// Its name.
    pub name: String,
    /// The fields that differ.
    pub fields: Vec<String>,
}

impl TrialReport {
    /// The report of this program.
    #[must_use]
    pub fn of_this(outcome: Result<Vec<TrialRestart>, String>) -> TrialReport {
        let (restarts, error) = match outcome {
            Ok(restarts) => (restarts, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        TrialReport { version: env!("CARGO_PKG_VERSION").to_owned(), format: FORMAT, error, restarts }
    }
}

/// If these are the arguments of a trial: the path for its report, and the usual arguments.
pub fn trial_of(mut arguments: Vec<OsString>) -> Option<(PathBuf, Vec<OsString>)> {
    let is_trial = arguments.get(1).is_some_and(|first| first == TRIAL) && arguments.len() > 2;
    is_trial.then(|| {
        let report = arguments.drain(1..3).nth(1).unwrap_or_default();
        (report.into(), arguments)
    })
}

/// `client`: the descriptor of the connection, which is open for as long as its request is served.
pub(super) async fn upgrade(to: &LoopAccess, body: UpgradeBody, client: i32) -> Result<Answer, ErrorAnswer> {
    let refused = |why: String| ErrorAnswer::new(StatusCode::CONFLICT, why);
    let broken = |error: io::Error| ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string());
    let UpgradeBody { binary, check, force } = body;
    let path = binary.map_or_else(Program::own_path, Ok).map_err(broken)?;
    let trust = to.trust;
    let opening = tokio::task::spawn_blocking(move || Program::open(&path, trust));
    let program = opening.await.map_err(|error| broken(io::Error::other(error)))?.map_err(refused)?;
    let report = try_out(to, &program).await.map_err(refused)?;
    if !program.is_at_its_path() {
        return Err(refused(format!("`{}` was replaced while it was tried out: try again", program.path.display())));
    }
    let from = env!("CARGO_PKG_VERSION");
    if check {
        let restarts: Vec<_> = report.restarts.iter().map(|one| json!({ "name": one.name, "fields": one.fields })).collect();
        return Ok(json(StatusCode::OK, &json!({ "from": from, "to": report.version, "restarts": restarts })));
    }
    if let (false, Some(first)) = (force, report.restarts.first()) {
        let more = report.restarts.len() - 1;
        let others = if more == 0 { String::new() } else { format!(" and {more} more") };
        let fields = first.fields.join(", ");
        return Err(refused(format!(
            "{} would restart {}{others}, because it reads the file otherwise: {fields} differs; `--force` upgrades all the same",
            report.version, first.name
        )));
    }
    // If another program takes over, that one answers.
    let client = exec::descriptor(client).ok_or_else(|| io::ErrorKind::NotConnected.into());
    let client = client.and_then(|client| client.try_clone_to_owned()).map_err(broken)?;
    let order = Box::new(HandoverOrder { program, version: report.version, client });
    // The next program answers, if there is one.
    let why = ask(to, |reply| Request::HandOver(order, reply)).await?;
    Err(refused(failure(&why, from)))
}

/// Has a program read the configuration and the record.
async fn try_out(to: &LoopAccess, program: &Program) -> Result<TrialReport, String> {
    let shown = program.path.display();
    let report = to.directory.path().join(REPORT);
    to.directory.remove(REPORT).map_err(|error| format!("`{}` can't be removed: {error}", report.display()))?;
    let arguments = [TRIAL.to_owned(), report.to_string_lossy().into_owned()].into_iter();
    let own = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    let arguments: Vec<String> = arguments.chain(own).collect();
    let run = |reply| Request::RunProgram(program.path.clone(), arguments, TRIAL_TIMEOUT, reply);
    let ended = ask(to, run).await.map_err(|_closing| "navigator is shutting down".to_owned())?;
    let text = to.directory.read(REPORT).ok();
    // The next trial would remove it.
    let _left = to.directory.remove(REPORT);
    let said: Option<TrialReport> = text.and_then(|text| serde_json::from_slice(&text).ok());
    match (ended, said) {
        (_, Some(TrialReport { error: Some(error), version, .. })) => Err(format!("{version} can't take over: {error}")),
        (Ok(()), Some(report)) if report.format == FORMAT => Ok(report),
        (Ok(()), Some(TrialReport { version, .. })) => {
            Err(format!("{version} can't take over from {}: stop navigator, and start it", env!("CARGO_PKG_VERSION")))
        }
        (Err(why), _) => Err(format!("`{shown}` is no navigator that can take over ({why} when it was tried out)")),
        (Ok(()), None) => Err(format!("`{shown}` is no navigator that can take over (it said nothing when it was tried out)")),
    }
}

/// The answer to the client that asked for an upgrade, by the program that goes on.
pub(crate) struct UpgradeAnswer {
    status: StatusCode,
    body: serde_json::Value,
}

impl UpgradeAnswer {
    /// It is done.
    pub(crate) fn done(from: &str, to: &str, taken_over: usize, restarted: usize, milliseconds: u64) -> UpgradeAnswer {
        let body = json!({
            "from": from, "to": to, "taken_over": taken_over, "restarted": restarted, "milliseconds": milliseconds
        });
        UpgradeAnswer { status: StatusCode::OK, body }
    }

    /// The former program goes on.
    pub(crate) fn failed(goes_on: &str, why: &str) -> UpgradeAnswer {
        UpgradeAnswer { status: StatusCode::CONFLICT, body: json!({ "error": failure(why, goes_on) }) }
    }

    /// Sends it over the connection of the client. An earlier program has read its request.
    ///
    /// # Errors
    /// The client has gone.
    pub(crate) fn send(&self, client: OwnedFd) -> io::Result<()> {
        let (status, body) = (self.status, format!("{}\n", self.body));
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
        let mut stream = UnixStream::from(client);
        stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes())
    }
}

/// Why there was no upgrade.
fn failure(why: &str, goes_on: &str) -> String {
    format!("upgrade failed: {why}; {goes_on} goes on")
}
