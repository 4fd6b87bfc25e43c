//! Calls of `git`: with an environment of its own, without questions, hooks and the configuration of users.

use super::FollowerHost;
use crate::config::GitSource;
use crate::errand::{Errand, ErrandOutcome};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// The oldest version of `git` that is used.
pub const OLDEST_GIT: (u32, u32) = (2, 34);

/// How long a command may take that doesn't use the network.
const LOCAL: Duration = Duration::from_mins(2);

/// The time limit of the first fetch, if that of the others is shorter.
const FIRST_FETCH: Duration = Duration::from_mins(10);

/// The variables of navigator that `git` and `ssh` get.
const INHERITED: [&str; 8] = ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "SSH_AUTH_SOCK", "SSL_CERT_FILE", "SSL_CERT_DIR"];

/// Settings of every call. What the host and its users configure doesn't count.
const SETTINGS: [&str; 9] = [
    "core.hooksPath=/dev/null",
    "core.fsync=committed,reference",
    "core.fileMode=true",
    "fetch.fsckObjects=true",
    "transfer.credentialsInUrl=die",
    "gc.auto=0",
    "advice.objectNameWarning=false",
    "http.lowSpeedLimit=1",
    "http.lowSpeedTime=20",
];

/// Calls `git` for one repository.
#[derive(Clone)]
pub(super) struct Git {
    host: Arc<dyn FollowerHost>,
    mirror: PathBuf,
    source: GitSource,
}

/// A call of `git`.
pub(super) struct GitCall<'a> {
    arguments: &'a [&'a str],
    /// The index and the directory of the files, for commands that use them.
    files: Option<(&'a Path, &'a Path)>,
    within: Duration,
}

impl<'a> GitCall<'a> {
    /// A call that uses neither files nor the network.
    pub(super) fn local(arguments: &'a [&'a str]) -> GitCall<'a> {
        GitCall { arguments, files: None, within: LOCAL }
    }

    /// The same with an index and a directory of files.
    pub(super) fn with_files(self, index: &'a Path, directory: &'a Path) -> GitCall<'a> {
        GitCall { files: Some((index, directory)), ..self }
    }
}

impl Git {
    pub(super) fn new(host: Arc<dyn FollowerHost>, mirror: PathBuf, source: GitSource) -> Git {
        Git { host, mirror, source }
    }

    /// Fetches from an address. `is_first`: everything has to be fetched.
    ///
    /// # Errors
    /// Why that failed, for people.
    pub(super) fn fetch(&self, url: &str, refspecs: &[&str], is_first: bool) -> Result<(), String> {
        let quiet =
            ["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules"];
        let arguments = [&quiet[..], &["--prune", "--", url], refspecs].concat();
        let within = if is_first { self.source.timeout.max(FIRST_FETCH) } else { self.source.timeout };
        self.run(&GitCall { arguments: &arguments, files: None, within }).map(drop)
    }

    /// Runs a command. Returns what it wrote to standard output.
    ///
    /// # Errors
    /// Why it failed, for people.
    pub(super) fn run(&self, call: &GitCall<'_>) -> Result<String, String> {
        let mut command = vec!["git".to_owned()];
        command.extend(SETTINGS.iter().flat_map(|setting| ["-c".to_owned(), (*setting).to_owned()]));
        command.push(format!("--git-dir={}", self.mirror.display()));
        let mut variables = self.variables();
        if let Some((index, directory)) = call.files {
            command.push(format!("--work-tree={}", directory.display()));
            variables.push(("GIT_INDEX_FILE", index.display().to_string()));
        }
        command.extend(call.arguments.iter().map(|argument| (*argument).to_owned()));
        let (reply, outcome) = oneshot::channel();
        self.host.run(Errand { command, variables, inherited: &INHERITED, within: call.within, reply });
        let Ok(ErrandOutcome { end, output, errors }) = outcome.blocking_recv() else {
            return Err("navigator is shutting down".to_owned());
        };
        match end {
            Ok(()) => Ok(String::from_utf8_lossy(&output).into_owned()),
            Err(why) => Err(self.without_users(&reason(&String::from_utf8_lossy(&errors), &why))),
        }
    }

