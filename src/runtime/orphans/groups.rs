//! The control groups of earlier lives of navigator, found by their recorded directories.
//!
//! The names in a path alone prove nothing: a program that may make groups can use the same names.

use super::super::group::{self, Leaf};
use super::super::mark::number;
use crate::journal::{GroupDirectory, Record, RunKey};
use reconcile::text::is_name;

/// The recorded directories that still exist, each with its life.
#[derive(Debug, Default)]
pub(super) struct FormerGroups(Vec<(String, GroupDirectory)>);

/// The run that a control group belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct GroupRun {
    pub(in crate::runtime) life: String,
    pub(in crate::runtime) run: u64,
    pub(in crate::runtime) name: String,
}

impl FormerGroups {
    /// Those of a record that exist now.
    pub(super) fn of(record: &Record) -> FormerGroups {
        let is_there = |recorded: &GroupDirectory| group::find(recorded).is_ok_and(|found| found.is_some());
        let there = record.groups().filter(|(_, recorded)| is_there(recorded));
        FormerGroups(there.map(|(life, recorded)| (life.to_owned(), recorded.clone())).collect())
    }

    /// The run of the group with this path in `/proc/PID/cgroup`, or of a group above it.
    pub(super) fn run_of(&self, path: &str) -> Option<GroupRun> {
        self.0.iter().find_map(|(life, recorded)| {
            let below = path.strip_prefix(&*recorded.path)?.strip_prefix('/')?;
            let (run, name) = below.split('/').next()?.split_once('.')?;
            let run = number(run).filter(|_| is_name(name))?;
            Some(GroupRun { life: life.clone(), run, name: name.to_owned() })
        })
    }
}

/// The group of a run of an earlier life, if that made groups. It may not exist.
pub(super) fn leaf(record: &Record, key: &RunKey, name: &str) -> Option<Leaf> {
    let (_, recorded) = record.groups().find(|(life, _)| *life == key.life)?;
    Some(Leaf::below(&group::find(recorded).ok()??, &recorded.path, key.run, name))
}

/// Removes the empty groups of earlier lives. Returns the lives that have no group any more.
pub(super) fn remove_empty(record: &Record) -> Vec<String> {
    let is_gone = |recorded: &GroupDirectory| {
        group::find(recorded).is_ok_and(|found| {
            found.is_none_or(|directory| {
                group::remove_tree(&directory);
                !directory.exists()
            })
        })
    };
    record.groups().filter(|(_, recorded)| is_gone(recorded)).map(|(life, _)| life.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_read_only_from_a_path_below_a_recorded_directory() {
        let recorded = GroupDirectory { path: "/x.service/navigator-a.b".to_owned(), inode: 7 };
        let groups = FormerGroups(vec![("b".to_owned(), recorded)]);
        let web = GroupRun { life: "b".to_owned(), run: 3, name: "web.1".to_owned() };
        assert_eq!(groups.run_of("/x.service/navigator-a.b/3.web.1"), Some(web.clone()));
        assert_eq!(groups.run_of("/x.service/navigator-a.b/3.web.1/below/it"), Some(web));
        let others = [
            "/",
            "/navigator-a.b/3.web.1",
            "/user.slice/x.service/navigator-a.b/3.web.1",
            "/../x.service/navigator-a.b/3.web.1",
            "/x.service/navigator-a.c/3.web.1",
            "/x.service/navigator-a.b",
            "/x.service/navigator-a.b.c/3.web.1",
            "/x.service/navigator-a.b/x.web",
            "/x.service/navigator-a.b/+3.web",
            "/x.service/navigator-a.b/3.-web",
            "/x.service/navigator-a.b/3.",
            "/x.service/navigator-a.b/3",
        ];
        for other in others {
            assert_eq!(groups.run_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_directory_with_another_inode_than_the_recorded_one_proves_nothing() {
        let life = |inode| crate::journal::JournalEntry::Life {
            life: "b".to_owned(),
            boot: "boot".to_owned(),
            groups: Some(GroupDirectory { path: "/".to_owned(), inode }),
        };
        // The root exists wherever the hierarchy is mounted, and no directory has the inode 0.
        let record = Record::of([life(0)]);
        assert!(FormerGroups::of(&record).0.is_empty());
    }
}
