//! Writes the journal: appends entries in batches, and rewrites the file after a failure or when most of its lines are
//! obsolete. A thread of its own does that, because a disk may hang. Only a file in memory is written by the calling thread,
//! which is faster than waking another one.

use super::entry::JournalEntry;
use super::record::Record;
use crate::access::Directory;
use rustix::fs::{FsWord, Mode, OFlags, fstat, fstatfs};
use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The file of entries.
pub(super) const RUNS: &str = "runs";

/// How long after a failure the write is retried, unless another entry comes first.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// How many obsolete lines the file may hold before it is rewritten.
const MAX_OBSOLETE_LINES: usize = 1000;

/// More entries than this take longer to write than the thread takes to wake.
const MANY: usize = 8;

/// Entries to write, and the caller that waits for that.
#[derive(Debug)]
pub(super) struct WriteRequest {
    /// The entries. None: write everything before; if a caller waits, also remove a file without useful entries.
    pub(super) entries: Vec<JournalEntry>,
    /// Dropped once the entries are written, or have failed.
    pub(super) written: Option<Sender<()>>,
}

#[derive(Debug)]
pub(super) struct JournalWriter {
    directory: Directory,
    /// What the file should say.
    record: Record,
    /// Where lines are appended; `None` if the file has to be rewritten.
    file: Option<File>,
    lines: usize,
    has_failed: bool,
}

/// The sending end of the writer.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    to_thread: Sender<WriteRequest>,
    /// The writer itself, if the file is in memory.
    in_memory: Option<Arc<Mutex<JournalWriter>>>,
}

impl Inbox {
    /// Begins with a file that holds this record.
    ///
    /// # Errors
    /// No thread can be made.
    pub(super) fn open(directory: Directory, record: Record) -> io::Result<Inbox> {
        let is_in_memory = is_in_memory(&directory);
        let mut writer = JournalWriter { directory, record, file: None, lines: 0, has_failed: false };
        writer.write(&[]);
        let writer = Arc::new(Mutex::new(writer));
        let (to_thread, messages) = mpsc::channel();
        let in_memory = is_in_memory.then(|| Arc::clone(&writer));
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || run(&writer, &messages))?;
        Ok(Inbox { to_thread, in_memory })
    }

    /// Sends a request to the thread.
    pub(super) fn send(&self, message: WriteRequest) {
        // The thread ends only with its last sender.
        drop(self.to_thread.send(message));
    }

    /// Writes entries on the calling thread if they are few and the file is in memory. Otherwise returns
    /// them unwritten.
    pub(super) fn write_if_quick(&self, entries: Vec<JournalEntry>) -> Result<(), Vec<JournalEntry>> {
        let free = self.in_memory.as_ref().and_then(|writer| writer.try_lock().ok());
        let are_few_and_short = || entries.len() < MANY && entries.iter().all(|entry| matches!(entry, JournalEntry::Gone { .. }));
        match free.filter(|writer| are_few_and_short() && writer.is_in_order()) {
            Some(writer) => {
                self.write(writer, &entries);
                Ok(())
            }
            None => Err(entries),
        }
    }

    /// Writes entries now, ahead of what was sent before. If that may block, returns them unwritten.
    pub(super) fn write_now(&self, entries: Vec<JournalEntry>) -> Result<(), Vec<JournalEntry>> {
        let Some(writer) = &self.in_memory else { return Err(entries) };
        self.write(lock(writer), &entries);
        Ok(())
    }

    fn write(&self, mut writer: MutexGuard<'_, JournalWriter>, entries: &[JournalEntry]) {
        writer.write(entries);
        if writer.has_failed {
            // The thread retries.
            self.send(WriteRequest { entries: Vec::new(), written: None });
        }
    }
}

fn run(writer: &Mutex<JournalWriter>, messages: &Receiver<WriteRequest>) {
    loop {
        let has_failed = lock(writer).has_failed;
        let message = if has_failed {
            match messages.recv_timeout(RETRY_DELAY) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        } else {
            let Ok(message) = messages.recv() else { return };
            Some(message)
        };
        let batch = message.into_iter().chain(messages.try_iter()).collect();
        lock(writer).write_batch(batch);
    }
}

/// Each write is whole or has failed, so that a lock poisoned by a panic is usable.
fn lock(writer: &Mutex<JournalWriter>) -> MutexGuard<'_, JournalWriter> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the directory's file system is in memory, like `/run` on most hosts.
pub(super) fn is_in_memory(directory: &Directory) -> bool {
    /// `TMPFS_MAGIC` and `RAMFS_MAGIC` of the kernel's `magic.h`.
    const KINDS: [FsWord; 2] = [0x0102_1994, 0x8584_58f6];
    fstatfs(directory).is_ok_and(|system| KINDS.contains(&system.f_type))
}

impl JournalWriter {
    /// Writes each batch of requests, and answers the callers that wait.
    fn write_batch(&mut self, batch: Vec<WriteRequest>) {
        let is_close = batch.iter().any(|message| message.entries.is_empty() && message.written.is_some());
        let (entries, written): (Vec<_>, Vec<_>) = batch.into_iter().map(|message| (message.entries, message.written)).unzip();
        self.write(&entries.into_iter().flatten().collect::<Vec<_>>());
        if is_close && self.record.runs().len() == 0 {
            self.remove();
        }
        drop(written);
    }

    /// Writes entries. A failure is logged once, until a write succeeds again.
    fn write(&mut self, entries: &[JournalEntry]) {
        for entry in entries {
            self.record.fold(entry.clone());
        }
        match self.append(entries) {
            Ok(()) if self.has_failed => {
                tracing::info!(target: "navigator", directory = %self.directory.path().display(), "Writing the journal again");
                self.has_failed = false;
            }
            Ok(()) => {}
            Err(error) => {
                self.file = None;
                if !self.has_failed {
                    tracing::warn!(target: "navigator", directory = %self.directory.path().display(), %error, "Failed to write the journal");
                }
                self.has_failed = true;
            }
        }
    }

    /// Whether there is a file, and few of its lines are obsolete.
    fn is_in_order(&self) -> bool {
        self.file.is_some() && self.lines <= MAX_OBSOLETE_LINES + 2 * self.record.runs().len()
    }

    fn append(&mut self, entries: &[JournalEntry]) -> io::Result<()> {
        let is_in_order = self.is_in_order();
        match &mut self.file {
            Some(file) if is_in_order && is_linked(file) => {
                let lines: String = entries.iter().map(JournalEntry::line).collect();
                file.write_all(lines.as_bytes())?;
                self.lines += entries.len();
                Ok(())
            }
            _ => self.rewrite(),
        }
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let entries = self.record.entries();
        self.directory.replace(RUNS, entries.iter().map(JournalEntry::line).collect::<String>().as_bytes())?;
        self.file = Some(self.directory.open_entry(RUNS, OFlags::WRONLY | OFlags::APPEND, Mode::empty())?.into());
        self.lines = entries.len();
        Ok(())
    }

    /// Removes a file without useful entries. The next entry makes a new one.
    fn remove(&mut self) {
        self.file = None;
        if let Err(error) = self.directory.remove(RUNS) {
            tracing::warn!(target: "navigator", directory = %self.directory.path().display(), %error, "Failed to remove the journal");
        }
    }
}

/// Whether a file still has a name; appending to a removed one would be lost.
fn is_linked(file: &File) -> bool {
    fstat(file).is_ok_and(|stat| stat.st_nlink > 0)
}