    fn variables(&self) -> Vec<(&'static str, String)> {
        let fixed = [
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", "file:ssh:https"),
            ("GIT_SSH_VARIANT", "ssh"),
            ("LC_ALL", "C.UTF-8"),
        ];
        let fixed = fixed.into_iter().map(|(name, value)| (name, value.to_owned()));
        fixed.chain([("GIT_SSH_COMMAND", self.ssh())]).collect()
    }

    /// How ssh is called: it checks the host's key, and asks nothing.
    fn ssh(&self) -> String {
        let seconds = self.source.timeout.as_secs().clamp(1, 30);
        let mut words = vec!["ssh".to_owned()];
        let options = [
            "BatchMode=yes".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            format!("ConnectTimeout={seconds}"),
            "ServerAliveInterval=10".to_owned(),
            "ServerAliveCountMax=3".to_owned(),
        ];
        words.extend(options.iter().flat_map(|option| ["-o".to_owned(), option.clone()]));
        if let Some(key) = &self.source.ssh_key {
            words.extend(["-i".to_owned(), quoted(&key.display().to_string()), "-o".to_owned(), "IdentitiesOnly=yes".to_owned()]);
        }
        if let Some(hosts) = &self.source.known_hosts {
            let hosts = format!("UserKnownHostsFile=\"{}\"", hosts.display());
            words.extend(["-o".to_owned(), quoted(&hosts), "-o".to_owned(), "GlobalKnownHostsFile=/dev/null".to_owned()]);
        }
        words.join(" ")
    }

    /// A text in which addresses have no names of users: such a name may be a token.
    fn without_users(&self, text: &str) -> String {
        self.source.urls.iter().fold(text.to_owned(), |text, url| {
            let scheme = url.split_once("://").filter(|(scheme, _)| *scheme == "https");
            let user = scheme.and_then(|(_, rest)| rest.split('/').next()?.rsplit_once('@')).map(|(user, _)| user);
            user.filter(|user| !user.is_empty()).map_or(text.clone(), |user| text.replace(user, "…"))
        })
    }
}

/// An address without the name of a user.
pub(super) fn shown_url(url: &str) -> String {
    match url.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}/{path}")
        }
        None if url.starts_with('/') => url.to_owned(),
        None => url.split_once('@').map_or(url, |(_, rest)| rest).to_owned(),
    }
}

/// A word for a shell.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Why a command failed: what it says, else how it ended.
fn reason(output: &str, end: &str) -> String {
    let said = output.lines().map(str::trim).filter(|line| !line.is_empty());
    let causes: Vec<&str> =
        said.clone().filter_map(|line| line.strip_prefix("fatal: ").or(line.strip_prefix("error: "))).collect();
    let is_general = |line: &&str| line.starts_with("Could not read from remote") || line.starts_with("the remote end hung up");
    let cause = causes.iter().find(|line| !is_general(line)).copied();
    let first = said.clone().find(|line| !line.starts_with("fatal: Could not read") && !line.starts_with("hint:"));
    match (cause, first) {
        // At a timeout it had no time to say anything of use.
        _ if end.starts_with("no end within") => end.to_owned(),
        (Some(cause), _) => cause.to_owned(),
        (None, Some(first)) => first.to_owned(),
        (None, None) => end.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_shown_without_users() {
        for (url, shown) in [
            ("ssh://git@host/ops/hosts.git", "ssh://host/ops/hosts.git"),
            ("https://token@host/hosts", "https://host/hosts"),
            ("git@host:ops/hosts.git", "host:ops/hosts.git"),
            ("/srv/a@b/hosts.git", "/srv/a@b/hosts.git"),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }

    #[test]
    fn the_reason_is_what_git_or_ssh_says() {
        for (output, end, expected) in [
            ("", "exit status 128", "exit status 128"),
            ("fatal: couldn't find remote ref refs/heads/x\n", "exit status 128", "couldn't find remote ref refs/heads/x"),
            (
                "Host key verification failed.\r\nfatal: Could not read from remote repository.\n\nPlease make sure\n",
                "exit status 128",
                "Host key verification failed.",
            ),
            ("remote: counting\n", "no end within 1s", "no end within 1s"),
        ] {
            assert_eq!(reason(output, end), expected);
        }
    }
}
