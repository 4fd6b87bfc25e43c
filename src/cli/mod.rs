//! The command line: words, arguments, exit codes, rendering. It decides nothing about processes.

mod arguments;
mod check;
mod doctor;
pub mod forecast;
mod locate;
mod log;
mod run;
mod schema;
mod signal;

use crate::control::StateDir;
use arguments::{Arguments, Command, Common, ReportFormat};
use clap::Parser;
use locate::locate;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Everything is as it should be.
const OK: u8 = 0;
/// The configuration is invalid, or something failed.
const INVALID: u8 = 1;
/// The configuration is missing or unreadable, or the command line is wrong.
const USAGE: u8 = 2;
/// No navigator runs for the configuration.
const NOT_RUNNING: u8 = 4;
/// Ended by `INT` or `QUIT`, as a shell would say it.
const INTERRUPTED: u8 = 130;

/// Runs what the command line asks for.
///
/// Must be called before any thread exists, since it takes over what the launcher left set up for the process.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Arguments { command, config, check, signal, common } = arguments;
    if command.is_some() && (check || signal.is_some()) {
        return fail(USAGE, "`--check` and `-s` stand for a command of their own: give no other beside them");
    }
    if command.is_some() && config.is_some() {
        return fail(USAGE, "the configuration stands before the command: name it behind, or with `--config`");
    }
    let (command, config) = match command {
        None => (None, config),
        Some(Command::Run { config }) => (None, config),
        Some(Command::Check { config, format }) => (Some(Task::Check(format)), config),
        Some(Command::Doctor { config }) => (Some(Task::Doctor), config),
        Some(Command::Schema) => return schema::print_schema(),
    };
    if config.is_some() && common.named.is_some() && config != common.named {
        return fail(USAGE, "two configurations are named: give one, as CONFIG or with `--config`");
    }
    let named = config.or_else(|| common.named.clone());
    if let Some(order) = signal {
        return signal::signal(order, named, &state_dir(&common));
    }
    let path = match (locate(named, variable("NAVIGATOR_CONFIG")), &command) {
        (Ok(path), _) => path,
        // There is something to be said of the host alone.
        (Err(_), Some(Task::Doctor)) => return doctor::doctor(None, &state_dir(&common)),
        (Err(error), _) => return fail(USAGE, &error.to_string()),
    };
    match command.or(check.then_some(Task::Check(ReportFormat::Text))) {
        Some(Task::Check(format)) => check::check(path, format),
        Some(Task::Doctor) => doctor::doctor(Some(path), &state_dir(&common)),
        None => run::run(&path, &common),
    }
}

/// What is to be done instead of running.
enum Task {
    Check(ReportFormat),
    Doctor,
}

/// Says what went wrong, and ends with that exit code.
fn fail(code: u8, message: &str) -> ExitCode {
    print_error(&format!("navigator: {message}\n"));
    code.into()
}

/// Writes to standard output. Whoever closed it doesn't want to read more, which is no failure.
fn print(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// Writes to standard error; where that is closed, there is nobody left to tell.
fn print_error(text: &str) {
    drop(std::io::stderr().write_all(text.as_bytes()));
}

/// Whether the user has nothing against colour: <https://no-color.org>.
fn color_is_welcome() -> bool {
    variable("NO_COLOR").is_none()
}

/// A count with its noun.
fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The file that holds the number of the running navigator: `$NAVIGATOR_PID_FILE`, else the usual one.
fn pid_file() -> (PathBuf, bool) {
    match variable("NAVIGATOR_PID_FILE") {
        Some(path) => (path.into(), true),
        None => (std::env::temp_dir().join("navigator.pid"), false),
    }
}

/// Where instances keep their state.
fn state_dir(common: &Common) -> StateDir {
    let asked = common.state_dir.clone().or_else(|| variable("NAVIGATOR_STATE_DIR").map(PathBuf::from));
    StateDir::new(asked, variable("XDG_RUNTIME_DIR").as_deref())
}

/// A variable of the environment. One that is set to nothing is as good as unset, as in scripts that pass on what they got.
fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
