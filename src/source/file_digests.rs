//! One reading of all files that processes watch: which files they are, and what tells their contents apart.
//!
//! A path may name a file, or a directory, which stands for the files directly in it; a pattern stands for every file and
//! directory that matches. Hidden names count only where they are named. What can't be read is not there.
//!
//! Files are opened with the rights of the process's user, and only regular files are read. What one process has read for it
//! is bounded ([`MOST_FILES`], [`MOST_BYTES`]); beyond that it is said.

use super::file::{AskForWriter, ReadRecord, RecordingFs};
use super::file_stat::FileStat;
use super::revision::Contents;
use crate::access::identity::Identity;
use crate::access::regular::open_regular;
use crate::config::{Files, Inputs, expand, is_glob};
use reconcile::event::Content;
use reconcile::text::{Name, Text};
use rustix::fd::AsFd as _;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// So many files are followed for one process; further ones are left out.
pub(super) const MOST_FILES: usize = 1000;
/// So many bytes are read for one process; of further files, another content is known by size and time alone.
pub(super) const MOST_BYTES: u64 = 64 << 20;

/// What a process wants to be watched.
#[derive(Clone, Debug)]
pub(super) struct WatchRequest {
    pub(super) name: Name,
    pub(super) watch: Vec<Text>,
    /// The rights that are needed to read it; `None`: navigator's own.
    pub(super) identity: Option<Identity>,
}

/// What tells one look at a file from another: for which user, and at which path.
type DigestKey = (Option<u32>, PathBuf);

/// One reading of everything that is watched.
#[derive(Debug, Default)]
pub(super) struct FileDigests {
    pub(super) contents: Contents,
    /// The files and directories that decide what is there.
    pub(super) inputs: Inputs,
    pub(super) evidence: ReadRecord,
    pub(super) known: BTreeMap<DigestKey, CachedDigest>,
    /// The processes that watch more than is read for them.
    pub(super) beyond: BTreeSet<Name>,
}

/// A file that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct CachedDigest {
    stamp: Option<FileStat>,
    /// The same stamp means the same content.
    is_certain: bool,
    /// Its content was read, and not only its size and time.
    is_read: bool,
    /// Differs where the content does; `None`: it can't be read.
    print: Option<u64>,
}

impl FileDigests {
    /// Reads everything, but for the files that are `known` and look the same.
    pub(super) fn make(
        wanted: &[WatchRequest],
        known: &BTreeMap<DigestKey, CachedDigest>,
        has_writer: AskForWriter,
    ) -> FileDigests {
        let mut surveyor = DigestReader {
            witness: RecordingFs::new(has_writer),
            inputs: Inputs::default(),
            before: known,
            known: BTreeMap::new(),
            user: None,
            budget: ReadBudget::default(),
        };
        let (mut contents, mut beyond) = (Contents::new(), BTreeSet::new());
        for WatchRequest { name, watch, identity } in wanted {
            surveyor.begin(identity.as_ref());
            contents.push((name.clone(), surveyor.content(watch)));
            if surveyor.budget.is_exceeded {
                beyond.insert(name.clone());
            }
        }
        let DigestReader { witness, inputs, known, .. } = surveyor;
        FileDigests { contents, inputs, evidence: witness.testify().0, known, beyond }
    }
}

/// A reading under way.
struct DigestReader<'a> {
    witness: RecordingFs,
    inputs: Inputs,
    before: &'a BTreeMap<DigestKey, CachedDigest>,
    known: BTreeMap<DigestKey, CachedDigest>,
    /// The user that files are read for.
    user: Option<u32>,
    budget: ReadBudget,
}

/// What has been read for one process.
#[derive(Debug, Default)]
struct ReadBudget {
    files: usize,
    bytes: u64,
    is_exceeded: bool,
}

impl ReadBudget {
    /// Whether one more file may be followed.
    fn takes_file(&mut self) -> bool {
        self.files += 1;
        self.is_exceeded |= self.files > MOST_FILES;
        self.files <= MOST_FILES
    }

    /// Whether so many more bytes may be read.
    fn takes_bytes(&mut self, bytes: u64) -> bool {
        let sum = self.bytes.saturating_add(bytes);
        let fits = sum <= MOST_BYTES;
        self.is_exceeded |= !fits;
        self.bytes = if fits { sum } else { self.bytes };
        fits
    }
}

