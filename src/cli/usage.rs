//! Prints help, the version, and errors of the command line.

use super::arguments::Arguments;
use super::console::{FAILURE, OK, USAGE, print, print_error};
use crate::terminal::{TerminalStyle, escape, escape_lines};
use clap::error::Error;
use std::process::ExitCode;

/// Prints the parser's message.
///
/// The message may quote arguments. They are escaped and parsed again, so that every colour in the message is the parser's.
pub(super) fn answer(error: &Error) -> ExitCode {
    let arguments = std::env::args_os().map(|argument| escape(&argument.to_string_lossy()).into_owned().into());
    let (code, text) = match Arguments::parse_line(arguments) {
        Err(escaped) => (code(&escaped), shown(&escaped)),
        // Escaping has removed the error, such as bytes that are not UTF-8.
        Ok(_) => (code(error), escape_lines(&error.to_string()).into_owned()),
    };
    if code == OK {
        print(&text);
    } else {
        print_error(&text);
    }
    code.into()
}

fn code(error: &Error) -> u8 {
    match error.use_stderr() {
        false => OK,
        // Its 2 means that something would change.
        true if std::env::args_os().any(|argument| argument == "--detailed-exitcode") => FAILURE,
        true => USAGE,
    }
}

fn shown(error: &Error) -> String {
    let style = if error.use_stderr() { TerminalStyle::of(std::io::stderr()) } else { TerminalStyle::of(std::io::stdout()) };
    if style.color { error.render().ansi().to_string() } else { error.to_string() }
}
