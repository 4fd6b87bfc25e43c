//! Reads `/proc` (`proc(5)`): the parents, sessions, control groups, marks and sockets of processes.
//!
//! A pid read here may belong to another process a moment later. A caller verifies it before it acts on it; see [`super::tree`].

use rustix::buffer::spare_capacity;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Reads a file of unknown length, mostly in one call. The standard library needs many small ones.
///
/// # Errors
/// Those of `open(2)` and `read(2)`.
pub(super) fn read_file(path: impl rustix::path::Arg) -> io::Result<Vec<u8>> {
    /// Most files in `/proc` are shorter.
    const ROOM: usize = 4096;
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let mut contents = Vec::with_capacity(ROOM);
    loop {
        contents.reserve(1);
        match rustix::io::read(&file, spare_capacity(&mut contents)) {
            Ok(0) => return Ok(contents),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The used fields of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// The pid of its parent, which reaps it.
    pub(super) parent: u32,
    /// The id of its session.
    pub(super) session: u32,
    /// Whether it has executed a program since its fork.
    pub(super) has_executed: bool,
    /// Its start time, in clock ticks since boot.
    pub(super) started: Option<u64>,
    /// Whether it has ended and is not reaped.
    pub(super) has_ended: bool,
    /// Whether its main thread has begun to end.
    pub(super) is_ending: bool,
    /// How it ended, as a status of `wait(2)`; 0 also where we may not inspect it.
    wait_status: i32,
    /// The size of its program's initial environment, in bytes; `None` in the middle of an exec, and while it ends.
    environment: Option<usize>,
}

/// The state of a process; `None` if no process has this pid (or there is no `/proc`).
pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&read_file(format!("/proc/{pid}/stat")).ok()?)
}

/// The kernel's `PF_EXITING` in the field `flags` of `proc(5)`.
const ENDING: u32 = 0x4;
/// The kernel's `PF_FORKNOEXEC` in the field `flags` of `proc(5)`. It is set until an exec, and can be read after the end.
const NOT_EXECUTED: u32 = 0x40;

/// The command name is in parentheses and may contain any text, such as `) R 1 1 1`. So parsing starts after the last one.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let behind = text.iter().rposition(|&byte| byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&text[behind..]).ok()?.split_ascii_whitespace().collect();
    // Numbered from 1 in `proc(5)`. The pid and the command name come before the last parenthesis.
    let field = |number: usize| fields.get(number - 3).copied();
    let address = |number: usize| field(number)?.parse::<usize>().ok();
    let flags: u32 = field(9)?.parse().ok()?;
    Some(Stat {
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        has_executed: flags & NOT_EXECUTED == 0,
        started: field(22).and_then(|ticks| ticks.parse().ok()),
        has_ended: matches!(field(3)?, "Z" | "X"),
        is_ending: flags & ENDING != 0,
        wait_status: field(52).and_then(|status| status.parse().ok()).unwrap_or(0),
        // An exec sets the two bounds of the environment one by one, and those of the code after them.
        environment: address(27).filter(|&end_of_code| end_of_code != 0).and_then(|_| address(51)?.checked_sub(address(50)?)),
    })
}

/// How a process ended that is not reaped yet, as a status of `wait(2)`. `None`: it runs or is reaped, or we may not inspect it.
pub(super) fn wait_status(pid: u32) -> Option<i32> {
    // To read this link takes the same permission; without it the status is shown as 0.
    let may_inspect = || fs::read_link(format!("/proc/{pid}/ns/user")).is_ok();
    stat(pid).filter(|stat| stat.has_ended && (stat.wait_status != 0 || may_inspect())).map(|stat| stat.wait_status)
}

/// Whether a process runs on with code of its own when it gets this signal: it catches it, or blocks it and may read it. Known
/// until the process is reaped; nothing handles a signal afterwards.
pub(super) fn handles(pid: u32, signal: i32) -> bool {
    let status = read_file(format!("/proc/{pid}/status")).unwrap_or_default();
    let lines = std::str::from_utf8(&status).unwrap_or_default().lines();
    let masks = lines.filter_map(|line| line.strip_prefix("SigCgt:").or_else(|| line.strip_prefix("SigBlk:")));
    masks.filter_map(|mask| u64::from_str_radix(mask.trim(), 16).ok()).any(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Identifies this boot of the kernel and this pid namespace. Pids recorded under another one mean nothing.
pub(super) fn boot() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbering = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), numbering.display()))
}

