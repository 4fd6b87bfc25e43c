//! The command line: arguments, commands, exit codes and output. It decides nothing about processes.

mod arguments;
mod check;
mod choices;
mod clients;
mod completions;
mod config;
mod console;
mod doctor;
mod following;
mod graph;
mod help_texts;
mod import;
mod locate;
mod log;
mod log_fields;
mod log_terminal;
mod man;
mod mistyped;
mod perform;
pub mod plan_markdown;
pub mod plan_text;
mod replacement;
mod reports;
mod run;
mod schema;
mod service;
mod signal;
mod signal_listener;
mod source_arguments;
mod upgrade;
mod usage;

use crate::access::{Trust, uid_of};
use crate::control::trial_of;
use crate::error_text::words;
use crate::keeper;
use crate::ledger::default_base;
use arguments::{Arguments, CheckFormat, ClientCommand, Command, Common};
use check::CheckOptions;
use clients::{InstanceTarget, LineNotation, LogSelection, PlanView};
use console::{FAILURE, USAGE, fail, shell_word, state_dir, variable};
use locate::{NoConfiguration, locate};
use service::ServiceCommand;
use source_arguments::SourceCommand;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use upgrade::RunArguments;

/// Runs the command that the command line names.
///
/// Must be called before any thread exists, because it changes state of the whole process.
pub fn main() -> ExitCode {
    if keeper::is_keeper(std::env::args_os()) {
        return keeper::main();
    }
    completions::answer(arguments::completed_line);
    if let Some((report, arguments)) = trial_of(std::env::args_os().collect()) {
        return upgrade::try_out(&report, run_by(arguments));
    }
    let Arguments { command, config, check, signal, common } = match Arguments::parse_line(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            let hint = error.use_stderr().then(|| mistyped::command_of(std::env::args_os())).flatten();
            return hint.map_or_else(|| usage::answer(&error), |hint| fail(USAGE, &hint));
        }
    };
    if command.is_some() && (check || signal.is_some()) {
        return fail(USAGE, "`--check` and `-s` can't be combined with a command");
    }
    if command.is_some() && config.is_some() {
        return fail(USAGE, "the configuration is before the command: put it after the command, or use `--config`");
    }
    if let Some(order) = signal {
        let named = config.or_else(|| common.named.clone());
        return trust(&common, None)
            .map_or_else(|code| code, |trust| signal::signal(order, named, &state_dir(common.state_dir.clone(), trust)));
    }
    if let (None, Some(hint)) = (&command, config.as_deref().and_then(mistyped::command)) {
        return fail(USAGE, &hint);
    }
    let is_detailed = matches!(command, Some(Command::Client(ClientCommand::Plan { detailed_exitcode: true, .. })));
    dispatch(command, config, check, &common).unwrap_or_else(|code| if is_detailed { FAILURE.into() } else { code })
}

/// The configuration that is run with these arguments, and the trusted users.
fn run_by(arguments: Vec<OsString>) -> Result<RunArguments, String> {
    let arguments = Arguments::parse_line(arguments).map_err(|error| error.to_string())?;
    let named = match arguments.command {
        None => arguments.config,
        Some(Command::Run { config }) => config,
        Some(_) => return Err("its arguments mean something else".to_owned()),
    };
    // The message of the error was printed.
    let unusable = |_printed: ExitCode| "its arguments can't be used".to_owned();
    let config = required_config(named, &arguments.common).map_err(unusable)?;
    let trust = trust(&arguments.common, Some(&config)).map_err(unusable)?;
    let data = default_base(arguments.common.data_dir, variable);
    Ok(RunArguments { config, trust, data })
}

