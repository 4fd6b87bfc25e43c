//! Where text ends up: a standard stream of navigator, or a file. What can't be written is counted, and told there as
//! soon as something can be; nothing of this ever reaches a process.

use super::line_format::MARK;
use super::rotation::{FileOwner, Limits, LogFile};
use super::writers::SinkGroup;
use crate::access::Trust;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd};
use std::io;
use std::path::{Path, PathBuf};

/// Takes whole lines.
#[derive(Debug)]
pub(super) struct Sink {
    target: SinkTarget,
    lost: Option<Lost>,
    /// Since the last text that arrived whole, people were told that something is wrong.
    has_warned: bool,
    /// The same about a file that can't be put aside.
    has_warned_of_rotation: bool,
    /// The last write broke off in the middle of a line.
    is_mid_line: bool,
}

#[derive(Debug)]
enum SinkTarget {
    Stdout,
    Stderr,
    File {
        file: LogFile,
        /// What people see of the path of a process's own file, which may hold secrets.
        shown: Option<String>,
    },
}

/// What could not be written since something last could.
#[derive(Debug)]
struct Lost {
    lines: usize,
    bytes: usize,
    why: String,
    /// What is still to be written of the line that says so; empty: none of it is written.
    notice: Vec<u8>,
}

/// How far a write came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum WriteProgress {
    /// All is written, or lost and counted.
    Done,
    /// The destination takes no more at the moment. So many bytes of the text need not be written any more.
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

    /// A file for navigator's log.
    pub(super) fn log_file(path: PathBuf, trust: Trust) -> Sink {
        let owner = FileOwner { trust, identity: None };
        Sink::new(SinkTarget::File { file: LogFile::new(path, owner, None), shown: None })
    }

    /// A file of a process.
    pub(super) fn process_file(path: PathBuf, owner: FileOwner, shown: String, limits: Limits) -> Sink {
        Sink::new(SinkTarget::File { file: LogFile::new(path, owner, Some(limits)), shown: Some(shown) })
    }

    /// Opens its file, if it has one, and rotates it by these limits from now on.
    pub(super) fn open(&mut self, limits: Limits) {
        if let SinkTarget::File { file, .. } = &mut self.target {
            file.set_limits(limits);
            if let Err(error) = file.open() {
                self.warn(&error);
            }
        }
    }

    /// Lets go of the file, so that the next line goes to a new one of this name.
    pub(super) fn reopen(&mut self) {
        if let SinkTarget::File { file, .. } = &mut self.target {
            file.close();
            self.is_mid_line = false;
        }
    }

    /// Writes lines, of which so many bytes are written already. It waits for disks, and for navigator's standard streams. An
    /// error is kept here: what it cost is told in the next line that can be written.
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

    /// What has to take more before writing goes on, when a write found it full.
    pub(super) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match &self.target {
            SinkTarget::File { file, .. } => file.descriptor(),
            SinkTarget::Stdout | SinkTarget::Stderr => None,
        }
    }

    /// What it may be held up together with.
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
                // Another file than the one whose last line was torn.
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

    /// Says once that a file can't be written: a process's own in the log, and the log's own where people may still see
    /// it. Where that fails too, nobody can be told.
    fn warn(&mut self, why: &io::Error) {
        if std::mem::replace(&mut self.has_warned, true) {
            return;
        }
        match &self.target {
            SinkTarget::File { shown: Some(shown), .. } => {
                tracing::warn!(target: "managed_processes", path = shown, reason = self.reason(why), "Output can't be written");
            }
            SinkTarget::File { shown: None, .. } => {
                let text = format!("navigator: the file of `logging.file` can't be written: {}\n", self.reason(why));
                let _last_resort = write_all(rustix::stdio::stderr(), text.as_bytes(), true);
            }
            SinkTarget::Stdout | SinkTarget::Stderr => {}
        }
    }

    /// Why a file can't be written, and what to do about it where that is known. The path of a process's own file may hold
    /// a secret, which is then not shown.
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

    /// Writes as much as may go to one file.
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

    /// Says once that a file grows beyond its limits.
    fn warn_of_rotation(&mut self) {
        let SinkTarget::File { file, shown: Some(shown) } = &self.target else { return };
        let Some(why) = file.rotation_error() else { return self.has_warned_of_rotation = false };
        if !std::mem::replace(&mut self.has_warned_of_rotation, true) {
            tracing::warn!(target: "managed_processes", path = shown, reason = self.reason(why), "Output can't be rotated");
        }
    }
}

/// A write that broke off.
#[derive(Debug)]
struct Failed {
    /// How much of the text it is about had been written; `None`: it was about another text.
    written: Option<usize>,
    why: FailureCause,
}

#[derive(Debug)]
enum FailureCause {
    /// Nothing is wrong: there will be room later.
    Full,
    Error(io::Error),
}

/// Writes all of it, through interruptions. Where a descriptor that doesn't block is full, it waits or breaks off.
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

/// Holds the thread until the descriptor takes more.
pub(super) fn wait_for_room(to: BorrowedFd<'_>) {
    // Whatever ends the waiting, the next write says what it was.
    let _ended = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
}
