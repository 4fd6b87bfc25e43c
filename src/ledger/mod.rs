//! What navigator remembers of a followed repository beyond a boot: the commit in force, the newest one ever taken, and verdicts.
//!
//! Everything is written, and on the disk, before anything is done about it.

mod data_dir;
mod history;

pub use data_dir::{DataDir, DataDirError, default_base};
pub use history::{Attempted, MAX_HISTORY};

use crate::checksum::fnv1a;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;

/// How many verdicts are remembered.
const MAX_VERDICTS: usize = 200;

/// How many commits that were in force are remembered.
const MAX_FORMER: usize = 50;

/// The name of the file.
const FILE: &str = "ledger";

/// What is remembered.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ledger {
    /// The first address of the repository.
    pub url: Option<String>,
    /// The commit in force.
    pub in_force: Option<TakenCommit>,
    /// Those that were in force before it, the newest last.
    pub former: Vec<TakenCommit>,
    /// The newest commit that was ever taken.
    pub floor: Option<String>,
    /// The tags that were taken, with what they led to.
    pub tags: BTreeMap<String, String>,
    /// What is being put in force.
    pub attempt: Option<BegunAttempt>,
    /// What was read of commits that can't be in force, the newest last.
    pub verdicts: Vec<Verdict>,
    /// Following is suspended.
    pub suspended: Option<Suspension>,
    /// The commit to stay at.
    pub pinned: Option<String>,
    /// What was read of the commit that was left by hand.
    pub left: Option<String>,
}

/// A commit that was put in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakenCommit {
    /// What it is.
    #[serde(flatten)]
    pub commit: CommitInfo,
    /// Identifies everything that was read of it.
    pub read: String,
    /// Since when, in milliseconds since 1970.
    pub since: i64,
}

/// A commit, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInfo {
    /// Its id.
    pub id: String,
    /// The first line of its message.
    pub subject: String,
    /// The author, with address.
    pub author: String,
}

/// An attempt to put a commit in force, until its outcome is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BegunAttempt {
    /// The commit.
    pub commit: String,
    /// Identifies everything that was read of it.
    pub read: String,
    /// How often it was begun.
    pub begun: u32,
}

/// Why what was read can't be in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Identifies everything that was read.
    pub read: String,
    /// What became of it.
    pub outcome: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

/// Following is suspended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suspension {
    /// Until when, in milliseconds since 1970; `None`: until `resume`.
    pub until: Option<i64>,
    /// Why, as it was given.
    pub reason: Option<String>,
}

impl Ledger {
    /// Reads the ledger; an empty one if there is none.
    ///
    /// # Errors
    /// It is damaged, or can't be read.
    pub fn read(data: &DataDir) -> io::Result<Ledger> {
        let content = match data.directory().read(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ledger::default()),
            content => content?,
        };
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its checksum is wrong");
        let text = checked_line(&content).ok_or_else(damaged)?;
        serde_json::from_slice(text).map_err(io::Error::from)
    }

    /// Writes the ledger, and waits until it is on the disk.
    ///
    /// # Errors
    /// It can't be written; then the former one is still there.
    pub fn write(&self, data: &DataDir) -> io::Result<()> {
        data.replace(FILE, &line_of(&serde_json::to_vec(self)?))
    }

    /// Remembers a verdict. The oldest is forgotten if there are too many.
    pub fn judge(&mut self, verdict: Verdict) {
        self.verdicts.retain(|other| other.read != verdict.read);
        self.verdicts.push(verdict);
        let surplus = self.verdicts.len().saturating_sub(MAX_VERDICTS);
        self.verdicts.drain(..surplus);
    }

    /// Puts a commit in the place of the one in force.
    pub fn take(&mut self, commit: TakenCommit) {
        if let Some(former) = self.in_force.replace(commit) {
            self.former.push(former);
            let surplus = self.former.len().saturating_sub(MAX_FORMER);
            self.former.drain(..surplus);
        }
        self.attempt = None;
    }
}

/// A line with its checksum.
fn line_of(text: &[u8]) -> Vec<u8> {
    let mut line = format!("{:016x} ", fnv1a(text)).into_bytes();
    line.extend_from_slice(text);
    line.push(b'\n');
    line
}

/// The text of a line, if its checksum is right.
fn checked_line(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let (sum, text) = (line.get(..16)?, line.get(17..)?);
    let sum = u64::from_str_radix(std::str::from_utf8(sum).ok()?, 16).ok()?;
    (fnv1a(text) == sum).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_line_is_noticed() {
        let line = line_of(b"{\"a\": 1}");
        assert_eq!(checked_line(&line), Some(&b"{\"a\": 1}"[..]));
        for place in 0..line.len() - 1 {
            let mut damaged = line.clone();
            damaged[place] ^= 1;
            assert!(place == 16 || checked_line(&damaged).is_none(), "{place}");
        }
        for end in 0..line.len() - 1 {
            assert!(checked_line(&line[..end]).is_none(), "{end}");
        }
    }

    #[test]
    fn few_verdicts_and_former_commits_are_remembered() {
        let mut ledger = Ledger::default();
        for number in 0..300 {
            let (read, outcome, reason, message) = (number.to_string(), String::new(), String::new(), String::new());
            ledger.judge(Verdict { read: read.clone(), outcome, reason, message });
            ledger.take(TakenCommit { read, ..TakenCommit::default() });
        }
        assert_eq!(ledger.verdicts.len(), MAX_VERDICTS);
        assert_eq!(ledger.former.len(), MAX_FORMER);
        assert_eq!(ledger.former.last().map(|former| former.read.as_str()), Some("298"));
    }
}
