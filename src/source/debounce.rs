//! Debounce: decides whether changed files are ready to be read, or whether a writer has yet to finish.
//!
//! A file that is being written is not read: the beginning of a valid file is usually valid too, with processes missing. A file
//! that was renamed into place is complete and is read at once. A file that was written in place is read when it has been quiet
//! for a while and its writer has closed it. Of several files, one that was renamed into place may be the first of many: they are
//! read together. The kernel can nearly always be asked whether a writer is left; where it can't, file
//! events say so.
//!
//! Time, file metadata and answers are arguments, so this is tested without files.

use super::file::ReadRecord;
use super::file_stat::FileStats;
use super::fs_events::FsEvent;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a file written in place must be quiet.
pub(super) const QUIET_PERIOD: Duration = Duration::from_millis(200);

/// How long all of several files must be quiet that were renamed into place.
pub(super) const TOGETHER_PERIOD: Duration = Duration::from_millis(50);

/// How long files are waited for that are renamed into place again and again.
const TOGETHER_TIMEOUT: Duration = Duration::from_secs(1);

/// How much longer to wait if the content looks truncated.
pub(super) const DOUBT_DELAY: Duration = Duration::from_secs(1);

/// How long a file may be open without being written to before it is read all the same: some programs never close theirs.
const OPEN_FILE_TIMEOUT: Duration = Duration::from_secs(30);

/// How soon the kernel is asked again whether a writer has the file open.
const WRITER_CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// What to do about the metadata that was change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DebounceDecision {
    /// Nothing: the files are as they were read.
    Same,
    /// Check again at this time, or at the next event.
    Wait(Instant),
    /// Read the files.
    Read,
}

/// What was read last, and what is known of changes since.
#[derive(Debug)]
pub(super) struct Debounce {
    read: FileStats,
    /// The same metadata means the same content.
    is_certain: bool,
    /// The metadata seen last, if it differs from what was read.
    change: Option<FileChange>,
    /// The names that were renamed into place.
    renamed: BTreeSet<PathBuf>,
    /// The names that were written to in place, and whether a writer may still have them open, as far as events say.
    written: BTreeMap<PathBuf, bool>,
}

#[derive(Debug)]
struct FileChange {
    stats: FileStats,
    /// Since when the files differ from what was read.
    begun: Instant,
    /// Since when no file has been written to, as far as is known.
    quiet_since: Instant,
}

impl Debounce {
    /// The files were read, with this metadata just before. `is_certain`: the same metadata means the same content.
    pub(super) fn new(read: FileStats, is_certain: bool) -> Debounce {
        Debounce { read, is_certain, change: None, renamed: BTreeSet::new(), written: BTreeMap::new() }
    }

    /// The current metadata of the paths that were read.
    pub(super) fn stat_again(&self) -> FileStats {
        self.read.stat_again()
    }

    /// Records an event.
    pub(super) fn record(&mut self, event: FsEvent, now: Instant) {
        // A new file in a listed directory is seen by events alone: it is not among the files that were read.
        let is_change = matches!(event, FsEvent::Written(_) | FsEvent::Closed(_) | FsEvent::MovedTo(_) | FsEvent::Removed(_));
        if let Some(change) = self.change.as_mut().filter(|_| is_change) {
            change.quiet_since = now;
        }
        match event {
            FsEvent::MovedTo(name) => {
                self.written.remove(&name);
                self.renamed.insert(name);
            }
            FsEvent::Written(name) => {
                self.renamed.remove(&name);
                self.written.insert(name, true);
            }
            // The file may also have been opened and closed without being written to.
            FsEvent::Closed(name) => {
                self.written.entry(name).and_modify(|is_open| *is_open = false);
            }
            FsEvent::Removed(name) => {
                self.written.remove(&name);
                self.renamed.remove(&name);
            }
            FsEvent::Other(_) => {}
            // Events were lost, so it isn't known which files were closed.
            FsEvent::Overflow => self.written.values_mut().for_each(|is_open| *is_open = false),
        }
    }

    /// Whether a change of a file was seen that is not read yet. Another entry of a listed directory is none.
    pub(super) fn has_change(&self) -> bool {
        let is_changed = self.change.as_ref().is_some_and(|change| !change.stats.has_same_files(&self.read));
        is_changed || !self.renamed.is_empty() || !self.written.is_empty()
    }

