//! Ways of saving, as editors and deploy tools have them, by system calls of our own so that none of them takes long.
//!
//! The configuration is `conf/navigator.yml` of a directory. Any way may follow any other: `conf` may have become another
//! directory, and the file a link, by the one before.

use crate::history::Spoilt;
use std::fmt;
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// A way of saving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    InPlace,
    /// Half of it is written, and the file stays open for a while before the other half is.
    Slowly,
    Renamed,
    RenamedFromElsewhere,
    /// Another name of a file that is whole already takes its place.
    Linked,
    /// A symbolic link is made to point elsewhere.
    Pointed,
    /// As Kubernetes does it: a link to a directory of links.
    Mapped,
    Recreated,
    BackedUp,
    /// A directory takes the place of the file's directory.
    DirectorySwapped,
}

impl Way {
    pub(crate) const ALL: [Way; 10] = [
        Way::InPlace,
        Way::Slowly,
        Way::Renamed,
        Way::RenamedFromElsewhere,
        Way::Linked,
        Way::Pointed,
        Way::Mapped,
        Way::Recreated,
        Way::BackedUp,
        Way::DirectorySwapped,
    ];

    /// Whether the file is whole at every moment.
    pub(crate) fn is_atomic(self) -> bool {
        matches!(self, Way::Renamed | Way::RenamedFromElsewhere | Way::Linked | Way::Pointed | Way::Mapped)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Way::InPlace => "in place",
            Way::Slowly => "in place, slowly",
            Way::Renamed => "renamed over",
            Way::RenamedFromElsewhere => "renamed over from elsewhere",
            Way::Linked => "linked over",
            Way::Pointed => "by a link that points elsewhere",
            Way::Mapped => "as a ConfigMap",
            Way::Recreated => "deleted and made again",
            Way::BackedUp => "moved to a backup and made again",
            Way::DirectorySwapped => "by swapping the directory",
        })
    }
}

/// The place where a configuration is saved.
#[derive(Debug)]
pub(crate) struct Place {
    directory: PathBuf,
    /// Nothing of an earlier save has the names that the next one gives.
    saves: usize,
}

impl Place {
    /// The first save, before anybody looks.
    pub(crate) fn new(directory: &Path, text: &str) -> Place {
        let place = Place { directory: directory.to_owned(), saves: 0 };
        fs::create_dir(place.directory.join("conf")).expect("the directory is new");
        write(&place.file(), text);
        place
    }

    fn file(&self) -> PathBuf {
        self.directory.join("conf/navigator.yml")
    }

    /// Saves; `hold` is called in the middle of what is saved slowly.
    pub(crate) fn save(&mut self, way: Way, text: &str, hold: impl FnOnce()) {
        self.saves += 1;
        let (file, beside) = (self.file(), self.directory.join("conf/.new"));
        let elsewhere = self.directory.join(format!("saved-{}", self.saves));
        self.make_room(way);
        match way {
            Way::InPlace => write(&file, text),
            Way::Slowly => {
                let middle = text.len() / 2;
                let mut open = File::create(&file).expect("it is ours");
                open.write_all(&text.as_bytes()[..middle]).expect("there is room");
                hold();
                open.write_all(&text.as_bytes()[middle..]).expect("there is room");
            }
            Way::Renamed => {
                write(&beside, text);
                rename(&beside, &file);
            }
            Way::RenamedFromElsewhere => {
                write(&elsewhere, text);
                rename(&elsewhere, &file);
            }
            Way::Linked => {
                write(&elsewhere, text);
                fs::hard_link(&elsewhere, &beside).expect("both are ours");
                rename(&beside, &file);
            }
            Way::Pointed => {
                write(&elsewhere, text);
                point(&file, &elsewhere, &beside);
            }
            Way::Mapped => self.map(text, &elsewhere),
            Way::Recreated => {
                remove(&file);
                write(&file, text);
            }
            Way::BackedUp => {
                if file.exists() {
                    rename(&file, &self.directory.join("conf/navigator.yml~"));
                }
                write(&file, text);
            }
            Way::DirectorySwapped => {
                fs::create_dir(&elsewhere).expect("nothing has that name");
                write(&elsewhere.join("navigator.yml"), text);
                let conf = self.directory.join("conf");
                rename(&conf, &self.directory.join(format!("old-{}", self.saves)));
                rename(&elsewhere, &conf);
            }
        }
    }

