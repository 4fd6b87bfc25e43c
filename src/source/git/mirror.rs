//! The clone of the repository: bare, and used by this navigator alone.

use super::command::{Git, GitCall};
use super::removal::remove;
use crate::config::{GitReference, GitSource, matches};
use crate::ledger::CommitInfo;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The ref of what is followed.
const NEWEST: &str = "refs/navigator/newest";

/// The refs of tags.
const TAGS: &str = "refs/navigator/tags";

/// The ref that keeps the commit in force.
const IN_FORCE: &str = "refs/navigator/in-force";

/// The ref that keeps the newest commit that was taken.
const FLOOR: &str = "refs/navigator/floor";

/// What Git says of a damaged repository.
const DAMAGES: [&str; 13] = [
    "corrupt",
    "bad object",
    "unable to read",
    "broken",
    "missing blob",
    "missing tree",
    "missing commit",
    "not a git repository",
    "loose object",
    "packfile",
    "bad signature",
    "unable to parse",
    "leads to no commit",
];

/// The clone of a repository.
pub(super) struct Mirror {
    git: Git,
    path: PathBuf,
    source: GitSource,
}

/// What is followed now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Newest {
    /// The commit.
    pub(super) commit: String,
    /// The tag that leads to it, if tags are followed.
    pub(super) tag: Option<String>,
}

impl Mirror {
    pub(super) fn new(git: Git, path: PathBuf, source: GitSource) -> Mirror {
        Mirror { git, path, source }
    }

    /// Makes the clone if it is missing, and removes what an interrupted command left.
    ///
    /// # Errors
    /// Why that failed, for people.
    pub(super) fn prepare(&self) -> Result<(), String> {
        if !self.path.join("HEAD").exists() {
            self.make()?;
        }
        remove_leftovers(&self.path).map_err(|error| format!("failed to remove files of an interrupted fetch: {error}"))
    }

    /// Makes an empty clone in the place of what is there.
    ///
    /// # Errors
    /// Why that failed, for people.
    pub(super) fn make(&self) -> Result<(), String> {
        let failed = |error: io::Error| format!("failed to make `{}`: {error}", self.path.display());
        remove(&self.path).map_err(failed)?;
        // Other users must not read it.
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700).create(&self.path).map_err(failed)?;
        self.local(&["init", "--quiet", "--bare", "--template="]).map(drop)
    }

    /// Fetches from the first address that answers.
    ///
    /// # Errors
    /// What the last address answers, for people.
    pub(super) fn fetch(&self) -> Result<(), String> {
        self.fetch_refs(&self.refspecs())
    }

    /// Whether a command failed because the clone is damaged.
    pub(super) fn is_damaged(&self, why: &str) -> bool {
        let check = ["fsck", "--connectivity-only", "--no-dangling", "--no-progress"];
        DAMAGES.iter().any(|damage| why.contains(damage)) && self.local(&check).is_err()
    }

    fn refspecs(&self) -> Vec<String> {
        match &self.source.reference {
            GitReference::Branch(name) => vec![format!("+refs/heads/{name}:{NEWEST}")],
            GitReference::Tag(name) => vec![format!("+refs/tags/{name}:{NEWEST}")],
            GitReference::Tags(_) => vec![format!("+refs/tags/*:{TAGS}/*")],
        }
    }

    fn fetch_refs(&self, refspecs: &[String]) -> Result<(), String> {
        let refspecs: Vec<&str> = refspecs.iter().map(String::as_str).collect();
        let is_first = self.local(&["for-each-ref", "--count=1"]).is_ok_and(|refs| refs.is_empty());
        let mut outcome = Err("no address".to_owned());
        for url in &self.source.urls {
            outcome = self.git.fetch(url, &refspecs, is_first);
            if outcome.is_ok() {
                break;
            }
        }
        outcome
    }

    /// What is followed now, as far as it was fetched.
    ///
    /// # Errors
    /// There is no such commit.
    pub(super) fn newest(&self) -> Result<Newest, String> {
        let (reference, tag) = match &self.source.reference {
            GitReference::Branch(_) => (NEWEST.to_owned(), None),
            GitReference::Tag(name) => (NEWEST.to_owned(), Some(name.clone())),
            GitReference::Tags(pattern) => {
                let format = ["for-each-ref", "--sort=-version:refname", "--format=%(refname:strip=3)", TAGS];
                let tags = self.local(&[&["-c", "versionsort.suffix=-"][..], &format].concat())?;
                let tag = tags.lines().find(|tag| matches(pattern, tag)).map(str::to_owned);
                let tag = tag.ok_or_else(|| format!("the repository has no tag that matches `{pattern}`"))?;
                (format!("{TAGS}/{tag}"), Some(tag))
            }
        };
        let commit = self.id(&reference).ok_or_else(|| format!("`{}` leads to no commit", self.source.reference.name()))?;
        Ok(Newest { commit, tag })
    }

    /// The commit that a revision means, if it is in the clone.
    fn id(&self, revision: &str) -> Option<String> {
        let id = self.local(&["rev-parse", "--verify", "--quiet", "--end-of-options", &format!("{revision}^{{commit}}")]).ok()?;
        let id = id.trim();
        is_id(id, 40).then(|| id.to_owned())
    }

    /// The commit that a person means: by its id, or by the name of a branch or tag, which is fetched.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn resolve(&self, revision: &str) -> Result<String, String> {
        if is_id(revision, 4)
            && let Some(commit) = self.id(revision)
        {
            return Ok(commit);
        }
        if revision.is_empty() || revision.starts_with('-') || revision.contains(|char: char| " ~^:?*[\\".contains(char)) {
            return Err(format!("`{revision}` is no commit, branch or tag"));
        }
        for kind in ["heads", "tags"] {
            let asked = format!("refs/navigator/asked/{kind}");
            match self.fetch_refs(&[format!("+refs/{kind}/{revision}:{asked}")]) {
                Ok(()) => {
                    if let Some(commit) = self.id(&asked) {
                        return Ok(commit);
                    }
                }
                Err(why) if why.contains("couldn't find remote ref") => {}
                Err(why) => return Err(format!("failed to fetch `{revision}`: {why}")),
            }
        }
        Err(format!("the repository has no commit, branch or tag `{revision}`"))
    }

    /// What people know a commit by.
    ///
    /// # Errors
    /// It can't be read.
    pub(super) fn info(&self, commit: &str) -> Result<CommitInfo, String> {
        let text = self.local(&["log", "-1", "--no-show-signature", "--format=%s%n%an <%ae>", commit])?;
        let mut lines = text.lines().map(str::to_owned);
        let (subject, author) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        Ok(CommitInfo { id: commit.to_owned(), subject, author })
    }

    /// Whether a commit descends from another. One that is not in the clone has no descendants.
    pub(super) fn descends(&self, commit: &str, from: &str) -> Result<bool, String> {
        if self.id(from).is_none() {
            return Ok(false);
        }
        // Nothing of the older one is missing in the newer one.
        let missing = self.local(&["rev-list", "--max-count=1", from, &format!("^{commit}")])?;
        Ok(missing.trim().is_empty())
    }

    /// Whether a commit has a file.
    pub(super) fn has_file(&self, commit: &str, path: &str) -> Result<bool, String> {
        Ok(!self.local(&["ls-tree", "--name-only", "--full-tree", commit, "--", path])?.trim().is_empty())
    }

    /// Keeps the commit in force and the newest one that was taken.
    pub(super) fn keep(&self, in_force: &str, floor: &str) -> Result<(), String> {
        self.local(&["update-ref", IN_FORCE, in_force])?;
        self.local(&["update-ref", FLOOR, floor]).map(drop)
    }

    /// Makes the files of a commit in a directory, with a new index.
    pub(super) fn check_out(&self, commit: &str, index: &Path, directory: &Path) -> Result<(), String> {
        self.with_files(&["read-tree", commit], index, directory)?;
        self.put_back(index, directory)
    }

    /// Makes the files of an index that are missing or differ.
    pub(super) fn put_back(&self, index: &Path, directory: &Path) -> Result<(), String> {
        self.with_files(&["checkout-index", "--all", "--force", "--index"], index, directory).map(drop)
    }

    /// The files of a checkout that differ from its commit.
    pub(super) fn changed(&self, index: &Path, directory: &Path) -> Result<Vec<String>, String> {
        let names = self.with_files(&["diff-files", "--name-only", "-z"], index, directory)?;
        Ok(names.split('\0').filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }

    fn with_files(&self, arguments: &[&str], index: &Path, directory: &Path) -> Result<String, String> {
        self.git.run(&GitCall::local(arguments).with_files(index, directory))
    }

    fn local(&self, arguments: &[&str]) -> Result<String, String> {
        self.git.run(&GitCall::local(arguments))
    }
}

