//! `navigator events`: prints events as they happen, one JSON object per line.

use super::super::console::OK;
use super::{InstanceTarget, unanswered, url};
use crate::terminal::escape_json;
use std::io::{Write, stdout};
use std::process::ExitCode;

/// Prints events until navigator ends or standard output is closed.
pub(in super::super) fn events(target: &InstanceTarget, since: Option<u64>) -> ExitCode {
    let since = since.map(|since| since.to_string());
    let path = url("/v1/events", since.iter().map(|since| ("since", since.as_str())));
    let take = |line: &[u8]| {
        let mut out = stdout().lock();
        let line = String::from_utf8_lossy(line);
        out.write_all(escape_json(&line).as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_ok()
    };
    match target.connect().and_then(|mut client| client.follow(&path, "application/x-ndjson", stdout(), take)) {
        Ok(()) => OK.into(),
        Err(error) => unanswered(&error),
    }
}
