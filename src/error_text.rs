//! Describes system errors in words that a user can act on.

use std::io;

/// Describes an error in lower case. An error with a name in backticks is navigator's own, and is not changed.
pub(crate) fn words(error: &io::Error) -> String {
    if let Some(what) = error.raw_os_error().and_then(exhausted_resource) {
        return what.to_owned();
    }
    let text = error.to_string();
    if text.contains('`') { text } else { text.split(" (os error").next().unwrap_or_default().to_lowercase() }
}

/// The exhausted resource of an error number, and the limit that applies.
pub(crate) fn exhausted_resource(error: i32) -> Option<&'static str> {
    match error {
        libc::EAGAIN => Some("no more processes or threads (see `ulimit -u`, the control group's `pids.max`, `kernel.pid_max`)"),
        libc::ENOMEM => Some("no more memory"),
        libc::EMFILE => Some("navigator may open no more files (see `ulimit -n`)"),
        libc::ENFILE => Some("no more open files on the whole host (see `fs.file-max`)"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_lower_case_except_for_names() {
        let own = |text: &str| words(&io::Error::other(text));
        assert_eq!(words(&io::Error::from_raw_os_error(libc::ENOENT)), "no such file or directory");
        assert_eq!(own("Name or service not known"), "name or service not known");
        assert_eq!(own("`/srv/Web` belongs to another user"), "`/srv/Web` belongs to another user");
        assert!(words(&io::Error::from_raw_os_error(libc::EMFILE)).contains("ulimit -n"));
    }
}
