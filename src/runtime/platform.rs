//! Probes which features of this system navigator can use, and says what it uses instead of missing ones.
//!
//! This is for display only: a running navigator tries each feature again.

use super::group::Groups;
use super::proc;
use super::{sys, tree};
use crate::journal::Author;
use rustix::fs::inotify;
use std::fs;
use std::io;

/// A feature that a system may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its usual name.
    pub name: &'static str,
    /// Whether it is there.
    pub is_there: bool,
    /// Its use; if it is missing, why, and what is used instead.
    pub meaning: String,
}

/// Every feature that changes what navigator does.
pub fn platform() -> Vec<Feature> {
    vec![
        feature(
            "/proc",
            proc_is_there(),
            "process trees and orphans are found in it",
            "only main processes are known, and orphans of a killed navigator can't be found",
        ),
        feature(
            "pidfds",
            tree::try_open(std::process::id()).map(drop).map_err(io::Error::from),
            "a signal can't reach another process that reuses a pid",
            "only navigator's own children are signalled; orphans of a killed navigator are only reported",
        ),
        groups(),
        feature("subreaper", subreaper(), "orphans are handed to navigator", "navigator can't run, unless it is process 1"),
        feature(
            "close_range",
            sys::close_on_exec_from(u32::MAX),
            "no descriptor leaks into a process",
            "descriptors are closed one by one",
        ),
        inotify_limits(),
        leases(),
        user(),
    ]
}

fn feature(name: &'static str, found: io::Result<()>, there: &str, instead: &str) -> Feature {
    match found {
        Ok(()) => Feature { name, is_there: true, meaning: there.to_owned() },
        Err(error) => Feature { name, is_there: false, meaning: format!("{}: {instead}", crate::error_text::words(&error)) },
    }
}

fn proc_is_there() -> io::Result<()> {
    let is_there = proc::stat(std::process::id()).is_some();
    if is_there { Ok(()) } else { Err(io::Error::new(io::ErrorKind::NotFound, "it is not mounted")) }
}

fn groups() -> Feature {
    // No other instance has this name.
    let author = Author { instance: "doctor".to_owned(), life: std::process::id().to_string() };
    let found = Groups::make(&author).and_then(|groups| {
        let usable = groups.check();
        groups.remove();
        usable
    });
    let there = "each process has its own, which no descendant leaves";
    feature(
        "control groups",
        found,
        there,
        "descendants are found by their session, their parents and a mark in their environment",
    )
}

fn subreaper() -> io::Result<()> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(io::Error::from)
}

fn inotify_limits() -> Feature {
    let found = inotify::init(inotify::CreateFlags::CLOEXEC).map(drop).map_err(io::Error::from);
    let limit = |name: &str| {
        fs::read_to_string(format!("/proc/sys/fs/inotify/{name}")).map_or("?".to_owned(), |text| text.trim().to_owned())
    };
    let there = format!(
        "changed files are seen at once (limits: {} instances, {} watches)",
        limit("max_user_instances"),
        limit("max_user_watches")
    );
    feature("inotify", found, &there, "files are polled every 2 s")
}

fn leases() -> Feature {
    let setting = fs::read_to_string("/proc/sys/fs/leases-enable").map(|text| text.trim() == "1");
    let found = setting.and_then(|enabled| if enabled { Ok(()) } else { Err(io::Error::other("`fs.leases-enable` is 0")) });
    feature(
        "leases",
        found,
        "a file that is still open for writing is recognized",
        "a file counts as written once it has not changed for a moment",
    )
}

fn user() -> Feature {
    let user = rustix::process::geteuid();
    let is_there = user.is_root();
    let meaning = if is_there {
        "`user`, `group` and every limit can be set".to_owned()
    } else {
        format!("this is user {}: `user`, `group`, raised limits and lowered `nice` or `oom_score_adj` need root", user.as_raw())
    };
    Feature { name: "root", is_there, meaning }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_feature_says_what_is_used_instead() {
        let missing = feature("pidfds", Err(io::Error::from_raw_os_error(libc::ENOSYS)), "there", "instead");
        assert_eq!(missing, Feature { name: "pidfds", is_there: false, meaning: "function not implemented: instead".to_owned() });
        assert!(feature("pidfds", Ok(()), "there", "instead").is_there);
    }
}
