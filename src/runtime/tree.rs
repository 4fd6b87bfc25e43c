//! The process tree of a run: its main process, everything that descends from it, and its orphans.
//!
//! # Members
//! A run's members are the main process and everything below it by parent links. When a process ends, its children become
//! ours, because we are the subreaper of everything we start (or process 1). Such an orphan belongs to a run if
//! - a scan has seen it there before, while its parents lived ([`TreeMembers::holds`]), or
//! - it is in the session of the run (each main process makes its own), or
//! - its environment holds the mark of the run ([`super::mark`]).
//!
//! Where each run has a control group ([`super::group`]), the processes in it are members, too, and the kernel reports when it
//! is empty. The group is read only if the run has another member than its main process, or if there are orphans; otherwise it
//! adds nothing to the kernel's lists of children. Without a group, a process that has left the session, wiped its environment
//! *and* lost its parent before any scan belongs to no run. It is still our child, and is killed when navigator ends.
//!
//! # Why a signal never reaches a foreign process
//! A pid found in `/proc` may be reused before it is used. So a pidfd is opened first, which refers to one process whatever
//! happens to its pid. Then it is verified ([`descend`]): while the pidfd's process exists, `/proc` names a member as the parent
//! of that pid, and that member, too, still is the process of its own pidfd. Our own children need no verification: they keep
//! their pids until we reap them.
//!
//! Where the kernel refuses pidfds, only our own unreaped children are signalled, by pid: the main process's group, then orphans
//! as they become our children. Killing still ends everything, from the top down.
//!
//! # Why no wake-up is missed
//! A tree is empty when its main process is reaped, no child of ours belongs to it, and its group is empty. The kernel reports
//! the last. For the children it is enough to check after each `SIGCHLD`: as long as a tree is not empty, one of our children
//! belongs to it, because the topmost ancestor of any member below us is one. The kernel hands us a process's children *before*
//! it reports that process's end. So when the last such child ends, there is a `SIGCHLD`, and its children are ours already.
//!
//! One case can't be decided at that moment. An orphan that has left the session has no readable mark in the middle of an exec,
//! or while it ends; in the latter case, its children became ours after we listed our children. Until every orphan is
//! decided, no tree counts as empty, and the check is repeated soon.

use super::proc::{self, Lineage};
use crate::signals;
use crate::sys::{self, ExitKind};
use reconcile::text::Name;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FsWord, fstat, fstatfs};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How long the environment of an orphan may be unreadable before the orphan counts as belonging to no run. A process that
/// does this on purpose must not keep a run from being gone.
pub(super) const LONGEST_EXEC: Duration = Duration::from_secs(5);

/// Refers to one process.
#[derive(Debug)]
pub(super) enum ProcessHandle {
    /// By a pidfd: never another process, even after its pid is reused.
    Pidfd(Arc<OwnedFd>),
    /// By the pid of an unreaped child, where pidfds are refused. Dropped when the child is reaped.
    Unreaped(u32),
    /// The same for a main process: signals go to its process group.
    UnreapedMain(u32),
}

impl ProcessHandle {
    /// A handle of an unreaped child of ours.
    pub(super) fn of_child(pid: u32) -> ProcessHandle {
        open(pid).map_or(ProcessHandle::Unreaped(pid), ProcessHandle::from_pidfd)
    }

    /// A handle of an unreaped main process.
    pub(super) fn of_main(pid: u32) -> ProcessHandle {
        open(pid).map_or(ProcessHandle::UnreapedMain(pid), ProcessHandle::from_pidfd)
    }

    /// A handle by a pidfd.
    pub(super) fn from_pidfd(pidfd: OwnedFd) -> ProcessHandle {
        ProcessHandle::Pidfd(Arc::new(pidfd))
    }

    /// Sends a signal. If the process is gone, that is no error.
    ///
    /// # Errors
    /// No permission, for instance because the program has changed its user.
    pub(super) fn signal(&self, signal: i32) -> io::Result<()> {
        let result = match self {
            ProcessHandle::Pidfd(pidfd) => sys::signal_pidfd(pidfd.as_fd(), signal),
            ProcessHandle::Unreaped(pid) => sys::signal_unreaped(pid.cast_signed(), signal),
            ProcessHandle::UnreapedMain(pid) => sys::signal_unreaped(-pid.cast_signed(), signal),
        };
        result.or_else(|error| if error.raw_os_error() == Some(libc::ESRCH) { Ok(()) } else { Err(error) })
    }

    /// Another handle of the same process; `None` for one by its pid.
    pub(super) fn copy(&self) -> Option<ProcessHandle> {
        if let ProcessHandle::Pidfd(pidfd) = self { Some(ProcessHandle::Pidfd(Arc::clone(pidfd))) } else { None }
    }

