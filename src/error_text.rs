//! Errors of the system in words: what a user can act on, where the system's own words say too little.

use std::io;

/// An error in words: better ones than the system's, where there are some; one that this program made says itself.
pub(crate) fn words(error: &io::Error) -> String {
    if let Some(what) = error.raw_os_error().and_then(used_up) {
        return what.to_owned();
    }
    let text = error.to_string();
    if error.get_ref().is_some() {
        return text;
    }
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

/// What a host has run out of, and where that is set: the system's own words name neither.
pub(crate) fn used_up(error: i32) -> Option<&'static str> {
    match error {
        libc::EAGAIN => Some("no more processes or threads (see `ulimit -u`, the control group's `pids.max`, `kernel.pid_max`)"),
        libc::ENOMEM => Some("no more memory"),
        libc::EMFILE => Some("navigator may open no more files (see `ulimit -n`)"),
        libc::ENFILE => Some("no more open files on the whole host (see `fs.file-max`)"),
        _ => None,
    }
}
