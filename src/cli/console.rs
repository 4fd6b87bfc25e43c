//! What all commands share: exit codes, output to the standard streams, and navigator's environment variables.

use crate::access::Trust;
use crate::control::StateDir;
use crate::terminal::{escape, escape_json, guard};
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Success.
pub(super) const OK: u8 = 0;
/// The configuration is invalid, or the command failed.
pub(super) const FAILURE: u8 = 1;
/// The configuration is missing or unreadable, or the command line is wrong.
pub(super) const USAGE: u8 = 2;
/// No navigator runs for the configuration.
pub(super) const NOT_RUNNING: u8 = 4;
/// Ended by `INT` or `QUIT`: 128 + 2, as in a shell.
pub(super) const INTERRUPTED: u8 = 130;

/// Prints an error, and returns this exit code.
pub(super) fn fail(code: u8, message: &str) -> ExitCode {
    print_error(&format!("navigator: {}\n", escape(message)));
    code.into()
}

/// Writes text to standard output. A closed standard output is not an error.
///
/// Only line breaks, tabs and colours pass as control characters. The caller escapes values from outside completely.
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

/// A path as a word of a shell command.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let is_plain = |char: char| char.is_alphanumeric() || "/._-+,@%=:".contains(char);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return text.into_owned();
    }
    // Else it would be an option.
    let start = if text.starts_with('-') { "./" } else { "" };
    format!("{start}'{}'", text.replace('\'', "'\\''"))
}

/// The pid file, and whether `$NAVIGATOR_PID_FILE` names it; else it is the default one.
pub(super) fn pid_file(state: &StateDir) -> (PathBuf, bool) {
    match variable("NAVIGATOR_PID_FILE") {
        Some(path) => (path.into(), true),
        None => (state.pid_file(), false),
    }
}

/// The state directory: the one of `--state-dir`, else `$NAVIGATOR_STATE_DIR`, else the default.
pub(super) fn state_dir(named: Option<PathBuf>, trust: Trust) -> StateDir {
    let named = named.or_else(|| variable("NAVIGATOR_STATE_DIR").map(PathBuf::from));
    StateDir::new(named, variable("XDG_RUNTIME_DIR").as_deref(), trust)
}

/// An environment variable. An empty one counts as unset.
pub(super) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_of_a_shell() {
        for (path, word) in [
            ("/srv/shop/next.yml", "/srv/shop/next.yml"),
            ("ünïcode.yml", "ünïcode.yml"),
            ("my file.yml", "'my file.yml'"),
            ("it's.yml", r"'it'\''s.yml'"),
            ("$HOME;ls.yml", "'$HOME;ls.yml'"),
            ("-rf", "./'-rf'"),
            ("", "''"),
        ] {
            assert_eq!(shell_word(Path::new(path)), word);
        }
    }
}