    /// Its pidfd, if nothing else uses that.
    pub(super) fn into_pidfd(self) -> Option<OwnedFd> {
        if let ProcessHandle::Pidfd(pidfd) = self { Arc::into_inner(pidfd) } else { None }
    }

    /// Whether the process still has its pid: it lives, or is not reaped yet.
    pub(super) fn has_pid(&self) -> bool {
        match self {
            ProcessHandle::Pidfd(pidfd) => has_pid(pidfd),
            ProcessHandle::Unreaped(_) | ProcessHandle::UnreapedMain(_) => true,
        }
    }

    /// Whether the process has not ended. Without a pidfd, an unreaped one counts as alive.
    pub(super) fn is_alive(&self) -> bool {
        if let ProcessHandle::Pidfd(pidfd) = self { !has_ended(pidfd) } else { true }
    }
}

/// Whether the process of a pidfd has ended, reaped or not.
pub(super) fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut polled = [PollFd::new(pidfd, PollFlags::IN)];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    // A pidfd is readable once its process has ended. On an error the process counts as alive.
    matches!(poll(&mut polled, Some(&at_once)), Ok(1..))
}

/// A pidfd of the process that has this pid now, if there is one and pidfds are allowed.
fn open(pid: u32) -> Option<OwnedFd> {
    try_open(pid).ok()
}

/// A pidfd of the process that has this pid now.
///
/// # Errors
/// `ESRCH` or `EINVAL` if there is none; anything else where pidfds are refused.
pub(super) fn try_open(pid: u32) -> Result<OwnedFd, Errno> {
    let opened = pidfd_open(Pid::from_raw(pid.cast_signed()).ok_or(Errno::SRCH)?, PidfdFlags::empty());
    // Since Linux 6.16: the process is just being reaped.
    opened.map_err(|error| if error == Errno::NOENT { Errno::SRCH } else { error })
}

/// Whether the process of a pidfd still has its pid: it lives, or is not reaped yet.
pub(super) fn has_pid(pidfd: &OwnedFd) -> bool {
    sys::signal_pidfd(pidfd.as_fd(), 0).map_or_else(|error| error.raw_os_error() != Some(libc::ESRCH), |()| true)
}

/// How a process that isn't our child has ended. `None`: it runs, or that is not known. Before Linux 6.15 it is known only until
/// its parent reaps it.
pub(super) fn exit_kind(pid: u32, pidfd: &OwnedFd) -> Option<ExitKind> {
    let of_reaped = || sys::pidfd::exit_kind(pidfd.as_fd()).ok().flatten();
    // Its pid is its own until it is reaped.
    let of_unreaped = || proc::wait_status(pid).filter(|_| has_pid(pidfd)).map(ExitKind::of_status);
    // It may be reaped in between.
    has_ended(pidfd).then(|| of_reaped().or_else(of_unreaped).or_else(of_reaped)).flatten()
}

/// The inode of a pidfd, which identifies the process within a boot; `None` before Linux 6.9, where all have the same inode.
pub(super) fn inode(pidfd: &OwnedFd) -> Option<u64> {
    /// `PID_FS_MAGIC` of the kernel's `magic.h`.
    const PIDFS: FsWord = 0x5049_4446;
    /// The same for all pidfds of a kernel.
    static ARE_UNIQUE: OnceLock<bool> = OnceLock::new();
    let are_unique = ARE_UNIQUE.get_or_init(|| fstatfs(pidfd).is_ok_and(|system| system.f_type == PIDFS));
    are_unique.then(|| fstat(pidfd).ok().map(|stat| stat.st_ino)).flatten()
}

/// What tells a process from an earlier one with its pid, as it is recorded: its start time where inodes aren't unique, else the
/// inode of its pidfd.
pub(super) fn identity(pid: u32, pidfd: Option<&OwnedFd>) -> (Option<u64>, Option<u64>) {
    let inode = pidfd.and_then(inode);
    let ticks = if inode.is_some() { None } else { proc::stat(pid).and_then(|stat| stat.started) };
    (ticks, inode)
}

/// Sends a signal to each of these processes of a run. Returns those that may not be signalled, with the error.
pub(super) fn send_all(name: &Name, found: &[(u32, ProcessHandle)], signal: i32) -> Vec<(u32, io::Error)> {
    found.iter().filter_map(|(pid, handle)| Some((*pid, send(name, *pid, handle, signal)?))).collect()
}

/// Sends a signal. A refusal is logged and returned; the caller goes on with other processes.
pub(super) fn send(name: &Name, pid: u32, handle: &ProcessHandle, signal: i32) -> Option<io::Error> {
    let error = handle.signal(signal).err()?;
    let (name, signal) = (name.as_str(), signals::name(signal).0);
    tracing::warn!(target: "managed_processes", name, pid, signal, %error, "Signal refused");
    Some(error)
}

