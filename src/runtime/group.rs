//! Control groups (`cgroups(7)`, version 2): each run has one, its *leaf*, below navigator's own group.
//!
//! No process leaves its leaf by leaving its session, losing its parents or wiping its environment.
//!
//! ```text
//!  …/own group of navigator/navigator-INSTANCE.LIFE/RUN.NAME
//! ```
//!
//! A leaf needs no controller, so none is enabled before a run has [`resources`], and the rule that a group with controllers has no
//! processes doesn't apply.
//! Where leaves can't be made (no version 2, no permission, a threaded group), and for processes that moved to another group,
//! trees are found by the other evidence that [`super::tree`] describes.

use super::proc;
use super::resources;
use crate::journal::{Author, GroupDirectory};
use reconcile::event::RunId;
use reconcile::resources::Resources;
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The directory in which leaves are made.
#[derive(Clone, Debug)]
pub(super) struct Groups {
    /// The directory of this life of navigator.
    directory: PathBuf,
    /// The same, as in `/proc/PID/cgroup`.
    path: String,
}

/// The control group of one run. It may not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    directory: PathBuf,
    path: String,
}

impl Groups {
    /// Makes the directory for leaves, and removes empty ones of earlier navigators.
    ///
    /// # Errors
    /// Control groups can't be used here.
    pub(super) fn make(author: &Author) -> io::Result<Groups> {
        let (own, path) = own_group()?;
        remove_empty(&own, author);
        let name = format!("navigator-{}.{}", author.instance, author.life);
        let groups = Groups { directory: own.join(&name), path: format!("{}/{name}", path.trim_end_matches('/')) };
        fs::create_dir(&groups.directory)?;
        Ok(groups)
    }

    /// Checks that processes can be put into leaves, and that leaves can be killed.
    ///
    /// # Errors
    /// A file that can't be written.
    pub(super) fn check(&self) -> io::Result<()> {
        // Moving a process needs write permission for the common ancestor of both groups: our own group.
        let files = [self.directory.join("cgroup.procs"), self.directory.join("..").join("cgroup.procs")];
        let writable = |file: &Path| fs::OpenOptions::new().write(true).open(file).map(drop);
        files.iter().try_for_each(|file| writable(file))?;
        writable(&self.directory.join("cgroup.kill"))
    }

    /// The directory for leaves, for the journal.
    pub(super) fn for_journal(&self) -> Option<GroupDirectory> {
        let stat = rustix::fs::stat(&self.directory).ok()?;
        Some(GroupDirectory { path: self.path.clone(), inode: stat.st_ino })
    }

    /// The leaf of a run, which may not exist.
    pub(super) fn leaf(&self, run: RunId, name: &str) -> Leaf {
        Leaf::below(&self.directory, &self.path, run.0, name)
    }

    /// Removes the empty groups, at the end.
    pub(super) fn remove(&self) {
        resources::move_back(&self.directory);
        remove_tree(&self.directory);
    }
}

impl Leaf {
    /// The leaf of a run below this directory. `path` is that of the directory as in `/proc/PID/cgroup`.
    pub(super) fn below(directory: &Path, path: &str, run: u64, name: &str) -> Leaf {
        let inner = format!("{run}.{name}");
        Leaf { directory: directory.join(&inner), path: format!("{path}/{inner}") }
    }

    /// Makes it and opens it, for a process to be put into it.
    ///
    /// # Errors
    /// Those of `mkdir(2)` and `open(2)`.
    pub(super) fn make(&self) -> io::Result<OwnedFd> {
        fs::create_dir(&self.directory)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(rustix::fs::open(&self.directory, flags, Mode::empty())?)
    }

    /// Makes `epoll` readable whenever the leaf becomes empty, as long as the returned descriptor is open.
    ///
    /// # Errors
    /// The leaf is gone, or there is no descriptor left.
    pub(super) fn watch(&self, epoll: &OwnedFd) -> io::Result<OwnedFd> {
        let events = fs::File::open(self.events_file())?;
        // The kernel reports changes since the last read.
        io::read_to_string(&events)?;
        let events = OwnedFd::from(events);
        epoll::add(epoll, &events, epoll::EventData::new_u64(0), epoll::EventFlags::PRI | epoll::EventFlags::ET)?;
        Ok(events)
    }

    /// The file that says whether it is populated.
    fn events_file(&self) -> PathBuf {
        self.directory.join("cgroup.events")
    }

    /// Its directory, for the journal.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The processes in it and in the groups below it.
    pub(super) fn members(&self) -> Vec<u32> {
        members(&self.directory)
    }

