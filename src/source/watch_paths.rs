//! Where a change of a file can be seen: every hop of its path through symbolic links, and the directories they stand in.
//!
//! A watch on a file itself is dead after the first rename over it, and a watch on its directory doesn't see that a
//! symbolic link further up was pointed elsewhere. So the directory of every name is watched that would have to change for
//! the path to lead elsewhere: the file, its directory, each link on the way, and the first part that is missing. That a
//! directory further up is moved away is left to the poll: the ones up there are busy with what is none of our business.

use crate::access::walk::components;
use crate::config::{self, Inputs};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// As many symbolic links as the kernel itself follows (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Names whose change may change what is read. All paths in here are free of symbolic links but for their last part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WatchPaths {
    names: BTreeSet<PathBuf>,
    /// The directories to watch.
    directories: BTreeSet<PathBuf>,
    /// Directories of which every entry matters that matches one of these patterns.
    listed: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl WatchPaths {
    /// Wherever a change of these inputs can be seen.
    pub(super) fn of(inputs: &Inputs) -> WatchPaths {
        let mut places = WatchPaths::default();
        for file in &inputs.files {
            places.add(file);
        }
        for (directory, patterns) in &inputs.directories {
            if let Some(directory) = places.add(directory) {
                places.directories.insert(directory.clone());
                places.listed.entry(directory).or_default().extend(patterns.iter().cloned());
            }
        }
        places
    }

    /// The directories to watch.
    pub(super) fn directories(&self) -> &BTreeSet<PathBuf> {
        &self.directories
    }

    /// Whether a change of this name may change what is read. Others may do what they like beside it.
    pub(super) fn concern(&self, name: &Path) -> bool {
        let is_listed = || {
            let (directory, entry) = name.parent().zip(name.file_name())?;
            let entry = entry.to_str()?;
            Some(self.listed.get(directory)?.iter().any(|pattern| config::matches(pattern, entry)))
        };
        self.names.contains(name) || self.directories.contains(name) || is_listed().unwrap_or(false)
    }

    /// Adds what there is on the way to a file, or to where one would be; the path without symbolic links.
    fn add(&mut self, path: &Path) -> Option<PathBuf> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // Only without a working directory is there no absolute path, and then nothing to read.
        let mut rest: Vec<OsString> = components(&std::path::absolute(path).ok()?);
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
                    rest.extend(components(&target));
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => self.add_name(&next),
                // It is no link, or there are too many.
                _ => {}
            }
            done = next;
        }
        self.add_name(&done);
        // That its directory is moved away and another put in its place is seen one directory higher.
        if let Some(directory) = done.parent() {
            self.add_name(directory);
        }
        Some(done)
    }

    fn add_name(&mut self, name: &Path) {
        self.names.insert(name.to_owned());
        self.directories.extend(name.parent().map(Path::to_owned));
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_directory::TestDirectory;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    impl TestDirectory {
        fn directory(&self, path: &str) {
            fs::create_dir_all(self.path(path)).expect("it is ours");
        }

        fn link(&self, path: &str, target: &str) {
            symlink(target, self.path(path)).expect("it is ours");
        }

        /// What there is on the way to a file, below this folder.
        fn way(&self, path: &str) -> (Vec<String>, Vec<String>) {
            let places = WatchPaths::of(&Inputs { files: [self.path(path)].into(), directories: BTreeMap::new() });
            let below = |paths: &BTreeSet<PathBuf>| {
                paths.iter().filter_map(|path| Some(path.strip_prefix(self.path("")).ok()?.display().to_string())).collect()
            };
            (below(&places.names), below(&places.directories))
        }
    }

    #[track_caller]
    fn assert_way(folder: &TestDirectory, path: &str, names: &[&str], directories: &[&str]) {
        let (found_names, found_directories) = folder.way(path);
        assert_eq!(
            (found_names, found_directories),
            (names.iter().map(ToString::to_string).collect(), directories.iter().map(ToString::to_string).collect())
        );
    }

    #[test]
    fn a_plain_file_is_seen_in_its_directory_and_that_in_its_own() {
        let folder = TestDirectory::new();
        folder.directory("etc");
        fs::write(folder.path("etc/navigator.yml"), "").expect("it is ours");
        assert_way(&folder, "etc/navigator.yml", &["etc", "etc/navigator.yml"], &["", "etc"]);
        assert_way(&folder, "etc/../etc/./navigator.yml", &["etc", "etc/navigator.yml"], &["", "etc"]);
    }

    #[test]
    fn every_link_on_the_way_is_a_name() {
        // As Kubernetes mounts a ConfigMap: navigator.yml -> ..data/navigator.yml, ..data -> ..1.
        let folder = TestDirectory::new();
        folder.directory("etc/..1");
        fs::write(folder.path("etc/..1/navigator.yml"), "").expect("it is ours");
        folder.link("etc/..data", "..1");
        folder.link("etc/navigator.yml", "..data/navigator.yml");
        let names = ["etc/..1", "etc/..1/navigator.yml", "etc/..data", "etc/navigator.yml"];
        assert_way(&folder, "etc/navigator.yml", &names, &["etc", "etc/..1"]);
    }

    #[test]
    fn what_comes_after_a_link_is_looked_up_where_it_leads() {
        let folder = TestDirectory::new();
        folder.directory("a/b");
        folder.directory("c");
        folder.link("c/down", "../a/b");
        // The directory above `a/b` is `a`, not `c`.
        assert_way(&folder, "c/down/../file", &["a", "a/file", "c/down"], &["", "a", "c"]);
    }

    #[test]
    fn an_absolute_link_begins_anew() {
        let folder = TestDirectory::new();
        folder.directory("a");
        folder.directory("b");
        fs::write(folder.path("b/file"), "").expect("it is ours");
        folder.link("a/file", &folder.path("b/file").display().to_string());
        assert_way(&folder, "a/file", &["a/file", "b", "b/file"], &["", "a", "b"]);
    }

    #[test]
    fn the_first_part_that_is_missing_is_waited_for_where_it_would_be() {
        let folder = TestDirectory::new();
        let (names, directories) = folder.way("not/here/yet/file");
        assert!(names.contains(&"not".to_owned()) && directories.contains(&String::new()), "{names:?} {directories:?}");
    }

    #[test]
    fn a_link_that_leads_nowhere_leads_to_where_its_target_would_be() {
        let folder = TestDirectory::new();
        folder.link("dangling", "gone");
        let (names, directories) = folder.way("dangling");
        assert_eq!(names, ["", "dangling", "gone"]);
        assert_eq!(directories, [""]);
    }

    #[test]
    fn links_in_a_circle_come_to_an_end() {
        let folder = TestDirectory::new();
        folder.link("a", "b");
        folder.link("b", "a");
        let (names, _) = folder.way("a/file");
        assert!(names.contains(&"a".to_owned()) && names.contains(&"b".to_owned()), "{names:?}");
    }

    #[test]
    fn entries_of_a_listed_directory_count_if_they_match_wherever_it_really_is() {
        let folder = TestDirectory::new();
        folder.directory("real");
        folder.link("parts", "real");
        let patterns = BTreeMap::from([(folder.path("parts"), BTreeSet::from(["*.yml".to_owned()]))]);
        let places = WatchPaths::of(&Inputs { files: BTreeSet::new(), directories: patterns });
        assert!(places.concern(&folder.path("real/new.yml")));
        assert!(!places.concern(&folder.path("real/busy.log")) && !places.concern(&folder.path("real/.new.yml.swp")));
        assert!(places.concern(&folder.path("parts")) && places.concern(&folder.path("real")));
        assert!(places.directories().contains(&folder.path("real")));
        assert!(!places.directories().contains(&folder.path("parts")), "its events would come under one of two names");
    }
}
