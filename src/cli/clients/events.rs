//! `navigator events`: what happens, one JSON object a line, as it happens.

use super::super::console::OK;
use super::{InstanceTarget, unanswered, url};
use crate::terminal::escape_json;
use std::io::{Write, stdout};
use std::process::ExitCode;

/// Writes what happens until navigator ends, or nobody reads any more.
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
