//! What `/proc` says of processes (`proc(5)`): who is whose child, in which session, with which mark.
//!
//! A number read here may be another process's a moment later; who acts on one has to make sure first, see
//! [`super::tree`].

use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::DirEntryExt;
use std::sync::OnceLock;

/// Reads a file of a length that the kernel doesn't tell beforehand, which the standard library does in many small pieces.
///
/// # Errors
/// Those of `open(2)` and `read(2)`.
pub(super) fn contents(path: impl rustix::path::Arg) -> io::Result<Vec<u8>> {
    /// Of what is read like this, hardly anything is longer.
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

/// What matters here of `/proc/PID/stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    /// Who reaps it.
    pub(super) parent: u32,
    /// Its session.
    pub(super) session: u32,
    /// Whether it has executed a program since it came to be.
    pub(super) has_executed: bool,
    /// When it came to be, in clock ticks since boot.
    pub(super) started: Option<u64>,
    /// Whether it has ended, and is yet to be reaped.
    pub(super) has_ended: bool,
    /// How many bytes of environment its program was given; `None` in the middle of an exec, and at its end.
    environment: Option<usize>,
}

/// What the kernel says of a process; `None` if there is none of this number (or no `/proc`).
pub(super) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&contents(format!("/proc/{pid}/stat")).ok()?)
}

/// The kernel's `PF_FORKNOEXEC`, of the flags that `proc(5)` calls `flags`: stays set until an exec, and so tells of a
/// process that has ended whether it ever was a program.
const NOT_EXECUTED: u32 = 0x40;

/// The command name stands in parentheses and may hold anything, also `) R 1 1 1`; so what counts is behind the last one.
fn parse_stat(text: &[u8]) -> Option<Stat> {
    let behind = text.iter().rposition(|&byte| byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(&text[behind..]).ok()?.split_ascii_whitespace().collect();
    // Numbered from 1 in `proc(5)`, and the first two are before the parenthesis and in it.
    let field = |number: usize| fields.get(number - 3).copied();
    let address = |number: usize| field(number)?.parse::<usize>().ok();
    let flags: u32 = field(9)?.parse().ok()?;
    Some(Stat {
        parent: field(4)?.parse().ok()?,
        session: field(6)?.parse().ok()?,
        has_executed: flags & NOT_EXECUTED == 0,
        started: field(22).and_then(|ticks| ticks.parse().ok()),
        has_ended: matches!(field(3)?, "Z" | "X"),
        // An exec sets the bounds of the environment bit by bit, and those of the code only after them.
        environment: address(27).filter(|&end_of_code| end_of_code != 0).and_then(|_| address(51)?.checked_sub(address(50)?)),
    })
}

/// Names this boot of the kernel and this numbering of processes: numbers that were noted under another name mean nothing.
pub(super) fn boot() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbering = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), numbering.display()))
}

/// The control group (version 2) of a process, as seen from our own namespace.
pub(super) fn group(pid: u32) -> Option<String> {
    let groups = String::from_utf8(contents(format!("/proc/{pid}/cgroup")).ok()?).ok()?;
    groups.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
}

/// The number of every process, with the inode of its directory: a later process of the same number has another one.
pub(super) fn all() -> impl Iterator<Item = (u32, u64)> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok().and_then(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.ino()))))
}

/// The number that was given last, to a process or a thread of this numbering: as long as it stays the same, nobody has come to be.
/// `None` where the kernel doesn't tell.
pub(super) fn last_number() -> Option<u32> {
    std::str::from_utf8(&contents("/proc/sys/kernel/ns_last_pid").ok()?).ok()?.trim().parse().ok()
}

/// Whether a process runs the very program that we are.
pub(super) fn is_like_us(pid: u32) -> bool {
    let program = |pid: &str| rustix::fs::stat(format!("/proc/{pid}/exe")).ok().map(|stat| (stat.st_dev, stat.st_ino));
    program(&pid.to_string()).is_some_and(|found| Some(found) == program("self"))
}

/// A variable of the environment that a process was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum MarkVariable {
    /// Its value.
    Is(Vec<u8>),
    /// It has none, or may not be asked.
    Unset,
    /// In the middle of an exec, where the old environment is gone and the new one isn't there yet: ask again.
    NotYet,
    /// It has ended, or is about to, and may have had it. What a child of ours leaves behind may have become ours after we
    /// listed our children: list them again. Threads of the kernel, which have no environment either, look the same.
    Ended,
}

/// Looks up a variable of a process.
///
/// An exec may come between any two steps of this: then the environment reads as empty, or breaks off. So what was found
/// counts only up to its end, and that nothing was found only if all of it was read.
pub(super) fn variable(pid: u32, name: &str) -> MarkVariable {
    let read = contents(format!("/proc/{pid}/environ"));
    let environment = read.as_deref().unwrap_or_default();
    let mut variables = environment.split_inclusive(|&byte| byte == 0).filter_map(|text| text.strip_suffix(&[0]));
    if let Some(value) = variables.find_map(|text| text.strip_prefix(name.as_bytes())?.strip_prefix(b"=")) {
        return MarkVariable::Is(value.to_vec());
    }
    // One that is ending has given its memory back a moment before it counts as ended, and can't be read from then on.
    match stat(pid) {
        Some(stat) if stat.has_ended || (read.is_err() && stat.environment.is_none()) => MarkVariable::Ended,
        Some(stat) if read.is_ok() && stat.environment != Some(environment.len()) => MarkVariable::NotYet,
        _ => MarkVariable::Unset,
    }
}

