//! Where text ends up: a standard stream of navigator, or a file. What can't be written is counted, and told there as
//! soon as something can be; nothing of this ever reaches a process.

use super::format::MARK;
use super::refusal::words;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::OFlags;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

/// Takes whole lines.
#[derive(Debug)]
pub(super) struct Sink {
    place: Place,
    lost: Option<Lost>,
    /// The last write broke off in the middle of a line.
    torn: bool,
}

#[derive(Debug)]
enum Place {
    Stdout,
    Stderr,
    File { path: PathBuf, open: Option<File> },
}

/// What could not be written since something last could.
#[derive(Debug)]
struct Lost {
    lines: u64,
    bytes: u64,
    why: String,
}

impl Sink {
    pub(super) fn stdout() -> Sink {
        Sink { place: Place::Stdout, lost: None, torn: false }
    }

    pub(super) fn stderr() -> Sink {
        Sink { place: Place::Stderr, lost: None, torn: false }
    }

    /// A file to append to. It's opened when there is something to write, and again whenever that failed.
    pub(super) fn file(path: PathBuf) -> Sink {
        Sink { place: Place::File { path, open: None }, lost: None, torn: false }
    }

    /// Writes lines, waiting for as long as it takes. An error is kept here: what it cost is told in the next line that
    /// can be written.
    pub(super) fn write(&mut self, text: &[u8]) {
        if let Err(error) = self.tell_lost().and_then(|()| self.write_all(text)) {
            self.lose(error.written.map_or(text, |written| &text[written..]), &error.why);
        }
    }

    /// Lets go of the file, so that the next line goes to a new one of this name.
    pub(super) fn reopen(&mut self) {
        if let Place::File { open, .. } = &mut self.place {
            *open = None;
            self.torn = false;
        }
    }

    fn tell_lost(&mut self) -> Result<(), Failed> {
        let Some(Lost { lines, bytes, why }) = &self.lost else { return Ok(()) };
        let end = if self.torn { "\n" } else { "" };
        let mark = format!("{end}{MARK}lost {lines} lines ({bytes} bytes): {why}\n");
        self.write_all(mark.as_bytes()).map_err(|failed| Failed { written: None, ..failed })?;
        self.lost = None;
        Ok(())
    }

    fn lose(&mut self, text: &[u8], why: &io::Error) {
        let lines = text.split(|&byte| byte == b'\n').count() - 1;
        if self.lost.is_none() {
            self.warn(why);
        }
        let lost = self.lost.get_or_insert_with(|| Lost { lines: 0, bytes: 0, why: words(why) });
        lost.lines += lines as u64;
        lost.bytes += text.len() as u64;
    }

    /// Says once, where people may see it, that a file can't be written. Where that fails too, nobody can be told.
    fn warn(&self, why: &io::Error) {
        if let Place::File { path, .. } = &self.place {
            let text = format!("navigator: `{}` can't be written: {}\n", path.display(), words(why));
            let _nobody_listens = write_all(rustix::stdio::stderr(), text.as_bytes());
        }
    }

    fn write_all(&mut self, text: &[u8]) -> Result<(), Failed> {
        let result = match &mut self.place {
            Place::Stdout => write_all(rustix::stdio::stdout(), text),
            Place::Stderr => write_all(rustix::stdio::stderr(), text),
            Place::File { path, open } => {
                if open.is_none() {
                    let file = OpenOptions::new()
                        .append(true)
                        .create(true)
                        .mode(0o640)
                        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
                        .open(path);
                    *open = Some(file.map_err(|why| Failed { written: Some(0), why })?);
                    self.torn = false;
                }
                open.as_ref().map_or(Ok(()), |file| write_all(file.as_fd(), text))
            }
        };
        let written = result.as_ref().map_or_else(|failed| failed.written.unwrap_or(0), |()| text.len());
        if let Some(&last) = text[..written].last() {
            self.torn = last != b'\n';
        }
        result
    }
}

/// A write that broke off.
#[derive(Debug)]
struct Failed {
    /// How much of the text it is about had been written; `None`: it was about another text.
    written: Option<usize>,
    why: io::Error,
}

/// Writes all of it, through interruptions, and patiently where the launcher made the stream non-blocking.
fn write_all(to: BorrowedFd<'_>, text: &[u8]) -> Result<(), Failed> {
    let mut written = 0;
    while written < text.len() {
        match rustix::io::write(to, &text[written..]) {
            Ok(0) => return Err(Failed { written: Some(written), why: io::ErrorKind::WriteZero.into() }),
            Ok(count) => written += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => {
                // Whatever ends the waiting, the next write says what it was.
                let _ended = poll(&mut [PollFd::new(&to, PollFlags::OUT)], None);
            }
            Err(error) => return Err(Failed { written: Some(written), why: error.into() }),
        }
    }
    Ok(())
}
