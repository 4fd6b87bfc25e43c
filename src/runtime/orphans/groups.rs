//! The control groups of former lives, by the directories that they noted. The names in a path prove nothing alone: a
//! program that may make groups can give them the names that navigator uses.

use super::super::group;
use super::super::mark::number;
use crate::journal::{GroupDirectory, Record};
use reconcile::text::is_name;

/// The noted directories that still exist, each with its life.
#[derive(Debug, Default)]
pub(super) struct FormerGroups(Vec<(String, GroupDirectory)>);

/// The run whose control group a process is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::runtime) struct GroupRun {
    pub(in crate::runtime) life: String,
    pub(in crate::runtime) run: u64,
    pub(in crate::runtime) name: String,
}

impl FormerGroups {
    /// Those of a record, as they are now.
    pub(super) fn of(record: &Record) -> FormerGroups {
        let is_there = |noted: &GroupDirectory| group::find(noted).is_ok_and(|found| found.is_some());
        let there = record.groups().filter(|(_, noted)| is_there(noted));
        FormerGroups(there.map(|(life, noted)| (life.to_owned(), noted.clone())).collect())
    }

    /// The run whose group, or a group below that, has this path in `/proc/PID/cgroup`.
    pub(super) fn place(&self, path: &str) -> Option<GroupRun> {
        self.0.iter().find_map(|(life, noted)| {
            let below = path.strip_prefix(&*noted.path)?.strip_prefix('/')?;
            let (run, name) = below.split('/').next()?.split_once('.')?;
            let run = number(run).filter(|_| is_name(name))?;
            Some(GroupRun { life: life.clone(), run, name: name.to_owned() })
        })
    }
}

/// Removes the empty groups of former lives. Returns the lives that have no group any more.
pub(super) fn remove_empty(record: &Record) -> Vec<String> {
    let is_gone = |noted: &GroupDirectory| {
        group::find(noted).is_ok_and(|found| {
            found.is_none_or(|directory| {
                group::remove_tree(&directory);
                !directory.exists()
            })
        })
    };
    record.groups().filter(|(_, noted)| is_gone(noted)).map(|(life, _)| life.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_below_a_noted_directory_alone() {
        let noted = GroupDirectory { path: "/x.service/navigator-a.b".to_owned(), inode: 7 };
        let groups = FormerGroups(vec![("b".to_owned(), noted)]);
        let web = GroupRun { life: "b".to_owned(), run: 3, name: "web.1".to_owned() };
        assert_eq!(groups.place("/x.service/navigator-a.b/3.web.1"), Some(web.clone()));
        assert_eq!(groups.place("/x.service/navigator-a.b/3.web.1/below/it"), Some(web));
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
            assert_eq!(groups.place(other), None, "{other}");
        }
    }

    #[test]
    fn a_directory_that_is_not_the_noted_one_proves_nothing() {
        let life = |inode| crate::journal::JournalEntry::Life {
            life: "b".to_owned(),
            boot: "boot".to_owned(),
            groups: Some(GroupDirectory { path: "/".to_owned(), inode }),
        };
        // The root of the hierarchy is there wherever it is mounted, and no directory has the inode 0.
        let record = Record::of([life(0)]);
        assert!(FormerGroups::of(&record).0.is_empty());
    }
}
