//! `navigator logs`: prints the last output lines of processes, and with `--follow` new ones.

use super::super::console::OK;
use super::{InstanceTarget, unanswered, url};
use crate::runtime::Painter;
use crate::terminal::{escape_json, escape_output, is_color_welcome};
use rustix::termios::isatty;
use std::borrow::Cow;
use std::io::{self, Write, stdout};
use std::process::ExitCode;

/// Which lines to print, and how.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct LogSelection {
    /// The number of last lines of each process.
    pub(in super::super) lines: u64,
    /// Continue with new lines.
    pub(in super::super) follow: bool,
    /// Print JSON.
    pub(in super::super) json: bool,
    /// Escape nothing, not even on a terminal.
    pub(in super::super) raw: bool,
}

/// Prints lines until there are no more, navigator ends, or standard output is closed.
pub(in super::super) fn logs(target: &InstanceTarget, names: &[String], selection: &LogSelection) -> ExitCode {
    let lines = selection.lines.to_string();
    let pairs = [("lines", lines.as_str()), ("follow", if selection.follow { "true" } else { "false" })];
    let path = url("/v1/logs", names.iter().map(|name| ("name", name.as_str())).chain(pairs));
    let on_terminal = isatty(stdout());
    let is_painted = !selection.json && names.len() != 1 && on_terminal;
    let mut painter = is_painted.then(|| Painter::new(is_color_welcome(), names.iter().map(String::len).max().unwrap_or(0)));
    let mut write = |line: &[u8]| -> io::Result<()> {
        let line = if selection.json {
            escaped_json(line)
        } else if on_terminal && !selection.raw {
            escape_output(line)
        } else {
            Cow::Borrowed(line)
        };
        let mut out = stdout().lock();
        match &mut painter {
            Some(painter) => out.write_all(&painter.paint(&line))?,
            None => out.write_all(&line)?,
        }
        out.write_all(b"\n")?;
        if selection.follow { out.flush() } else { Ok(()) }
    };
    let accept = if selection.json { "application/x-ndjson" } else { "text/plain" };
    match target.connect().and_then(|mut client| client.follow(&path, accept, stdout(), |line| write(line).is_ok())) {
        Ok(()) => OK.into(),
        Err(error) => unanswered(&error),
    }
}

/// A line of JSON with control characters escaped.
fn escaped_json(line: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(line);
    Cow::Owned(escape_json(&text).into_owned().into_bytes())
}
