//! Limits of control groups: `resources` of a definition.
//!
//! A limit is a file of a *controller*, which the groups above have to enable. A group that enables controllers can't have processes
//! of its own. So navigator moves into a group beside those of its runs when the first limit is needed:
//!
//! ```text
//!  …/own group/navigator-INSTANCE.LIFE/navigator    navigator and its keepers
//!  …/own group/navigator-INSTANCE.LIFE/RUN.NAME     a run
//! ```

use reconcile::resources::Resources;
use rustix::io::Errno;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The group of navigator itself, where it had to leave its own.
pub(super) const INNER: &str = "navigator";

const CONTROLLERS: &str = "cgroup.subtree_control";

/// How long the kernel counts processor time before a tree gets more, in microseconds.
const PERIOD: u64 = 100_000;

/// A limit: its controller, its file and what to write into that.
type ResourceLimit = (&'static str, &'static str, String);

fn limits(resources: &Resources) -> Vec<ResourceLimit> {
    let Resources { memory, cpu, tasks } = resources;
    let memory = memory.iter().flat_map(|bytes| {
        // If the kernel has to end a process, it ends all of the tree.
        [("memory", "memory.max", bytes.to_string()), ("memory", "memory.oom.group", "1".to_owned())]
    });
    let cpu = cpu.iter().map(|percent| ("cpu", "cpu.max", format!("{} {PERIOD}", u64::from(*percent) * PERIOD / 100)));
    let tasks = tasks.iter().map(|tasks| ("pids", "pids.max", tasks.to_string()));
    memory.chain(cpu).chain(tasks).collect()
}

/// Limits the group of a run in which no process is yet. `own`: the pids of navigator and its keepers.
///
/// # Errors
/// The controllers can't be enabled here, or the kernel refuses a limit.
pub(super) fn limit(leaf: &Path, resources: &Resources, own: &[u32]) -> io::Result<()> {
    for (controller, file, value) in limits(resources) {
        if !leaf.join(file).exists() {
            enable(leaf, controller, own)?;
        }
        fs::write(leaf.join(file), value).map_err(|error| about(file, &error))?;
    }
    Ok(())
}

/// Why these limits can't be set for runs of a navigator in this group; `None`: they can.
pub(super) fn problem(own: &Path, resources: &Resources) -> Option<String> {
    let available = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
    let is_available = |controller: &str| available.split_whitespace().any(|name| name == controller);
    let mut missing: Vec<&str> = limits(resources).iter().map(|(controller, ..)| *controller).collect();
    missing.dedup();
    missing.retain(|controller| !is_available(controller));
    if !missing.is_empty() {
        return Some(not_available(&missing.join(", ")));
    }
    let opened = fs::OpenOptions::new().write(true).open(own.join(CONTROLLERS));
    opened.err().map(|error| about(CONTROLLERS, &error).to_string())
}

fn not_available(controllers: &str) -> String {
    format!("navigator's control group has no controller for it: {controllers}")
}

/// Enables a controller for the group of a run.
fn enable(leaf: &Path, controller: &str, own: &[u32]) -> io::Result<()> {
    // Several starts may need it at once.
    static ENABLING: Mutex<()> = Mutex::new(());
    let _one_by_one = ENABLING.lock().unwrap_or_else(PoisonError::into_inner);
    let groups = leaf.parent().unwrap_or(leaf);
    for group in [groups.parent().unwrap_or(groups), groups] {
        let enable = || fs::write(group.join(CONTROLLERS), format!("+{controller}"));
        let enabled = match enable() {
            Err(error) if Errno::from_io_error(&error) == Some(Errno::BUSY) => move_inside(groups, own).and_then(|()| enable()),
            other => other,
        };
        enabled.map_err(|error| match Errno::from_io_error(&error) {
            // The group above doesn't have it either.
            Some(Errno::NOENT | Errno::INVAL) => io::Error::other(not_available(controller)),
            _ => about(CONTROLLERS, &error),
        })?;
    }
    Ok(())
}

/// Moves navigator and its keepers into a group beside those of its runs.
fn move_inside(groups: &Path, own: &[u32]) -> io::Result<()> {
    let inner = groups.join(INNER);
    match fs::create_dir(&inner) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    own.iter().try_for_each(|pid| fs::write(inner.join("cgroup.procs"), pid.to_string()))
}

/// Moves navigator back into the group above its groups, at the end, so that they can be removed.
pub(super) fn move_back(groups: &Path) {
    let inner = groups.join(INNER);
    let Some(own) = groups.parent().filter(|_| inner.exists()) else { return };
    for group in [groups, own] {
        let enabled = fs::read_to_string(group.join(CONTROLLERS)).unwrap_or_default();
        for controller in enabled.split_whitespace() {
            // Another group may still need it. Then navigator's groups are removed at its next start.
            let _kept = fs::write(group.join(CONTROLLERS), format!("-{controller}"));
        }
    }
    let _stays = fs::write(own.join("cgroup.procs"), std::process::id().to_string());
}

