//! Writes to a standard stream of navigator or to a file. Lines that can't be written are counted, and reported at the
//! destination once a write succeeds.

use super::line_format::MARK;
use super::rotation::{FileOwner, Limits, LogFile};
use super::writers::SinkGroup;
use crate::access::Trust;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd};
use std::io;
use std::path::{Path, PathBuf};

/// A destination. It takes whole lines.
#[derive(Debug)]
pub(super) struct Sink {
    target: SinkTarget,
    lost: Option<Lost>,
    /// A failed write was logged, and none has succeeded since.
    has_warned: bool,
    /// A failed rotation was logged, and none has succeeded since.
    has_warned_of_rotation: bool,
    /// The last write ended in the middle of a line.
    is_mid_line: bool,
}

#[derive(Debug)]
enum SinkTarget {
    Stdout,
    Stderr,
    File {
        file: LogFile,
        /// The path of a process's file as shown, without secrets; `None`: navigator's log.
        shown: Option<String>,
    },
}

/// Lines that could not be written since the last success.
#[derive(Debug)]
struct Lost {
    lines: usize,
    bytes: usize,
    why: String,
    /// The rest of the notice that reports the loss; empty: it is not started.
    notice: Vec<u8>,
}

/// The result of a write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WriteProgress {
    /// Everything is written, or counted as lost.
    Done,
    /// The destination is full. This many bytes of the text are done.
    Full(usize),
}

impl Sink {
    fn new(target: SinkTarget) -> Sink {
        Sink { target, lost: None, has_warned: false, has_warned_of_rotation: false, is_mid_line: false }
    }

    pub(super) fn stdout() -> Sink {
        Sink::new(SinkTarget::Stdout)
    }

    pub(super) fn stderr() -> Sink {
        Sink::new(SinkTarget::Stderr)
    }

    /// The file of navigator's log.
    pub(super) fn log_file(path: PathBuf, trust: Trust) -> Sink {
        let owner = FileOwner { trust, identity: None };
        Sink::new(SinkTarget::File { file: LogFile::new(path, owner, None), shown: None })
    }

    /// An output file of a process.
    pub(super) fn process_file(path: PathBuf, owner: FileOwner, shown: String, limits: Limits) -> Sink {
        Sink::new(SinkTarget::File { file: LogFile::new(path, owner, Some(limits)), shown: Some(shown) })
    }

    /// Opens its file, if it has one, and sets its limits.
    pub(super) fn open(&mut self, limits: Limits) {
        if let SinkTarget::File { file, .. } = &mut self.target {
            file.set_limits(limits);
            if let Err(error) = file.open() {
                self.warn(&error);
            }
        }
    }

    /// Closes the file; the next write opens the path again.
    pub(super) fn reopen(&mut self) {
        if let SinkTarget::File { file, .. } = &mut self.target {
            file.close();
            self.is_mid_line = false;
        }
    }

    /// Writes lines, without the first `already` bytes. It may block on a disk or a standard stream. After an error, the loss
    /// is reported with the next successful write.
    pub(super) fn write(&mut self, text: &[u8], already: usize) -> WriteProgress {
        let text = &text[already..];
        let reported = if already == 0 { self.report_lost() } else { Ok(()) };
        match reported.and_then(|()| self.write_all(text)) {
            Ok(()) => self.has_warned = false,
            Err(Failed { written, why: FailureCause::Full }) => return WriteProgress::Full(already + written.unwrap_or(0)),
            Err(Failed { written, why: FailureCause::Error(why) }) => self.count_lost(&text[written.unwrap_or(0)..], &why),
        }
        WriteProgress::Done
    }