/// Runs a command. `Err`: the exit code of a command that can't be started.
fn dispatch(command: Option<Command>, config: Option<PathBuf>, check: bool, common: &Common) -> Result<ExitCode, ExitCode> {
    Ok(match command {
        None if check => {
            let options = CheckOptions { format: CheckFormat::Text, place: None, elsewhere: false };
            check::check(vec![required_config(config, common)?], &options)
        }
        None => run(config, common)?,
        Some(Command::Run { config }) => run(config, common)?,
        Some(Command::Check { configs, place: Some(_), .. }) if configs.len() > 1 => {
            fail(USAGE, "`--as` takes one file: check the others by a command of their own")
        }
        Some(Command::Check { configs, format, place, elsewhere }) => {
            check::check(required_configs(configs, common)?, &CheckOptions { format, place, elsewhere })
        }
        Some(Command::Config { config, mut names, format, defaults }) => {
            // With `--config`, all arguments are names.
            let first = if common.named.is_some() { config.as_deref() } else { None };
            let first = first.map(|name| name.to_string_lossy().into_owned());
            let config = if first.is_some() { None } else { config };
            names.splice(0..0, first);
            config::config(&required_config(config, common)?, &names, defaults, format)
        }
        Some(Command::Doctor { config }) => {
            let config = find_config(config, common)?.ok();
            let trust = trust(common, config.as_deref())?;
            doctor::doctor(config, &state_dir(common.state_dir.clone(), trust), trust)
        }
        Some(Command::Graph { config, format }) => graph::graph(&required_config(config, common)?, format),
        Some(Command::Import { files, from, out }) => import::import_files(&files, from, out.as_deref()),
        Some(Command::Init) => service::init(),
        Some(Command::Service(command)) => {
            let config = match &command {
                ServiceCommand::Install { config, .. } => required_config(config.clone(), common),
                ServiceCommand::Remove { .. } => Ok(PathBuf::new()),
            };
            service::service(&command, config)
        }
        Some(Command::Schema) => schema::print_schema(),
        Some(Command::Completions { shell }) => completions::completions(&shell),
        Some(Command::Man) => man::man(),
        Some(Command::Client(mut command)) => {
            let state = state_dir(common.state_dir.clone(), trust(common, None)?);
            let config = find_config(command.take_config(common), common)?.ok();
            client(command, &InstanceTarget { config, state, options: options(common) })
        }
    })
}

fn run(config: Option<PathBuf>, common: &Common) -> Result<ExitCode, ExitCode> {
    let config = required_config(config, common)?;
    let trust = trust(common, Some(&config))?;
    Ok(run::run(&config, common, trust))
}

/// The configuration; without one, the command fails.
fn required_config(named: Option<PathBuf>, common: &Common) -> Result<PathBuf, ExitCode> {
    find_config(named, common)?.map_err(|error| fail(USAGE, &error.to_string()))
}

/// The configurations; without any, the one that is found.
fn required_configs(named: Vec<PathBuf>, common: &Common) -> Result<Vec<PathBuf>, ExitCode> {
    match (named.len(), &common.named) {
        (0 | 1, _) => required_config(named.into_iter().next(), common).map(|config| vec![config]),
        (_, None) => Ok(named),
        (_, Some(_)) => Err(fail(USAGE, TWO_CONFIGURATIONS)),
    }
}

const TWO_CONFIGURATIONS: &str = "two configurations are given; give one, as CONFIG or with `--config`";

/// The configuration, if there is one.
fn find_config(named: Option<PathBuf>, common: &Common) -> Result<Result<PathBuf, NoConfiguration>, ExitCode> {
    if named.is_some() && common.named.is_some() && named != common.named {
        return Err(fail(USAGE, TWO_CONFIGURATIONS));
    }
    Ok(locate(named.or_else(|| common.named.clone()), variable("NAVIGATOR_CONFIG")))
}

