//! What was tried, when, and what became of it: a file of lines, appended to.

use super::{DataDir, checked_line, line_of};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write as _};

/// How many attempts are kept.
pub const MAX_HISTORY: usize = 1000;

/// The name of the file.
const FILE: &str = "history";

/// What was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Attempted {
    /// When, in milliseconds since 1970.
    pub at: i64,
    /// The commit.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// The author, with address.
    pub author: String,
    /// What became of it.
    pub outcome: String,
    /// Why, in one word, if it is not in force.
    pub reason: Option<String>,
    /// Why, for people.
    pub message: Option<String>,
    /// The generation that it made.
    pub generation: Option<u64>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// The plan as it was.
    pub plan: Option<serde_json::Value>,
}

impl Attempted {
    /// Adds this to the history, and waits until it is on the disk.
    ///
    /// # Errors
    /// It can't be written.
    pub fn write(&self, data: &DataDir) -> io::Result<()> {
        let content = Attempted::content(data)?;
        let known: Vec<&[u8]> = lines(&content).collect();
        let line = line_of(&serde_json::to_vec(self)?);
        if known.len() >= 2 * MAX_HISTORY {
            let kept = known[known.len() - MAX_HISTORY..].iter().flat_map(|text| line_of(text));
            return data.replace(FILE, &kept.chain(line).collect::<Vec<u8>>());
        }
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let mut file = File::from(data.directory().open_entry(FILE, flags, Mode::RUSR | Mode::WUSR)?);
        // A line that was cut short must not swallow this one.
        let begins = if content.last().is_none_or(|last| *last == b'\n') { &b""[..] } else { b"\n" };
        file.write_all(&[begins, &line].concat())?;
        file.sync_all()
    }

    /// The history, the newest first. Damaged lines are left out.
    ///
    /// # Errors
    /// It can't be read.
    pub fn all(data: &DataDir) -> io::Result<Vec<Attempted>> {
        let content = Attempted::content(data)?;
        let known: Vec<&[u8]> = lines(&content).collect();
        Ok(known.iter().rev().take(MAX_HISTORY).filter_map(|text| serde_json::from_slice(text).ok()).collect())
    }

    fn content(data: &DataDir) -> io::Result<Vec<u8>> {
        match data.directory().read(FILE) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            content => content,
        }
    }
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content.split(|byte| *byte == b'\n').filter_map(checked_line)
}
