//! Searches the output of a run for the line that means ready. It gets bytes as they are read from the pipe; without a pattern,
//! it costs one load of a flag.
//!
//! A pattern applies to what a person would read: escape sequences are removed, and a carriage return separates lines. A line
//! that is not finished within [`UNFINISHED`] is searched as it is.

use crate::runtime::output::{LineChunk, LineSplitter};
use crate::terminal::without_sequences;
use reconcile::spec::Output;
use reconcile::text::Text;
use regex::bytes::Regex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How long a line may be unfinished before it is searched.
const UNFINISHED: Duration = Duration::from_millis(200);

/// Matches the output of one run, both streams.
#[derive(Debug, Default)]
pub(in crate::runtime) struct LogMatcher {
    is_waiting: AtomicBool,
    state: Mutex<MatchState>,
    changed: Notify,
}

#[derive(Debug, Default)]
enum MatchState {
    /// No pattern is set.
    #[default]
    Idle,
    Waiting(Search),
    Matched,
    /// The pattern is invalid. The configuration rejects those, so this is for definitions from code.
    Invalid(String),
}

#[derive(Debug)]
struct Search {
    pattern: Regex,
    output: SeenOutput,
    /// The unfinished lines of standard output and error.
    unfinished: [UnfinishedLine; 2],
}

/// Whether anything was written since the search began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SeenOutput {
    Nothing,
    Unreported,
    Reported,
}

/// A line without its end.
#[derive(Debug, Default)]
struct UnfinishedLine {
    text: Vec<u8>,
    /// When to search it; `None`: it was searched, or is empty.
    due: Option<Instant>,
}

/// The progress of a search.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MatchProgress {
    /// Something was written that doesn't match.
    FirstOutput,
    Matched,
    /// The pattern is invalid, and why.
    Invalid(String),
}

/// Splits one stream into lines for the matcher.
#[derive(Debug)]
pub(in crate::runtime) struct PartialLine {
    matcher: Arc<LogMatcher>,
    lines: LineSplitter,
    is_stderr: bool,
}

impl Search {
    fn new(pattern: Regex) -> Search {
        Search { pattern, output: SeenOutput::Nothing, unfinished: Default::default() }
    }

    /// Whether the pattern matches one of these lines.
    fn matches(&self, lines: &[u8]) -> bool {
        let lines = without_sequences(lines);
        lines.split(|byte| matches!(byte, b'\n' | b'\r')).any(|line| self.pattern.is_match(line))
    }

    /// When the next unfinished line is to be searched.
    fn due(&self) -> Option<Instant> {
        self.unfinished.iter().filter_map(|line| line.due).min()
    }
}

impl LogMatcher {
    /// A matcher for output that is read anyway, or must be read for the pattern.
    pub(super) fn for_output(output: &Output, is_needed: bool) -> Option<Arc<LogMatcher>> {
        (is_needed || *output != Output::Null).then(Arc::default)
    }

    /// Searches for a line that matches, from now on.
    pub(super) fn search_for(&self, pattern: &Text) {
        let mut state = self.lock();
        if matches!(&*state, MatchState::Waiting(search) if search.pattern.as_str() == pattern.value())
            || matches!(*state, MatchState::Matched)
        {
            return;
        }
        *state = match Regex::new(pattern.value()) {
            Ok(regex) => MatchState::Waiting(Search::new(regex)),
            Err(error) => MatchState::Invalid(format!("`{}` is not a pattern: {error}", pattern.shown())),
        };
        self.is_waiting.store(matches!(*state, MatchState::Waiting(_)), Ordering::Release);
        self.changed.notify_one();
    }

    /// Whether a line has matched.
    pub(super) fn has_matched(&self) -> bool {
        matches!(*self.lock(), MatchState::Matched)
    }

    /// Stops the search, and forgets a match.
    pub(super) fn reset(&self) {
        self.is_waiting.store(false, Ordering::Release);
        *self.lock() = MatchState::Idle;
    }

    /// Waits for the next progress. The first output is reported once.
    pub(super) async fn progress(&self) -> MatchProgress {
        loop {
            let due = match &mut *self.lock() {
                MatchState::Matched => return MatchProgress::Matched,
                MatchState::Invalid(why) => return MatchProgress::Invalid(why.clone()),
                MatchState::Waiting(search) if search.output == SeenOutput::Unreported => {
                    search.output = SeenOutput::Reported;
                    return MatchProgress::FirstOutput;
                }
                MatchState::Waiting(search) => search.due(),
                MatchState::Idle => None,
            };
            match due {
                Some(due) => {
                    if timeout_at(due, self.changed.notified()).await.is_err() {
                        self.search_unfinished();
                    }
                }
                None => self.changed.notified().await,
            }
        }
    }

    /// Searches lines that came together. A pattern applies to each line separately.
    fn search(&self, lines: &[u8]) {
        let mut state = self.lock();
        if matches!(&*state, MatchState::Waiting(search) if search.matches(lines)) {
            self.end_search(&mut state);
        }
    }

    /// Searches the unfinished lines that are due.
    fn search_unfinished(&self) {
        let (mut state, now) = (self.lock(), Instant::now());
        let MatchState::Waiting(search) = &mut *state else { return };
        let mut due = Vec::new();
        for line in search.unfinished.iter_mut().filter(|line| line.due.is_some_and(|due| due <= now)) {
            line.due = None;
            due.push(line.text.clone());
        }
        if due.iter().any(|text| search.matches(text)) {
            self.end_search(&mut state);
        }
    }

