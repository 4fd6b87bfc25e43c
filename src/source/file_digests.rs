//! Reads the files that processes watch, and makes a digest of each content.
//!
//! A path names a file, or a directory, which stands for the files directly in it. A pattern stands for every file and directory
//! that matches. Hidden names count only where they are named. Unreadable files are left out.
//!
//! Files are opened with the identity of the process's user, and only regular files are read. What is read for one process is
//! limited ([`MAX_FILES`], [`MAX_BYTES`]); exceeding a limit is reported.

use super::file::{ReadRecord, RecordingFs, WriterCheck};
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

/// The most files that are watched for one process; further ones are left out.
pub(super) const MAX_FILES: usize = 1000;
/// The most bytes that are read for one process. A change of further files is seen by size and time alone.
pub(super) const MAX_BYTES: u64 = 64 << 20;

/// What a process watches.
#[derive(Clone, Debug)]
pub(super) struct WatchRequest {
    pub(super) name: Name,
    pub(super) watch: Vec<Text>,
    /// The identity to read with; `None`: navigator's own.
    pub(super) identity: Option<Identity>,
}

/// The user to read for, and the path.
type DigestKey = (Option<u32>, PathBuf);

/// One reading of everything that is watched.
#[derive(Debug, Default)]
pub(super) struct FileDigests {
    pub(super) contents: Contents,
    /// The files and directories that decide which files are watched.
    pub(super) inputs: Inputs,
    pub(super) record: ReadRecord,
    pub(super) cache: BTreeMap<DigestKey, CachedDigest>,
    /// The processes that watch more than the limits allow.
    pub(super) over_limit: BTreeSet<Name>,
}

/// A file that was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct CachedDigest {
    stat: Option<FileStat>,
    /// The same metadata means the same content.
    is_certain: bool,
    /// The content was read, not only size and time.
    is_read: bool,
    /// Differs where the content does; `None`: the file can't be read.
    digest: Option<u64>,
}

impl FileDigests {
    /// Reads everything, except files in the `previous` cache with unchanged metadata.
    pub(super) fn read(
        wanted: &[WatchRequest],
        previous: &BTreeMap<DigestKey, CachedDigest>,
        has_writer: WriterCheck,
    ) -> FileDigests {
        let mut reader = DigestReader {
            fs: RecordingFs::new(has_writer),
            inputs: Inputs::default(),
            previous,
            cache: BTreeMap::new(),
            user: None,
            budget: ReadBudget::default(),
        };
        let (mut contents, mut over_limit) = (Contents::new(), BTreeSet::new());
        for WatchRequest { name, watch, identity } in wanted {
            reader.begin_process(identity.as_ref());
            contents.push((name.clone(), reader.content(watch)));
            if reader.budget.is_exceeded {
                over_limit.insert(name.clone());
            }
        }
        let DigestReader { fs, inputs, cache, .. } = reader;
        FileDigests { contents, inputs, record: fs.finish().0, cache, over_limit }
    }
}

/// A reading in progress.
struct DigestReader<'a> {
    fs: RecordingFs,
    inputs: Inputs,
    previous: &'a BTreeMap<DigestKey, CachedDigest>,
    cache: BTreeMap<DigestKey, CachedDigest>,
    /// The user to read for.
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
    /// Counts one more file; returns whether it is within the limit.
    fn takes_file(&mut self) -> bool {
        self.files += 1;
        self.is_exceeded |= self.files > MAX_FILES;
        self.files <= MAX_FILES
    }

    /// Counts more bytes; returns whether they are within the limit.
    fn takes_bytes(&mut self, bytes: u64) -> bool {
        let sum = self.bytes.saturating_add(bytes);
        let fits = sum <= MAX_BYTES;
        self.is_exceeded |= !fits;
        self.bytes = if fits { sum } else { self.bytes };
        fits
    }
}

