//! Whether what can be seen of the files is worth reading now, or only when a writer has finished.
//!
//! A file that is being written is not read: a beginning of a valid file is usually valid too, with processes missing.
//! What was renamed into place is whole and taken at once. What was written in place is taken when its writer has closed
//! it and it has been quiet for a while. Time is an argument, and so is what was seen: this can be tested without files.

use super::hints::Hint;
use super::stamps::Stamps;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a file written in place must be quiet.
pub(super) const QUIET: Duration = Duration::from_millis(200);

/// How much longer, where what is read gives reason to doubt that it is complete.
pub(super) const DOUBT: Duration = Duration::from_secs(1);

/// How long a file may be open without being written to before it is read all the same: some programs never close theirs.
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

/// What was read last, and what is known of changes since.
#[derive(Debug)]
pub(super) struct Look {
    read: Stamps,
    /// The same stamps mean the same content.
    is_certain: bool,
    /// What was seen last, if that isn't what was read.
    seen: Option<Seen>,
    /// The names that were put in place whole.
    placed: BTreeSet<PathBuf>,
    /// The names that were written to and not closed yet.
    written: BTreeSet<PathBuf>,
}

#[derive(Debug)]
struct Seen {
    stamps: Stamps,
    /// Since when nobody has written to any file, as far as can be told.
    since: Instant,
}

impl Look {
    /// The files were read, with these stamps just before; `is_certain`: the same stamps mean the same content.
    pub(super) fn new(read: Stamps, is_certain: bool) -> Look {
        Look { read, is_certain, seen: None, placed: BTreeSet::new(), written: BTreeSet::new() }
    }

    /// The paths that were read, as they are now.
    pub(super) fn again(&self) -> Stamps {
        self.read.again()
    }

