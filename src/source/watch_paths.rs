//! Which directories to watch for a file: those of every hop of its path through symbolic links.
//!
//! A watch on a file itself is dead after the first rename over it. A watch on its directory misses a symbolic link further up
//! that is pointed elsewhere. So this watches the directory of every name that can lead the path elsewhere: the file,
//! its directory, each link on the way, and the first missing part. Only the poll finds that a directory further up was moved
//! away: directories up there are too busy to watch.

use crate::access::walk::components;
use crate::config::{self, Inputs};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The most symbolic links that the kernel follows (`path_resolution(7)`).
const MAX_LINKS: usize = 40;

/// Names that decide what is read. In all these paths only the last part may be a symbolic link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct WatchPaths {
    names: BTreeSet<PathBuf>,
    /// The directories to watch.
    directories: BTreeSet<PathBuf>,
    /// Directories in which every entry matters that matches one of these patterns.
    listed: BTreeMap<PathBuf, BTreeSet<String>>,
}

impl WatchPaths {
    /// The paths where a change of these inputs can be seen.
    pub(super) fn of(inputs: &Inputs) -> WatchPaths {
        let mut paths = WatchPaths::default();
        for file in &inputs.files {
            paths.add(file);
        }
        for (directory, patterns) in &inputs.directories {
            if let Some(directory) = paths.add(directory) {
                paths.directories.insert(directory.clone());
                paths.listed.entry(directory).or_default().extend(patterns.iter().cloned());
            }
        }
        paths
    }

    /// The directories to watch.
    pub(super) fn directories(&self) -> &BTreeSet<PathBuf> {
        &self.directories
    }

    /// Whether a change of this name may change what is read.
    pub(super) fn concerns(&self, name: &Path) -> bool {
        let is_listed = || {
            let (directory, entry) = name.parent().zip(name.file_name())?;
            let entry = entry.to_str()?;
            Some(self.listed.get(directory)?.iter().any(|pattern| config::matches(pattern, entry)))
        };
        self.names.contains(name) || self.directories.contains(name) || is_listed().unwrap_or(false)
    }

    /// Adds the hops to a file, or to where a missing one would be. Returns the path without symbolic links.
    fn add(&mut self, path: &Path) -> Option<PathBuf> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        // There is no absolute path only without a working directory, and then nothing can be read.
        let mut rest: Vec<OsString> = components(&std::path::absolute(path).ok()?);
        let mut resolved = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = rest.pop() {
            if part == ".." {
                resolved.pop();
                continue;
            }
            let next = resolved.join(part);
            match std::fs::read_link(&next) {
                Ok(target) if links < MAX_LINKS => {
                    links += 1;
                    self.add_name(&next);
                    if target.is_absolute() {
                        resolved = PathBuf::from("/");
                    }
                    rest.extend(components(&target));
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => self.add_name(&next),
                // It is no link, or there are too many.
                _ => {}
            }
            resolved = next;
        }
        self.add_name(&resolved);
        // If its directory is moved away and replaced, the directory above reports it.
        if let Some(directory) = resolved.parent() {
            self.add_name(directory);
        }
        Some(resolved)
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

        /// The names and directories on the way to a file, relative to this directory.
        fn paths_of(&self, path: &str) -> (Vec<String>, Vec<String>) {
            let paths = WatchPaths::of(&Inputs { files: [self.path(path)].into(), directories: BTreeMap::new() });
            let below = |paths: &BTreeSet<PathBuf>| {
                paths.iter().filter_map(|path| Some(path.strip_prefix(self.path("")).ok()?.display().to_string())).collect()
            };
            (below(&paths.names), below(&paths.directories))
        }
    }

    #[track_caller]
    fn assert_paths(directory: &TestDirectory, path: &str, names: &[&str], directories: &[&str]) {
        let (found_names, found_directories) = directory.paths_of(path);
        assert_eq!(
            (found_names, found_directories),
            (names.iter().map(ToString::to_string).collect(), directories.iter().map(ToString::to_string).collect())
        );
    }

