//! Decides whether only trusted users can change a file or directory.
//!
//! It is *trusted* if it belongs to a trusted user, and neither its group nor others can write to it. That covers access
//! control lists too: the group bits of the mode are then the mask, which limits all entries for other users and groups
//! (`acl(5)`, "correspondence between ACL entries and file permission bits").

use crate::sys::accounts;
use rustix::fs::{FileType, Mode, Stat};
use rustix::process::geteuid;
use std::io;
use std::path::{Path, PathBuf};

/// The trusted users. Root always is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    scope: TrustScope,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TrustScope {
    Everybody,
    Users {
        ids: [u32; 4],
        /// A read-only mount can't be written to, whatever the mode says.
        read_only_is_closed: bool,
    },
}

impl Default for Trust {
    fn default() -> Trust {
        Trust::everybody()
    }
}

impl Trust {
    /// Trusts all users: for commands that start no process.
    pub fn everybody() -> Trust {
        Trust { scope: TrustScope::Everybody }
    }

    /// Trusts root and this user.
    pub fn user(id: u32) -> Trust {
        Trust { scope: TrustScope::Users { ids: [0, id, id, id], read_only_is_closed: false } }
    }

    /// Trusts root and the user that this process runs as.
    pub fn of_this_process() -> Trust {
        Trust::user(geteuid().as_raw())
    }

    /// Trusts one more user; at most two.
    #[must_use]
    pub fn and(self, id: u32) -> Trust {
        match self.scope {
            TrustScope::Everybody => self,
            TrustScope::Users { ids: [root, own, one, _], read_only_is_closed } => {
                Trust { scope: TrustScope::Users { ids: [root, own, id, one], read_only_is_closed } }
            }
        }
    }

    /// Also trusts read-only mounts. For the first process of a container: its volumes are often mounted read-only with mode
    /// 0777.
    #[must_use]
    pub fn with_read_only_mounts(self) -> Trust {
        match self.scope {
            TrustScope::Everybody => self,
            TrustScope::Users { ids, .. } => Trust { scope: TrustScope::Users { ids, read_only_is_closed: true } },
        }
    }

    /// Whether all users are trusted.
    pub(super) fn is_everybody(self) -> bool {
        self.scope == TrustScope::Everybody
    }

    /// Whether this user is trusted.
    pub fn includes(self, id: u32) -> bool {
        match self.scope {
            TrustScope::Everybody => true,
            TrustScope::Users { ids, .. } => ids.contains(&id),
        }
    }

    /// The untrusted user or group that can change a file with these attributes. A link can only be replaced, so its mode is
    /// ignored.
    pub(super) fn writer(self, stat: &Stat) -> Option<UntrustedWriter> {
        let mode = Mode::from_raw_mode(stat.st_mode);
        if !self.includes(stat.st_uid) {
            Some(UntrustedWriter::User(stat.st_uid))
        } else if self.is_everybody() || FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            None
        } else if mode.contains(Mode::WOTH) {
            Some(UntrustedWriter::Everybody)
        } else {
            mode.contains(Mode::WGRP).then_some(UntrustedWriter::Group(stat.st_gid))
        }
    }

    /// As [`Trust::writer`], for the file at this path.
    pub(super) fn writer_at(self, path: &Path, stat: &Stat) -> Option<UntrustedWriter> {
        let writer = self.writer(stat)?;
        let TrustScope::Users { read_only_is_closed: true, .. } = self.scope else { return Some(writer) };
        let is_read_only =
            rustix::fs::statvfs(path).is_ok_and(|system| system.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY));
        (!is_read_only).then_some(writer)
    }
}

/// An untrusted user or group that can change a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UntrustedWriter {
    User(u32),
    Group(u32),
    Everybody,
}

/// Why a path isn't trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` {}", path.display(), self.danger())]
pub struct Distrust {
    /// The first untrusted file, directory or link on the path.
    path: PathBuf,
    is_link: bool,
    writer: UntrustedWriter,
    /// The name of the writer, if it has one.
    name: Option<String>,
}

impl Distrust {
    pub(super) fn new(path: &Path, stat: &Stat, writer: UntrustedWriter) -> Distrust {
        let name = match writer {
            UntrustedWriter::User(id) => accounts::user_by_number(id).ok().flatten().map(|account| account.name),
            UntrustedWriter::Group(id) => accounts::group_by_number(id).ok().flatten(),
            UntrustedWriter::Everybody => None,
        };
        let name = name.map(|name| name.to_string_lossy().into_owned());
        let is_link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
        Distrust { path: path.to_owned(), is_link, writer, name }
    }

