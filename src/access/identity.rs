//! Looks up the user and groups that a process runs with, and acts with their rights.
//!
//! Lookups may block on the network (LDAP and the like): call them from a thread that may block, never from the loop.

use crate::sys::accounts::{self, Account};
use crate::sys::credentials::{self, Borrowed};
use reconcile::spec::Exec;
use reconcile::text::Text;
use rustix::fd::AsFd;
use rustix::fs::{Gid, Uid, fchown};
use rustix::io::Errno;
use std::ffi::CString;
use std::io;
use std::os::unix::fs::lchown;
use std::path::Path;

/// The credentials that a process changes; all `None` if it keeps those of navigator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) user: Option<u32>,
    pub(crate) group: Option<u32>,
    /// Supplementary groups.
    pub(crate) groups: Option<Vec<u32>>,
}

/// Why a user or group could not be looked up. Names are as the configuration shows them.
#[derive(Debug)]
pub(crate) enum IdentityError {
    UnknownUser(String),
    UnknownGroup(String),
    /// A user number without an account, and no `group`.
    NoPrimaryGroup(String),
    LookUp {
        what: String,
        error: io::Error,
    },
}

impl Identity {
    /// Looks up `user` and `group`. Also returns the account of the user, if there is one, for the environment.
    pub(crate) fn of(exec: &Exec) -> Result<(Identity, Option<Account>), IdentityError> {
        Identity::named(exec.user.as_ref(), exec.group.as_ref())
    }

    /// The same for a user and a group.
    pub(crate) fn named(
        user_name: Option<&Text>,
        group_name: Option<&Text>,
    ) -> Result<(Identity, Option<Account>), IdentityError> {
        let group = group_name.map(group).transpose()?;
        let Some(name) = user_name else { return Ok((Identity::of_group(group, rustix::process::geteuid().is_root()), None)) };
        let (user, account) = user(name)?;
        let primary = group
            .or(account.as_ref().map(|account| account.group))
            .ok_or_else(|| IdentityError::NoPrimaryGroup(name.shown().to_owned()))?;
        let own = (rustix::process::geteuid(), rustix::process::getegid());
        if (own.0.as_raw(), own.1.as_raw()) == (user, primary) && !own.0.is_root() {
            return Ok((Identity::default(), account));
        }
        let groups = account.as_ref().map_or_else(|| vec![primary], |account| accounts::groups_of(&account.name, primary));
        Ok((Identity { user: Some(user), group: Some(primary), groups: Some(groups) }, account))
    }

    /// A `group` without `user`: root sets that group as the only one, so that no rights of root's groups remain. Any other
    /// user may only choose a group that it is in, and keeps its supplementary groups.
    fn of_group(group: Option<u32>, is_root: bool) -> Identity {
        let groups = group.filter(|_| is_root).map(|group| vec![group]);
        Identity { user: None, group, groups }
    }

    /// Makes the process's user and group the owner of a file; doesn't follow links.
    ///
    /// # Errors
    /// Errors of `lchown(2)`.
    pub(crate) fn set_owner(&self, path: &Path) -> io::Result<()> {
        if self.user.is_none() && self.group.is_none() {
            return Ok(());
        }
        lchown(path, self.user, self.group)
    }

    /// The same for an open pipe.
    ///
    /// # Errors
    /// Errors of `fchown(2)`.
    pub(crate) fn own(&self, pipe: impl AsFd) -> Result<(), Errno> {
        if self.user.is_none() && self.group.is_none() {
            return Ok(());
        }
        match fchown(pipe, self.user.map(Uid::from_raw), self.group.map(Gid::from_raw)) {
            // Then the process can't take this identity either, and its start fails with a better reason.
            Err(Errno::PERM) if !rustix::process::geteuid().is_root() => Ok(()),
            outcome => outcome,
        }
    }
}

/// The uid of a user, given by name or uid; `None`: there is no such user.
///
/// # Errors
/// Errors of `getpwnam_r(3)`.
pub(crate) fn uid_of(name: &str) -> io::Result<Option<u32>> {
    let Ok(text) = CString::new(name) else { return Ok(None) };
    Ok(accounts::user_by_name(&text)?.map(|account| account.user).or_else(|| name.parse().ok()))
}

impl Identity {
    /// Gives the calling thread the file access rights of this identity until the result is dropped. `None`: they are
    /// navigator's own.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn borrow(&self) -> io::Result<Option<Borrowed>> {
        let Some(user) = self.user.filter(|user| *user != 0) else { return Ok(None) };
        let group = self.group.unwrap_or(user);
        credentials::borrow(user, group, self.groups.as_deref().unwrap_or_default()).map(Some)
    }

    /// Whether navigator runs as root and has to use the rights of another user.
    pub(crate) fn is_another_user(&self) -> bool {
        self.user.is_some_and(|user| user != 0) && rustix::process::geteuid().is_root()
    }
}

/// A user by name or uid; digits are tried as a name first, as in `chown(1)`.
fn user(text: &Text) -> Result<(u32, Option<Account>), IdentityError> {
    let unknown = || IdentityError::UnknownUser(text.shown().to_owned());
    let failed = |error: io::Error| IdentityError::LookUp { what: format!("user `{}`", text.shown()), error };
    let name = CString::new(text.value()).map_err(|_| unknown())?;
    if let Some(account) = accounts::user_by_name(&name).map_err(failed)? {
        return Ok((account.user, Some(account)));
    }
    let number = text.value().parse().map_err(|_| unknown())?;
    Ok((number, accounts::user_by_id(number).map_err(failed)?))
}

/// A group by name or gid.
fn group(text: &Text) -> Result<u32, IdentityError> {
    let unknown = || IdentityError::UnknownGroup(text.shown().to_owned());
    let failed = |error: io::Error| IdentityError::LookUp { what: format!("group `{}`", text.shown()), error };
    let name = CString::new(text.value()).map_err(|_| unknown())?;
    match accounts::group_by_name(&name).map_err(failed)? {
        Some(number) => Ok(number),
        None => text.value().parse().map_err(|_| unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_without_a_user_is_the_only_group_when_root_sets_it() {
        let alone = Identity { user: None, group: Some(5), groups: Some(vec![5]) };
        assert_eq!(Identity::of_group(Some(5), true), alone);
        assert_eq!(Identity::of_group(Some(5), false), Identity { groups: None, ..alone });
        assert_eq!([true, false].map(|is_root| Identity::of_group(None, is_root)), [Identity::default(), Identity::default()]);
    }
}