    /// Decides what to do about the current metadata.
    pub(super) fn decide(&mut self, stats: FileStats, now: Instant) -> DebounceDecision {
        if self.is_certain && stats == self.read {
            self.change = None;
            self.renamed.clear();
            self.written.clear();
            return DebounceDecision::Same;
        }
        let since = match &self.change {
            Some(change) if stats.has_same_files(&change.stats) => change.quiet_since,
            _ => now,
        };
        let begun = self.change.as_ref().map_or(now, |change| change.begun);
        let until = match self.is_atomic_replacement(&stats) {
            true if self.read.are_several() => (since + TOGETHER_PERIOD).min(begun + TOGETHER_TIMEOUT),
            true => since,
            false => since + QUIET_PERIOD,
        };
        self.change = Some(FileChange { stats, begun, quiet_since: since });
        if now < until { DebounceDecision::Wait(until) } else { DebounceDecision::Read }
    }

    /// Until when to hold back what was read because a writer isn't done with a changed file. `None`: all are done, as far as is
    /// known.
    pub(super) fn hold_for_writer(&self, read: &ReadRecord, now: Instant) -> Option<Instant> {
        let change = self.change.as_ref()?;
        let timeout = change.quiet_since + OPEN_FILE_TIMEOUT;
        let has_changed = |path: &PathBuf| !self.is_certain || !read.stats.is_same_at(&self.read, path);
        let answers = || read.writers.iter().filter(|(path, _)| has_changed(path)).map(|(_, has_writer)| *has_writer);
        if self.is_atomic_replacement(&change.stats) {
            // Some programs keep a file open that they have renamed into place, and it is complete all the same. Others write to
            // it right after, and an event says so soon.
            let quiet = change.quiet_since + QUIET_PERIOD;
            return (now < quiet && answers().any(|has_writer| has_writer == Some(true))).then_some(quiet);
        }
        if now >= timeout {
            None
        } else if answers().any(|has_writer| has_writer == Some(true)) {
            Some(timeout.min(now + WRITER_CHECK_INTERVAL))
        } else if self.written.values().any(|is_open| *is_open) && answers().any(|has_writer| has_writer.is_none()) {
            Some(timeout)
        } else {
            None
        }
    }

    /// Until when to hold back what was read if it looks truncated; `None` if it was renamed into place.
    pub(super) fn hold_for_doubt(&self) -> Option<Instant> {
        let change = self.change.as_ref().filter(|change| !self.is_atomic_replacement(&change.stats))?;
        Some(change.quiet_since + QUIET_PERIOD + DOUBT_DELAY)
    }

    /// Whether everything that differs was renamed into place.
    fn is_atomic_replacement(&self, stats: &FileStats) -> bool {
        !self.renamed.is_empty() && self.written.is_empty() && stats.replaces(&self.read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    const FILE: &str = "/etc/navigator.yml";

    /// The file exists, with this inode and size.
    fn file(inode: u64, size: u64) -> FileStats {
        FileStats::fake(&[(FILE, Some((inode, size)))])
    }

    fn missing() -> FileStats {
        FileStats::fake(&[(FILE, None)])
    }

    fn name() -> PathBuf {
        FILE.into()
    }

    /// The file was read with this inode and size; `has_writer` is the kernel's answer.
    fn read(inode: u64, size: u64, has_writer: Option<bool>) -> ReadRecord {
        ReadRecord { stats: file(inode, size), writers: [(name(), has_writer)].into(), is_fresh: false }
    }

    /// A debounce for a file that was read a while ago, and its clock.
    fn unchanged() -> (Debounce, impl Fn(u64) -> Instant) {
        let start = Instant::now();
        (Debounce::new(file(1, 100), true), move |millis| start + Duration::from_millis(millis))
    }

    #[test]
    fn unchanged_files_are_not_read() {
        let (mut debounce, at) = unchanged();
        assert_eq!(debounce.decide(file(1, 100), at(0)), DebounceDecision::Same);
        debounce.record(FsEvent::Other(name()), at(1));
        debounce.record(FsEvent::Overflow, at(1));
        assert_eq!(debounce.decide(file(1, 100), at(2)), DebounceDecision::Same);
    }

    #[test]
    fn a_file_renamed_into_place_is_read_at_once() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::MovedTo(name()), at(5));
        assert_eq!(debounce.decide(file(2, 120), at(5)), DebounceDecision::Read);
        assert_eq!(debounce.hold_for_doubt(), None, "it is complete");
    }

