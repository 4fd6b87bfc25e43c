//! Writes the journal, in batches. A thread of its own does that, because a disk may hang. Only a file of runs in memory is written
//! by the calling thread, which is faster than waking another one.

use super::entry::JournalEntry;
use super::fact_recorder::FactRecorder;
use super::facts::{FactLines, FactUpdate};
use super::line_file::{FailingFiles, LineFile};
use super::record::Record;
use super::secret::InstanceSecret;
use crate::access::Directory;
use rustix::fs::{FsWord, fstatfs};
use std::io;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long after a failure the write is retried, unless another entry comes first.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// More entries than this take longer to write than the thread takes to wake.
const MANY: usize = 8;

/// Entries to write, and the caller that waits for that.
#[derive(Debug, Default)]
pub(super) struct WriteRequest {
    /// The entries.
    pub(super) entries: Vec<JournalEntry>,
    /// What has changed beside them.
    pub(super) updates: Vec<FactUpdate>,
    /// The journal is closed: files without useful entries are removed.
    pub(super) is_last: bool,
    /// Dropped once the entries are written, or have failed.
    pub(super) written: Option<Sender<()>>,
}

/// The sending end of the writer.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    to_thread: Sender<WriteRequest>,
    /// The file of runs, if it is in memory.
    in_memory: Option<Arc<Mutex<LineFile<Record>>>>,
}

impl Inbox {
    /// Begins with files that say this.
    ///
    /// # Errors
    /// No thread can be made.
    pub(super) fn open(directory: &Directory, runs: Record, facts: FactLines, secret: InstanceSecret) -> io::Result<Inbox> {
        let failing = FailingFiles::default();
        let runs = Arc::new(Mutex::new(LineFile::begin(directory.clone(), runs, failing.clone())));
        let (to_thread, requests) = mpsc::channel();
        let in_memory = is_in_memory(directory).then(|| Arc::clone(&runs));
        let writer = JournalWriter {
            runs,
            facts: LineFile::begin(directory.clone(), facts, failing),
            recorder: FactRecorder::new(secret),
        };
        std::thread::Builder::new().name("journal".to_owned()).spawn(move || writer.run(&requests))?;
        Ok(Inbox { to_thread, in_memory })
    }

    /// Sends a request to the thread.
    pub(super) fn send(&self, request: WriteRequest) {
        // The thread ends only with its last sender.
        drop(self.to_thread.send(request));
    }

    /// Writes entries on the calling thread if they are few and the file is in memory. Otherwise returns
    /// them unwritten.
    pub(super) fn write_if_quick(&self, entries: Vec<JournalEntry>) -> Result<(), Vec<JournalEntry>> {
        let free = self.in_memory.as_ref().and_then(|runs| runs.try_lock().ok());
        let are_few_and_short = || entries.len() < MANY && entries.iter().all(|entry| matches!(entry, JournalEntry::Gone { .. }));
        match free.filter(|runs| are_few_and_short() && runs.is_in_order()) {
            Some(runs) => {
                self.write(runs, entries);
                Ok(())
            }
            None => Err(entries),
        }
    }

    /// Writes entries now, ahead of what was sent before. If that may block, returns them unwritten.
    pub(super) fn write_now(&self, entries: Vec<JournalEntry>) -> Result<(), Vec<JournalEntry>> {
        let Some(runs) = &self.in_memory else { return Err(entries) };
        self.write(lock(runs), entries);
        Ok(())
    }

    fn write(&self, mut runs: MutexGuard<'_, LineFile<Record>>, entries: Vec<JournalEntry>) {
        runs.write(entries);
        if runs.has_failed {
            // The thread retries.
            self.send(WriteRequest::default());
        }
    }
}

/// What the thread has. Only the file of runs is shared: a start waits for its entry, and must not wait for facts.
struct JournalWriter {
    runs: Arc<Mutex<LineFile<Record>>>,
    facts: LineFile<FactLines>,
    recorder: FactRecorder,
}

impl JournalWriter {
    fn run(mut self, requests: &Receiver<WriteRequest>) {
        loop {
            let has_failed = lock(&self.runs).has_failed || self.facts.has_failed;
            let request = if has_failed {
                match requests.recv_timeout(RETRY_DELAY) {
                    Ok(request) => Some(request),
                    Err(RecvTimeoutError::Timeout) => None,
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            } else {
                let Ok(request) = requests.recv() else { return };
                Some(request)
            };
            let batch = request.into_iter().chain(requests.try_iter()).collect();
            self.write_batch(batch);
        }
    }

    /// Writes each batch of requests, and answers the callers that wait.
    fn write_batch(&mut self, batch: Vec<WriteRequest>) {
        let is_last = batch.iter().any(|request| request.is_last);
        let (mut entries, mut updates, mut written) = (Vec::new(), Vec::new(), Vec::new());
        for request in batch {
            entries.extend(request.entries);
            updates.extend(request.updates);
            written.extend(request.written);
        }
        let mut runs = lock(&self.runs);
        runs.write(entries);
        if is_last && runs.record.runs().len() == 0 {
            runs.remove();
        }
        drop(runs);
        if is_last {
            self.facts.remove();
        } else {
            self.facts.write(self.recorder.entries(updates));
        }
        drop(written);
    }
}

/// Each write is whole or has failed, so that a lock poisoned by a panic is usable.
fn lock(runs: &Mutex<LineFile<Record>>) -> MutexGuard<'_, LineFile<Record>> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the directory's file system is in memory, like `/run` on most hosts.
pub(super) fn is_in_memory(directory: &Directory) -> bool {
    /// `TMPFS_MAGIC` and `RAMFS_MAGIC` of the kernel's `magic.h`.
    const KINDS: [FsWord; 2] = [0x0102_1994, 0x8584_58f6];
    fstatfs(directory).is_ok_and(|system| KINDS.contains(&system.f_type))
}
