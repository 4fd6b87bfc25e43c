//! Whether what can be seen of the files is worth reading now, or only when a writer has finished.
//!
//! A file that is being written is not read: a beginning of a valid file is usually valid too, with processes missing.
//! What was renamed into place is whole and taken at once. What was written in place is taken when it has been quiet for a
//! while and its writer has closed it, which the kernel can nearly always be asked; where it can't, hints say so. Time is an
//! argument, and so is what was seen and answered: this can be tested without files.

use super::file::ReadRecord;
use super::file_stat::FileStats;
use super::fs_events::FsEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a file written in place must be quiet.
pub(super) const QUIET: Duration = Duration::from_millis(200);

/// How much longer, where what is read gives reason to doubt that it is complete.
pub(super) const DOUBT: Duration = Duration::from_secs(1);

/// How long a file may be open without being written to before it is taken all the same: some programs never close theirs.
const PATIENCE: Duration = Duration::from_secs(30);

/// How soon the kernel is asked again whether a writer is still there.
const AGAIN: Duration = Duration::from_millis(100);

/// What to do about what was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DebounceDecision {
    /// Nothing: it is what was read.
    Same,
    /// Look again at this time, or at the next hint.
    Wait(Instant),
    /// Read.
    Read,
}

/// What was read last, and what is known of changes since.
#[derive(Debug)]
pub(super) struct Debounce {
    read: FileStats,
    /// The same stamps mean the same content.
    is_certain: bool,
    /// What was seen last, if that isn't what was read.
    seen: Option<FileChange>,
    /// The names that were put in place whole.
    placed: BTreeSet<PathBuf>,
    /// The names that were written to in place, and whether hints leave it open that a writer is still there.
    written: BTreeMap<PathBuf, bool>,
}

#[derive(Debug)]
struct FileChange {
    stamps: FileStats,
    /// Since when nobody has written to any file, as far as can be told.
    since: Instant,
}

impl Debounce {
    /// The files were read, with these stamps just before; `is_certain`: the same stamps mean the same content.
    pub(super) fn new(read: FileStats, is_certain: bool) -> Debounce {
        Debounce { read, is_certain, seen: None, placed: BTreeSet::new(), written: BTreeMap::new() }
    }

    /// The paths that were read, as they are now.
    pub(super) fn again(&self) -> FileStats {
        self.read.again()
    }

    /// Takes a hint in.
    pub(super) fn note(&mut self, hint: FsEvent, now: Instant) {
        // A file that is new to a directory is seen by hints alone: it is none of those that were read.
        if let (FsEvent::Written(_) | FsEvent::Closed(_), Some(seen)) = (&hint, &mut self.seen) {
            seen.since = now;
        }
        match hint {
            FsEvent::Placed(name) => {
                self.written.remove(&name);
                self.placed.insert(name);
            }
            FsEvent::Written(name) => {
                self.placed.remove(&name);
                self.written.insert(name, true);
            }
            // It may also have been opened and closed without being written to.
            FsEvent::Closed(name) => {
                self.written.entry(name).and_modify(|is_open| *is_open = false);
            }
            FsEvent::Gone(name) => {
                self.written.remove(&name);
                self.placed.remove(&name);
            }
            FsEvent::Touched(_) => {}
            // Who has closed what is no longer known.
            FsEvent::Anything => self.written.values_mut().for_each(|is_open| *is_open = false),
        }
    }

    /// Judges what is seen now.
    pub(super) fn judge(&mut self, stamps: FileStats, now: Instant) -> DebounceDecision {
        if self.is_certain && stamps == self.read {
            self.seen = None;
            self.placed.clear();
            self.written.clear();
            return DebounceDecision::Same;
        }
        let since = match &self.seen {
            Some(seen) if stamps.has_the_files_of(&seen.stamps) => seen.since,
            _ => now,
        };
        let until = if self.is_whole(&stamps) { since } else { since + QUIET };
        self.seen = Some(FileChange { stamps, since });
        if now < until { DebounceDecision::Wait(until) } else { DebounceDecision::Read }
    }

