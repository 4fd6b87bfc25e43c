//! Where a change of a file can be seen: every hop of its path through symbolic links, and the directories they stand in.
//!
//! A watch on a file itself is dead after the first rename over it, and a watch on its directory doesn't see that a
//! symbolic link further up was pointed elsewhere. So every directory that a name on the way is looked up in is watched.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many symbolic links as the kernel itself follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Names whose change may change what a path leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    /// The path, every symbolic link on the way to it, and the directories that it stands in.
    pub(super) names: BTreeSet<PathBuf>,
    /// The directories to watch.
    pub(super) directories: BTreeSet<PathBuf>,
    /// Those of them of which every entry matters.
    pub(super) listed: BTreeSet<PathBuf>,
}

impl Places {
    /// Adds what there is on the way to a file, or to where one would be.
    pub(super) fn add_file(&mut self, path: &Path) {
        let Ok(absolute) = std::path::absolute(path) else { return };
        let mut rest: Vec<OsString> = parts(&absolute);
        let mut done = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                done.pop();
                continue;
            }
            let next = done.join(part);
            match std::fs::read_link(&next) {
                Ok(target) if links < MOST_LINKS => {
                    links += 1;
                    self.add_name(&next);
                    if target.is_absolute() {
                        done = PathBuf::from("/");
                    }
                    rest.extend(parts(&target));
                }
                _ => done = next,
            }
        }
        self.add_name(&done);
        // That its directory is moved away and another put in its place is seen one directory higher.
        if let Some(directory) = done.parent() {
            self.add_name(directory);
        }
    }

    /// Adds a directory whose entries matter.
    pub(super) fn add_directory(&mut self, directory: &Path) {
        let Ok(absolute) = std::path::absolute(directory) else { return };
        self.add_file(&absolute);
        self.directories.insert(absolute.clone());
        self.listed.insert(absolute);
    }

    fn add_name(&mut self, name: &Path) {
        self.names.insert(name.to_owned());
        self.directories.extend(name.parent().map(Path::to_owned));
    }
}

/// The components of a path, last first, so that the next one can be popped.
fn parts(path: &Path) -> Vec<OsString> {
    let named = |component: Component<'_>| match component {
        Component::Normal(part) => Some(part.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    path.components().rev().filter_map(named).collect()
}