    fn end_search(&self, state: &mut MatchState) {
        *state = MatchState::Matched;
        self.is_waiting.store(false, Ordering::Release);
        self.changed.notify_one();
    }

    /// Takes what a stream has written since its last newline. `is_new`: that newline has just arrived.
    fn take_unfinished(&self, is_stderr: bool, text: &[u8], is_new: bool) {
        let mut state = self.lock();
        let MatchState::Waiting(search) = &mut *state else { return };
        let is_first = search.output == SeenOutput::Nothing;
        if is_first {
            search.output = SeenOutput::Unreported;
        }
        let line = &mut search.unfinished[usize::from(is_stderr)];
        line.text.clear();
        line.text.extend_from_slice(text);
        let had_due = line.due.is_some();
        line.due = match line.due.filter(|_| !is_new) {
            _ if text.is_empty() => None,
            Some(due) => Some(due),
            None => Some(Instant::now() + UNFINISHED),
        };
        // A waiting task that wakes too early waits again.
        if is_first || (!had_due && line.due.is_some()) {
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, MatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialLine {
    /// For one of the two streams.
    pub(in crate::runtime) fn new(matcher: Arc<LogMatcher>, is_stderr: bool) -> PartialLine {
        PartialLine { matcher, lines: LineSplitter::default(), is_stderr }
    }

    /// Takes bytes of the stream.
    pub(in crate::runtime) fn feed(&mut self, bytes: &[u8]) {
        if self.matcher.is_waiting.load(Ordering::Acquire) {
            let (matcher, mut is_new) = (&self.matcher, false);
            self.lines.feed(bytes, &mut |piece: LineChunk<'_>| {
                is_new = true;
                matcher.search(piece.bytes);
            });
            matcher.take_unfinished(self.is_stderr, self.lines.unfinished(), is_new);
        }
    }

    /// Searches a last line without newline at the end of the stream.
    pub(in crate::runtime) fn finish(&mut self) {
        if self.matcher.is_waiting.load(Ordering::Acquire) {
            let matcher = &self.matcher;
            self.lines.finish(&mut |piece: LineChunk<'_>| matcher.search(piece.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a pattern matches in these parts of a stream.
    fn is_matched(pattern: &str, pieces: &[&[u8]]) -> bool {
        let matcher = LogMatcher::for_output(&Output::Log, true).expect("there is a pattern");
        matcher.search_for(&pattern.into());
        let mut line = PartialLine::new(Arc::clone(&matcher), false);
        for piece in pieces {
            line.feed(piece);
        }
        line.finish();
        matches!(*matcher.lock(), MatchState::Matched)
    }

    #[test]
    fn a_pattern_applies_to_whole_lines_however_they_arrive() {
        assert!(is_matched("^Ready to accept .*tcp$", &[b"loading\nReady to acc", b"ept connections tcp\nmore"]));
        assert!(is_matched("ready", &[b"not yet\nready"]), "the last line has no newline");
        assert!(!is_matched("^ready", &[b"not rea", b"dy\n"]));
        assert!(!is_matched("loading.ready", &[b"loading\nready\n"]), "no pattern spans a line break");
        assert!(is_matched("^Listening$", &[b"\x1b[1;32mListening\x1b[0m\r\n"]), "colours and carriage returns are removed");
        assert!(is_matched("^done$", &[b"50%\r100%\rdone\n"]), "a carriage return separates lines");
        assert!(is_matched("(?i)écouté", &["\u{1b}[32mÉCOUTÉ\u{1b}[0m\n".as_bytes()]));
        assert!(is_matched("up", &[b"\xff\xfe up \n"]), "invalid UTF-8 is ignored");
    }

    #[test]
    fn matching_stops_after_a_match_and_does_not_start_without_a_pattern() {
        let matcher = LogMatcher::for_output(&Output::Log, false).expect("its output is read anyway");
        let mut line = PartialLine::new(Arc::clone(&matcher), false);
        line.feed(b"half a li");
        matcher.search_for(&"line".into());
        line.feed(b"ne\nline\n");
        assert!(matches!(*matcher.lock(), MatchState::Matched));
        assert!(!matcher.is_waiting.load(Ordering::Acquire));
        matcher.reset();
        line.feed(b"line\n");
        assert!(matches!(*matcher.lock(), MatchState::Idle));
        assert!(LogMatcher::for_output(&Output::Null, false).is_none());
    }

    #[test]
    fn an_invalid_pattern_is_reported() {
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let matcher = LogMatcher::default();
        matcher.search_for(&"(".into());
        let progress = tokio.block_on(matcher.progress());
        assert!(matches!(&progress, MatchProgress::Invalid(why) if why.starts_with("`(` is not a pattern")), "{progress:?}");
    }

    #[test]
    fn an_unfinished_line_is_searched_once_it_is_due() {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime");
        tokio.block_on(async {
            for (stream, is_stderr) in [("stdout", false), ("stderr", true)] {
                let matcher = LogMatcher::for_output(&Output::Log, true).expect("there is a pattern");
                matcher.search_for(&"Listening$".into());
                let mut line = PartialLine::new(Arc::clone(&matcher), is_stderr);
                line.feed(b"starting\nListen");
                let begun = Instant::now();
                assert_eq!(matcher.progress().await, MatchProgress::FirstOutput, "{stream}");
                line.feed(b"ing");
                assert_eq!(matcher.progress().await, MatchProgress::Matched, "{stream}");
                assert!((UNFINISHED..UNFINISHED * 2).contains(&begun.elapsed()), "{stream}: {:?}", begun.elapsed());
            }
        });
    }
}
