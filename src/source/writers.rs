//! Whether a file is being written to, as far as the kernel can tell. What follows from it is decided elsewhere.

use crate::sys::lease;
use rustix::fd::BorrowedFd;

/// Whether a process has this file open to write to it; the file is open for reading here. `None` where that can't be
/// known: it is another user's and navigator is not root, or its file system has no leases.
pub fn has_writer(file: BorrowedFd<'_>) -> Option<bool> {
    lease::is_available(file).ok().map(|is_free| !is_free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;
    use std::fs;

    #[test]
    fn a_writer_is_known_as_long_as_it_has_the_file_open() {
        let path = std::env::temp_dir().join(format!("navigator-writers-{}", std::process::id()));
        let writer = fs::File::create(&path).expect("its name is new");
        let reader = fs::File::open(&path).expect("it was just made");
        let meanwhile = has_writer(reader.as_fd());
        drop(writer);
        let afterwards = has_writer(reader.as_fd());
        let of_a_device = has_writer(fs::File::open("/dev/null").expect("every host has it").as_fd());
        fs::remove_file(&path).expect("it is ours");
        assert_eq!((meanwhile, afterwards, of_a_device), (Some(true), Some(false), None));
    }
}