/// The user that a process runs as: its real user, which only root can change.
pub(super) fn user(pid: u32) -> Option<u32> {
    let status = String::from_utf8(read_file(format!("/proc/{pid}/status")).ok()?).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_ascii_whitespace().next()?.parse().ok()
}

/// The control group (version 2) of a process, as seen from our namespace.
pub(super) fn cgroup(pid: u32) -> Option<String> {
    let groups = String::from_utf8(read_file(format!("/proc/{pid}/cgroup")).ok()?).ok()?;
    groups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// Every pid, with the inode of its directory. A later process with the same pid has another inode.
pub(super) fn all_pids() -> impl Iterator<Item = (u32, u64)> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok().and_then(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.ino()))))
}

/// The sockets that a process has open: the descriptor and the inode of each. `None`: it can't be inspected, for instance because
/// it has ended.
pub(super) fn sockets(pid: u32) -> Option<Vec<(i32, u64)>> {
    let targets: Vec<_> = descriptors(pid).ok()?.collect();
    let sockets = targets.iter().filter_map(|(number, target)| Some((*number, inode(target.as_ref().ok()?, "socket")?)));
    (!targets.is_empty()).then(|| sockets.collect())
}

/// The pipes that a process has open: the descriptor and the inode of each.
///
/// # Errors
/// It has been reaped, or we may not inspect it.
pub(super) fn pipes(pid: u32) -> io::Result<Vec<(i32, u64)>> {
    let mut pipes = Vec::new();
    for (number, target) in descriptors(pid)? {
        match target {
            Ok(target) => pipes.extend(inode(&target, "pipe").map(|inode| (number, inode))),
            // It was closed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(pipes)
}

/// What the descriptors of a process lead to.
fn descriptors(pid: u32) -> io::Result<impl Iterator<Item = (i32, io::Result<PathBuf>)>> {
    let entries = fs::read_dir(format!("/proc/{pid}/fd"))?;
    Ok(entries.filter_map(|entry| {
        let entry = entry.ok()?;
        Some((entry.file_name().to_str()?.parse().ok()?, fs::read_link(entry.path())))
    }))
}

/// The inode in a target such as `pipe:[4711]`.
fn inode(target: &Path, kind: &str) -> Option<u64> {
    target.to_str()?.strip_prefix(kind)?.strip_prefix(":[")?.strip_suffix(']')?.parse().ok()
}

/// Opens a pipe of our own again, with other flags.
///
/// # Errors
/// Those of `open(2)`; there may be no `/proc`.
pub(super) fn reopen(pipe: impl AsFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    rustix::fs::open(format!("/proc/self/fd/{}", pipe.as_fd().as_raw_fd()), flags, Mode::empty())
}

/// The number given to the newest process or thread of this pid namespace. While it stays the same, none is created.
/// `None` where the kernel doesn't report it.
pub(super) fn last_pid() -> Option<u32> {
    std::str::from_utf8(&read_file("/proc/sys/kernel/ns_last_pid").ok()?).ok()?.trim().parse().ok()
}

/// Whether a process runs the same executable as we do.
pub(super) fn runs_our_program(pid: u32) -> bool {
    let program = |pid: &str| rustix::fs::stat(format!("/proc/{pid}/exe")).ok().map(|stat| (stat.st_dev, stat.st_ino));
    program(&pid.to_string()).is_some_and(|found| Some(found) == program("self"))
}

/// Whether a process is in the session of another one, or descends from it.
pub(super) fn is_below(pid: u32, leader: u32) -> bool {
    /// Process trees in practice are not deeper.
    const MAX_DEPTH: usize = 64;
    let mut at = pid;
    for _ in 0..MAX_DEPTH {
        let Some(stat) = stat(at) else { return false };
        if at == leader || stat.session == leader {
            return true;
        }
        at = stat.parent;
    }
    false
}

/// A variable in the initial environment of a process's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MarkVariable {
    /// Its value.
    Value(Vec<u8>),
    /// It is not set, or we may not read it.
    Unset,
    /// The process is in the middle of an exec: the old environment is gone, the new one isn't there yet. Read it again.
    MidExec,
    /// The process has ended, or is ending, and may have had it. Its children may have become ours after we listed our
    /// children: list them again. Kernel threads look the same.
    Ended,
}

/// Reads a variable of a process.
///
/// An exec may happen between any two steps. Then the environment reads as empty, or is cut off. So only complete variables
/// count, and `Unset` is certain only if the whole environment was read.
pub(super) fn variable(pid: u32, name: &str) -> MarkVariable {
    let read = read_file(format!("/proc/{pid}/environ"));
    let environment = read.as_deref().unwrap_or_default();
    let mut variables = environment.split_inclusive(|&byte| byte == 0).filter_map(|text| text.strip_suffix(&[0]));
    if let Some(value) = variables.find_map(|text| text.strip_prefix(name.as_bytes())?.strip_prefix(b"=")) {
        return MarkVariable::Value(value.to_vec());
    }
    // An ending process releases its memory a moment before its state says so. From then on the file can't be read.
    match stat(pid) {
        Some(stat) if stat.has_ended || (read.is_err() && stat.environment.is_none()) => MarkVariable::Ended,
        Some(stat) if read.is_ok() && stat.environment != Some(environment.len()) => MarkVariable::MidExec,
        _ => MarkVariable::Unset,
    }
}

/// The children of processes, found in the cheapest way that this kernel has.
pub(super) enum Lineage {
    /// `/proc/PID/task/TID/children`, read on demand.
    Listed,
    /// All processes of the host by parent: for kernels without those lists, and for many look-ups.
    Scanned(HashMap<u32, Vec<u32>>),
}

impl Lineage {
    /// The cheapest way for a few look-ups.
    pub(super) fn now() -> Lineage {
        /// A kernel is built with these lists, or without.
        static ARE_LISTED: OnceLock<bool> = OnceLock::new();
        let are_listed = || fs::exists("/proc/thread-self/children").unwrap_or(false);
        if *ARE_LISTED.get_or_init(are_listed) { Lineage::Listed } else { Lineage::scan() }
    }

    /// A scan of all processes.
    pub(super) fn scan() -> Lineage {
        Lineage::of(all_pids().map(|(pid, _)| pid))
    }

    /// A scan without the processes that are known to be our children; `None` if there are more than `at_most` others.
    pub(super) fn scan_except(is_known: impl Fn(u32) -> bool, at_most: usize) -> Option<Lineage> {
        let others = all_pids().map(|(pid, _)| pid).filter(|&pid| !is_known(pid));
        let others: Vec<u32> = others.take(at_most + 1).collect();
        (others.len() <= at_most).then(|| Lineage::of(others))
    }

    fn of(pids: impl IntoIterator<Item = u32>) -> Lineage {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        for pid in pids {
            if let Some(stat) = stat(pid) {
                children.entry(stat.parent).or_default().push(pid);
            }
        }
        Lineage::Scanned(children)
    }

    /// Whether its list of our own children is complete.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Lineage::Listed)
    }

    /// The adopted children of a subreaper, and perhaps some that it started.
    ///
    /// The kernel hands orphans to the first living thread of a subreaper: its main thread. A process that a thread starts is
    /// that thread's own child. So the main thread's list is short, even when the other threads have thousands of children.
    pub(super) fn adopted(&self, subreaper: u32) -> Vec<u32> {
        match self {
            Lineage::Listed => listed(subreaper, subreaper),
            Lineage::Scanned(_) => self.children(subreaper),
        }
    }

    /// The children of a process, including ended ones that are not reaped.
    ///
    /// Exact for our own children and a keeper's, because only the calling thread has them reaped. Of another process, a child can be missed while
    /// a sibling ends.
    pub(super) fn children(&self, pid: u32) -> Vec<u32> {
        match self {
            Lineage::Listed if has_one_thread(pid) => listed(pid, pid),
            Lineage::Listed => numbers_in(&format!("/proc/{pid}/task")).flat_map(|thread| listed(pid, thread)).collect(),
            Lineage::Scanned(children) => children.get(&pid).cloned().unwrap_or_default(),
        }
    }
}