/// Runs a command for a running navigator.
fn client(command: ClientCommand, target: &InstanceTarget) -> ExitCode {
    match command {
        ClientCommand::Source(command) => follow(command, target),
        ClientCommand::Plan { candidate, against, elsewhere, rev, format, diff, detailed_exitcode } => {
            let view = PlanView { format, diffs: diff, detailed: detailed_exitcode };
            match (against, candidate) {
                (Some(old), Some(new)) => clients::compare(&old, &new, elsewhere, view),
                (_, candidate) => clients::plan(target, candidate.as_deref(), rev.as_deref(), view),
            }
        }
        ClientCommand::Apply { file, if_generation, timeout } => clients::apply(target, &file, if_generation, timeout),
        ClientCommand::Status { names, json } => clients::status(target, &names, json),
        ClientCommand::Logs { names, follow, lines, since, timestamps, json, raw } => {
            let notation = match (json, raw) {
                (true, _) => LineNotation::Json,
                (false, true) => LineNotation::Raw,
                (false, false) => LineNotation::Text,
            };
            clients::logs(target, &names, &LogSelection { lines, since, timestamps, follow, notation })
        }
        ClientCommand::Start { names } => clients::order(target, "start", &names),
        ClientCommand::Stop { names } => clients::order(target, "stop", &names),
        ClientCommand::Restart { names, now } => clients::restart(target, &names, now),
        ClientCommand::Signal { signal, names } => clients::signal(target, &signal, &names),
        ClientCommand::Reload { names, retry } => clients::reload(target, &names, retry),
        ClientCommand::Wait { names, timeout } => clients::wait(target, &names, timeout),
        ClientCommand::Events { since, .. } => clients::events(target, since),
        ClientCommand::Upgrade { binary, check, force, .. } => clients::upgrade(target, binary.as_deref(), check, force),
    }
}

/// Runs a command about the followed repository.
fn follow(command: SourceCommand, target: &InstanceTarget) -> ExitCode {
    match command {
        SourceCommand::Source { json } => clients::source(target, json),
        SourceCommand::History { number: Some(number), json, .. } => clients::show(target, number, json),
        SourceCommand::History { count, all, json, .. } => clients::history(target, count, all, json),
        SourceCommand::Suspend { within, reason } => clients::suspend(target, within, reason.as_deref()),
        SourceCommand::Resume => clients::order_source(target, "resume", None),
        SourceCommand::Pin { rev } => clients::order_source(target, "pin", Some(&rev)),
        SourceCommand::Rollback { rev } => clients::order_source(target, "rollback", rev.as_deref()),
        SourceCommand::Accept { rev } => clients::order_source(target, "accept", Some(&rev)),
        SourceCommand::Retry => clients::order_source(target, "retry", None),
    }
}

/// The options that name the instance, for a command line to be shown.
fn options(common: &Common) -> String {
    let given = [("-c", &common.named), ("--state-dir", &common.state_dir)];
    let words = given.into_iter().filter_map(|(option, path)| Some((option, path.as_deref()?)));
    let user = common.trust_user.as_deref().map(|user| ("--trust-user", Path::new(user)));
    words.chain(user).flat_map(|(option, value)| [option.to_owned(), " ".to_owned(), shell_word(value), " ".to_owned()]).collect()
}

/// The trusted users: root, navigator's own user, and the one of `--trust-user`. As process 1 of a container, navigator also trusts
/// the owner of its configuration, which is mounted from outside.
fn trust(common: &Common, config: Option<&Path>) -> Result<Trust, ExitCode> {
    let mut trust = Trust::of_this_process();
    if rustix::process::getpid().is_init() {
        let owner = config.and_then(|path| rustix::fs::stat(path).ok()).map(|stat| stat.st_uid);
        trust = owner.map_or(trust, |owner| trust.and(owner)).with_read_only_mounts();
    }
    let Some(name) = &common.trust_user else { return Ok(trust) };
    match uid_of(name) {
        Ok(Some(user)) => Ok(trust.and(user)),
        Ok(None) => Err(fail(USAGE, &format!("`--trust-user {name}`: no such user"))),
        Err(error) => Err(fail(FAILURE, &format!("failed to look up user `{name}`: {}", words(&error)))),
    }
}