/// The group that a navigator belongs to which has moved inside: its path, without what it moved into.
pub(super) fn outside(path: &str) -> &str {
    let above = path.strip_suffix(INNER).and_then(|path| path.strip_suffix('/'));
    let own = above.and_then(|above| above.rsplit_once('/')).filter(|(_, name)| name.starts_with("navigator-"));
    own.map_or(path, |(own, _)| if own.is_empty() { "/" } else { own })
}

/// How many processes of a group the kernel has ended because memory ran out.
pub(super) fn out_of_memory(leaf: &Path) -> u64 {
    let events = fs::read_to_string(leaf.join("memory.events")).unwrap_or_default();
    let count = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
}

fn about(file: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{file}`: {}", crate::error_text::words(error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    /// A directory in the manner of control groups, and the leaf of a run in it.
    fn groups(name: &str) -> (PathBuf, PathBuf) {
        let own = std::env::temp_dir().join(format!("navigator-resources-{name}-{}", std::process::id()));
        let leaf = own.join("navigator-a.b/1.web");
        fs::create_dir_all(&leaf).expect("a directory can be made");
        (own, leaf)
    }

    const ALL: Resources = Resources { memory: Some(1 << 29), cpu: Some(150), tasks: Some(100) };

    #[test]
    fn limits_are_written_in_the_form_of_the_kernel() {
        let (own, leaf) = groups("written");
        for file in ["memory.max", "memory.oom.group", "cpu.max", "pids.max"] {
            fs::write(leaf.join(file), "max").expect("a file can be written");
        }
        limit(&leaf, &ALL, &[]).expect("every file is there");
        let written = |file: &str| fs::read_to_string(leaf.join(file)).expect("it was written");
        assert_eq!(written("memory.max"), "536870912");
        assert_eq!(written("memory.oom.group"), "1");
        assert_eq!(written("cpu.max"), "150000 100000");
        assert_eq!(written("pids.max"), "100");
        fs::remove_dir_all(own).expect("it can be removed");
    }

    #[test]
    fn controllers_are_enabled_in_both_groups_above() {
        let (own, leaf) = groups("enabled");
        enable(&leaf, "memory", &[]).expect("both files can be written");
        for group in [&own, &own.join("navigator-a.b")] {
            assert_eq!(fs::read_to_string(group.join(CONTROLLERS)).expect("it was written"), "+memory");
        }
        fs::remove_dir_all(own).expect("it can be removed");
    }

    #[test]
    fn navigator_and_its_keepers_move_inside() {
        let (own, _) = groups("inside");
        let groups = own.join("navigator-a.b");
        move_inside(&groups, &[7, 42]).expect("a file can be written");
        // The kernel would take each; a file has the last.
        assert_eq!(fs::read_to_string(groups.join(INNER).join("cgroup.procs")).expect("it was written"), "42");
        fs::remove_dir_all(own).expect("it can be removed");
    }

    #[test]
    fn what_is_missing_is_named() {
        let (own, _) = groups("missing");
        let problem_of = |available: &str| {
            fs::write(own.join("cgroup.controllers"), available).expect("a file can be written");
            problem(&own, &ALL)
        };
        assert_eq!(problem_of("cpu").as_deref(), Some("navigator's control group has no controller for it: memory, pids"));
        assert!(problem_of("cpu memory pids").is_some_and(|why| why.starts_with("`cgroup.subtree_control`: ")));
        fs::write(own.join(CONTROLLERS), "").expect("a file can be written");
        assert_eq!(problem_of("cpu io memory pids"), None);
        fs::remove_dir_all(own).expect("it can be removed");
    }

    #[test]
    fn ends_by_the_kernel_are_counted() {
        let (own, leaf) = groups("counted");
        assert_eq!(out_of_memory(&leaf), 0);
        fs::write(leaf.join("memory.events"), "low 0\nhigh 0\nmax 7\noom 1\noom_kill 2\noom_group_kill 1\n")
            .expect("a file can be written");
        assert_eq!(out_of_memory(&leaf), 2);
        fs::remove_dir_all(own).expect("it can be removed");
    }

    #[test]
    fn a_navigator_that_moved_inside_knows_its_group() {
        for (path, own) in [
            ("/system.slice/shop.service/navigator-a.b/navigator", "/system.slice/shop.service"),
            ("/navigator-a.b/navigator", "/"),
            ("/system.slice/navigator", "/system.slice/navigator"),
            ("/", "/"),
        ] {
            assert_eq!(outside(path), own, "{path}");
        }
    }
}