/// Whether a process has one thread, with the pid as its number. The directory has a link for each thread, besides its own two.
fn has_one_thread(pid: u32) -> bool {
    rustix::fs::stat(format!("/proc/{pid}/task")).is_ok_and(|stat| stat.st_nlink == 3)
}

/// The children of one thread.
fn listed(pid: u32, thread: u32) -> Vec<u32> {
    let list = read_file(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default();
    let list = std::str::from_utf8(&list).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// The entries of a directory that are numbers.
fn numbers_in(directory: &str) -> impl Iterator<Item = u32> {
    fs::read_dir(directory).into_iter().flatten().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

    #[test]
    fn a_command_name_can_not_forge_fields() {
        let text = b"42 (a) R 1 1 1 (b)) S 7 42 41 0 -1 4194560 103 0";
        let stat = Stat {
            parent: 7,
            session: 41,
            has_executed: true,
            started: None,
            has_ended: false,
            is_ending: false,
            wait_status: 0,
            environment: None,
        };
        assert_eq!(parse_stat(text), Some(stat));
        let text = b"42 (a) Z 7 42 41 0 -1 4194368 103 0";
        assert_eq!(parse_stat(text), Some(Stat { has_executed: false, has_ended: true, ..stat }));
        let own = super::stat(std::process::id()).expect("we exist");
        assert!(own.started > super::stat(1).expect("there is a first process").started);
        assert_eq!(own.environment, fs::read("/proc/self/environ").ok().map(|environment| environment.len()));
    }

    #[test]
    fn nonsense_is_no_process() {
        for text in [&b""[..], b"42 (a", b"42 (a) S", b"42 (a) S x y z", b")"] {
            assert_eq!(parse_stat(text), None, "{text:?}");
        }
    }

    /// If it counted as a process without the variable, its run would count as gone while a child of it lives.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test needs a child that is not reaped")]
    fn an_ended_process_may_have_had_the_variable() {
        let mut child = std::process::Command::new("true").env("MARK", "1").spawn().expect("`true` can be run");
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&child)), ended).expect("it is our child");
        let found = variable(child.id(), "MARK");
        child.wait().expect("it is our child");
        assert_eq!(found, MarkVariable::Ended);
        assert_eq!(variable(child.id(), "MARK"), MarkVariable::Unset, "no process has that pid");
    }

    #[test]
    fn only_processes_of_our_executable_run_our_program() {
        assert!(runs_our_program(std::process::id()));
        assert!(!runs_our_program(1), "this test is not process 1");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test needs a child that is not reaped")]
    fn a_caught_signal_is_handled() {
        assert!(handles(std::process::id(), libc::SIGSEGV), "the standard library catches overflows of the stack");
        // Not of this process: its main thread blocks all signals while it makes a thread.
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("`sleep` can be run");
        let is_handled = handles(child.id(), libc::SIGTERM);
        child.kill().expect("it is our child");
        child.wait().expect("it is our child");
        assert!(!is_handled);
        assert!(!handles(0, libc::SIGSEGV), "no process has that pid");
    }

    #[test]
    fn own_environment_is_readable() {
        let (name, value) = std::env::vars().find(|(_, value)| !value.is_empty()).expect("tests have an environment");
        assert_eq!(variable(std::process::id(), &name), MarkVariable::Value(value.into_bytes()));
        assert_eq!(variable(std::process::id(), "NO_SUCH_VARIABLE"), MarkVariable::Unset);
    }

    #[test]
    fn descendants_are_recognized() {
        let own = std::process::id();
        let parent = stat(own).expect("we exist").parent;
        assert!(is_below(own, own) && is_below(own, parent));
        assert!(!is_below(parent, own) || stat(parent).is_some_and(|found| found.session == own));
    }
}
