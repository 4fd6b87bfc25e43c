//! Why a file isn't to be trusted with what is run, in words for whoever named it. Who decides that is a floor above.

use std::io;
use std::path::PathBuf;

/// Why a file isn't trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Distrust {
    /// Navigator runs as root, and the file belongs to this user.
    #[error("it belongs to user {0}, and navigator runs as root")]
    NotRoots(u32),
    /// Navigator runs as a user, and the file belongs to this other one.
    #[error("it belongs to user {0}, who is neither root nor the one that navigator runs as")]
    Strangers(u32),
    /// Navigator runs as root, and others can change the file.
    #[error("its group or others can write to it, and navigator runs as root")]
    Writable,
    /// Navigator runs as root, and others can put another file there.
    #[error("everybody can write to the directory `{}` on its way, and navigator runs as root", .0.display())]
    Directory(PathBuf),
}

impl Distrust {
    /// The distrust that is behind an error of reading.
    pub(super) fn behind(error: &io::Error) -> Option<&Distrust> {
        error.get_ref()?.downcast_ref()
    }

    /// The same in words that say nothing of a path, which may hold a secret.
    pub(super) fn without_path(&self) -> String {
        match self {
            Distrust::Directory(_) => "everybody can write to a directory on its way, and navigator runs as root".to_owned(),
            other => other.to_string(),
        }
    }

    /// What to do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Distrust::NotRoots(_) => "`chown root` gives it to root; `--trust-config` trusts whoever can write it",
            Distrust::Strangers(_) => "name a file of your own; `--trust-config` trusts whoever can write it",
            Distrust::Writable => "`chmod go-w` closes it; `--trust-config` trusts whoever can write it",
            Distrust::Directory(_) => "`chmod o-w` closes the directory; `--trust-config` trusts whoever can write there",
        }
    }
}

impl From<Distrust> for io::Error {
    fn from(distrust: Distrust) -> io::Error {
        io::Error::other(distrust)
    }
}
