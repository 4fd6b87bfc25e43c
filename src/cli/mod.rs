//! The command line: words, arguments, exit codes, rendering. It decides nothing about processes.

mod arguments;
mod check;
mod clients;
mod completions;
mod config;
mod console;
mod doctor;
mod graph;
mod locate;
mod log;
mod man;
pub mod plan_text;
mod run;
mod schema;
mod signal;
mod usage;

use crate::access::{Trust, uid_of};
use crate::error_text::words;
use crate::suggest::did_you_mean;
use arguments::{Arguments, ClientCommand, Command, Common, ReportFormat};
use clap::{CommandFactory, Parser};
use clients::{InstanceTarget, LogSelection};
use console::{INVALID, USAGE, fail, state_dir, variable};
use locate::{NoConfiguration, locate};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Runs what the command line asks for.
///
/// Must be called before any thread exists, since it takes over what the launcher left set up for the process.
pub fn main() -> ExitCode {
    completions::answer(Arguments::command);
    let Arguments { command, config, check, signal, common } = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return usage::answer(&error),
    };
    if command.is_some() && (check || signal.is_some()) {
        return fail(USAGE, "`--check` and `-s` stand for a command of their own: give no other beside them");
    }
    if command.is_some() && config.is_some() {
        return fail(USAGE, "the configuration stands before the command: name it behind, or with `--config`");
    }
    if let Some(order) = signal {
        let named = config.or_else(|| common.named.clone());
        return trust(&common, None)
            .map_or_else(|code| code, |trust| signal::signal(order, named, &state_dir(common.state_dir.clone(), trust)));
    }
    if let (None, Some(hint)) = (&command, config.as_deref().and_then(meant)) {
        return fail(USAGE, &hint);
    }
    obey(command, config, check, &common).unwrap_or_else(|code| code)
}

/// What to say where a command was mistyped, and so taken for the configuration.
fn meant(config: &Path) -> Option<String> {
    let word = config.to_str().filter(|_| !config.exists())?;
    let commands = Arguments::command();
    let hint = did_you_mean(word, commands.get_subcommands().map(clap::Command::get_name))?;
    Some(format!("`{word}` is no command and no file; {hint}"))
}

/// Runs a command; `Err` is how it ends where it can't even begin.
fn obey(command: Option<Command>, config: Option<PathBuf>, check: bool, common: &Common) -> Result<ExitCode, ExitCode> {
    Ok(match command {
        None if check => check::check(located(config, common)?, ReportFormat::Text),
        None => run(config, common)?,
        Some(Command::Run { config }) => run(config, common)?,
        Some(Command::Check { config, format }) => check::check(located(config, common)?, format),
        Some(Command::Config { config, mut names, format, defaults }) => {
            // Where an option names the configuration, all that stands behind the command are names.
            let first = if common.named.is_some() { config.as_deref() } else { None };
            let first = first.map(|name| name.to_string_lossy().into_owned());
            let config = if first.is_some() { None } else { config };
            names.splice(0..0, first);
            config::config(&located(config, common)?, &names, defaults, format)
        }
        Some(Command::Doctor { config }) => {
            let config = sought(config, common)?.ok();
            let trust = trust(common, config.as_deref())?;
            doctor::doctor(config, &state_dir(common.state_dir.clone(), trust), trust)
        }
        Some(Command::Graph { config, format }) => graph::graph(&located(config, common)?, format),
        Some(Command::Schema) => schema::print_schema(),
        Some(Command::Completions { shell }) => completions::completions(&shell),
        Some(Command::Man) => man::man(),
        Some(Command::Client(command)) => {
            let state = state_dir(common.state_dir.clone(), trust(common, None)?);
            client(command, &InstanceTarget { config: located(None, common)?, state })
        }
    })
}

fn run(config: Option<PathBuf>, common: &Common) -> Result<ExitCode, ExitCode> {
    let config = located(config, common)?;
    let trust = trust(common, Some(&config))?;
    Ok(run::run(&config, common, trust))
}

/// The configuration that is meant; without one, there is nothing to do.
fn located(named: Option<PathBuf>, common: &Common) -> Result<PathBuf, ExitCode> {
    sought(named, common)?.map_err(|error| fail(USAGE, &error.to_string()))
}

/// The configuration that is meant, if there is one.
fn sought(named: Option<PathBuf>, common: &Common) -> Result<Result<PathBuf, NoConfiguration>, ExitCode> {
    if named.is_some() && common.named.is_some() && named != common.named {
        return Err(fail(USAGE, "two configurations are named: give one, as CONFIG or with `--config`"));
    }
    Ok(locate(named.or_else(|| common.named.clone()), variable("NAVIGATOR_CONFIG")))
}

/// Runs a command that talks to a running navigator.
fn client(command: ClientCommand, target: &InstanceTarget) -> ExitCode {
    match command {
        ClientCommand::Plan { candidate, format, detailed_exitcode } => {
            clients::plan(target, candidate.as_deref(), format, detailed_exitcode)
        }
        ClientCommand::Status { names, json } => clients::status(target, &names, json),
        ClientCommand::Logs { names, follow, lines, json, raw } => {
            clients::logs(target, &names, &LogSelection { lines, follow, json, raw })
        }
        ClientCommand::Start { names } => clients::order(target, "start", &names),
        ClientCommand::Stop { names } => clients::order(target, "stop", &names),
        ClientCommand::Restart { names } => clients::order(target, "restart", &names),
        ClientCommand::Signal { signal, names } => clients::signal(target, &signal, &names),
        ClientCommand::Reload { names } => clients::reload(target, &names),
        ClientCommand::Wait { names, timeout } => clients::wait(target, &names, timeout),
        ClientCommand::Events { since } => clients::events(target, since),
    }
}

/// The trusted users: root, navigator's own, and the one of `--trust-user`. The first process of a container also trusts the
/// owner of its configuration, which is mounted from outside.
fn trust(common: &Common, config: Option<&Path>) -> Result<Trust, ExitCode> {
    let mut trust = Trust::of_this_process();
    if rustix::process::getpid().is_init() {
        let owner = config.and_then(|path| rustix::fs::stat(path).ok()).map(|stat| stat.st_uid);
        trust = owner.map_or(trust, |owner| trust.and(owner)).with_read_only_mounts();
    }
    let Some(name) = &common.trust_user else { return Ok(trust) };
    match uid_of(name) {
        Ok(Some(user)) => Ok(trust.and(user)),
        Ok(None) => Err(fail(USAGE, &format!("`--trust-user {name}`: there is no such user"))),
        Err(error) => Err(fail(INVALID, &format!("failed to look up user `{name}`: {}", words(&error)))),
    }
}
