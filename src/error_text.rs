//! Errors of the system in words: what a user can act on, where the system's own words say too little.

use std::io;

/// An error in words: better ones than the system's, where there are some. One that names something in backticks is our own, and
/// says itself what it has to say.
pub(crate) fn words(error: &io::Error) -> String {
    if let Some(what) = error.raw_os_error().and_then(used_up) {
        return what.to_owned();
    }
    let text = error.to_string();
    if text.contains('`') { text } else { text.split(" (os error").next().unwrap_or_default().to_lowercase() }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_lower_case_but_for_the_names_in_them() {
        let own = |text: &str| words(&io::Error::other(text));
        assert_eq!(words(&io::Error::from_raw_os_error(libc::ENOENT)), "no such file or directory");
        assert_eq!(own("Name or service not known"), "name or service not known");
        assert_eq!(own("`/srv/Web` belongs to another user"), "`/srv/Web` belongs to another user");
        assert!(words(&io::Error::from_raw_os_error(libc::EMFILE)).contains("ulimit -n"));
    }
}
