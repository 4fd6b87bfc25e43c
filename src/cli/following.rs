//! What following a repository needs of the running program.

use crate::errand::Errand;
use crate::snapshot::SourceSnapshot;
use crate::source::{FollowerHost, OLDEST_GIT, Reloaded};
use crate::supervisor::{News, ReloadOutcome, Request};
use reconcile::desired::Desired;
use std::process::Command;
use tokio::sync::{mpsc, oneshot};

/// The event loop, as the thread that follows a repository uses it.
#[derive(Clone, Debug)]
pub(super) struct LoopForFollower(pub(super) mpsc::Sender<News>);

impl LoopForFollower {
    /// Sends a request and waits for the answer. `None`: the loop has ended.
    fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.0.blocking_send(News::Request(request(reply))).ok()?;
        answer.blocking_recv().ok()
    }
}

impl FollowerHost for LoopForFollower {
    fn run(&self, errand: Errand) {
        // Without a loop, the sender for the reply is dropped.
        drop(self.0.blocking_send(News::Errand(errand)));
    }

    fn reload(&self) -> Reloaded {
        match self.ask(Request::Reload) {
            Some(ReloadOutcome::Accepted(generation, is_changed)) => Reloaded::Accepted(generation, is_changed),
            Some(ReloadOutcome::Rejected(problems)) => {
                Reloaded::Rejected(problems.into_iter().next().map(|problem| problem.message).unwrap_or_default())
            }
            Some(ReloadOutcome::Closing) | None => Reloaded::Closing,
        }
    }

    fn plan(&self, wanted: &Desired) -> Option<serde_json::Value> {
        let view = self.ask(|reply| Request::View(None, reply))?;
        serde_json::to_value(view.plan(wanted)).ok()
    }

    fn report(&self, source: Option<SourceSnapshot>) {
        drop(self.0.blocking_send(News::Source(source.map(Box::new))));
    }
}

/// Checks that there is a `git` that can be used. Must be called before anything waits for children.
///
/// # Errors
/// There is none, in words.
#[expect(clippy::disallowed_methods, reason = "nothing waits for children yet")]
pub(super) fn check_git() -> Result<(), String> {
    let (major, minor) = OLDEST_GIT;
    let needed = format!("`source.git` needs `git` {major}.{minor} or newer");
    let output = Command::new("git").arg("--version").output();
    let output = output.map_err(|error| format!("{needed}: {error}; install the package `git`"))?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match version(&text) {
        Some(version) if version >= OLDEST_GIT => Ok(()),
        Some((major, minor)) => Err(format!("{needed}: this host has {major}.{minor}; install a newer one")),
        None => Err(format!("{needed}: `git --version` says `{text}`; install the package `git`")),
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix("git version ")?.split(['.', ' ', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_git_is_compared_as_numbers() {
        for (text, expected) in [
            ("git version 2.47.3", Some((2, 47))),
            ("git version 2.9.0", Some((2, 9))),
            ("git version 3.0-rc1", Some((3, 0))),
            ("git version 2.39.5 (Apple Git-154)", Some((2, 39))),
            ("gti", None),
        ] {
            assert_eq!(version(text), expected, "{text}");
        }
        assert!(version("git version 2.9.0") < Some(OLDEST_GIT));
    }
}