    /// Until when to hold back what was read because a writer isn't done with something that changed; `None`: all are, as
    /// far as can be told.
    pub(super) fn unfinished(&self, read: &ReadRecord, now: Instant) -> Option<Instant> {
        let seen = self.seen.as_ref()?;
        let patience = seen.since + PATIENCE;
        let has_changed = |path: &PathBuf| !self.is_certain || !read.stamps.is_as_in(&self.read, path);
        let answers = || read.writers.iter().filter(|(path, _)| has_changed(path)).map(|(_, has_writer)| *has_writer);
        if self.is_whole(&seen.stamps) {
            // Some programs keep what they have renamed into place open: it is whole all the same. Others write to it right
            // after; a hint says so soon.
            let quiet = seen.since + QUIET;
            return (now < quiet && answers().any(|has_writer| has_writer == Some(true))).then_some(quiet);
        }
        if now >= patience {
            None
        } else if answers().any(|has_writer| has_writer == Some(true)) {
            Some(patience.min(now + AGAIN))
        } else if self.written.values().any(|is_open| *is_open) && answers().any(|has_writer| has_writer.is_none()) {
            Some(patience)
        } else {
            None
        }
    }

    /// Until when to hold back what was read if it is doubtful; `None` if it was put in place whole.
    pub(super) fn doubt(&self) -> Option<Instant> {
        let seen = self.seen.as_ref().filter(|seen| !self.is_whole(&seen.stamps))?;
        Some(seen.since + QUIET + DOUBT)
    }

