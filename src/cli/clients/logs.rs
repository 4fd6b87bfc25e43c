//! `navigator logs`: what processes wrote last, and what they write from now on.

use super::super::{OK, color_is_welcome};
use super::{Target, unanswered, url};
use crate::runtime::Painter;
use rustix::termios::isatty;
use std::io::{self, Write, stdout};
use std::process::ExitCode;

/// What is wanted of the lines.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Wanted {
    /// How many of the last ones.
    pub(in super::super) lines: u64,
    /// Also those that come.
    pub(in super::super) follow: bool,
    /// As JSON.
    pub(in super::super) json: bool,
}

/// Writes lines until there are no more, navigator ends, or nobody reads any more.
pub(in super::super) fn logs(target: &Target, names: &[String], wanted: &Wanted) -> ExitCode {
    let lines = wanted.lines.to_string();
    let pairs = [("lines", lines.as_str()), ("follow", if wanted.follow { "true" } else { "false" })];
    let path = url("/v1/logs", names.iter().map(|name| ("name", name.as_str())).chain(pairs));
    let is_painted = !wanted.json && names.len() != 1 && isatty(stdout());
    let mut painter = is_painted.then(|| Painter::new(color_is_welcome(), names.iter().map(String::len).max().unwrap_or(0)));
    let mut write = |line: &[u8]| -> io::Result<()> {
        let mut out = stdout().lock();
        match &mut painter {
            Some(painter) => out.write_all(&painter.paint(line))?,
            None => out.write_all(line)?,
        }
        out.write_all(b"\n")?;
        if wanted.follow { out.flush() } else { Ok(()) }
    };
    let accept = if wanted.json { "application/x-ndjson" } else { "text/plain" };
    match target.connect().and_then(|mut client| client.follow(&path, accept, stdout(), |line| write(line).is_ok())) {
        Ok(()) => OK.into(),
        Err(error) => unanswered(&error),
    }
}