    /// Takes a hint in.
    pub(super) fn note(&mut self, hint: Hint, now: Instant) {
        // A file that is new to a directory is seen by hints alone: it is none of those that were read.
        if let (Hint::Written(_) | Hint::Closed(_), Some(seen)) = (&hint, &mut self.seen) {
            seen.since = now;
        }
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
            Hint::Gone(name) => {
                self.written.remove(&name);
                self.placed.remove(&name);
            }
            Hint::Touched(_) => {}
            // Who has closed what is no longer known.
            Hint::Anything => self.written.clear(),
        }
    }

    /// Judges what is seen now.
    pub(super) fn judge(&mut self, stamps: Stamps, now: Instant) -> Verdict {
        if self.is_certain && stamps == self.read {
            self.seen = None;
            self.placed.clear();
            self.written.clear();
            return Verdict::Same;
        }
        let since = match &self.seen {
            Some(seen) if stamps.has_the_files_of(&seen.stamps) => seen.since,
            _ => now,
        };
        let until = if !self.written.is_empty() {
            since + PATIENCE
        } else if self.is_whole(&stamps) {
            since
        } else {
            since + QUIET
        };
        self.seen = Some(Seen { stamps, since });
        if now < until { Verdict::Wait(until) } else { Verdict::Read }
    }

    /// Until when to hold back what was read if it is doubtful; `None` if it was put in place whole.
    pub(super) fn doubt(&self) -> Option<Instant> {
        let seen = self.seen.as_ref().filter(|seen| !self.is_whole(&seen.stamps))?;
        Some(seen.since + QUIET + DOUBT)
    }

    /// Whether everything that differs was put in place whole.
    fn is_whole(&self, stamps: &Stamps) -> bool {
        !self.placed.is_empty() && stamps.replaces(&self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "/etc/navigator.yml";

    /// The file is there, with this inode and size.
    fn file(inode: u64, size: u64) -> Stamps {
        Stamps::made(&[(FILE, Some((inode, size)))])
    }

    fn missing() -> Stamps {
        Stamps::made(&[(FILE, None)])
    }

    fn name() -> PathBuf {
        FILE.into()
    }

    /// A look at a file that was read a while ago, and its clock.
    fn begun() -> (Look, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Look::new(file(1, 100), true), move |millis| start + Duration::from_millis(millis))
    }

    #[test]
    fn nothing_is_done_about_nothing() {
        let (mut look, at) = begun();
        assert_eq!(look.judge(file(1, 100), at(0)), Verdict::Same);
        look.note(Hint::Touched(name()), at(1));
        look.note(Hint::Anything, at(1));
        assert_eq!(look.judge(file(1, 100), at(2)), Verdict::Same);
    }

    #[test]
    fn what_was_renamed_into_place_is_read_at_once() {
        let (mut look, at) = begun();
        look.note(Hint::Placed(name()), at(5));
        assert_eq!(look.judge(file(2, 120), at(5)), Verdict::Read);
        assert_eq!(look.doubt(), None, "it is whole");
    }

    #[test]
    fn a_change_of_its_mode_makes_a_renamed_file_no_less_whole() {
        let (mut look, at) = begun();
        look.note(Hint::Placed(name()), at(5));
        look.note(Hint::Touched(name()), at(5));
        assert_eq!(look.judge(file(2, 120), at(5)), Verdict::Read);
    }

    #[test]
    fn what_was_written_in_place_must_be_closed_and_quiet() {
        let (mut look, at) = begun();
        look.note(Hint::Written(name()), at(0));
        assert_eq!(look.judge(file(1, 10), at(0)), Verdict::Wait(at(30_000)));
        assert_eq!(look.judge(file(1, 10), at(5_000)), Verdict::Wait(at(30_000)), "it is open");
        look.note(Hint::Closed(name()), at(6_000));
        assert_eq!(look.judge(file(1, 10), at(6_000)), Verdict::Wait(at(6_200)));
        assert_eq!(look.judge(file(1, 20), at(6_199)), Verdict::Wait(at(6_399)), "it changed again");
        assert_eq!(look.judge(file(1, 20), at(6_398)), Verdict::Wait(at(6_399)));
        assert_eq!(look.judge(file(1, 20), at(6_399)), Verdict::Read);
        assert_eq!(look.doubt(), Some(at(6_399) + DOUBT));
    }

    #[test]
    fn a_file_that_is_opened_again_and_again_is_read_when_that_is_over() {
        let (mut look, at) = begun();
        for round in 0..20 {
            look.note(Hint::Written(name()), at(round * 100));
            assert_ne!(look.judge(file(1, round), at(round * 100)), Verdict::Read);
            look.note(Hint::Closed(name()), at(round * 100 + 50));
            assert_ne!(look.judge(file(1, round), at(round * 100 + 99)), Verdict::Read);
        }
        assert_eq!(look.judge(file(1, 19), at(1_950 + 200)), Verdict::Read);
    }

    #[test]
    fn a_file_that_is_never_closed_is_read_when_nobody_has_written_for_long() {
        let (mut look, at) = begun();
        for round in 0..10 {
            look.note(Hint::Written(name()), at(round * 20_000));
            assert_eq!(look.judge(file(1, round), at(round * 20_000)), Verdict::Wait(at(round * 20_000 + 30_000)));
        }
        assert_eq!(look.judge(file(1, 9), at(210_000)), Verdict::Read);
    }

    #[test]
    fn a_file_that_is_missing_for_a_moment_is_not_missed() {
        let (mut look, at) = begun();
        look.note(Hint::Gone(name()), at(0));
        assert_eq!(look.judge(missing(), at(0)), Verdict::Wait(at(200)));
        look.note(Hint::Placed(name()), at(100));
        assert_eq!(look.judge(file(2, 100), at(100)), Verdict::Read);
    }

    #[test]
    fn a_file_that_stays_missing_is_read_as_missing() {
        let (mut look, at) = begun();
        look.note(Hint::Placed("/etc/navigator.yml~".into()), at(0));
        assert_eq!(look.judge(missing(), at(0)), Verdict::Wait(at(200)), "nothing was put in its place");
        assert_eq!(look.judge(missing(), at(200)), Verdict::Read);
    }

    #[test]
    fn what_is_written_to_after_it_was_renamed_into_place_is_not_whole() {
        let (mut look, at) = begun();
        look.note(Hint::Placed(name()), at(0));
        look.note(Hint::Written(name()), at(0));
        look.note(Hint::Closed(name()), at(1));
        assert_eq!(look.judge(file(2, 10), at(1)), Verdict::Wait(at(201)));
    }

    #[test]
    fn without_hints_it_must_be_quiet() {
        let (mut look, at) = begun();
        assert_eq!(look.judge(file(2, 100), at(0)), Verdict::Wait(at(200)), "no hint says that it is whole");
        assert_eq!(look.judge(file(2, 100), at(200)), Verdict::Read);
    }

    #[test]
    fn stamps_that_cannot_be_trusted_lead_to_another_reading() {
        let (_, at) = begun();
        let mut look = Look::new(file(1, 100), false);
        assert_eq!(look.judge(file(1, 100), at(0)), Verdict::Wait(at(200)));
        assert_eq!(look.judge(file(1, 100), at(200)), Verdict::Read);
    }

    #[test]
    fn a_new_file_in_a_listed_directory_may_take_its_time() {
        let parts = |size| Stamps::made(&[("/etc/parts/", Some((1, size)))]);
        let (_, at) = begun();
        let mut look = Look::new(parts(1), true);
        look.note(Hint::Touched("/etc/parts/new.yml".into()), at(0));
        assert_eq!(look.judge(parts(2), at(0)), Verdict::Wait(at(200)));
        look.note(Hint::Written("/etc/parts/new.yml".into()), at(10));
        look.note(Hint::Closed("/etc/parts/new.yml".into()), at(150));
        assert_eq!(look.judge(parts(2), at(200)), Verdict::Wait(at(350)));
        assert_eq!(look.judge(parts(2), at(350)), Verdict::Read);
    }

    #[test]
    fn a_busy_directory_does_not_hold_up_a_change() {
        let both = |size, entries| Stamps::made(&[(FILE, Some((1, size))), ("/etc/parts/", Some((2, entries)))]);
        let (_, at) = begun();
        let mut look = Look::new(both(100, 0), true);
        for millis in 0..200 {
            assert_eq!(look.judge(both(101, millis), at(millis)), Verdict::Wait(at(200)));
        }
        assert_eq!(look.judge(both(101, 200), at(200)), Verdict::Read);
    }

    #[test]
    fn lost_hints_leave_no_writer_behind() {
        let (mut look, at) = begun();
        look.note(Hint::Written(name()), at(0));
        look.note(Hint::Anything, at(0));
        assert_eq!(look.judge(file(1, 10), at(0)), Verdict::Wait(at(200)));
    }
}
