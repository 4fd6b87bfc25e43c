//! A Git repository in a site: a bare one that navigator follows, and a clone to commit in.

use super::{Site, client};
use std::path::PathBuf;
use std::process::Command;

/// A repository of configurations.
#[derive(Debug)]
pub(crate) struct Repository<'s> {
    site: &'s Site,
    name: &'static str,
}

impl<'s> Repository<'s> {
    /// A bare repository `hosts.git` with a branch `main`, and a clone of it.
    pub(crate) fn new(site: &'s Site) -> Repository<'s> {
        Repository::named(site, "hosts")
    }

    pub(crate) fn named(site: &'s Site, name: &'static str) -> Repository<'s> {
        let repository = Repository { site, name };
        let (bare, work) = (repository.url(), repository.work());
        repository.git_in(None, &["init", "--quiet", "--bare", "--initial-branch=main", &bare]);
        repository.git_in(None, &["init", "--quiet", "--initial-branch=main", &work.display().to_string()]);
        repository.git(&["remote", "add", "origin", &bare]);
        repository
    }

    /// The path of the bare repository.
    pub(crate) fn url(&self) -> String {
        self.site.path(&format!("{}.git", self.name)).display().to_string()
    }

    /// The directory of the clone.
    fn work(&self) -> PathBuf {
        self.site.path(&format!("{}-work", self.name))
    }

    /// Commits these files, and pushes the commit. Returns its id.
    #[track_caller]
    pub(crate) fn push(&self, subject: &str, files: &[(&str, &str)]) -> String {
        let commit = self.commit(subject, files);
        self.git(&["push", "--quiet", "--force", "origin", "HEAD:main"]);
        commit
    }

    /// Commits these files. Returns the commit's id.
    #[track_caller]
    pub(crate) fn commit(&self, subject: &str, files: &[(&str, &str)]) -> String {
        for (path, text) in files {
            self.site.write(&format!("{}-work/{path}", self.name), text);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", subject]);
        self.git(&["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Runs `git` in the clone.
    #[track_caller]
    pub(crate) fn git(&self, arguments: &[&str]) -> String {
        self.git_in(Some(self.work()), arguments)
    }

    #[track_caller]
    fn git_in(&self, directory: Option<PathBuf>, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        self.site.surround(&mut command);
        for part in ["AUTHOR", "COMMITTER"] {
            command.env(format!("GIT_{part}_NAME"), "Ada").env(format!("GIT_{part}_EMAIL"), "ada@example.com");
        }
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
        if let Some(directory) = directory {
            command.current_dir(directory);
        }
        client(command.args(arguments))
    }
}
