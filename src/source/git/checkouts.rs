//! Checkouts of commits, each in a directory of its own, and the link to the one in force.

use super::commit_files::{CommitFiles, CommitInForce, KnownFiles};
use super::mirror::Mirror;
use super::removal::remove;
use crate::error_text::words;
use crate::ledger::{DataDir, Ledger};
use rustix::fs::syncfs;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// How many checkouts are kept.
const KEPT: usize = 10;

/// The checkouts of an instance.
pub(super) struct Checkouts {
    data: DataDir,
}

impl Checkouts {
    pub(super) fn new(data: DataDir) -> Checkouts {
        Checkouts { data }
    }

    /// The directory of a commit.
    pub(super) fn path(&self, commit: &str) -> PathBuf {
        self.data.checkouts().join(commit)
    }

    fn index(&self, commit: &str) -> PathBuf {
        self.data.checkouts().join(format!("{commit}.index"))
    }

    /// Makes the checkout of a commit: aside, and complete before it has its name. One that exists is put in order. Returns the
    /// files that differed.
    ///
    /// # Errors
    /// Why that failed, for people.
    pub(super) fn make(&self, mirror: &Mirror, commit: &str) -> Result<Vec<String>, String> {
        let (path, index) = (self.path(commit), self.index(commit));
        if path.exists() && index.exists() {
            return self.restore(mirror, commit);
        }
        let failed = |error: io::Error| format!("failed to check out: {}", words(&error));
        fs::create_dir_all(self.data.checkouts()).map_err(failed)?;
        let aside = self.data.checkouts().join("new");
        remove(&aside).and_then(|()| remove(&path)).map_err(failed)?;
        for name in [&index, &index.with_extension("index.lock")] {
            remove(name).map_err(failed)?;
        }
        DirBuilder::new().create(&aside).map_err(failed)?;
        mirror.check_out(commit, &index, &aside)?;
        let sync = || syncfs(File::open(&aside)?).map_err(io::Error::from);
        sync().and_then(|()| fs::rename(&aside, &path)).map_err(failed)?;
        Ok(Vec::new())
    }

    /// Puts the files of a checkout back that differ from the commit, and returns their names.
    ///
    /// # Errors
    /// Why that failed, for people.
    fn restore(&self, mirror: &Mirror, commit: &str) -> Result<Vec<String>, String> {
        let (path, index) = (self.path(commit), self.index(commit));
        remove(&index.with_extension("index.lock")).map_err(|error| words(&error))?;
        let Ok(changed) = mirror.changed(&index, &path) else {
            remove(&index).map_err(|error| words(&error))?;
            return mirror.check_out(commit, &index, &path).map(|()| vec!["its index".to_owned()]);
        };
        if !changed.is_empty() {
            mirror.put_back(&index, &path)?;
        }
        Ok(changed)
    }

    /// Makes a checkout the one in force. Writes what is known of its files first.
    ///
    /// # Errors
    /// It can't be written.
    pub(super) fn put_in_force(&self, commit: &str, known: KnownFiles) -> io::Result<CommitFiles> {
        let text = serde_json::to_vec(&known)?;
        let file = self.data.checkouts().join(format!("{commit}.read"));
        let new = file.with_extension("read.new");
        fs::write(&new, text)?;
        File::open(&new)?.sync_all()?;
        fs::rename(&new, file)?;
        self.link(commit)?;
        Ok(CommitFiles { commit: commit.to_owned(), directory: self.data.current(), known: Arc::new(known) })
    }

    /// Has the link lead to a checkout.
    fn link(&self, commit: &str) -> io::Result<()> {
        let target = Path::new("checkouts").join(commit);
        if fs::read_link(self.data.current()).is_ok_and(|current| current == target) {
            return Ok(());
        }
        let new = self.data.path().join("current.new");
        remove(&new)?;
        symlink(target, &new)?;
        fs::rename(&new, self.data.current())?;
        self.data.sync()
    }

    /// The commit that was in force, without Git and without a network: what is known of its files, and the link.
    ///
    /// # Errors
    /// The link can't be made.
    pub(super) fn reopen(&self, commit: &str) -> io::Result<CommitFiles> {
        let text = fs::read(self.data.checkouts().join(format!("{commit}.read")));
        // Without it, the checkout is read.
        let known = text.ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        self.link(commit)?;
        Ok(CommitFiles { commit: commit.to_owned(), directory: self.data.current(), known: Arc::new(known) })
    }

    /// Removes what an interrupted checkout left: files without a checkout, unless they are of the commit in force.
    ///
    /// # Errors
    /// They can't be listed or removed.
    pub(super) fn remove_leftovers(&self, in_force: Option<&str>) -> io::Result<()> {
        let entries = match fs::read_dir(self.data.checkouts()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let is_leftover = name.split_once('.').map_or(name == "new", |(commit, kind)| {
                !matches!(kind, "index" | "read") || !self.path(commit).is_dir() && Some(commit) != in_force
            });
            if is_leftover {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }

    /// Removes old checkouts, but none in which a process works. `wanted`: commits to keep.
    ///
    /// # Errors
    /// They can't be listed or removed.
    pub(super) fn remove_old(&self, wanted: &[&str]) -> io::Result<()> {
        let mut found: Vec<(SystemTime, String)> = Vec::new();
        for entry in fs::read_dir(self.data.checkouts())? {
            let entry = entry?;
            if let (true, Ok(name)) = (entry.file_type()?.is_dir(), entry.file_name().into_string())
                && name != "new"
            {
                found.push((entry.metadata()?.modified()?, name));
            }
        }
        found.sort();
        found.retain(|(_, name)| !wanted.contains(&name.as_str()));
        let surplus = (found.len() + wanted.len()).saturating_sub(KEPT).min(found.len());
        if surplus == 0 {
            return Ok(());
        }
        let directories = working_directories();
        for (_, commit) in &found[..surplus] {
            let path = self.path(commit);
            if !directories.iter().any(|directory| directory.starts_with(&path)) {
                remove(&path)?;
                remove(&self.index(commit))?;
                remove(&self.data.checkouts().join(format!("{commit}.read")))?;
            }
        }
        Ok(())
    }
}

/// The commit that was in force when navigator ended, without Git and without a network.
///
/// # Errors
/// The data directory is damaged.
pub fn in_force_at_start(data: &DataDir, in_force: &CommitInForce) -> Result<(), String> {
    let unreadable = |error: io::Error| format!("failed to read `{}`: {}", data.path().display(), words(&error));
    let ledger = Ledger::read(data).map_err(unreadable)?;
    if let Some(taken) = ledger.in_force {
        in_force.set(Some(Checkouts::new(data.clone()).reopen(&taken.commit.id).map_err(unreadable)?));
    }
    Ok(())
}

/// The working directories of all processes that can be seen.
fn working_directories() -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    processes.filter_map(|process| fs::read_link(process.path().join("cwd")).ok()).collect()
}
