//! Whether what can be seen of the files is worth reading now, or only when a writer has finished.
//!
//! A file that is being written is not read: a beginning of a valid file is usually valid too, with processes missing.
//! What was renamed into place is whole and taken at once. What was written in place is taken when its writer has closed
//! it and it has been quiet for a while. Time is an argument, and so is what was seen: this can be tested without files.

use super::file::Stamps;
use super::hints::Hint;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a file written in place must be quiet.
pub(super) const QUIET: Duration = Duration::from_millis(200);

/// How long a writer may keep a file open before it is read all the same: it may have been opened for good.
const PATIENCE: Duration = Duration::from_secs(30);

/// What to do about what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing: it is what was read.
    Same,
    /// Look again at this time, or at the next hint.
    Wait(Instant),
    /// Read.
    Read,
}

/// What is known of changes that have not been read.
#[derive(Debug, Default)]
pub(super) struct Look {
    seen: Option<Seen>,
    placed: BTreeSet<PathBuf>,
    written: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct Seen {
    stamps: Stamps,
    /// When these stamps were first seen.
    since: Instant,
    /// When anything else than what was read was first seen.
    first: Instant,
}

impl Look {
    /// Takes a hint in.
    pub(super) fn note(&mut self, hint: Hint) {
        match hint {
            Hint::Placed(name) => {
                self.written.remove(&name);
                self.placed.insert(name);
            }
            Hint::Written(name) => {
                self.placed.remove(&name);
                self.written.insert(name);
            }
            Hint::Closed(name) => {
                self.written.remove(&name);
            }
            // Moved away or removed: what comes in its place is another matter.
            Hint::Touched(name) => {
                self.placed.remove(&name);
            }
            Hint::Anything => {}
        }
    }

    /// Judges what is seen now, beside what was read.
    pub(super) fn judge(&mut self, read: &Stamps, now_seen: Stamps, now: Instant) -> Verdict {
        if now_seen == *read {
            self.forget();
            return Verdict::Same;
        }
        let whole = self.is_whole(read, &now_seen);
        let seen = match self.seen.take() {
            Some(seen) if seen.stamps == now_seen => seen,
            former => Seen { stamps: now_seen, since: now, first: former.map_or(now, |seen| seen.first) },
        };
        let quiet_at = if whole { seen.since } else { seen.since + QUIET };
        let patient_until = seen.first + PATIENCE;
        self.seen = Some(seen);
        if now < quiet_at {
            Verdict::Wait(quiet_at)
        } else if !self.written.is_empty() && now < patient_until {
            Verdict::Wait(patient_until)
        } else {
            Verdict::Read
        }
    }

    /// Since when what is seen has been as it is.
    pub(super) fn since(&self) -> Option<Instant> {
        self.seen.as_ref().map(|seen| seen.since)
    }

    /// Everything that was seen has been read.
    pub(super) fn forget(&mut self) {
        self.seen = None;
        self.placed.clear();
        self.written.clear();
    }

    /// Whether everything that differs was put in place whole: something was renamed, every file is there, and each that
    /// differs is another file than before.
    pub(super) fn is_whole(&self, read: &Stamps, now_seen: &Stamps) -> bool {
        let other = |path: &PathBuf, is: &Option<super::file::Stamp>| {
            let was = read.get(path).copied().flatten();
            is.is_some_and(|is| is.is_directory || was.is_none_or(|was| was == is || !was.is_same_file(&is)))
        };
        !self.placed.is_empty() && now_seen.iter().all(|(path, is)| other(path, is))
    }
}