    /// The distrust behind an I/O error.
    pub fn behind(error: &io::Error) -> Option<&Distrust> {
        error.get_ref()?.downcast_ref()
    }

    /// Which user or group can change it, and the consequence.
    fn danger(&self) -> String {
        let named =
            |kind: &str, id: u32| self.name.as_ref().map_or_else(|| format!("{kind}{id}"), |name| format!("{kind}`{name}`"));
        let (writer, they) = match self.writer {
            UntrustedWriter::User(id) if self.name.is_some() => (named("", id), "that user"),
            UntrustedWriter::User(id) => (named("user ", id), "that user"),
            UntrustedWriter::Group(id) => (named("group ", id), "its members"),
            UntrustedWriter::Everybody => ("every user".to_owned(), "any of them"),
        };
        let own = geteuid();
        let right = if own.is_root() { "root".to_owned() } else { format!("user {}", own.as_raw()) };
        format!("can be written by {writer}: {they} would act as {right} through it")
    }

    /// The same without the path, which may be secret.
    pub fn without_path(&self) -> String {
        format!("what it names or a directory on its way {}", self.danger())
    }

    /// The command that fixes it.
    pub fn remedy(&self) -> String {
        let path = quoted(&self.path);
        self.remedy_for(&path)
    }

    /// The same without the path.
    pub fn remedy_without_path(&self) -> String {
        self.remedy_for("PATH")
    }

    fn remedy_for(&self, path: &str) -> String {
        match self.writer {
            UntrustedWriter::User(id) => {
                let owner = geteuid();
                let owner = if owner.is_root() { "root".to_owned() } else { owner.as_raw().to_string() };
                let name = self.name.clone().unwrap_or_else(|| id.to_string());
                let options = if self.is_link { "-h " } else { "" };
                format!("`chown {options}{owner}: {path}`, or start with `--trust-user {name}`")
            }
            UntrustedWriter::Group(_) => format!("`chmod g-w {path}`"),
            UntrustedWriter::Everybody => format!("`chmod go-w {path}`"),
        }
    }
}

impl From<Distrust> for io::Error {
    fn from(distrust: Distrust) -> io::Error {
        io::Error::new(io::ErrorKind::PermissionDenied, distrust)
    }
}

/// A path, quoted for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|char| char.is_alphanumeric() || "/._-+@%:,=".contains(char));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn writer_of(trust: Trust, owner: u32, mode: u32) -> Option<UntrustedWriter> {
        let mut stat = rustix::fs::stat("/").expect("the root is there");
        (stat.st_uid, stat.st_gid, stat.st_mode) = (owner, 7, mode);
        trust.writer(&stat)
    }

    #[test]
    fn files_that_only_trusted_users_can_write_are_trusted() {
        let (root, user) = (Trust::user(0), Trust::user(1000));
        for (trust, owner, mode, writer) in [
            (root, 0, 0o100_644, None),
            (root, 0, 0o040_755, None),
            (root, 1000, 0o100_600, Some(UntrustedWriter::User(1000))),
            (root, 0, 0o100_664, Some(UntrustedWriter::Group(7))),
            (root, 0, 0o100_646, Some(UntrustedWriter::Everybody)),
            (root, 0, 0o120_777, None),
            (root, 1000, 0o120_777, Some(UntrustedWriter::User(1000))),
            (root.and(1000), 1000, 0o100_644, None),
            (root.and(1000), 1001, 0o100_644, Some(UntrustedWriter::User(1001))),
            (user, 0, 0o100_644, None),
            (user, 1000, 0o100_644, None),
            (user, 1000, 0o100_664, Some(UntrustedWriter::Group(7))),
            (user, 1001, 0o100_600, Some(UntrustedWriter::User(1001))),
            (Trust::everybody(), 1001, 0o100_666, None),
        ] {
            assert_eq!(writer_of(trust, owner, mode), writer, "{trust:?} {owner} {mode:o}");
        }
    }

    #[test]
    fn paths_in_remedies_are_quoted_for_a_shell() {
        assert_eq!(quoted(Path::new("/srv/app/conf.d")), "/srv/app/conf.d");
        assert_eq!(quoted(Path::new("/srv/it's here")), r"'/srv/it'\''s here'");
    }
}