/// Whether a text is the id of a commit, or the beginning of one.
fn is_id(text: &str, at_least: usize) -> bool {
    (at_least..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Removes locks and unfinished files: no other program uses the clone.
fn remove_leftovers(mirror: &Path) -> io::Result<()> {
    for directory in ["", "objects/pack"] {
        remove_in(&mirror.join(directory), |name| name.strip_suffix(".lock").is_some() || name.starts_with("tmp_"))?;
    }
    let mut open = vec![mirror.join("refs")];
    while let Some(directory) = open.pop() {
        remove_in(&directory, |name| name.strip_suffix(".lock").is_some())?;
        let entries = fs::read_dir(&directory).into_iter().flatten().flatten();
        open.extend(entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()));
    }
    for entry in fs::read_dir(mirror.join("objects")).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("tmp_objdir") || name.starts_with("incoming-") {
            // Objects are fetched into a directory of their own first.
            remove(&entry.path())?;
        } else if name.len() == 2 {
            remove_in(&entry.path(), |name| name.starts_with("tmp_obj"))?;
        }
    }
    Ok(())
}

fn remove_in(directory: &Path, is_leftover: impl Fn(&str) -> bool) -> io::Result<()> {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if is_leftover(&entry.file_name().to_string_lossy()) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_an_interrupted_fetch_left_is_removed() {
        let mirror = std::env::temp_dir().join(format!("navigator-mirror-{}", std::process::id()));
        let files = ["HEAD", "HEAD.lock", "packed-refs.lock", "refs/navigator/newest", "refs/navigator/newest.lock"];
        let packs = ["objects/pack/tmp_pack_1", "objects/pack/pack-1.pack", "objects/tmp_objdir-1/x", "objects/0a/tmp_obj_1"];
        for file in files.iter().chain(&packs) {
            let path = mirror.join(file);
            fs::create_dir_all(path.parent().expect("it is in the mirror")).expect("its name is new");
            fs::write(path, "").expect("it is ours");
        }
        remove_leftovers(&mirror).expect("it is ours");
        let left: Vec<&str> = files.into_iter().chain(packs).filter(|file| mirror.join(file).exists()).collect();
        assert_eq!(left, ["HEAD", "refs/navigator/newest", "objects/pack/pack-1.pack"]);
        fs::remove_dir_all(&mirror).expect("it is ours");
    }
}