impl DigestReader<'_> {
    /// Goes on with the files of a process of this user.
    fn begin(&mut self, identity: Option<&Identity>) {
        self.user = identity.and_then(|identity| identity.user);
        self.witness.act_as(identity.cloned());
        self.budget = ReadBudget::default();
    }

    fn content(&mut self, watch: &[Text]) -> Content {
        let mut files = BTreeMap::new();
        for text in watch {
            for (shown, path) in self.files(text) {
                if !self.budget.takes_file() {
                    break;
                }
                let Some(print) = self.print(&path) else { continue };
                // Two files may be shown alike where a part of their paths is not.
                files.entry(shown).and_modify(|others| *others = mixed(&[*others, print])).or_insert(print);
            }
        }
        Content { watch: watch.to_vec(), files }
    }

    /// The files that a path or pattern stands for, each as people may see it and as it is.
    fn files(&mut self, text: &Text) -> Vec<(String, PathBuf)> {
        let path = Path::new(text.value());
        let found = if is_glob(text.value()) {
            // All that is left out is left out silently: what can't be read is not there.
            expand(path, &self.witness, &mut self.inputs.directories).unwrap_or_default()
        } else {
            BTreeSet::from([path.to_owned()])
        };
        let mut files = Vec::new();
        for found in found {
            let shown = if found == path { text.shown().to_owned() } else { beside(text, &found) };
            if found.is_dir() {
                files.extend(self.entries(&found).into_iter().map(|name| (format!("{shown}/{name}"), found.join(name))));
                self.inputs.directories.entry(found).or_default().insert("*".to_owned());
            } else {
                files.push((shown, found));
            }
        }
        // One more than is read, so that it shows.
        files.truncate(MOST_FILES + 1);
        self.inputs.files.extend(files.iter().map(|(_, path)| path.clone()));
        files
    }

    /// The names in a directory that are not hidden. One that is no text can't be told to anybody, and is left out.
    fn entries(&self, directory: &Path) -> BTreeSet<String> {
        let names = self.witness.list(directory).unwrap_or_default();
        names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| !name.starts_with('.')).collect()
    }

    /// What tells the content of a file from another one's; `None` if there is none.
    fn print(&mut self, path: &Path) -> Option<u64> {
        let key = (self.user, path.to_owned());
        if let Some(known) = self.known.get(&key) {
            return known.print;
        }
        let stamp = self.witness.look(path);
        let is_read = self.budget.takes_bytes(stamp.as_ref().map_or(0, FileStat::size));
        let known = match self.before.get(&key) {
            Some(known) if known.is_certain && known.stamp == stamp && known.is_read == is_read => *known,
            _ => {
                let is_certain = !stamp.as_ref().is_some_and(FileStat::is_fresh);
                // What navigator can't even see is not opened: a file system that a user has mounted may never answer.
                let print = stamp.and_then(|_| self.read(path, is_read).ok());
                CachedDigest { stamp, is_certain, is_read, print }
            }
        };
        self.known.insert(key, known);
        known.print
    }

    /// Reads a file, or only its size and time.
    fn read(&self, path: &Path, is_read: bool) -> io::Result<u64> {
        let rights = self.witness.rights()?;
        let (file, stat) = open_regular(path)?;
        drop(rights);
        self.witness.ask(path, file.as_fd());
        let mut hasher = DefaultHasher::new();
        if !is_read {
            (stat.st_size, stat.st_mtime, stat.st_mtime_nsec).hash(&mut hasher);
            return Ok(hasher.finish());
        }
        let mut file = File::from(file).take(MOST_BYTES);
        let mut chunk = vec![0; 1 << 16];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(hasher.finish()),
                count => hasher.write(&chunk[..count]),
            }
        }
    }
}

/// A file that was found by a pattern, as people may see it.
fn beside(pattern: &Text, found: &Path) -> String {
    if !pattern.is_secret() {
        return found.display().to_string();
    }
    Path::new(pattern.shown()).with_file_name(found.file_name().unwrap_or_default()).display().to_string()
}

