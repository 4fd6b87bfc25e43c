//! Users and groups of this host, from wherever its name service keeps them (files, LDAP, …).
//!
//! Look-ups may block on the network: call them on a spawner's thread, never on the loop's.

use std::ffi::{CStr, CString};
use std::io;

/// An entry of the user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    /// Login name.
    pub(crate) name: CString,
    /// Its user id.
    pub(crate) user: u32,
    /// Its primary group.
    pub(crate) group: u32,
    /// Home directory.
    pub(crate) home: CString,
    /// Login shell.
    pub(crate) shell: CString,
}

/// Where the strings of an entry go: `getpwnam_r(3)` says when it is too small.
const FIRST_BUFFER: usize = 1024;
/// An entry larger than this is an error, not a reason to go on growing.
const LARGEST_BUFFER: usize = 1 << 20;

/// The account with this login name.
///
/// # Errors
/// Those of `getpwnam_r(3)`; a name that doesn't exist is `None`.
pub(crate) fn user_by_name(name: &CStr) -> io::Result<Option<Account>> {
    // SAFETY: every pointer is valid for the call, as `entry` promises.
    entry(|record, buffer, found| unsafe {
        libc::getpwnam_r(name.as_ptr(), record, buffer.as_mut_ptr().cast(), buffer.len(), found)
    })
}

/// The account with this user id.
///
/// # Errors
/// Those of `getpwuid_r(3)`; an id without an entry is `None`.
pub(crate) fn user_by_id(number: u32) -> io::Result<Option<Account>> {
    // SAFETY: every pointer is valid for the call, as `entry` promises.
    entry(|record, buffer, found| unsafe { libc::getpwuid_r(number, record, buffer.as_mut_ptr().cast(), buffer.len(), found) })
}

/// The id of the group with this name.
///
/// # Errors
/// Those of `getgrnam_r(3)`; a name that doesn't exist is `None`.
pub(crate) fn group_by_name(name: &CStr) -> io::Result<Option<u32>> {
    // SAFETY: every pointer is valid for the call, as `group_entry` promises.
    let found = group_entry(|record, buffer, found| unsafe {
        libc::getgrnam_r(name.as_ptr(), record, buffer.as_mut_ptr().cast(), buffer.len(), found)
    });
    Ok(found?.map(|(number, _)| number))
}

/// The name of the group with this id.
///
/// # Errors
/// Those of `getgrgid_r(3)`; an id without an entry is `None`.
pub(crate) fn group_by_id(number: u32) -> io::Result<Option<CString>> {
    // SAFETY: every pointer is valid for the call, as `group_entry` promises.
    let found = group_entry(|record, buffer, found| unsafe {
        libc::getgrgid_r(number, record, buffer.as_mut_ptr().cast(), buffer.len(), found)
    });
    Ok(found?.map(|(_, name)| name))
}

/// Runs a look-up of a `group` record; returns id and name of the group that it found.
fn group_entry(
    look_up: impl Fn(*mut libc::group, &mut [u8], *mut *mut libc::group) -> libc::c_int,
) -> io::Result<Option<(u32, CString)>> {
    grown(|buffer| {
        // SAFETY: `group` is plain data of numbers and pointers, for which all zero bytes are a value.
        let mut record: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        let error = look_up(&raw mut record, buffer, &raw mut found);
        // SAFETY: a found record's name ends with NUL and lives in `buffer`, which is still borrowed here.
        let name = (error == 0 && !found.is_null()).then(|| unsafe { CStr::from_ptr(record.gr_name) }.to_owned());
        (error, name.map(|name| (record.gr_gid, name)))
    })
}

/// Every group that a user belongs to, its primary one (`group`) included.
pub(crate) fn groups_of(name: &CStr, group: u32) -> Vec<u32> {
    let mut room: libc::c_int = 64;
    loop {
        let mut groups = vec![0; usize::try_from(room).unwrap_or(0)];
        let mut count = room;
        // SAFETY: `groups` has room for `count` numbers, and `getgrouplist` writes no more than that.
        let enough = unsafe { libc::getgrouplist(name.as_ptr(), group, groups.as_mut_ptr(), &raw mut count) } != -1;
        if enough {
            groups.truncate(usize::try_from(count).unwrap_or(0));
            return groups;
        }
        // The call says how many there are; doubling is for libraries that don't.
        room = count.max(room.saturating_mul(2));
    }
}

/// Runs a look-up of a `passwd` record and copies what it found.
fn entry(look_up: impl Fn(*mut libc::passwd, &mut [u8], *mut *mut libc::passwd) -> libc::c_int) -> io::Result<Option<Account>> {
    grown(|buffer| {
        // SAFETY: `passwd` is plain data of numbers and pointers, for which all zero bytes are a value.
        let mut record: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        let error = look_up(&raw mut record, buffer, &raw mut found);
        let account = (error == 0 && !found.is_null()).then(|| {
            // SAFETY: a found record's strings end with NUL and live in `buffer`, which is still borrowed here.
            let text = |start: *const libc::c_char| unsafe { CStr::from_ptr(start) }.to_owned();
            Account {
                name: text(record.pw_name),
                user: record.pw_uid,
                group: record.pw_gid,
                home: text(record.pw_dir),
                shell: text(record.pw_shell),
            }
        });
        (error, account)
    })
}

/// Repeats a look-up with a larger buffer for as long as it asks for one.
fn grown<T>(mut look_up: impl FnMut(&mut [u8]) -> (libc::c_int, Option<T>)) -> io::Result<Option<T>> {
    let mut buffer = vec![0; FIRST_BUFFER];
    loop {
        match look_up(&mut buffer) {
            (0, found) => return Ok(found),
            (libc::ERANGE, _) if buffer.len() < LARGEST_BUFFER => buffer.resize(buffer.len() * 4, 0),
            // How some name services say "no such entry", against the standard.
            (libc::ENOENT | libc::ESRCH | libc::EBADF | libc::EPERM, _) => return Ok(None),
            (error, _) => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_found_by_name_and_by_number() {
        let by_name = user_by_name(c"root").unwrap().expect("every host has root");
        assert_eq!(by_name.user, 0);
        assert_eq!(user_by_id(0).unwrap(), Some(by_name.clone()));
        assert!(groups_of(&by_name.name, by_name.group).contains(&by_name.group));
    }

    #[test]
    fn what_does_not_exist_is_no_error() {
        assert_eq!(user_by_name(c"no-such-user-here").unwrap(), None);
        assert_eq!(group_by_name(c"no-such-group-here").unwrap(), None);
        assert_eq!(user_by_id(3_999_999_999).unwrap(), None);
    }
}
