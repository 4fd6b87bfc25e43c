//! The user, group and supplementary groups that a process runs with, looked up by name or number.
//!
//! Look-ups may block on the network (LDAP and the like): call them on a thread that may wait, never on the loop's.

use crate::sys::accounts::{self, Account};
use crate::sys::credentials::{self, Borrowed};
use reconcile::spec::Exec;
use reconcile::text::Text;
use std::ffi::CString;
use std::io;
use std::os::unix::fs::lchown;
use std::path::Path;

/// What a process changes about its credentials; all `None` if it keeps navigator's own.
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
    /// Looks up `user` and `group`; also returns the account, if the user has one, for the environment.
    pub(crate) fn of(exec: &Exec) -> Result<(Identity, Option<Account>), IdentityError> {
        let group = exec.group.as_ref().map(group).transpose()?;
        let Some(name) = &exec.user else { return Ok((Identity::of_group(group, rustix::process::geteuid().is_root()), None)) };
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

    /// A group without a user: that group alone, or the process would keep what root's own groups may do. Only root may set
    /// supplementary groups; any other user may take the group that it has already, and keeps its own.
    fn of_group(group: Option<u32>, is_root: bool) -> Identity {
        let groups = group.filter(|_| is_root).map(|group| vec![group]);
        Identity { user: None, group, groups }
    }

    /// Makes the process's user and group the owner of a file, and doesn't follow a link.
    ///
    /// # Errors
    /// Those of `lchown(2)`.
    pub(crate) fn give(&self, path: &Path) -> io::Result<()> {
        if self.user.is_none() && self.group.is_none() {
            return Ok(());
        }
        lchown(path, self.user, self.group)
    }
}

/// The number of a user that is given by name or number; `None`: there is no such user.
///
/// # Errors
/// Those of `getpwnam_r(3)`.
pub(crate) fn number_of(name: &str) -> io::Result<Option<u32>> {
    let Ok(text) = CString::new(name) else { return Ok(None) };
    Ok(accounts::user_by_name(&text)?.map(|account| account.user).or_else(|| name.parse().ok()))
}

impl Identity {
    /// Gives the calling thread the rights of this identity on files, until what this returns is dropped; `None`: they are
    /// navigator's own.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn borrow(&self) -> io::Result<Option<Borrowed>> {
        let Some(user) = self.user.filter(|user| *user != 0) else { return Ok(None) };
        let group = self.group.unwrap_or(user);
        credentials::borrow(user, group, self.groups.as_deref().unwrap_or_default()).map(Some)
    }

    /// Whether navigator, as root, has to borrow rights to act for it.
    pub(crate) fn is_another_user(&self) -> bool {
        self.user.is_some_and(|user| user != 0) && rustix::process::geteuid().is_root()
    }
}

/// A user by name, or by number: a name made of digits is taken as a name first, as `chown(1)` does.
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

/// A group by name, or by number.
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
    fn a_group_alone_is_the_only_one_where_root_sets_it() {
        let alone = Identity { user: None, group: Some(5), groups: Some(vec![5]) };
        assert_eq!(Identity::of_group(Some(5), true), alone);
        assert_eq!(Identity::of_group(Some(5), false), Identity { groups: None, ..alone });
        assert_eq!([true, false].map(|is_root| Identity::of_group(None, is_root)), [Identity::default(), Identity::default()]);
    }
}
