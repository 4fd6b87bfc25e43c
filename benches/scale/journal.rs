//! What the children note: a shared file of events with monotonic times, and a bell that rings when as many are there as
//! are waited for. Nobody is woken before that, so that waiting costs what is measured nothing.

use crate::figures::milliseconds;
use crate::place::Place;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, mknodat, open};
use rustix::time::{ClockId, clock_gettime};
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// As in `journal.h`.
const HEADER: u64 = 64;
const RECORD_BYTES: usize = 24;
const RECORD: u64 = RECORD_BYTES as u64;
const COUNTS: u64 = 8;
const TARGETS: u64 = 20;
/// Enough for every event of a run of the bench that is grown to its usual size a few times.
const ROOM: u32 = 1_000_000;

/// What happened to a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its first instruction.
    Exec,
    /// It took a signal that is to end it.
    Signalled,
    /// Its last instruction but one.
    Exiting,
}

/// One event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    /// When, in milliseconds on the monotonic clock.
    pub(crate) at: f64,
    /// What.
    pub(crate) kind: Kind,
    /// Which process of the configuration.
    pub(crate) number: usize,
    /// Its number in the kernel.
    pub(crate) pid: i32,
}

/// The shared file, and how far it was read.
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    bell: OwnedFd,
    read: u32,
}

impl Journal {
    /// Makes an empty one, in place of a former one.
    pub(crate) fn new(place: &Place) -> Journal {
        let path = place.own("journal");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path).expect("a file");
        file.set_len(HEADER + u64::from(ROOM) * RECORD).expect("room, of which only what is used is taken");
        file.write_all_at(&ROOM.to_ne_bytes(), 4).expect("a header");
        let bell = place.own("journal.bell");
        if !bell.exists() {
            mknodat(rustix::fs::CWD, &bell, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a FIFO");
        }
        let bell = open(bell, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).expect("it was made");
        Journal { path, file, bell, read: 0 }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn word(&self, place: u64) -> u32 {
        let mut word = [0; 4];
        self.file.read_exact_at(&mut word, place).expect("a header");
        u32::from_ne_bytes(word)
    }

    /// How many events of a kind there have been.
    pub(crate) fn count(&self, kind: Kind) -> u32 {
        self.word(COUNTS + 4 * kind as u64)
    }

    /// Waits until there have been so many events of a kind, since the journal was made.
    pub(crate) fn wait(&self, kind: Kind, count: u32, patience: Duration) {
        self.silence();
        self.file.write_all_at(&count.to_ne_bytes(), TARGETS + 4 * kind as u64).expect("a header");
        // A child adds its event before it looks at the target, and here it is the other way round: one of both sees it.
        let until = Instant::now() + patience;
        while self.count(kind) < count {
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{} of {count} events {kind:?} within {patience:?}", self.count(kind));
            self.listen(left);
        }
    }

    /// Lets time pass, as a measurement of what happens in a time must.
    pub(crate) fn pass(&self, time: Duration) {
        let until = Instant::now() + time;
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.listen(left);
        }
    }

    fn listen(&self, patience: Duration) {
        let patience = Timespec::try_from(patience).expect("it is short");
        match poll(&mut [PollFd::new(&self.bell, PollFlags::IN)], Some(&patience)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => {}
            Ok(_) => self.silence(),
            Err(error) => panic!("the bell can't be heard: {error}"),
        }
    }

    fn silence(&self) {
        let mut rings = [0; 64];
        while matches!(rustix::io::read(&self.bell, &mut rings), Ok(1..)) {}
    }

    /// The events that were not read before.
    pub(crate) fn news(&mut self) -> Vec<Record> {
        let next = self.word(0);
        assert!(next < ROOM, "the journal is full");
        let mut bytes = vec![0; (next - self.read) as usize * RECORD_BYTES];
        self.file.read_exact_at(&mut bytes, HEADER + u64::from(self.read) * RECORD).expect("they were written");
        self.read = next;
        // Whoever has taken a place and not yet written to it notes an exec at no time, and is no news that is waited for.
        bytes.chunks_exact(RECORD_BYTES).map(record).collect()
    }

    /// The event of a kind that came last.
    pub(crate) fn last(&mut self, kind: Kind) -> f64 {
        let events = self.news().into_iter().filter(|record| record.kind == kind);
        events.map(|record| record.at).max_by(f64::total_cmp).expect("it was waited for")
    }

    /// The argument of a child.
    pub(crate) fn argument(&self, number: usize) -> String {
        format!("{}#{number}", self.path.display())
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        fs::remove_file(&self.path).expect("it is ours");
    }
}

fn record(bytes: &[u8]) -> Record {
    let word = |place: usize| u32::from_ne_bytes(bytes[place..place + 4].try_into().expect("four bytes"));
    let nanoseconds = u64::from_ne_bytes(bytes[..8].try_into().expect("eight bytes"));
    let kind = [Kind::Exec, Kind::Signalled, Kind::Exiting][word(8) as usize];
    Record { at: milliseconds(Duration::from_nanos(nanoseconds)), kind, number: word(12) as usize, pid: word(16).cast_signed() }
}

/// The clock that the children use, in milliseconds.
pub(crate) fn now() -> f64 {
    milliseconds(Duration::try_from(clock_gettime(ClockId::Monotonic)).expect("the monotonic clock is after its beginning"))
}
