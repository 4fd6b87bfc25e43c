//! Whose files may decide what is run: whoever can write a configuration of root can run anything as root.

use super::places::Places;
use crate::config::{Distrust, Inputs};
use rustix::fs::{Mode, Stat, stat};
use rustix::process::{geteuid, getpid};
use std::path::Path;

/// Whose files are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Trust {
    /// Everybody's.
    #[default]
    Everybody,
    /// Root's own, that nobody else can change or replace.
    Root,
    /// Root's and those of this user.
    User(u32),
}

impl Trust {
    /// What this process has to see to. The first process of a container takes what is mounted there, which is seldom root's.
    pub fn of_this_process() -> Trust {
        match geteuid() {
            _ if getpid().is_init() => Trust::Everybody,
            user if user.is_root() => Trust::Root,
            user => Trust::User(user.as_raw()),
        }
    }

    /// Judges a file that was opened by this path; `seen`: what it is.
    ///
    /// # Errors
    /// Why it isn't trusted.
    pub(super) fn judge(self, path: &Path, seen: &Stat) -> Result<(), Distrust> {
        match self {
            Trust::Everybody => Ok(()),
            Trust::User(user) if [0, user].contains(&seen.st_uid) => Ok(()),
            Trust::User(_) => Err(Distrust::Strangers(seen.st_uid)),
            Trust::Root if seen.st_uid != 0 => Err(Distrust::NotRoots(seen.st_uid)),
            Trust::Root if Mode::from_raw_mode(seen.st_mode).intersects(Mode::WGRP | Mode::WOTH) => Err(Distrust::Writable),
            Trust::Root => way_is_closed(path),
        }
    }
}

/// Whether nobody else can make a path lead to another file: over every directory on its way, and on the way of every
/// symbolic link there.
fn way_is_closed(path: &Path) -> Result<(), Distrust> {
    let places = Places::of(&Inputs { files: [path.to_owned()].into(), ..Inputs::default() });
    let directories = places.directories().iter().flat_map(|directory| directory.ancestors());
    // What can't be looked at couldn't have been passed.
    let is_open = |directory: &&Path| stat(*directory).is_ok_and(|seen| is_open_to_all(Mode::from_raw_mode(seen.st_mode)));
    directories.into_iter().find(is_open).map_or(Ok(()), |open| Err(Distrust::Directory(open.to_owned())))
}

/// In a sticky directory, such as that of temporary files, nobody can replace what belongs to others.
fn is_open_to_all(mode: Mode) -> bool {
    mode.contains(Mode::WOTH) && !mode.contains(Mode::SVTX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of this owner and mode, at a place that is closed.
    fn judged(trust: Trust, owner: u32, mode: u32) -> Result<(), Distrust> {
        let mut seen = stat("/").expect("the root is there");
        (seen.st_uid, seen.st_mode) = (owner, mode);
        trust.judge(Path::new("/navigator.yml"), &seen)
    }

    #[test]
    fn root_takes_what_only_root_can_write_and_a_user_what_is_theirs_or_roots() {
        assert_eq!(judged(Trust::Root, 0, 0o100_644), Ok(()));
        assert_eq!(judged(Trust::Root, 1000, 0o100_600), Err(Distrust::NotRoots(1000)));
        assert_eq!(judged(Trust::Root, 0, 0o100_664), Err(Distrust::Writable));
        assert_eq!(judged(Trust::Root, 0, 0o100_646), Err(Distrust::Writable));
        assert_eq!(judged(Trust::User(1000), 0, 0o100_644), Ok(()));
        assert_eq!(judged(Trust::User(1000), 1000, 0o100_666), Ok(()));
        assert_eq!(judged(Trust::User(1000), 1001, 0o100_600), Err(Distrust::Strangers(1001)));
        assert_eq!(judged(Trust::Everybody, 1001, 0o100_666), Ok(()));
    }

    #[test]
    fn a_directory_is_open_to_all_where_everybody_may_replace_what_is_in_it() {
        let modes = [0o755, 0o777, 0o1777, 0o775, 0o702].map(|mode| is_open_to_all(Mode::from_raw_mode(mode)));
        assert_eq!(modes, [false, true, false, false, true]);
    }
}
