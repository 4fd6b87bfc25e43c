//! File system credentials of one thread (`setfsuid(2)`, `credentials(7)`): for a moment it opens, makes and renames files
//! with the rights of another user.
//!
//! The kernel keeps credentials per thread, and these calls bypass the C library, which would change them in every thread.
//! Setting a file system user other than root also takes away the capabilities that override file permissions, until root's
//! is set again. Nothing else changes: signals and `ptrace` go by the other ids, so that user gains no hold on the thread.

use super::raw::call;
use std::io;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// The calling thread has another user's file system credentials as long as this exists. A thread that it makes meanwhile would
/// inherit them: it makes none.
#[derive(Debug)]
pub(crate) struct Borrowed {
    former: (usize, usize),
    /// It belongs to the thread that made it.
    _not_send: PhantomData<*const ()>,
}

/// Changes the credentials of the calling thread. Its effective user must be root.
///
/// # Errors
/// `EPERM` where the kernel refuses one of the three; then nothing has changed.
pub(crate) fn borrow(user: u32, group: u32, groups: &[u32]) -> io::Result<Borrowed> {
    own_groups()?;
    set_groups(groups)?;
    let former = (set(libc::SYS_setfsgid, group as usize), set(libc::SYS_setfsuid, user as usize));
    let borrowed = Borrowed { former: (former.1, former.0), _not_send: PhantomData };
    // The calls report the former value and no error; asked for an impossible one, they report the present.
    let present = (set(libc::SYS_setfsuid, usize::MAX), set(libc::SYS_setfsgid, usize::MAX));
    if present == (user as usize, group as usize) { Ok(borrowed) } else { Err(io::Error::from_raw_os_error(libc::EPERM)) }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        let (user, group) = self.former;
        set(libc::SYS_setfsuid, user);
        set(libc::SYS_setfsgid, group);
        let present = (set(libc::SYS_setfsuid, usize::MAX), set(libc::SYS_setfsgid, usize::MAX));
        let has_groups = own_groups().and_then(set_groups).is_ok();
        // A thread that went on with the wrong rights could do anything with them.
        assert!(present == self.former && has_groups, "root's own credentials can always be set again");
    }
}

/// Sets one id, and returns the one before.
fn set(number: std::ffi::c_long, id: usize) -> usize {
    // SAFETY: a number by value.
    unsafe { call(number, [id, 0, 0, 0, 0]) }.unwrap_or(usize::MAX)
}

fn set_groups(groups: &[u32]) -> io::Result<()> {
    // SAFETY: the slice is valid for the call, and its length is passed with it.
    let result = unsafe { call(libc::SYS_setgroups, [groups.len(), groups.as_ptr().expose_provenance(), 0, 0, 0]) };
    result.map(drop).map_err(io::Error::from_raw_os_error)
}

/// Navigator's own supplementary groups, which never change.
fn own_groups() -> io::Result<&'static [u32]> {
    static GROUPS: OnceLock<Vec<u32>> = OnceLock::new();
    if let Some(groups) = GROUPS.get() {
        return Ok(groups);
    }
    let groups = rustix::process::getgroups()?;
    Ok(GROUPS.get_or_init(|| groups.into_iter().map(rustix::process::Gid::as_raw).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    #[test]
    fn files_are_made_and_refused_as_for_the_other_user_and_afterwards_as_before() {
        const USER: u32 = 61_234;
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let directory = std::env::temp_dir().join(format!("navigator-credentials-{}", std::process::id()));
        fs::create_dir(&directory).expect("its name is new");
        fs::set_permissions(&directory, fs::Permissions::from_mode(0o777)).expect("it is ours");
        let [of_root, of_user] = ["root", "user"].map(|name| directory.join(name));
        fs::write(&of_root, "").expect("it is ours");
        fs::set_permissions(&of_root, fs::Permissions::from_mode(0o600)).expect("it is ours");
        let (ask, asked) = std::sync::mpsc::channel();
        let path = of_root.clone();
        // A thread that is made meanwhile would inherit the credentials.
        let other = std::thread::spawn(move || asked.recv().is_ok() && fs::read(path).is_ok());
        let borrowed = borrow(USER, USER, &[USER]).expect("root may");
        ask.send(()).expect("it listens");
        assert!(other.join().expect("it ends"), "another thread keeps its own");
        fs::write(&of_user, "").expect("everybody may write there");
        let refused = fs::read(&of_root).map_err(|error| error.kind());
        drop(borrowed);
        let made = fs::metadata(&of_user).expect("it was made");
        let allowed = fs::read(&of_root).is_ok();
        fs::remove_dir_all(&directory).expect("it is ours");
        assert_eq!((made.uid(), made.gid(), refused), (USER, USER, Err(io::ErrorKind::PermissionDenied)));
        assert!(allowed);
    }
}