    /// `navigator.yml` → `..data/navigator.yml`, and `..data` → the directory with the newest one.
    fn map(&self, text: &str, elsewhere: &Path) {
        fs::create_dir(elsewhere).expect("nothing has that name");
        write(&elsewhere.join("navigator.yml"), text);
        point(&self.directory.join("conf/..data"), elsewhere, &self.directory.join("conf/..tmp"));
        let through = Path::new("..data/navigator.yml");
        if fs::read_link(self.file()).ok().as_deref() != Some(through) {
            point(&self.file(), through, &self.directory.join("conf/.new"));
        }
    }

    /// Puts something in the file's place that is no configuration; `text` is one that this is made from.
    pub(crate) fn spoil(&mut self, spoilt: Spoilt, text: &str) {
        self.saves += 1;
        let file = self.file();
        let beside = self.directory.join("conf/.new");
        let over = |text: &str| {
            // What is wrong is told once for each content.
            write(&beside, &format!("# spoilt {}\n{text}", self.saves));
            self.make_room(Way::Renamed);
            rename(&beside, &file);
        };
        match spoilt {
            Spoilt::Invalid => over(&format!("{text}applicatoins: []\n")),
            // Cut in the middle of a word, and of a bracket that is open: other halves may be valid.
            Spoilt::Half => over(&format!("{}\n  args: [[\"cut he", &text[..text.len() / 2])),
            Spoilt::Empty => over(""),
            Spoilt::Missing => remove(&file),
            Spoilt::Directory => {
                remove(&file);
                fs::create_dir(&file).expect("nothing is there");
            }
        }
    }

    /// Whether what stands in the file's place is this already, so that nothing new can be told of it.
    pub(crate) fn is_spoilt(&self, spoilt: Spoilt) -> bool {
        match spoilt {
            Spoilt::Invalid | Spoilt::Half | Spoilt::Empty => false,
            Spoilt::Missing => !self.file().exists(),
            Spoilt::Directory => self.file().is_dir(),
        }
    }

    /// What a directory in the file's place makes impossible, and a link that points nowhere.
    fn make_room(&self, way: Way) {
        let file = self.file();
        let is_directory = fs::symlink_metadata(&file).is_ok_and(|it| it.is_dir());
        let goes_through = matches!(way, Way::InPlace | Way::Slowly);
        if is_directory || (goes_through && !file.exists()) {
            remove(&file);
        }
    }
}

fn write(file: &Path, text: &str) {
    fs::write(file, text).unwrap_or_else(|error| panic!("`{}` can't be written: {error}", file.display()));
}

fn rename(from: &Path, to: &Path) {
    fs::rename(from, to).unwrap_or_else(|error| panic!("`{}` can't become `{}`: {error}", from.display(), to.display()));
}

/// Makes `link` point to `target`, in one step.
fn point(link: &Path, target: &Path, beside: &Path) {
    symlink(target, beside).unwrap_or_else(|error| panic!("`{}` can't be made: {error}", beside.display()));
    rename(beside, link);
}

/// Takes away whatever has this name, if anything has.
fn remove(file: &Path) {
    let removed = match fs::symlink_metadata(file) {
        Ok(it) if it.is_dir() => fs::remove_dir_all(file),
        Ok(_) => fs::remove_file(file),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    };
    removed.unwrap_or_else(|error| panic!("`{}` can't be removed: {error}", file.display()));
}
