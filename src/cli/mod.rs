//! The command line: words, arguments, exit codes, rendering. It decides nothing about processes.

mod arguments;
mod check;
mod clients;
pub mod forecast;
mod locate;
mod log;
mod run;
mod signal;

use crate::control::StateDir;
use arguments::{Arguments, Command, Common, ReportFormat};
use clap::Parser;
use clients::Target;
use locate::locate;
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::AsFd;
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
    // A command that names its configuration itself does so like the first argument; all others by an option alone.
    let (command, config) = match command {
        Some(Command::Run { config }) => (None, config),
        Some(Command::Check { config, format }) => (Some(Command::Check { config: None, format }), config),
        other => (other, config),
    };
    if config.is_some() && common.named.is_some() && config != common.named {
        return fail(USAGE, "two configurations are named: give one, as CONFIG or with `--config`");
    }
    let named = config.or_else(|| common.named.clone());
    if let Some(order) = signal {
        return signal::signal(order, named, &state_dir(&common));
    }
    let path = match locate(named, variable("NAVIGATOR_CONFIG")) {
        Ok(path) => path,
        Err(error) => return fail(USAGE, &error.to_string()),
    };
    match command {
        None if check => check::check(path, ReportFormat::Text),
        None | Some(Command::Run { .. }) => run::run(&path, &common),
        Some(Command::Check { format, .. }) => check::check(path, format),
        Some(command) => client(command, &Target { config: path, state: state_dir(&common) }),
    }
}

/// Runs a command that talks to a running navigator.
fn client(command: Command, target: &Target) -> ExitCode {
    match command {
        // Of these the caller takes care.
        Command::Run { .. } | Command::Check { .. } => USAGE.into(),
        Command::Plan { candidate, format, detailed_exitcode } => {
            clients::plan(target, candidate.as_deref(), format, detailed_exitcode)
        }
        Command::Status { names, json } => clients::status(target, &names, json),
        Command::Start { names } => clients::order(target, "start", &names),
        Command::Stop { names } => clients::order(target, "stop", &names),
        Command::Restart { names } => clients::order(target, "restart", &names),
        Command::Signal { signal, names } => clients::signal(target, &signal, &names),
        Command::Reload { names } => clients::reload(target, &names),
        Command::Wait { names, timeout } => clients::wait(target, &names, timeout),
        Command::Events { since } => clients::events(target, since),
    }
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

/// The columns of a terminal; where nobody knows, what is usual.
fn terminal_width(terminal: impl AsFd) -> usize {
    let size = rustix::termios::tcgetwinsize(terminal).ok();
    // A terminal whose size nobody has set says 0.
    size.map(|size| usize::from(size.ws_col)).filter(|width| *width > 0).unwrap_or(80).max(40)
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