    #[test]
    fn the_directory_of_a_file_and_its_parent_are_watched() {
        let directory = TestDirectory::new();
        directory.directory("etc");
        fs::write(directory.path("etc/navigator.yml"), "").expect("it is ours");
        assert_paths(&directory, "etc/navigator.yml", &["etc", "etc/navigator.yml"], &["", "etc"]);
        assert_paths(&directory, "etc/../etc/./navigator.yml", &["etc", "etc/navigator.yml"], &["", "etc"]);
    }

    #[test]
    fn every_link_on_the_way_is_watched() {
        // The layout of a mounted Kubernetes ConfigMap: navigator.yml -> ..data/navigator.yml, ..data -> ..1.
        let directory = TestDirectory::new();
        directory.directory("etc/..1");
        fs::write(directory.path("etc/..1/navigator.yml"), "").expect("it is ours");
        directory.link("etc/..data", "..1");
        directory.link("etc/navigator.yml", "..data/navigator.yml");
        let names = ["etc/..1", "etc/..1/navigator.yml", "etc/..data", "etc/navigator.yml"];
        assert_paths(&directory, "etc/navigator.yml", &names, &["etc", "etc/..1"]);
    }

    #[test]
    fn a_path_goes_on_at_the_target_of_a_link() {
        let directory = TestDirectory::new();
        directory.directory("a/b");
        directory.directory("c");
        directory.link("c/down", "../a/b");
        // The directory above `a/b` is `a`, not `c`.
        assert_paths(&directory, "c/down/../file", &["a", "a/file", "c/down"], &["", "a", "c"]);
    }

    #[test]
    fn an_absolute_link_goes_on_at_the_root() {
        let directory = TestDirectory::new();
        directory.directory("a");
        directory.directory("b");
        fs::write(directory.path("b/file"), "").expect("it is ours");
        directory.link("a/file", &directory.path("b/file").display().to_string());
        assert_paths(&directory, "a/file", &["a/file", "b", "b/file"], &["", "a", "b"]);
    }

    #[test]
    fn the_first_missing_part_is_watched_where_it_would_be() {
        let directory = TestDirectory::new();
        let (names, directories) = directory.paths_of("not/here/yet/file");
        assert!(names.contains(&"not".to_owned()) && directories.contains(&String::new()), "{names:?} {directories:?}");
    }

    #[test]
    fn the_missing_target_of_a_link_is_watched() {
        let directory = TestDirectory::new();
        directory.link("dangling", "gone");
        let (names, directories) = directory.paths_of("dangling");
        assert_eq!(names, ["", "dangling", "gone"]);
        assert_eq!(directories, [""]);
    }

    #[test]
    fn a_loop_of_links_ends() {
        let directory = TestDirectory::new();
        directory.link("a", "b");
        directory.link("b", "a");
        let (names, _) = directory.paths_of("a/file");
        assert!(names.contains(&"a".to_owned()) && names.contains(&"b".to_owned()), "{names:?}");
    }

    #[test]
    fn matching_entries_of_a_listed_directory_count_at_its_real_path() {
        let directory = TestDirectory::new();
        directory.directory("real");
        directory.link("parts", "real");
        let patterns = BTreeMap::from([(directory.path("parts"), BTreeSet::from(["*.yml".to_owned()]))]);
        let paths = WatchPaths::of(&Inputs { files: BTreeSet::new(), directories: patterns });
        assert!(paths.concerns(&directory.path("real/new.yml")));
        assert!(!paths.concerns(&directory.path("real/busy.log")) && !paths.concerns(&directory.path("real/.new.yml.swp")));
        assert!(paths.concerns(&directory.path("parts")) && paths.concerns(&directory.path("real")));
        assert!(paths.directories().contains(&directory.path("real")));
        assert!(!paths.directories().contains(&directory.path("parts")), "its events would come under one of two names");
    }
}
