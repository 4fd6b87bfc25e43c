//! Finds the filesystem of a path in the list of mounts. The filesystem itself is not asked, because it may hang.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// The device number of the filesystem of a path; links are not followed. 0: unknown.
pub(super) fn device_of(path: &Path) -> u64 {
    std::fs::read("/proc/self/mountinfo").map_or(0, |mounts| device_in(&mounts, path))
}

fn device_in(mounts: &[u8], path: &Path) -> u64 {
    let mounts = mounts.split(|&byte| byte == b'\n').filter_map(mount);
    let containing = mounts.filter(|(point, _)| path.starts_with(point));
    // Of several mounts at one point, the last one is on top.
    containing.max_by_key(|(point, _)| point.components().count()).map_or(0, |(_, device)| device)
}

/// The mount point and device of a line: `36 35 98:0 /root /point options …` (`proc_pid_mountinfo(5)`).
fn mount(line: &[u8]) -> Option<(PathBuf, u64)> {
    let mut fields = line.split(|&byte| byte == b' ').skip(2);
    let (major, minor) = std::str::from_utf8(fields.next()?).ok()?.split_once(':')?;
    let device = rustix::fs::makedev(major.parse().ok()?, minor.parse().ok()?);
    Some((unescape(fields.nth(1)?), device))
}

/// The list writes spaces and the like as three octal digits after a backslash.
fn unescape(mut text: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(text.len());
    while let Some((&first, rest)) = text.split_first() {
        let code = rest.first_chunk::<3>().filter(|_| first == b'\\');
        let code = code.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(first));
        text = if code.is_some() { &rest[3..] } else { rest };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{makedev, stat};

    #[test]
    fn the_deepest_mount_point_counts_and_the_last_mount_on_it() {
        let mounts =
            b"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 0:40 / /srv rw - nfs4 far:/ rw\n31 21 0:41 / /srv rw - nfs4 far:/ rw\n\
            32 30 0:42 / /srv/a\\040b rw - tmpfs none rw\nodd\n";
        let device = |path: &str| device_in(mounts, Path::new(path));
        assert_eq!(device("/var/log/a"), makedev(8, 1));
        assert_eq!(device("/srvx/a"), makedev(8, 1));
        assert_eq!(device("/srv/log"), makedev(0, 41));
        assert_eq!(device("/srv/a b/log"), makedev(0, 42));
        assert_eq!(device("relative"), 0);
    }

    #[test]
    fn the_result_matches_stat() {
        assert_eq!(device_of(Path::new("/proc/self/status")), stat("/proc/self/status").unwrap().st_dev);
    }
}
