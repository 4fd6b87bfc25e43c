//! The one thread that writes the journal: it appends what comes, many entries at once if they come at once, and writes
//! the file anew where that failed or most of its lines say nothing any more.

use super::entry::Entry;
use super::record::Record;
use super::replace;
use rustix::fs::{Mode, OFlags, fstat, open};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// How long after a failure it is tried again, should nothing come before.
const ANOTHER_TRY: Duration = Duration::from_secs(5);
/// As many lines may be in the file beyond those that say something.
const SPENT_LINES: usize = 1000;

/// Something to write, and whom to tell.
#[derive(Debug)]
pub(super) struct Message {
    /// What; `None` to have everything before it written, and to remove a file that says nothing.
    pub(super) entry: Option<Entry>,
    /// Is dropped when it is written or couldn't be.
    pub(super) written: Option<Sender<()>>,
}

pub(super) struct Writer {
    path: PathBuf,
    /// What the file is to say.
    record: Record,
    /// Where lines are appended; `None` if the file has to be written anew.
    file: Option<File>,
    lines: usize,
    has_failed: bool,
}

impl Writer {
    /// Begins with a file that says what this record does.
    pub(super) fn start(path: PathBuf, record: Record) -> io::Result<Sender<Message>> {
        let (sender, messages) = mpsc::channel();
        let mut writer = Writer { path, record, file: None, lines: 0, has_failed: false };
        writer.write(&[]);
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&messages))?;
        Ok(sender)
    }

    fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let message = if self.has_failed {
                match messages.recv_timeout(ANOTHER_TRY) {
                    Ok(message) => Some(message),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                let Ok(message) = messages.recv() else { return };
                Some(message)
            };
            let batch: Vec<Message> = message.into_iter().chain(messages.try_iter()).collect();
            let is_last_word = batch.iter().any(|message| message.entry.is_none());
            let (entries, written): (Vec<_>, Vec<_>) = batch.into_iter().map(|message| (message.entry, message.written)).unzip();
            self.write(&entries.into_iter().flatten().collect::<Vec<_>>());
            if is_last_word && self.record.runs().next().is_none() {
                self.remove();
            }
            drop(written);
        }
    }

    /// Writes entries. That it can't is said once, until it can again.
    fn write(&mut self, entries: &[Entry]) {
        for entry in entries {
            self.record.fold(entry.clone());
        }
        match self.append(entries) {
            Ok(()) if self.has_failed => {
                tracing::info!(target: "navigator", path = %self.path.display(), "The record of what runs is written again");
                self.has_failed = false;
            }
            Ok(()) => {}
            Err(error) => {
                self.file = None;
                if !self.has_failed {
                    tracing::warn!(target: "navigator", path = %self.path.display(), %error, "The record of what runs can't be written");
                }
                self.has_failed = true;
            }
        }
    }

    fn append(&mut self, entries: &[Entry]) -> io::Result<()> {
        let is_spent = self.lines > SPENT_LINES + 2 * self.record.runs().count();
        match &mut self.file {
            Some(file) if !is_spent && is_linked(file) => {
                let lines: String = entries.iter().map(Entry::line).collect();
                file.write_all(lines.as_bytes())?;
                self.lines += entries.len();
                Ok(())
            }
            _ => self.write_anew(),
        }
    }

    fn write_anew(&mut self) -> io::Result<()> {
        let entries = self.record.entries();
        replace(&self.path, entries.iter().map(Entry::line).collect::<String>().as_bytes())?;
        let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        self.file = Some(open(&self.path, flags, Mode::empty())?.into());
        self.lines = entries.len();
        Ok(())
    }

    /// Removes a file that has nothing to say. The next entry, if there is one, makes it anew.
    fn remove(&mut self) {
        self.file = None;
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(target: "navigator", path = %self.path.display(), %error, "The record of what runs can't be removed");
            }
            _ => {}
        }
    }
}

/// Whether a file still has a name: what is appended to one that was removed, nobody reads.
fn is_linked(file: &File) -> bool {
    fstat(file).is_ok_and(|stat| stat.st_nlink > 0)
}