    #[test]
    fn a_renamed_file_stays_complete_when_its_mode_changes() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::MovedTo(name()), at(5));
        debounce.record(FsEvent::Other(name()), at(5));
        assert_eq!(debounce.decide(file(2, 120), at(5)), DebounceDecision::Read);
    }

    #[test]
    fn a_file_written_in_place_must_be_quiet() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::Written(name()), at(0));
        assert_eq!(debounce.decide(file(1, 10), at(0)), DebounceDecision::Wait(at(200)));
        debounce.record(FsEvent::Closed(name()), at(100));
        assert_eq!(debounce.decide(file(1, 10), at(100)), DebounceDecision::Wait(at(300)));
        assert_eq!(debounce.decide(file(1, 20), at(299)), DebounceDecision::Wait(at(499)), "it changed again");
        assert_eq!(debounce.decide(file(1, 20), at(498)), DebounceDecision::Wait(at(499)));
        assert_eq!(debounce.decide(file(1, 20), at(499)), DebounceDecision::Read);
        assert_eq!(debounce.hold_for_writer(&read(1, 20, None), at(499)), None, "it was closed");
        assert_eq!(debounce.hold_for_doubt(), Some(at(499) + DOUBT_DELAY));
    }

    #[test]
    fn a_writer_that_the_kernel_reports_is_waited_for() {
        let (mut debounce, at) = unchanged();
        assert_eq!(debounce.decide(file(1, 10), at(0)), DebounceDecision::Wait(at(200)), "no event came");
        assert_eq!(debounce.decide(file(1, 10), at(5_000)), DebounceDecision::Read);
        assert_eq!(debounce.hold_for_writer(&read(1, 10, Some(true)), at(5_000)), Some(at(5_100)));
        assert_eq!(debounce.hold_for_writer(&read(1, 10, Some(false)), at(5_100)), None);
    }

    #[test]
    fn the_kernels_answer_overrides_a_missed_event() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::Written(name()), at(0));
        assert_eq!(debounce.decide(file(1, 10), at(0)), DebounceDecision::Wait(at(200)));
        assert_eq!(debounce.decide(file(1, 10), at(200)), DebounceDecision::Read);
        assert_eq!(debounce.hold_for_writer(&read(1, 10, Some(false)), at(200)), None, "`truncate(2)` opens nothing");
        assert_eq!(debounce.hold_for_writer(&read(1, 10, None), at(200)), Some(at(30_000)), "as far as events say");
    }

    #[test]
    fn an_unchanged_file_may_stay_open() {
        let other = Path::new("/etc/other.env");
        let both = |size| FileStats::fake(&[(FILE, Some((1, size))), ("/etc/other.env", Some((2, 5)))]);
        let (_, at) = unchanged();
        let mut debounce = Debounce::new(both(100), true);
        assert_eq!(debounce.decide(both(101), at(0)), DebounceDecision::Wait(at(200)));
        let writers = [(name(), Some(false)), (other.to_owned(), Some(true))].into();
        let read = ReadRecord { stats: both(101), writers, is_fresh: false };
        assert_eq!(debounce.hold_for_writer(&read, at(200)), None);
        let uncertain = Debounce { is_certain: false, ..debounce };
        assert_eq!(uncertain.hold_for_writer(&read, at(200)), Some(at(300)), "it may have changed");
    }

    #[test]
    fn a_file_that_was_not_read_before_may_have_a_writer_too() {
        let (mut debounce, at) = unchanged();
        assert_eq!(debounce.decide(file(1, 10), at(0)), DebounceDecision::Wait(at(200)));
        let new = "/etc/parts/new.yml";
        let stats = FileStats::fake(&[(FILE, Some((1, 100))), (new, Some((2, 5)))]);
        let writers = [(name(), Some(false)), (new.into(), Some(true))].into();
        let read = ReadRecord { stats, writers, is_fresh: false };
        assert_eq!(debounce.hold_for_writer(&read, at(200)), Some(at(300)));
    }

    #[test]
    fn a_file_renamed_into_place_may_stay_open() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::MovedTo(name()), at(5));
        assert_eq!(debounce.decide(file(2, 120), at(5)), DebounceDecision::Read);
        assert_eq!(debounce.hold_for_writer(&read(2, 120, Some(true)), at(5)), Some(at(205)));
        assert_eq!(debounce.hold_for_writer(&read(2, 120, Some(true)), at(205)), None);
    }

    #[test]
    fn a_write_right_after_a_rename_is_waited_for() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::MovedTo(name()), at(5));
        // It is truncated already; the event has yet to come.
        assert_eq!(debounce.decide(file(2, 60), at(6)), DebounceDecision::Read);
        assert_eq!(debounce.hold_for_writer(&read(2, 60, Some(true)), at(6)), Some(at(206)));
        debounce.record(FsEvent::Written(name()), at(7));
        assert_eq!(debounce.decide(file(2, 60), at(207)), DebounceDecision::Read);
        assert_eq!(debounce.hold_for_writer(&read(2, 60, Some(true)), at(207)), Some(at(307)));
    }

    #[test]
    fn a_write_in_place_delays_a_renamed_file_too() {
        let both = |inode, size| FileStats::fake(&[(FILE, Some((inode, 120))), ("/etc/a.env", Some((size, 5)))]);
        let (_, at) = unchanged();
        let mut debounce = Debounce::new(both(1, 1), true);
        debounce.record(FsEvent::MovedTo(name()), at(0));
        debounce.record(FsEvent::Written("/etc/a.env".into()), at(0));
        assert_eq!(
            debounce.decide(both(2, 2), at(0)),
            DebounceDecision::Wait(at(200)),
            "though both are other files than before"
        );
        debounce.record(FsEvent::MovedTo("/etc/a.env".into()), at(10));
        assert_eq!(debounce.decide(both(2, 3), at(10)), DebounceDecision::Wait(at(60)), "both are complete now");
        assert_eq!(debounce.decide(both(2, 3), at(60)), DebounceDecision::Read);
    }

    #[test]
    fn several_files_renamed_into_place_are_read_together() {
        let both = |a, b| FileStats::fake(&[(FILE, Some((a, 120))), ("/etc/a.env", Some((b, 5)))]);
        let (_, at) = unchanged();
        let mut debounce = Debounce::new(both(1, 1), true);
        debounce.record(FsEvent::MovedTo(name()), at(0));
        assert_eq!(debounce.decide(both(2, 1), at(0)), DebounceDecision::Wait(at(50)));
        debounce.record(FsEvent::MovedTo("/etc/a.env".into()), at(40));
        assert_eq!(debounce.decide(both(2, 2), at(40)), DebounceDecision::Wait(at(90)));
        // A new file in a listed directory is seen by its event alone.
        debounce.record(FsEvent::MovedTo("/etc/parts/new.yml".into()), at(80));
        assert_eq!(debounce.decide(both(2, 2), at(80)), DebounceDecision::Wait(at(130)));
        assert_eq!(debounce.decide(both(2, 2), at(130)), DebounceDecision::Read);
    }

    #[test]
    fn files_that_are_replaced_all_the_time_are_read_after_a_second() {
        let both = |a| FileStats::fake(&[(FILE, Some((a, 120))), ("/etc/a.env", Some((1, 5)))]);
        let (_, at) = unchanged();
        let mut debounce = Debounce::new(both(1), true);
        for round in 0..50 {
            debounce.record(FsEvent::MovedTo(name()), at(round * 20));
            assert_ne!(debounce.decide(both(round + 2), at(round * 20)), DebounceDecision::Read);
        }
        assert_eq!(debounce.decide(both(52), at(1_000)), DebounceDecision::Read);
    }

    #[test]
    fn a_file_that_is_opened_repeatedly_is_read_after_the_last_time() {
        let (mut debounce, at) = unchanged();
        for round in 0..20 {
            debounce.record(FsEvent::Written(name()), at(round * 100));
            assert_ne!(debounce.decide(file(1, round), at(round * 100)), DebounceDecision::Read);
            debounce.record(FsEvent::Closed(name()), at(round * 100 + 50));
            assert_ne!(debounce.decide(file(1, round), at(round * 100 + 99)), DebounceDecision::Read);
        }
        assert_eq!(debounce.decide(file(1, 19), at(1_950 + 200)), DebounceDecision::Read);
    }

    #[test]
    fn a_file_that_is_never_closed_is_read_after_a_timeout_without_writes() {
        for answer in [Some(true), None] {
            let (mut debounce, at) = unchanged();
            let unfinished = |debounce: &Debounce, now: u64| debounce.hold_for_writer(&read(1, 9, answer), at(now)).is_some();
            for round in 0..10 {
                debounce.record(FsEvent::Written(name()), at(round * 20_000));
                assert_eq!(debounce.decide(file(1, round), at(round * 20_000)), DebounceDecision::Wait(at(round * 20_000 + 200)));
                assert_eq!(debounce.decide(file(1, round), at(round * 20_000 + 19_999)), DebounceDecision::Read);
                assert!(unfinished(&debounce, round * 20_000 + 19_999));
            }
            assert!(unfinished(&debounce, 209_999) && !unfinished(&debounce, 210_000));
        }
    }

    #[test]
    fn a_file_missing_for_a_moment_is_not_read_as_missing() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::Removed(name()), at(0));
        assert_eq!(debounce.decide(missing(), at(0)), DebounceDecision::Wait(at(200)));
        debounce.record(FsEvent::MovedTo(name()), at(100));
        assert_eq!(debounce.decide(file(2, 100), at(100)), DebounceDecision::Read);
    }

    #[test]
    fn a_file_that_stays_missing_is_read_as_missing() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::MovedTo("/etc/navigator.yml~".into()), at(0));
        assert_eq!(debounce.decide(missing(), at(0)), DebounceDecision::Wait(at(200)), "nothing was put in its place");
        assert_eq!(debounce.decide(missing(), at(200)), DebounceDecision::Read);
    }

    #[test]
    fn a_write_after_a_rename_restarts_the_quiet_period() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::MovedTo(name()), at(0));
        debounce.record(FsEvent::Written(name()), at(0));
        debounce.record(FsEvent::Closed(name()), at(1));
        assert_eq!(debounce.decide(file(2, 10), at(1)), DebounceDecision::Wait(at(201)));
    }

    #[test]
    fn without_events_a_file_must_be_quiet() {
        let (mut debounce, at) = unchanged();
        assert_eq!(debounce.decide(file(2, 100), at(0)), DebounceDecision::Wait(at(200)), "no event says that it is complete");
        assert_eq!(debounce.decide(file(2, 100), at(200)), DebounceDecision::Read);
    }

    #[test]
    fn uncertain_metadata_leads_to_another_reading() {
        let (_, at) = unchanged();
        let mut debounce = Debounce::new(file(1, 100), false);
        assert_eq!(debounce.decide(file(1, 100), at(0)), DebounceDecision::Wait(at(200)));
        assert_eq!(debounce.decide(file(1, 100), at(200)), DebounceDecision::Read);
    }

    #[test]
    fn a_new_file_in_a_listed_directory_must_be_quiet() {
        let parts = |size| FileStats::fake(&[("/etc/parts/", Some((1, size)))]);
        let (_, at) = unchanged();
        let mut debounce = Debounce::new(parts(1), true);
        debounce.record(FsEvent::Other("/etc/parts/new.yml".into()), at(0));
        assert_eq!(debounce.decide(parts(2), at(0)), DebounceDecision::Wait(at(200)));
        debounce.record(FsEvent::Written("/etc/parts/new.yml".into()), at(10));
        debounce.record(FsEvent::Closed("/etc/parts/new.yml".into()), at(150));
        assert_eq!(debounce.decide(parts(2), at(200)), DebounceDecision::Wait(at(350)));
        assert_eq!(debounce.decide(parts(2), at(350)), DebounceDecision::Read);
    }

    #[test]
    fn a_busy_directory_does_not_delay_a_change() {
        let both = |size, entries| FileStats::fake(&[(FILE, Some((1, size))), ("/etc/parts/", Some((2, entries)))]);
        let (_, at) = unchanged();
        let mut debounce = Debounce::new(both(100, 0), true);
        for millis in 0..200 {
            assert_eq!(debounce.decide(both(101, millis), at(millis)), DebounceDecision::Wait(at(200)));
        }
        assert_eq!(debounce.decide(both(101, 200), at(200)), DebounceDecision::Read);
    }

    #[test]
    fn an_overflow_clears_known_writers() {
        let (mut debounce, at) = unchanged();
        debounce.record(FsEvent::Written(name()), at(0));
        debounce.record(FsEvent::Overflow, at(0));
        assert_eq!(debounce.decide(file(1, 10), at(0)), DebounceDecision::Wait(at(200)));
        assert_eq!(debounce.hold_for_writer(&read(1, 10, None), at(200)), None);
    }
}