    /// Whether a process is in it now.
    pub(super) fn holds(&self, pid: u32) -> bool {
        let inner = |path: &str| path.strip_prefix(&*self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        proc::cgroup(pid).is_some_and(|path| inner(&path))
    }

    /// Whether a process runs in it; false once it is gone.
    pub(super) fn is_populated(&self) -> bool {
        let events = proc::read_file(self.events_file()).unwrap_or_default();
        events.split(|&byte| byte == b'\n').any(|line| line == b"populated 1")
    }

    /// Kills everything in it at once, including processes that are being forked. Returns whether the kernel can (since 5.14).
    pub(super) fn kill(&self) -> bool {
        kill(&self.directory)
    }

    /// Removes it if nothing runs in it. Returns whether nothing does. What can't be removed now is removed at the next start.
    pub(super) fn remove_if_empty(&self) -> bool {
        // The kernel refuses if a process or another group is in it; few programs make groups.
        if fs::remove_dir(&self.directory).is_ok() {
            return true;
        }
        let is_empty = !self.is_populated();
        if is_empty {
            remove_tree(&self.directory);
        }
        is_empty
    }
}

/// The processes in the group of this directory and in the groups below it.
pub(super) fn members(directory: &Path) -> Vec<u32> {
    let mut members = Vec::new();
    let mut add = |directory: &Path| {
        let listed = proc::read_file(directory.join("cgroup.procs")).unwrap_or_default();
        let listed = std::str::from_utf8(&listed).unwrap_or_default();
        members.extend(listed.lines().filter_map(|line| line.parse::<u32>().ok()));
    };
    // A directory has two links, and one more for each group below it.
    if rustix::fs::stat(directory).is_ok_and(|stat| stat.st_nlink == 2) {
        add(directory);
    } else {
        walk(directory, &mut add);
    }
    members
}

/// Kills everything in the group of this directory, and below it. Returns whether the kernel can.
pub(super) fn kill(directory: &Path) -> bool {
    fs::write(directory.join("cgroup.kill"), "1").is_ok()
}

/// Removes the empty groups of this instance's earlier lives below our own group.
pub(super) fn remove_empty_of_former(author: &Author) {
    let Ok((own, _)) = own_group() else { return };
    remove_empty(&own, author);
}

/// Removes the leaf of an earlier navigator, and the directory it was in, if they are empty.
pub(super) fn remove(directory: &Path) {
    remove_tree(directory);
    if let Some(above) = directory.parent() {
        let _kept = fs::remove_dir(above);
    }
}

/// The directory that a life recorded for its groups; `None` if it no longer exists, even if another one has its path.
///
/// # Errors
/// Control groups are not mounted here, or the directory can't be read.
pub(super) fn find(recorded: &GroupDirectory) -> io::Result<Option<PathBuf>> {
    let directory = directory(&recorded.path)?;
    match rustix::fs::stat(&directory) {
        Ok(stat) => Ok(Some(directory).filter(|_| stat.st_ino == recorded.inode)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Why these limits can't be set here; `None`: they can.
pub(super) fn resource_problem(limits: &Resources) -> Option<String> {
    match own_group() {
        Ok((own, _)) => resources::problem(&own, limits),
        Err(error) => Some(error.to_string()),
    }
}

/// The directory of the group that navigator belongs to, and its path as in `/proc/PID/cgroup`.
fn own_group() -> io::Result<(PathBuf, String)> {
    let path = proc::cgroup(std::process::id()).ok_or_else(not_mounted)?;
    let path = resources::outside(&path);
    Ok((directory(path)?, path.to_owned()))
}

/// The directory of a group with this path in `/proc/PID/cgroup`. The group may not exist.
fn directory(path: &str) -> io::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let found = mounts.lines().filter_map(cgroup2_mount).find_map(|(root, at)| {
        // A mount may show only a part of the hierarchy; the group must be in it.
        let below = path.strip_prefix(root.trim_end_matches('/'))?;
        Some(Path::new(at).join(below.trim_start_matches('/')))
    });
    found.ok_or_else(not_mounted)
}

fn not_mounted() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "control groups of version 2 are not mounted")
}

/// The root and the mount point of a mount of version 2, from a line of `/proc/PID/mountinfo` (`proc(5)`).
fn cgroup2_mount(line: &str) -> Option<(&str, &str)> {
    let (before, behind) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    let (root, at) = (fields.next()?, fields.next()?);
    (behind.split(' ').next()? == "cgroup2").then_some((root, at))
}

/// Removes the empty groups of other lives.
fn remove_empty(own: &Path, author: &Author) {
    let life = |name: &str| Some(name.strip_prefix("navigator-")?.strip_prefix(&author.instance)?.strip_prefix('.')?.to_owned());
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        if entry.file_name().to_str().and_then(life).is_some_and(|life| life != author.life) {
            remove_tree(&entry.path());
        }
    }
}

/// Removes a group and all below it, from the bottom up. The kernel refuses to remove those that aren't empty.
pub(super) fn remove_tree(directory: &Path) {
    walk(directory, &mut |directory| {
        let _kept = fs::remove_dir(directory);
    });
}

/// Calls `doing` for a group and all below it, from the bottom up.
fn walk(directory: &Path, doing: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), doing);
        }
    }
    doing(directory);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_holds_only_processes_in_it_and_below_it() {
        let groups = Groups { directory: "/nowhere".into(), path: "/navigator-a.b".to_owned() };
        let leaf = groups.leaf(RunId(1), "web");
        assert_eq!(leaf.path, "/navigator-a.b/1.web");
        assert!(!leaf.holds(std::process::id()));
        assert!(!leaf.is_populated() && !leaf.kill() && leaf.members().is_empty());
        let own = Leaf { directory: "/nowhere".into(), path: proc::cgroup(std::process::id()).unwrap_or_default() };
        assert_eq!(own.holds(std::process::id()), !own.path.is_empty());
    }

    #[test]
    fn only_mounts_of_version_2_are_recognized() {
        let line = "20 41 0:38 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw";
        assert_eq!(cgroup2_mount(line), Some(("/", "/sys/fs/cgroup/unified")));
        assert_eq!(cgroup2_mount("18 39 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids"), None);
        assert_eq!(cgroup2_mount("nonsense"), None);
    }
}