    /// Whether everything that differs was put in place whole.
    fn is_whole(&self, stamps: &FileStats) -> bool {
        !self.placed.is_empty() && self.written.is_empty() && stamps.replaces(&self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const FILE: &str = "/etc/navigator.yml";

    /// The file is there, with this inode and size.
    fn file(inode: u64, size: u64) -> FileStats {
        FileStats::made(&[(FILE, Some((inode, size)))])
    }

    fn missing() -> FileStats {
        FileStats::made(&[(FILE, None)])
    }

    fn name() -> PathBuf {
        FILE.into()
    }

    /// The file was read as this, with this answer to whether somebody has it open.
    fn read(inode: u64, size: u64, has_writer: Option<bool>) -> ReadRecord {
        ReadRecord { stamps: file(inode, size), writers: [(name(), has_writer)].into(), is_fresh: false }
    }

    /// A look at a file that was read a while ago, and its clock.
    fn begun() -> (Debounce, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Debounce::new(file(1, 100), true), move |millis| start + Duration::from_millis(millis))
    }

    #[test]
    fn nothing_is_done_about_nothing() {
        let (mut look, at) = begun();
        assert_eq!(look.judge(file(1, 100), at(0)), DebounceDecision::Same);
        look.note(FsEvent::Touched(name()), at(1));
        look.note(FsEvent::Anything, at(1));
        assert_eq!(look.judge(file(1, 100), at(2)), DebounceDecision::Same);
    }

    #[test]
    fn what_was_renamed_into_place_is_read_at_once() {
        let (mut look, at) = begun();
        look.note(FsEvent::Placed(name()), at(5));
        assert_eq!(look.judge(file(2, 120), at(5)), DebounceDecision::Read);
        assert_eq!(look.doubt(), None, "it is whole");
    }

    #[test]
    fn a_change_of_its_mode_makes_a_renamed_file_no_less_whole() {
        let (mut look, at) = begun();
        look.note(FsEvent::Placed(name()), at(5));
        look.note(FsEvent::Touched(name()), at(5));
        assert_eq!(look.judge(file(2, 120), at(5)), DebounceDecision::Read);
    }

    #[test]
    fn what_was_written_in_place_must_be_quiet() {
        let (mut look, at) = begun();
        look.note(FsEvent::Written(name()), at(0));
        assert_eq!(look.judge(file(1, 10), at(0)), DebounceDecision::Wait(at(200)));
        look.note(FsEvent::Closed(name()), at(100));
        assert_eq!(look.judge(file(1, 10), at(100)), DebounceDecision::Wait(at(300)));
        assert_eq!(look.judge(file(1, 20), at(299)), DebounceDecision::Wait(at(499)), "it changed again");
        assert_eq!(look.judge(file(1, 20), at(498)), DebounceDecision::Wait(at(499)));
        assert_eq!(look.judge(file(1, 20), at(499)), DebounceDecision::Read);
        assert_eq!(look.unfinished(&read(1, 20, None), at(499)), None, "it was closed");
        assert_eq!(look.doubt(), Some(at(499) + DOUBT));
    }

    #[test]
    fn a_writer_that_the_kernel_knows_of_is_waited_for() {
        let (mut look, at) = begun();
        assert_eq!(look.judge(file(1, 10), at(0)), DebounceDecision::Wait(at(200)), "no hint came");
        assert_eq!(look.judge(file(1, 10), at(5_000)), DebounceDecision::Read);
        assert_eq!(look.unfinished(&read(1, 10, Some(true)), at(5_000)), Some(at(5_100)));
        assert_eq!(look.unfinished(&read(1, 10, Some(false)), at(5_100)), None);
    }

    #[test]
    fn what_the_kernel_knows_counts_for_more_than_a_hint_that_was_missed() {
        let (mut look, at) = begun();
        look.note(FsEvent::Written(name()), at(0));
        assert_eq!(look.judge(file(1, 10), at(0)), DebounceDecision::Wait(at(200)));
        assert_eq!(look.judge(file(1, 10), at(200)), DebounceDecision::Read);
        assert_eq!(look.unfinished(&read(1, 10, Some(false)), at(200)), None, "`truncate(2)` opens nothing");
        assert_eq!(look.unfinished(&read(1, 10, None), at(200)), Some(at(30_000)), "as far as hints say");
    }

    #[test]
    fn a_file_that_did_not_change_may_be_open_for_good() {
        let other = Path::new("/etc/other.env");
        let both = |size| FileStats::made(&[(FILE, Some((1, size))), ("/etc/other.env", Some((2, 5)))]);
        let (_, at) = begun();
        let mut look = Debounce::new(both(100), true);
        assert_eq!(look.judge(both(101), at(0)), DebounceDecision::Wait(at(200)));
        let writers = [(name(), Some(false)), (other.to_owned(), Some(true))].into();
        let read = ReadRecord { stamps: both(101), writers, is_fresh: false };
        assert_eq!(look.unfinished(&read, at(200)), None);
        let uncertain = Debounce { is_certain: false, ..look };
        assert_eq!(uncertain.unfinished(&read, at(200)), Some(at(300)), "it may have changed");
    }

    #[test]
    fn a_file_that_was_not_read_before_may_have_a_writer_too() {
        let (mut look, at) = begun();
        assert_eq!(look.judge(file(1, 10), at(0)), DebounceDecision::Wait(at(200)));
        let new = "/etc/parts/new.yml";
        let stamps = FileStats::made(&[(FILE, Some((1, 100))), (new, Some((2, 5)))]);
        let writers = [(name(), Some(false)), (new.into(), Some(true))].into();
        let read = ReadRecord { stamps, writers, is_fresh: false };
        assert_eq!(look.unfinished(&read, at(200)), Some(at(300)));
    }

    #[test]
    fn what_was_renamed_into_place_may_stay_open() {
        let (mut look, at) = begun();
        look.note(FsEvent::Placed(name()), at(5));
        assert_eq!(look.judge(file(2, 120), at(5)), DebounceDecision::Read);
        assert_eq!(look.unfinished(&read(2, 120, Some(true)), at(5)), Some(at(205)));
        assert_eq!(look.unfinished(&read(2, 120, Some(true)), at(205)), None);
    }

    #[test]
    fn what_is_written_to_right_after_it_was_renamed_into_place_has_a_writer() {
        let (mut look, at) = begun();
        look.note(FsEvent::Placed(name()), at(5));
        // It was cut off already, and the hint has yet to come.
        assert_eq!(look.judge(file(2, 60), at(6)), DebounceDecision::Read);
        assert_eq!(look.unfinished(&read(2, 60, Some(true)), at(6)), Some(at(206)));
        look.note(FsEvent::Written(name()), at(7));
        assert_eq!(look.judge(file(2, 60), at(207)), DebounceDecision::Read);
        assert_eq!(look.unfinished(&read(2, 60, Some(true)), at(207)), Some(at(307)));
    }

    #[test]
    fn nothing_is_whole_while_something_else_was_written_in_place() {
        let both = |inode, size| FileStats::made(&[(FILE, Some((inode, 120))), ("/etc/a.env", Some((size, 5)))]);
        let (_, at) = begun();
        let mut look = Debounce::new(both(1, 1), true);
        look.note(FsEvent::Placed(name()), at(0));
        look.note(FsEvent::Written("/etc/a.env".into()), at(0));
        assert_eq!(look.judge(both(2, 2), at(0)), DebounceDecision::Wait(at(200)), "though both are other files than before");
        look.note(FsEvent::Placed("/etc/a.env".into()), at(10));
        assert_eq!(look.judge(both(2, 3), at(10)), DebounceDecision::Read);
    }

    #[test]
    fn a_file_that_is_opened_again_and_again_is_read_when_that_is_over() {
        let (mut look, at) = begun();
        for round in 0..20 {
            look.note(FsEvent::Written(name()), at(round * 100));
            assert_ne!(look.judge(file(1, round), at(round * 100)), DebounceDecision::Read);
            look.note(FsEvent::Closed(name()), at(round * 100 + 50));
            assert_ne!(look.judge(file(1, round), at(round * 100 + 99)), DebounceDecision::Read);
        }
        assert_eq!(look.judge(file(1, 19), at(1_950 + 200)), DebounceDecision::Read);
    }

    #[test]
    fn a_file_that_is_never_closed_is_taken_when_nobody_has_written_for_long() {
        for answer in [Some(true), None] {
            let (mut look, at) = begun();
            let unfinished = |look: &Debounce, now: u64| look.unfinished(&read(1, 9, answer), at(now)).is_some();
            for round in 0..10 {
                look.note(FsEvent::Written(name()), at(round * 20_000));
                assert_eq!(look.judge(file(1, round), at(round * 20_000)), DebounceDecision::Wait(at(round * 20_000 + 200)));
                assert_eq!(look.judge(file(1, round), at(round * 20_000 + 19_999)), DebounceDecision::Read);
                assert!(unfinished(&look, round * 20_000 + 19_999));
            }
            assert!(unfinished(&look, 209_999) && !unfinished(&look, 210_000));
        }
    }

    #[test]
    fn a_file_that_is_missing_for_a_moment_is_not_missed() {
        let (mut look, at) = begun();
        look.note(FsEvent::Gone(name()), at(0));
        assert_eq!(look.judge(missing(), at(0)), DebounceDecision::Wait(at(200)));
        look.note(FsEvent::Placed(name()), at(100));
        assert_eq!(look.judge(file(2, 100), at(100)), DebounceDecision::Read);
    }

    #[test]
    fn a_file_that_stays_missing_is_read_as_missing() {
        let (mut look, at) = begun();
        look.note(FsEvent::Placed("/etc/navigator.yml~".into()), at(0));
        assert_eq!(look.judge(missing(), at(0)), DebounceDecision::Wait(at(200)), "nothing was put in its place");
        assert_eq!(look.judge(missing(), at(200)), DebounceDecision::Read);
    }

    #[test]
    fn what_is_written_to_after_it_was_renamed_into_place_is_not_whole() {
        let (mut look, at) = begun();
        look.note(FsEvent::Placed(name()), at(0));
        look.note(FsEvent::Written(name()), at(0));
        look.note(FsEvent::Closed(name()), at(1));
        assert_eq!(look.judge(file(2, 10), at(1)), DebounceDecision::Wait(at(201)));
    }

    #[test]
    fn without_hints_it_must_be_quiet() {
        let (mut look, at) = begun();
        assert_eq!(look.judge(file(2, 100), at(0)), DebounceDecision::Wait(at(200)), "no hint says that it is whole");
        assert_eq!(look.judge(file(2, 100), at(200)), DebounceDecision::Read);
    }

    #[test]
    fn stamps_that_cannot_be_trusted_lead_to_another_reading() {
        let (_, at) = begun();
        let mut look = Debounce::new(file(1, 100), false);
        assert_eq!(look.judge(file(1, 100), at(0)), DebounceDecision::Wait(at(200)));
        assert_eq!(look.judge(file(1, 100), at(200)), DebounceDecision::Read);
    }

    #[test]
    fn a_new_file_in_a_listed_directory_may_take_its_time() {
        let parts = |size| FileStats::made(&[("/etc/parts/", Some((1, size)))]);
        let (_, at) = begun();
        let mut look = Debounce::new(parts(1), true);
        look.note(FsEvent::Touched("/etc/parts/new.yml".into()), at(0));
        assert_eq!(look.judge(parts(2), at(0)), DebounceDecision::Wait(at(200)));
        look.note(FsEvent::Written("/etc/parts/new.yml".into()), at(10));
        look.note(FsEvent::Closed("/etc/parts/new.yml".into()), at(150));
        assert_eq!(look.judge(parts(2), at(200)), DebounceDecision::Wait(at(350)));
        assert_eq!(look.judge(parts(2), at(350)), DebounceDecision::Read);
    }

    #[test]
    fn a_busy_directory_does_not_hold_up_a_change() {
        let both = |size, entries| FileStats::made(&[(FILE, Some((1, size))), ("/etc/parts/", Some((2, entries)))]);
        let (_, at) = begun();
        let mut look = Debounce::new(both(100, 0), true);
        for millis in 0..200 {
            assert_eq!(look.judge(both(101, millis), at(millis)), DebounceDecision::Wait(at(200)));
        }
        assert_eq!(look.judge(both(101, 200), at(200)), DebounceDecision::Read);
    }

    #[test]
    fn lost_hints_leave_no_writer_behind() {
        let (mut look, at) = begun();
        look.note(FsEvent::Written(name()), at(0));
        look.note(FsEvent::Anything, at(0));
        assert_eq!(look.judge(file(1, 10), at(0)), DebounceDecision::Wait(at(200)));
        assert_eq!(look.unfinished(&read(1, 10, None), at(200)), None);
    }
}
