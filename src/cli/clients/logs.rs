//! `navigator logs`: prints the last output lines of processes, and with `--follow` new ones.

use super::super::console::OK;
use super::{InstanceTarget, TIMEOUT, unanswered, url};
use crate::runtime::Painter;
use crate::snapshot::Snapshot;
use crate::terminal::{escape_json, escape_output, is_color_welcome};
use jiff::Timestamp;
use rustix::termios::isatty;
use serde::Deserialize as _;
use std::borrow::Cow;
use std::io::{self, Write, stdout};
use std::process::ExitCode;

/// Which lines to print, and how.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct LogSelection {
    /// The number of last lines of each process; `None`: the usual number.
    pub(in super::super) lines: Option<u64>,
    /// Only lines since then.
    pub(in super::super) since: Option<Timestamp>,
    /// Print the time before each line.
    pub(in super::super) timestamps: bool,
    /// Continue with new lines.
    pub(in super::super) follow: bool,
    /// How to print them.
    pub(in super::super) notation: LineNotation,
}

/// How lines are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum LineNotation {
    /// On a terminal, control characters are escaped.
    Text,
    /// Nothing is escaped, not even on a terminal.
    Raw,
    /// One object a line.
    Json,
}

/// Prints lines until there are no more, navigator ends, or standard output is closed.
pub(in super::super) fn logs(target: &InstanceTarget, names: &[String], selection: &LogSelection) -> ExitCode {
    let path = path(names, selection);
    let on_terminal = isatty(stdout());
    let is_json = selection.notation == LineNotation::Json;
    let is_painted = !is_json && names.len() != 1 && on_terminal;
    let mut painter = is_painted.then(|| Painter::new(is_color_welcome(), name_width(target, names)));
    let mut write = |line: &[u8]| -> io::Result<()> {
        let line = if is_json {
            escaped_json(line)
        } else if on_terminal && selection.notation == LineNotation::Text {
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
    let accept = if is_json { "application/x-ndjson" } else { "text/plain" };
    match target.connect().and_then(|mut client| client.follow(&path, accept, stdout(), |line| write(line).is_ok())) {
        Ok(()) => OK.into(),
        Err(error) => unanswered(&error),
    }
}

/// What to request.
fn path(names: &[String], selection: &LogSelection) -> String {
    let flag = |is_set: bool| if is_set { "true" } else { "false" }.to_owned();
    let mut pairs = vec![("follow", flag(selection.follow)), ("timestamps", flag(selection.timestamps))];
    pairs.extend(selection.lines.map(|lines| ("lines", lines.to_string())));
    pairs.extend(selection.since.map(|since| ("since", since.to_string())));
    let names = names.iter().map(|name| ("name", name.as_str()));
    url("/v1/logs", names.chain(pairs.iter().map(|(key, value)| (*key, value.as_str()))))
}

/// The width of the longest name that will be shown, so that the column keeps its place. Without an answer it grows with the
/// names, and the request for the lines says why.
fn name_width(target: &InstanceTarget, names: &[String]) -> usize {
    let longest = |names: &mut dyn Iterator<Item = usize>| names.max().unwrap_or(0);
    if !names.is_empty() {
        return longest(&mut names.iter().map(String::len));
    }
    let answer = target.connect().and_then(|client| client.within(TIMEOUT).get("/v1/status"));
    let processes = answer.ok().and_then(|(_, answer)| Snapshot::deserialize(answer).ok()).map(|snapshot| snapshot.processes);
    longest(&mut processes.iter().flatten().map(|process| process.name.len()))
}

/// A line of JSON with control characters escaped.
fn escaped_json(line: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(line);
    Cow::Owned(escape_json(&text).into_owned().into_bytes())
}