/// Who is whose child, by the cheapest way that this kernel has.
pub(super) enum Lineage {
    /// `/proc/PID/task/TID/children`: reads no more than is asked for.
    Listed,
    /// The processes of the host by their parent: for kernels built without those lists, and where many are asked about.
    Scanned(HashMap<u32, Vec<u32>>),
}

impl Lineage {
    /// What this kernel has, as of now.
    pub(super) fn now() -> Lineage {
        /// A kernel has these lists or hasn't.
        static ARE_LISTED: OnceLock<bool> = OnceLock::new();
        let are_listed = || fs::exists("/proc/thread-self/children").unwrap_or(false);
        if *ARE_LISTED.get_or_init(are_listed) { Lineage::Listed } else { Lineage::scan() }
    }

    /// The dearer way, as of now.
    pub(super) fn scan() -> Lineage {
        Lineage::of(all().map(|(pid, _)| pid))
    }

    /// The same without those whose parent is known to be us; `None` if there are more than so many others.
    pub(super) fn scan_but(is_known: impl Fn(u32) -> bool, at_most: usize) -> Option<Lineage> {
        let others = all().map(|(pid, _)| pid).filter(|&pid| !is_known(pid));
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

    /// Whether what it says of our own children is all there is.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Lineage::Listed)
    }

    /// Those of our own children that others brought into the world, and perhaps some that we did ourselves.
    ///
    /// The kernel hands orphans to the first thread of whoever takes them that lives, which is our main thread as long as we
    /// live; while what a thread starts is that thread's own child. So the list of the main thread is short where all others
    /// together have thousands.
    pub(super) fn adopted(&self) -> Vec<u32> {
        let own = std::process::id();
        match self {
            Lineage::Listed => listed(own, own),
            Lineage::Scanned(_) => self.children(own),
        }
    }

    /// The children of a process, ended ones that it has not reaped included.
    ///
    /// Exact for our own, because nobody but the asking thread takes one away. Of another process one can be missed
    /// while a sibling of it ends.
    pub(super) fn children(&self, pid: u32) -> Vec<u32> {
        match self {
            Lineage::Listed if is_single(pid) => listed(pid, pid),
            Lineage::Listed => numbers_in(&format!("/proc/{pid}/task")).flat_map(|thread| listed(pid, thread)).collect(),
            Lineage::Scanned(children) => children.get(&pid).cloned().unwrap_or_default(),
        }
    }
}

/// Whether a process has one thread, which then has its number: the directory of them has a link for each, beside its own two.
fn is_single(pid: u32) -> bool {
    rustix::fs::stat(format!("/proc/{pid}/task")).is_ok_and(|stat| stat.st_nlink == 3)
}

/// The children of one thread.
fn listed(pid: u32, thread: u32) -> Vec<u32> {
    let list = contents(format!("/proc/{pid}/task/{thread}/children")).unwrap_or_default();
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
    fn a_command_name_can_not_forge_the_fields() {
        let text = b"42 (a) R 1 1 1 (b)) S 7 42 41 0 -1 4194560 103 0";
        let stat = Stat { parent: 7, session: 41, has_executed: true, started: None, has_ended: false, environment: None };
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

    /// Were it taken for one without the variable, its run would count as gone while a child that it left behind lives.
    #[test]
    #[expect(clippy::disallowed_methods, reason = "what is tested is a child that nobody reaps yet")]
    fn one_that_has_ended_may_have_had_the_variable() {
        let mut child = std::process::Command::new("true").env("MARK", "1").spawn().expect("`true` can be run");
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        waitid(WaitId::Pid(Pid::from_child(&child)), ended).expect("it is our child");
        let found = variable(child.id(), "MARK");
        child.wait().expect("it is our child");
        assert_eq!(found, MarkVariable::Ended);
        assert_eq!(variable(child.id(), "MARK"), MarkVariable::Unset, "nobody has that number");
    }

    #[test]
    fn we_are_like_ourselves_and_others_are_not() {
        assert!(is_like_us(std::process::id()));
        assert!(!is_like_us(1), "this test is not what a host begins with");
    }

    #[test]
    fn own_environment_is_readable() {
        let (name, value) = std::env::vars().find(|(_, value)| !value.is_empty()).expect("tests have an environment");
        assert_eq!(variable(std::process::id(), &name), MarkVariable::Is(value.into_bytes()));
        assert_eq!(variable(std::process::id(), "NO_SUCH_VARIABLE"), MarkVariable::Unset);
    }
}
