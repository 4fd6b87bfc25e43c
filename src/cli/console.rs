//! What all commands share: exit codes, writing to the standard streams, and the variables of navigator.

use crate::access::Trust;
use crate::control::StateDir;
use crate::terminal::{escape, escape_json, guard};
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Everything is as it should be.
pub(super) const OK: u8 = 0;
/// The configuration is invalid, or something failed.
pub(super) const INVALID: u8 = 1;
/// The configuration is missing or unreadable, or the command line is wrong.
pub(super) const USAGE: u8 = 2;
/// No navigator runs for the configuration.
pub(super) const NOT_RUNNING: u8 = 4;
/// Ended by `INT` or `QUIT`, as a shell would say it.
pub(super) const INTERRUPTED: u8 = 130;

/// Reports what went wrong, and returns that exit code.
pub(super) fn fail(code: u8, message: &str) -> ExitCode {
    print_error(&format!("navigator: {}\n", escape(message)));
    code.into()
}

/// Writes text to standard output. A closed standard output is not a failure.
///
/// Of control characters only line breaks, tabs and colours pass. Fields from outside were escaped before, also their colours.
pub(super) fn print(text: &str) {
    drop(std::io::stdout().write_all(guard(text).as_bytes()));
}

/// Writes JSON to standard output.
pub(super) fn print_json(json: &str) {
    print(&escape_json(json));
}

/// Writes text to standard error, as [`print`] does to standard output.
pub(super) fn print_error(text: &str) {
    drop(std::io::stderr().write_all(guard(text).as_bytes()));
}

/// A count with its noun.
pub(super) fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

/// The file that holds the number of the running navigator: `$NAVIGATOR_PID_FILE`, else the usual one.
pub(super) fn pid_file(state: &StateDir) -> (PathBuf, bool) {
    match variable("NAVIGATOR_PID_FILE") {
        Some(path) => (path.into(), true),
        None => (state.pid_file(), false),
    }
}

/// Where instances keep their state: what `--state-dir` named, `$NAVIGATOR_STATE_DIR`, or the usual place.
pub(super) fn state_dir(named: Option<PathBuf>, trust: Trust) -> StateDir {
    let asked = named.or_else(|| variable("NAVIGATOR_STATE_DIR").map(PathBuf::from));
    StateDir::new(asked, variable("XDG_RUNTIME_DIR").as_deref(), trust)
}

/// A variable of the environment. One that is set to nothing is as good as unset, as in scripts that pass on what they got.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
