//! Whether somebody is writing to a file, as far as the kernel can tell. What follows from it is decided elsewhere.

use crate::sys::lease;
use rustix::fd::AsFd as _;
use rustix::fs::{FileType, Mode, OFlags};
use std::path::Path;

/// Whether some process has this file open to write to it. `None` where that can't be known: there is no regular file that
/// can be read, it is another user's and navigator is not root, or its file system has no leases.
pub fn has_writer(path: &Path) -> Option<bool> {
    // NONBLOCK, or opening a FIFO waits for its writer; it has no effect on a regular file.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).ok()?;
    let is_regular = FileType::from_raw_mode(rustix::fs::fstat(&file).ok()?.st_mode) == FileType::RegularFile;
    let is_free = if is_regular { lease::is_to_be_had(file.as_fd()).ok()? } else { return None };
    Some(!is_free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn of_what_is_no_regular_file_nothing_is_known_and_nobody_waits() {
        let directory = std::env::temp_dir().join(format!("navigator-writers-{}", std::process::id()));
        fs::create_dir(&directory).expect("its name is new");
        let [fifo, file, missing] = ["fifo", "file", "missing"].map(|name| directory.join(name));
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("it is ours");
        let writer = fs::File::create(&file).expect("it is ours");
        let answers = [&directory, &fifo, &missing, Path::new("/dev/null"), &file].map(has_writer);
        drop(writer);
        let afterwards = has_writer(&file);
        fs::remove_dir_all(&directory).expect("it is ours");
        assert_eq!((answers, afterwards), ([None, None, None, None, Some(true)], Some(false)));
    }
}