impl DigestReader<'_> {
    /// Starts on the files of the next process.
    fn begin_process(&mut self, identity: Option<&Identity>) {
        self.user = identity.and_then(|identity| identity.user);
        self.fs.set_identity(identity.cloned());
        self.budget = ReadBudget::default();
    }

    fn content(&mut self, watch: &[Text]) -> Content {
        let mut files = BTreeMap::new();
        for text in watch {
            for (shown, path) in self.files(text) {
                if !self.budget.takes_file() {
                    break;
                }
                let Some(digest) = self.digest(&path) else { continue };
                // Two paths may be shown alike where a part of them is secret.
                files.entry(shown).and_modify(|others| *others = combine(&[*others, digest])).or_insert(digest);
            }
        }
        Content { watch: watch.to_vec(), files }
    }

    /// The files that a path or pattern stands for: the text to show, and the real path.
    fn files(&mut self, text: &Text) -> Vec<(String, PathBuf)> {
        let path = Path::new(text.value());
        let found = if is_glob(text.value()) {
            // Unreadable directories are left out, as unreadable files are.
            expand(path, &self.fs, &mut self.inputs.directories).unwrap_or_default()
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
        // One file over the limit, so that exceeding it is seen.
        files.truncate(MAX_FILES + 1);
        self.inputs.files.extend(files.iter().map(|(_, path)| path.clone()));
        files
    }

    /// The names in a directory that are neither hidden nor invalid UTF-8.
    fn entries(&self, directory: &Path) -> BTreeSet<String> {
        let names = self.fs.list(directory).unwrap_or_default();
        names.into_iter().filter_map(|name| name.into_string().ok()).filter(|name| !name.starts_with('.')).collect()
    }

    /// The digest of a file's content; `None` if it can't be read.
    fn digest(&mut self, path: &Path) -> Option<u64> {
        let key = (self.user, path.to_owned());
        if let Some(known) = self.cache.get(&key) {
            return known.digest;
        }
        let stat = self.fs.stat(path);
        let is_read = self.budget.takes_bytes(stat.as_ref().map_or(0, FileStat::size));
        let known = match self.previous.get(&key) {
            Some(known) if known.is_certain && known.stat == stat && known.is_read == is_read => *known,
            _ => {
                let is_certain = !stat.as_ref().is_some_and(FileStat::is_fresh);
                // A path that navigator can't see is not opened: a user's own mount (FUSE) may never answer.
                let digest = stat.and_then(|_| self.read(path, is_read).ok());
                CachedDigest { stat, is_certain, is_read, digest }
            }
        };
        self.cache.insert(key, known);
        known.digest
    }

    /// Reads a file's content, or only its size and time.
    fn read(&self, path: &Path, is_read: bool) -> io::Result<u64> {
        let rights = self.fs.borrow_identity()?;
        let (file, stat) = open_regular(path)?;
        drop(rights);
        self.fs.check_writer(path, file.as_fd());
        let mut hasher = DefaultHasher::new();
        if !is_read {
            (stat.st_size, stat.st_mtime, stat.st_mtime_nsec).hash(&mut hasher);
            return Ok(hasher.finish());
        }
        let mut file = File::from(file).take(MAX_BYTES);
        let mut chunk = vec![0; 1 << 16];
        loop {
            match file.read(&mut chunk)? {
                0 => return Ok(hasher.finish()),
                count => hasher.write(&chunk[..count]),
            }
        }
    }
}

/// The text to show for a file that a pattern found.
fn beside(pattern: &Text, found: &Path) -> String {
    if !pattern.is_secret() {
        return found.display().to_string();
    }
    Path::new(pattern.shown()).with_file_name(found.file_name().unwrap_or_default()).display().to_string()
}

