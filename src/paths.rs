//! Paths as a user means them: made absolute without following links, followed to the file that they lead to now, or tidied for
//! messages.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// An absolute path. No link is followed: a link that leads elsewhere later leads this path along.
///
/// A relative path is relative to `$PWD`, as in a shell, if that names the working directory: the kernel knows only the directory
/// behind all links.
pub(crate) fn absolute(path: &Path) -> PathBuf {
    let shell = || std::env::var_os("PWD").map(PathBuf::from).filter(|directory| is_working_directory(directory));
    match path.is_relative().then(shell).flatten() {
        Some(directory) => without_dots(&directory.join(path)),
        // There is none only without a working directory.
        None => std::path::absolute(path).unwrap_or_else(|_| path.to_owned()),
    }
}

/// The path by which to read a file from now on: absolute where the shell reached the working directory through a link, because
/// the kernel would stay in the directory that the link led to.
pub(crate) fn lasting(path: &Path) -> PathBuf {
    let absolute = absolute(path);
    if std::path::absolute(path).is_ok_and(|kernel| kernel == absolute) { path.to_owned() } else { absolute }
}

/// Whether this is an absolute path of the working directory.
fn is_working_directory(path: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|stat| (stat.dev(), stat.ino())).ok();
    let is_plain = path.is_absolute() && !path.components().any(|part| part == Component::ParentDir);
    is_plain && identity(path).is_some_and(|directory| identity(Path::new(".")) == Some(directory))
}

fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

/// The path that this one leads to now, without links. The last components may be missing; then `..` takes one away.
pub(crate) fn followed(path: &Path) -> PathBuf {
    match (std::fs::canonicalize(path), path.parent(), path.components().next_back()) {
        (Ok(real), ..) => real,
        (Err(error), Some(directory), Some(last)) if error.kind() == io::ErrorKind::NotFound => {
            let mut followed = followed(directory);
            match last {
                Component::ParentDir => drop(followed.pop()),
                last => followed.push(last),
            }
            followed
        }
        (Err(_), ..) => path.to_owned(),
    }
}

/// A path without `.` and, where it takes away a name before it, without `..`: a path goes by how it is written, and is shown as a
/// user would write it.
pub(crate) fn tidied(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match (part, tidied.components().next_back()) {
            (Component::CurDir, _) | (Component::ParentDir, Some(Component::RootDir)) => {}
            (Component::ParentDir, Some(Component::Normal(_))) => drop(tidied.pop()),
            _ => tidied.push(part),
        }
    }
    tidied
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_path_is_followed_as_far_as_it_exists() {
        let directory = std::env::temp_dir().join(format!("navigator-paths-{}", std::process::id()));
        fs::create_dir_all(directory.join("release")).expect("its name is new");
        symlink("release", directory.join("current")).expect("it is ours");
        symlink("nowhere", directory.join("release/dangling")).expect("it is ours");
        let real = fs::canonicalize(&directory).expect("it was just made");
        for (path, leads_to) in [
            ("current", "release"),
            ("current/missing.yml", "release/missing.yml"),
            ("current/not/here.yml", "release/not/here.yml"),
            ("current/dangling", "release/dangling"),
            ("current/../current/x", "release/x"),
            ("missing/../release/x", "release/x"),
        ] {
            assert_eq!(followed(&directory.join(path)), real.join(leads_to), "{path}");
        }
        fs::remove_dir_all(&directory).expect("it is ours");
    }

    #[test]
    fn a_path_is_tidied_by_how_it_is_written() {
        for (path, expected) in [
            ("conf.d/../app.conf", "app.conf"),
            ("/etc/nav/./conf.d/../../app.conf", "/etc/app.conf"),
            ("../app.conf", "../app.conf"),
            ("conf.d/../../app.conf", "../app.conf"),
            ("../../a/../b", "../../b"),
            ("/../a", "/a"),
            ("a//b/", "a/b"),
            ("a", "a"),
            ("", ""),
        ] {
            assert_eq!(tidied(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