fn mixed(prints: &[u64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    prints.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::test_directory::TestDirectory;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// What a process of navigator's own user watches.
    fn wanted(watch: Vec<Text>) -> WatchRequest {
        WatchRequest { name: Name::from("web"), watch, identity: None }
    }

    impl TestDirectory {
        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("it is ours");
            fs::write(path, text).expect("it is ours");
        }

        /// What is found there, below this folder, and what tells the contents apart.
        fn found(&self, watch: &str) -> BTreeMap<String, u64> {
            let text = Text::plain(&self.path(watch).display().to_string());
            let mut survey = FileDigests::make(&[wanted(vec![text])], &BTreeMap::new(), |_| None);
            let (_, content) = survey.contents.remove(0);
            let below = format!("{}/", self.path("").display());
            content.files.into_iter().map(|(path, print)| (path.replace(&below, ""), print)).collect()
        }

        fn names(&self, watch: &str) -> Vec<String> {
            self.found(watch).into_keys().collect()
        }
    }

    #[test]
    fn a_path_stands_for_its_file_or_for_the_files_directly_in_it() {
        let folder = TestDirectory::new();
        for name in ["a.conf", "b.conf", ".b.conf.swp", "c.txt", "deeper/d.conf", "deeper/.hidden"] {
            folder.write(name, name);
        }
        symlink("c.txt", folder.path("e.conf")).expect("it is ours");
        assert_eq!(folder.names("a.conf"), ["a.conf"]);
        assert_eq!(folder.names("."), ["./a.conf", "./b.conf", "./c.txt", "./e.conf"]);
        assert_eq!(folder.names("*.conf"), ["a.conf", "b.conf", "e.conf"]);
        assert_eq!(folder.names("d*"), ["deeper/d.conf"]);
        assert_eq!(folder.names("deeper/.hidden"), ["deeper/.hidden"], "it is named");
        assert_eq!(folder.names("missing"), Vec::<String>::new());
        assert_eq!(folder.names("missing/*.conf"), Vec::<String>::new());
    }

    #[test]
    fn only_another_content_makes_a_difference() {
        let folder = TestDirectory::new();
        folder.write("a.conf", "one");
        let before = folder.found("a.conf");
        folder.write("new", "one");
        fs::rename(folder.path("new"), folder.path("a.conf")).expect("it is ours");
        assert_eq!(folder.found("a.conf"), before);
        folder.write("a.conf", "two");
        assert_ne!(folder.found("a.conf"), before);
        folder.write("a.conf", "one");
        assert_eq!(folder.found("a.conf"), before);
    }

    #[test]
    fn what_is_no_file_is_not_there_and_what_is_huge_is_not_read() {
        let folder = TestDirectory::new();
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.path("fifo"), rustix::fs::Mode::RWXU).expect("it is ours");
        assert_eq!(folder.names("fifo"), Vec::<String>::new());
        let huge = File::create(folder.path("huge")).expect("it is ours");
        huge.set_len(1 << 40).expect("it takes no room");
        let before = folder.found("huge");
        assert_eq!(before.len(), 1);
        huge.set_len((1 << 40) + 1).expect("it takes no room");
        assert_ne!(folder.found("huge"), before);
    }

    #[test]
    fn secret_parts_of_paths_are_not_shown() {
        let folder = TestDirectory::new();
        folder.write("hunter2/a.conf", "a");
        folder.write("hunter2/b.conf", "b");
        let real = |path: &str| folder.path(path).display().to_string();
        let texts = [
            Text::secret(&real("hunter2/a.conf"), "${DIR}/a.conf"),
            Text::secret(&real("hunter2/*.conf"), "${DIR}/*.conf"),
            Text::secret(&real("hunter2"), "${DIR}"),
            Text::secret(&real("hunter2/*"), "${PATTERN}"),
        ];
        for (text, expected) in texts.into_iter().zip([
            &["${DIR}/a.conf"][..],
            &["${DIR}/a.conf", "${DIR}/b.conf"],
            &["${DIR}/a.conf", "${DIR}/b.conf"],
            &["a.conf", "b.conf"],
        ]) {
            let survey = FileDigests::make(&[wanted(vec![text])], &BTreeMap::new(), |_| None);
            let shown: Vec<&String> = survey.contents[0].1.files.keys().collect();
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn what_looks_the_same_is_not_read_again() {
        let folder = TestDirectory::new();
        folder.write("a.conf", "one");
        let path = folder.path("a.conf");
        let wanted = [wanted(vec![Text::plain(&path.display().to_string())])];
        let key = (None, path.clone());
        let stamp = FileStat::of(&path);
        let known = BTreeMap::from([(key.clone(), CachedDigest { stamp, is_certain: true, is_read: true, print: Some(42) })]);
        assert_eq!(FileDigests::make(&wanted, &known, |_| None).known[&key].print, Some(42));
        let doubtful = BTreeMap::from([(key.clone(), CachedDigest { stamp, is_certain: false, is_read: true, print: Some(42) })]);
        assert_ne!(FileDigests::make(&wanted, &doubtful, |_| None).known[&key].print, Some(42));
        folder.write("a.conf", "longer");
        assert_ne!(FileDigests::make(&wanted, &known, |_| None).known[&key].print, Some(42));
    }

    #[test]
    fn what_is_read_for_one_process_is_bounded_and_it_shows() {
        let folder = TestDirectory::new();
        for number in 0..=MOST_FILES {
            folder.write(&format!("many/{number:04}"), "");
        }
        let survey = |watch: &str| {
            let text = Text::plain(&folder.path(watch).display().to_string());
            FileDigests::make(&[wanted(vec![text])], &BTreeMap::new(), |_| None)
        };
        let many = survey("many");
        assert_eq!((many.contents[0].1.files.len(), many.beyond.len()), (MOST_FILES, 1));
        fs::remove_file(folder.path("many/0000")).expect("it is ours");
        assert_eq!((survey("many").contents[0].1.files.len(), survey("many").beyond.len()), (MOST_FILES, 0));
        for name in ["large/a", "large/b"] {
            folder.write(name, "");
            File::create(folder.path(name)).and_then(|file| file.set_len(MOST_BYTES - 1)).expect("it takes no room");
        }
        let large = survey("large");
        assert_eq!((large.contents[0].1.files.len(), large.beyond.len()), (2, 1));
        let of = |name: &str| large.known[&(None, folder.path("large").join(name))].is_read;
        assert_eq!((of("a"), of("b")), (true, false));
    }
}