/// The members of a tree that have been signalled: each is signalled once, and is recognized later as an orphan.
#[derive(Debug, Default)]
pub(super) struct TreeMembers(HashMap<u32, ProcessHandle>);

impl TreeMembers {
    /// Whether the process that has this pid is one of them.
    pub(super) fn holds(&self, pid: u32) -> bool {
        self.0.get(&pid).is_some_and(ProcessHandle::has_pid)
    }

    /// Their pids, as long as they are not reaped by us. Another parent may have reaped one.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        self.0.keys().copied()
    }

    /// Adds these.
    pub(super) fn add(&mut self, found: Vec<(u32, ProcessHandle)>) {
        self.0.extend(found);
    }

    /// Removes a process that is reaped.
    pub(super) fn forget(&mut self, pid: u32) {
        self.0.remove(&pid);
    }
}

/// Every living process at and below these roots, each verified after its pidfd was opened. Roots have pidfds, or are children of
/// ours that are not reaped while this runs.
pub(super) fn descend(lineage: &Lineage, roots: Vec<(u32, ProcessHandle)>) -> Vec<(u32, ProcessHandle)> {
    let mut known: HashSet<u32> = roots.iter().map(|&(pid, _)| pid).collect();
    let mut found = roots;
    let mut next = 0;
    while next < found.len() {
        let (parent, ref parent_handle) = found[next];
        next += 1;
        if !matches!(parent_handle, ProcessHandle::Pidfd(_)) {
            continue;
        }
        let mut children = Vec::new();
        for pid in lineage.children(parent) {
            let Some(pidfd) = open(pid).filter(|_| !known.contains(&pid)) else { continue };
            let handle = ProcessHandle::from_pidfd(pidfd);
            let is_child = proc::stat(pid).is_some_and(|stat| stat.parent == parent);
            if is_child && handle.has_pid() && parent_handle.has_pid() {
                known.insert(pid);
                children.push((pid, handle));
            }
        }
        found.append(&mut children);
    }
    found.retain(|(_, handle)| handle.is_alive());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a script as a child of its child, says its pid, and reaps it once a line comes.
    const PARENT: &str = r#"$| = 1; my $pid = fork() // die; exec("sh", "-c", $ARGV[0]) or die if !$pid;
        print "$pid\n"; <STDIN>; waitpid $pid, 0; print "reaped\n"; <STDIN>"#;

    /// Whether the kernel is of this version or later.
    fn is_kernel(major: u32, minor: u32) -> bool {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        let mut numbers = release.split(['.', '-']).map(|number| number.parse().expect("a release begins with two numbers"));
        (numbers.next(), numbers.next()) >= (Some(major), Some(minor))
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test needs a child that starts another one, and reaps its own")]
    fn the_end_of_a_process_with_another_parent_is_known() {
        use std::io::{BufRead as _, BufReader, Write as _};
        use std::process::{Command, Stdio};
        for (script, kind) in
            [("exit 7", ExitKind::Code(7)), ("exit 0", ExitKind::Code(0)), ("kill -KILL $$", ExitKind::Signal(libc::SIGKILL))]
        {
            let mut parent = Command::new("perl");
            parent.args(["-e", PARENT, script]).stdin(Stdio::piped()).stdout(Stdio::piped());
            let mut parent = parent.spawn().expect("`perl` can be run");
            let mut said = BufReader::new(parent.stdout.take().expect("a pipe")).lines().map(|line| line.expect("text"));
            let pid = said.next().expect("its first line").parse().expect("a pid");
            let pidfd = try_open(pid).expect("it isn't reaped");
            assert!(matches!(poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None), Ok(1)), "{script}: it ends");
            assert_eq!(exit_kind(pid, &pidfd), Some(kind), "{script}: not reaped");
            writeln!(parent.stdin.as_mut().expect("a pipe")).expect("it reads");
            assert_eq!(said.next().as_deref(), Some("reaped"));
            // Accepted of older kernels: they don't keep it.
            let kept = is_kernel(6, 15).then_some(kind);
            assert_eq!(exit_kind(pid, &pidfd), kept, "{script}: reaped");
            drop(parent.stdin.take());
            parent.wait().expect("it is our child");
            let own = try_open(std::process::id()).expect("we exist");
            assert_eq!(exit_kind(std::process::id(), &own), None, "we run");
        }
    }

    #[test]
    fn lists_and_scans_find_the_same_children() {
        let own = std::process::id();
        let parent = proc::stat(own).expect("we exist").parent;
        for lineage in [Lineage::now(), Lineage::scan()] {
            assert!(lineage.children(parent).contains(&own));
        }
    }
}
