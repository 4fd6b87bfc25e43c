//! Searches the output of a run for the line that means ready. It gets bytes as they are read from the pipe; without a pattern,
//! it costs one load of a flag.

use crate::runtime::output::{LineChunk, LineSplitter};
use reconcile::spec::Output;
use reconcile::text::Text;
use regex::bytes::Regex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

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
    Waiting(Regex),
    Matched,
    /// The pattern is invalid. The configuration rejects those, so this is for definitions from code.
    Invalid(String),
}

/// Splits one stream into lines for the matcher.
#[derive(Debug)]
pub(in crate::runtime) struct PartialLine {
    matcher: Arc<LogMatcher>,
    lines: LineSplitter,
}

impl LogMatcher {
    /// A matcher for output that is read anyway, or must be read for the pattern.
    pub(super) fn for_output(output: &Output, is_needed: bool) -> Option<Arc<LogMatcher>> {
        (is_needed || *output != Output::Null).then(Arc::default)
    }

    /// Searches for a line that matches, from now on.
    pub(super) fn search_for(&self, pattern: &Text) {
        let mut state = self.lock();
        if matches!(&*state, MatchState::Waiting(regex) if regex.as_str() == pattern.value())
            || matches!(*state, MatchState::Matched)
        {
            return;
        }
        *state = match Regex::new(pattern.value()) {
            Ok(regex) => MatchState::Waiting(regex),
            Err(error) => MatchState::Invalid(format!("`{}` is not a pattern: {error}", pattern.shown())),
        };
        self.is_waiting.store(matches!(*state, MatchState::Waiting(_)), Ordering::Release);
        self.changed.notify_one();
    }

    /// Stops the search, and forgets a match.
    pub(super) fn reset(&self) {
        self.is_waiting.store(false, Ordering::Release);
        *self.lock() = MatchState::Idle;
    }

    /// Waits until a line matches.
    ///
    /// # Errors
    /// The pattern is invalid, and why.
    pub(super) async fn matched(&self) -> Result<(), String> {
        loop {
            match &*self.lock() {
                MatchState::Matched => return Ok(()),
                MatchState::Invalid(why) => return Err(why.clone()),
                MatchState::Idle | MatchState::Waiting(_) => {}
            }
            self.changed.notified().await;
        }
    }

    /// Searches lines that came together. A pattern applies to each line separately.
    fn search(&self, lines: &[u8]) {
        let mut state = self.lock();
        if matches!(&*state, MatchState::Waiting(regex) if lines.split(|&byte| byte == b'\n').any(|line| regex.is_match(line))) {
            *state = MatchState::Matched;
            self.is_waiting.store(false, Ordering::Release);
            self.changed.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, MatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialLine {
    /// For one of the two streams.
    pub(in crate::runtime) fn new(matcher: Arc<LogMatcher>) -> PartialLine {
        PartialLine { matcher, lines: LineSplitter::default() }
    }

    /// Takes bytes of the stream.
    pub(in crate::runtime) fn feed(&mut self, bytes: &[u8]) {
        if self.matcher.is_waiting.load(Ordering::Acquire) {
            let matcher = &self.matcher;
            self.lines.feed(bytes, &mut |piece: LineChunk<'_>| matcher.search(piece.bytes));
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
        let mut line = PartialLine::new(Arc::clone(&matcher));
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
        assert!(is_matched("(?i)écouté", &["\u{1b}[32mÉCOUTÉ\u{1b}[0m\n".as_bytes()]));
        assert!(is_matched("up", &[b"\xff\xfe up \n"]), "invalid UTF-8 is ignored");
    }

    #[test]
    fn matching_stops_after_a_match_and_does_not_start_without_a_pattern() {
        let matcher = LogMatcher::for_output(&Output::Log, false).expect("its output is read anyway");
        let mut line = PartialLine::new(Arc::clone(&matcher));
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
        let why = tokio.block_on(matcher.matched()).expect_err("nothing can match");
        assert!(why.starts_with("`(` is not a pattern"), "{why}");
    }
}
