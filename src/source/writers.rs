//! Asks the kernel whether a file is open for writing.

use crate::sys::lease;
use rustix::fd::BorrowedFd;

/// Whether a process has this file open for writing; the file must be open for reading here. `None` where that can't be known:
/// the file belongs to another user and navigator is not root, or its file system has no leases.
pub fn has_writer(file: BorrowedFd<'_>) -> Option<bool> {
    lease::is_available(file).ok().map(|is_free| !is_free)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fd::AsFd as _;
    use std::fs;

    #[test]
    fn a_writer_is_reported_while_it_has_the_file_open() {
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