    /// The descriptor to wait for after [`WriteProgress::Full`].
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.target {
            SinkTarget::File { file, .. } => file.descriptor(),
            SinkTarget::Stdout | SinkTarget::Stderr => None,
        }
    }

    /// The group that it may block together with.
    pub(super) fn group(&self) -> SinkGroup {
        match &self.target {
            SinkTarget::Stdout => SinkGroup::Stdout,
            SinkTarget::Stderr => SinkGroup::Stderr,
            SinkTarget::File { file, .. } => SinkGroup::Filesystem(file.device()),
        }
    }

    fn report_lost(&mut self) -> Result<(), Failed> {
        let Some(Lost { lines, bytes, why, notice }) = &mut self.lost else { return Ok(()) };
        if notice.is_empty() {
            if let SinkTarget::File { file, .. } = &mut self.target {
                // In another file, no line was torn.
                self.is_mid_line &= !file.open().map_err(|why| Failed { written: None, why: FailureCause::Error(why) })?;
            }
            let end = if self.is_mid_line { "\n" } else { "" };
            *notice = format!("{end}{MARK}lost {lines} lines ({bytes} bytes): {why}\n").into_bytes();
        }
        let mut notice = std::mem::take(notice);
        let reported = self.write_all(&notice);
        match (&reported, &mut self.lost) {
            (Err(Failed { written, why: FailureCause::Full }), Some(lost)) => {
                notice.drain(..written.unwrap_or(0));
                lost.notice = notice;
            }
            (Ok(()), lost) => *lost = None,
            _ => {}
        }
        reported.map_err(|failed| Failed { written: None, ..failed })
    }

    fn count_lost(&mut self, text: &[u8], why: &io::Error) {
        self.warn(why);
        if self.lost.is_none() {
            self.lost = Some(Lost { lines: 0, bytes: 0, why: self.reason(why), notice: Vec::new() });
        }
        let Some(lost) = &mut self.lost else { return };
        lost.lines += memchr::memchr_iter(b'\n', text).count();
        lost.bytes += text.len();
    }

    /// Logs once that a file can't be written. For the log file itself, writes to standard error; if that fails too, nothing is
    /// left to try.
    fn warn(&mut self, why: &io::Error) {
        if std::mem::replace(&mut self.has_warned, true) {
            return;
        }
        match &self.target {
            SinkTarget::File { shown: Some(shown), .. } => {
                tracing::warn!(target: "managed_processes", path = shown, reason = self.reason(why), "Output can't be written");
            }
            SinkTarget::File { shown: None, .. } => {
                let text = format!("navigator: `logging.file` can't be written: {}\n", self.reason(why));
                let _last_resort = write_all(rustix::stdio::stderr(), text.as_bytes(), true);
            }
            SinkTarget::Stdout | SinkTarget::Stderr => {}
        }
    }

    /// Why a file can't be written, with a remedy where one is known. The path of a process's file may hold a secret, which is
    /// not shown.
    fn reason(&self, why: &io::Error) -> String {
        let is_secret = match &self.target {
            SinkTarget::File { file, shown: Some(shown) } => Path::new(shown) != file.path(),
            _ => false,
        };
        super::reason(why, is_secret)
    }

    fn write_all(&mut self, text: &[u8]) -> Result<(), Failed> {
        let mut written = 0;
        while written < text.len() {
            match self.write_part(&text[written..]) {
                Ok(count) => written += count,
                Err(Failed { written: written_part, why }) => {
                    return Err(Failed { written: written_part.map(|part| written + part), why });
                }
            }
        }
        self.warn_of_rotation();
        Ok(())
    }

    /// Writes as much as the current file may take.
    fn write_part(&mut self, text: &[u8]) -> Result<usize, Failed> {
        let (length, result) = match &mut self.target {
            SinkTarget::Stdout => (text.len(), write_all(rustix::stdio::stdout(), text, true)),
            SinkTarget::Stderr => (text.len(), write_all(rustix::stdio::stderr(), text, true)),
            SinkTarget::File { file, .. } => {
                let (open, length) = file.room(text).map_err(|why| Failed { written: Some(0), why: FailureCause::Error(why) })?;
                (length, write_all(open.as_fd(), &text[..length], false))
            }
        };
        let written = result.as_ref().map_or_else(|failed| failed.written.unwrap_or(0), |()| length);
        if let Some(&last) = text[..written].last() {
            self.is_mid_line = last != b'\n';
        }
        result.map(|()| length)
    }

    /// Logs once that a file can't be rotated.
    fn warn_of_rotation(&mut self) {
        let SinkTarget::File { file, shown: Some(shown) } = &self.target else { return };
        let Some(why) = file.rotation_error() else { return self.has_warned_of_rotation = false };
        if !std::mem::replace(&mut self.has_warned_of_rotation, true) {
            tracing::warn!(target: "managed_processes", path = shown, reason = self.reason(why), "Output can't be rotated");
        }
    }
}

/// A write that failed or was incomplete.
#[derive(Debug)]
struct Failed {
    /// Bytes of the text that were written; `None`: the error was in another text.
    written: Option<usize>,
    why: FailureCause,
}

#[derive(Debug)]
enum FailureCause {
    /// No error: there will be room later.
    Full,
    Error(io::Error),
}

/// Writes everything, and retries after signals. A full non-blocking descriptor is waited for if `waits`.
fn write_all(to: BorrowedFd<'_>, text: &[u8], waits: bool) -> Result<(), Failed> {
    let mut written = 0;
    while written < text.len() {
        match rustix::io::write(to, &text[written..]) {
            Ok(0) => return Err(Failed { written: Some(written), why: FailureCause::Error(io::ErrorKind::WriteZero.into()) }),
            Ok(count) => written += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) if waits => wait_for_room(to),
            Err(rustix::io::Errno::AGAIN) => return Err(Failed { written: Some(written), why: FailureCause::Full }),
            Err(error) => return Err(Failed { written: Some(written), why: FailureCause::Error(error.into()) }),
        }
    }
    Ok(())
}

/// Blocks the thread until the descriptor takes more.
pub(super) fn wait_for_room(to: BorrowedFd<'_>) {
    // The next write reports an error.
    let _ended = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
}