fn combine(digests: &[u64]) -> u64 {
    let mut hasher = DefaultHasher::new();
    digests.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::test_directory::TestDirectory;
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A request of a process that runs as navigator's own user.
    fn wanted(watch: Vec<Text>) -> WatchRequest {
        WatchRequest { name: Name::from("web"), watch, identity: None }
    }

    impl TestDirectory {
        fn write(&self, name: &str, text: &str) {
            let path = self.path(name);
            fs::create_dir_all(path.parent().expect("it lies in the directory")).expect("it is ours");
            fs::write(path, text).expect("it is ours");
        }

        /// The digests of the files found there, by path below this directory.
        fn found(&self, watch: &str) -> BTreeMap<String, u64> {
            let text = Text::plain(&self.path(watch).display().to_string());
            let mut digests = FileDigests::read(&[wanted(vec![text])], &BTreeMap::new(), |_| None);
            let (_, content) = digests.contents.remove(0);
            let below = format!("{}/", self.path("").display());
            content.files.into_iter().map(|(path, digest)| (path.replace(&below, ""), digest)).collect()
        }

        fn names(&self, watch: &str) -> Vec<String> {
            self.found(watch).into_keys().collect()
        }
    }

    #[test]
    fn a_path_stands_for_its_file_or_for_the_files_directly_in_it() {
        let directory = TestDirectory::new();
        for name in ["a.conf", "b.conf", ".b.conf.swp", "c.txt", "deeper/d.conf", "deeper/.hidden"] {
            directory.write(name, name);
        }
        symlink("c.txt", directory.path("e.conf")).expect("it is ours");
        assert_eq!(directory.names("a.conf"), ["a.conf"]);
        assert_eq!(directory.names("."), ["./a.conf", "./b.conf", "./c.txt", "./e.conf"]);
        assert_eq!(directory.names("*.conf"), ["a.conf", "b.conf", "e.conf"]);
        assert_eq!(directory.names("d*"), ["deeper/d.conf"]);
        assert_eq!(directory.names("deeper/.hidden"), ["deeper/.hidden"], "it is named");
        assert_eq!(directory.names("missing"), Vec::<String>::new());
        assert_eq!(directory.names("missing/*.conf"), Vec::<String>::new());
    }

    #[test]
    fn a_digest_differs_only_if_the_content_does() {
        let directory = TestDirectory::new();
        directory.write("a.conf", "one");
        let before = directory.found("a.conf");
        directory.write("new", "one");
        fs::rename(directory.path("new"), directory.path("a.conf")).expect("it is ours");
        assert_eq!(directory.found("a.conf"), before);
        directory.write("a.conf", "two");
        assert_ne!(directory.found("a.conf"), before);
        directory.write("a.conf", "one");
        assert_eq!(directory.found("a.conf"), before);
    }

    #[test]
    fn special_files_are_left_out_and_huge_files_are_not_read() {
        let directory = TestDirectory::new();
        rustix::fs::mkfifoat(rustix::fs::CWD, directory.path("fifo"), rustix::fs::Mode::RWXU).expect("it is ours");
        assert_eq!(directory.names("fifo"), Vec::<String>::new());
        let huge = File::create(directory.path("huge")).expect("it is ours");
        huge.set_len(1 << 40).expect("it takes no room");
        let before = directory.found("huge");
        assert_eq!(before.len(), 1);
        huge.set_len((1 << 40) + 1).expect("it takes no room");
        assert_ne!(directory.found("huge"), before);
    }

    #[test]
    fn secret_parts_of_paths_are_not_shown() {
        let directory = TestDirectory::new();
        directory.write("hunter2/a.conf", "a");
        directory.write("hunter2/b.conf", "b");
        let real = |path: &str| directory.path(path).display().to_string();
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
            let digests = FileDigests::read(&[wanted(vec![text])], &BTreeMap::new(), |_| None);
            let shown: Vec<&String> = digests.contents[0].1.files.keys().collect();
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn a_file_with_unchanged_metadata_is_not_read_again() {
        let directory = TestDirectory::new();
        directory.write("a.conf", "one");
        let path = directory.path("a.conf");
        let wanted = [wanted(vec![Text::plain(&path.display().to_string())])];
        let key = (None, path.clone());
        let stat = FileStat::of(&path);
        let known = BTreeMap::from([(key.clone(), CachedDigest { stat, is_certain: true, is_read: true, digest: Some(42) })]);
        assert_eq!(FileDigests::read(&wanted, &known, |_| None).cache[&key].digest, Some(42));
        let doubtful = BTreeMap::from([(key.clone(), CachedDigest { stat, is_certain: false, is_read: true, digest: Some(42) })]);
        assert_ne!(FileDigests::read(&wanted, &doubtful, |_| None).cache[&key].digest, Some(42));
        directory.write("a.conf", "longer");
        assert_ne!(FileDigests::read(&wanted, &known, |_| None).cache[&key].digest, Some(42));
    }

    #[test]
    fn limits_on_one_process_are_held_and_reported() {
        let directory = TestDirectory::new();
        for number in 0..=MAX_FILES {
            directory.write(&format!("many/{number:04}"), "");
        }
        let digests = |watch: &str| {
            let text = Text::plain(&directory.path(watch).display().to_string());
            FileDigests::read(&[wanted(vec![text])], &BTreeMap::new(), |_| None)
        };
        let many = digests("many");
        assert_eq!((many.contents[0].1.files.len(), many.over_limit.len()), (MAX_FILES, 1));
        fs::remove_file(directory.path("many/0000")).expect("it is ours");
        assert_eq!((digests("many").contents[0].1.files.len(), digests("many").over_limit.len()), (MAX_FILES, 0));
        for name in ["large/a", "large/b"] {
            directory.write(name, "");
            File::create(directory.path(name)).and_then(|file| file.set_len(MAX_BYTES - 1)).expect("it takes no room");
        }
        let large = digests("large");
        assert_eq!((large.contents[0].1.files.len(), large.over_limit.len()), (2, 1));
        let of = |name: &str| large.cache[&(None, directory.path("large").join(name))].is_read;
        assert_eq!((of("a"), of("b")), (true, false));
    }
}
