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
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    File { path: PathBuf, open: Option<File>, rotation: Option<Arc<Rotation>> },
}

/// A file that is put aside when it has grown: `path` becomes `path.1`, that `path.2`, and so on.
#[derive(Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Rotation {
    /// The file.
    pub(super) path: PathBuf,
    /// What people see of its path, which may hold secrets.
    pub(super) shown: String,
    /// Bytes that it may hold; a line longer than that has a file to itself.
    pub(super) max_size: u64,
    /// How many are kept besides it.
    pub(super) keep: u32,
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
        Sink { place: Place::File { path, open: None, rotation: None }, lost: None, torn: false }
    }

    /// A file to append to that is rotated by its size.
    pub(super) fn rotated(rotation: Arc<Rotation>) -> Sink {
        Sink { place: Place::File { path: rotation.path.clone(), open: None, rotation: Some(rotation) }, lost: None, torn: false }
    }

    /// Whether anybody else may still have lines for it.
    pub(super) fn is_wanted(&self) -> bool {
        /// The sink's own hold, and that of the key under which the printer keeps it.
        const OWN: usize = 2;
        !matches!(&self.place, Place::File { rotation: Some(rotation), .. } if Arc::strong_count(rotation) <= OWN)
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

    /// Says once that a file can't be written: a process's own in the log, and the log's own where people may still see
    /// it. Where that fails too, nobody can be told.
    fn warn(&self, why: &io::Error) {
        match &self.place {
            Place::File { rotation: Some(rotation), .. } => {
                tracing::warn!(target: "managed_processes", path = rotation.shown, reason = words(why), "Output can't be written");
            }
            // Its path may hold secrets.
            Place::File { rotation: None, .. } => {
                let text = format!("navigator: the file of `logging.file` can't be written: {}\n", words(why));
                let _nobody_listens = write_all(rustix::stdio::stderr(), text.as_bytes());
            }
            Place::Stdout | Place::Stderr => {}
        }
    }

    fn write_all(&mut self, text: &[u8]) -> Result<(), Failed> {
        let mut written = 0;
        while written < text.len() {
            let part = self.fitting(&text[written..]).and_then(|length| {
                let part = &text[written..written + length];
                self.write_part(part).map(|()| length)
            });
            written +=
                part.map_err(|Failed { written: of_part, why }| Failed { written: of_part.map(|part| written + part), why })?;
        }
        Ok(())
    }

    fn write_part(&mut self, text: &[u8]) -> Result<(), Failed> {
        let result = match &self.place {
            Place::Stdout => write_all(rustix::stdio::stdout(), text),
            Place::Stderr => write_all(rustix::stdio::stderr(), text),
            Place::File { open, .. } => open.as_ref().map_or(Ok(()), |file| write_all(file.as_fd(), text)),
        };
        let written = result.as_ref().map_or_else(|failed| failed.written.unwrap_or(0), |()| text.len());
        if let Some(&last) = text[..written].last() {
            self.torn = last != b'\n';
        }
        result
    }

    /// How much of the text may go to where it goes now; opens the file, and rotates it if not even a line fits any more.
    fn fitting(&mut self, text: &[u8]) -> Result<usize, Failed> {
        let failed = |why| Failed { written: Some(0), why };
        let Place::File { path, open, rotation } = &mut self.place else { return Ok(text.len()) };
        let line = text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1);
        loop {
            let file = match open {
                Some(file) => file,
                None => open.insert(append_to(path).map_err(failed)?),
            };
            let Some(rotation) = rotation else { return Ok(text.len()) };
            let size = file.metadata().map_err(failed)?.len();
            let room = usize::try_from(rotation.max_size.saturating_sub(size)).unwrap_or(usize::MAX);
            if text.len() <= room {
                return Ok(text.len());
            }
            if let Some(end) = text[..room].iter().rposition(|&byte| byte == b'\n') {
                return Ok(end + 1);
            }
            if size == 0 {
                return Ok(line);
            }
            *open = None;
            self.torn = false;
            rotation.rotate().map_err(failed)?;
        }
    }
}

impl Rotation {
    /// Puts the file aside, the oldest one over the edge.
    fn rotate(&self) -> io::Result<()> {
        let aside = |number: u32| {
            let mut path = self.path.clone().into_os_string();
            path.push(format!(".{number}"));
            PathBuf::from(path)
        };
        if self.keep == 0 {
            return std::fs::remove_file(&self.path);
        }
        for number in (1..self.keep).rev() {
            match std::fs::rename(aside(number), aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, aside(1))
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOCTTY.bits().cast_signed();
    OpenOptions::new().append(true).create(true).mode(0o640).custom_flags(flags).open(path)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn rotation_keeps_so_many_and_breaks_no_line() {
        let directory = std::env::temp_dir().join(format!("navigator-sink-{}", std::process::id()));
        fs::create_dir(&directory).unwrap();
        let path = directory.join("log");
        let mut sink = Sink::rotated(Arc::new(Rotation { path: path.clone(), shown: String::new(), max_size: 10, keep: 2 }));
        sink.write(b"one\ntwo\nthree\nand a long one\n");
        sink.write(b"four\nfive\n");
        sink.write(b"six\n");
        let content = |name: &str| fs::read_to_string(directory.join(name)).ok();
        assert_eq!(content("log").as_deref(), Some("six\n"));
        assert_eq!(content("log.1").as_deref(), Some("four\nfive\n"));
        assert_eq!(content("log.2").as_deref(), Some("and a long one\n"));
        assert_eq!(content("log.3"), None);
        let mut none_kept = Sink::rotated(Arc::new(Rotation { path, shown: String::new(), max_size: 5, keep: 0 }));
        none_kept.write(b"seven\neight\n");
        assert_eq!(content("log").as_deref(), Some("eight\n"));
        fs::remove_dir_all(directory).unwrap();
    }
}
