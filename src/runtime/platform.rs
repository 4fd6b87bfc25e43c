//! What this system offers of what navigator can use, found out by using it; and what is used instead of what is missing.
//!
//! It changes nothing, and decides nothing: who runs finds out the same by running.

use super::group::Groups;
use super::proc;
use super::{sys, tree};
use crate::journal::Author;
use rustix::fs::inotify;
use std::fs;
use std::io;

/// Something that a system may offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feature {
    /// What people call it.
    pub name: &'static str,
    /// Whether it is there.
    pub is_there: bool,
    /// What it's used for or, where it is missing, why it is and what is used instead.
    pub meaning: String,
}

/// Everything that makes a difference.
pub fn platform() -> Vec<Feature> {
    vec![
        feature(
            "/proc",
            proc_is_there(),
            "processes are known by what the kernel says of them",
            "whole trees can't be known, and nothing that was left can be found",
        ),
        feature(
            "pidfds",
            tree::try_open(std::process::id()).map(drop).map_err(io::Error::from),
            "a signal reaches the process that is meant, and no other",
            "only children that are not reaped yet are signalled; what a killed navigator left is only told of",
        ),
        groups(),
        feature("subreaper", subreaper(), "orphans are handed to navigator", "navigator can't run, unless it is process 1"),
        feature(
            "close_range",
            sys::close_on_exec_from(u32::MAX),
            "no descriptor gets into a process by accident",
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
    // Nobody else is called this, so nobody is in the way.
    let author = Author { instance: "doctor".to_owned(), life: std::process::id().to_string() };
    let found = Groups::make(&author).and_then(|groups| {
        let usable = groups.check();
        groups.remove();
        usable
    });
    let there = "each process has one of its own, from which no descendant escapes";
    feature(
        "control groups",
        found,
        there,
        "descendants are known by their session, their parents and a mark in their environment",
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
        "a save is heard of at once (limits: {} instances, {} watches)",
        limit("max_user_instances"),
        limit("max_user_watches")
    );
    feature("inotify", found, &there, "files are looked at every two seconds")
}

fn leases() -> Feature {
    let setting = fs::read_to_string("/proc/sys/fs/leases-enable").map(|text| text.trim() == "1");
    let found = setting.and_then(|enabled| if enabled { Ok(()) } else { Err(io::Error::other("`fs.leases-enable` is 0")) });
    feature(
        "leases",
        found,
        "a file that somebody still writes to is known",
        "a file counts as written when it has been quiet for a moment",
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
    fn what_is_missing_says_what_is_used_instead() {
        let missing = feature("pidfds", Err(io::Error::from_raw_os_error(libc::ENOSYS)), "there", "instead");
        assert_eq!(missing, Feature { name: "pidfds", is_there: false, meaning: "function not implemented: instead".to_owned() });
        assert!(feature("pidfds", Ok(()), "there", "instead").is_there);
    }
}
