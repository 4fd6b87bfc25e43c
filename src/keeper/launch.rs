//! Starts keepers, and finds those that run.

use super::socket::listener;
use super::{ARGUMENT, LISTENER, NAME};
use crate::access::Directory;
use crate::sys::child_stdio::ChildStdio;
use crate::sys::clone::{self, Child, CloneFailure, Stack, StartedChild};
use crate::sys::slot::Slot;
use rustix::fd::{AsFd, OwnedFd};
use std::ffi::OsString;
use std::io;

/// The sockets of keepers are named `keeper.1` and so on.
const PREFIX: &str = "keeper.";

/// A keeper that was started.
#[derive(Debug)]
pub(crate) struct KeeperProcess {
    /// The name of its socket.
    pub(crate) name: String,
    /// Its pid. It is our child.
    pub(crate) pid: u32,
}

/// Whether these are the arguments of a keeper.
pub(crate) fn is_keeper(mut arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.nth(1).is_some_and(|first| first == ARGUMENT) && arguments.next().is_none()
}

/// The names of the sockets of keepers, whether those run or not.
///
/// # Errors
/// The directory can't be read.
pub(crate) fn names(directory: &Directory) -> io::Result<Vec<String>> {
    let names = directory.names()?.into_iter().filter_map(|name| name.into_string().ok());
    let mut names: Vec<String> = names.filter(|name| number(name).is_some()).collect();
    names.sort_by_key(|name| number(name));
    Ok(names)
}

fn number(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.parse().ok()
}

/// Removes the socket of a keeper that has ended.
pub(crate) fn remove(directory: &Directory, name: &str) {
    // If it can't be removed, the next navigator tries again.
    drop(directory.remove(name));
}

/// Starts a keeper: this program, with an empty environment and a session of its own.
///
/// # Errors
/// Its socket can't be made, or the program can't be executed.
pub(crate) fn launch(directory: &Directory) -> io::Result<KeeperProcess> {
    let last = names(directory)?.iter().filter_map(|name| number(name)).max().unwrap_or(0);
    let next = last.checked_add(1).ok_or(io::ErrorKind::AlreadyExists)?;
    let name = format!("{PREFIX}{next}");
    let listener = listener(directory, &name)?;
    let result = execute(&listener).inspect_err(|_| remove(directory, &name));
    result.map(|pid| KeeperProcess { name, pid })
}

fn execute(listener: &OwnedFd) -> io::Result<u32> {
    let stdio = ChildStdio::new()?;
    let child = Child {
        programs: &[c"/proc/self/exe".to_owned()],
        arguments: &[NAME.to_owned(), std::ffi::CString::new(ARGUMENT)?],
        environment: &[],
        pid_variables: &[],
        stdio: stdio.each(),
        oom_score_adj: None,
        limits: &[],
        // Each child of its gets its own.
        umask: 0o077,
        nice: None,
        groups: None,
        group: None,
        user: None,
        directory: None,
        no_new_privs: false,
        passed: &[(listener.as_fd(), LISTENER.cast_unsigned())],
        in_group: None,
        after: &[],
    };
    match clone::start(&child, &mut Stack::new()?, &Slot::default()) {
        Ok(StartedChild { pid, .. }) => Ok(pid),
        Err(CloneFailure::Clone(error) | CloneFailure::Child(_, error)) => Err(io::Error::from_raw_os_error(error)),
    }
}
