//! Listens to what a run writes for a line that says that it is ready. It hears bytes as they come from the pipe, before
//! anything else is done with them, and costs one look at a flag where nobody listens.

use crate::runtime::output::{LineChunk, LineSplitter};
use reconcile::spec::Output;
use reconcile::text::Text;
use regex::bytes::Regex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Listens to the output of one run, both streams.
#[derive(Debug, Default)]
pub(in crate::runtime) struct LogMatcher {
    is_waiting: AtomicBool,
    state: Mutex<MatchState>,
    changed: Notify,
}

#[derive(Debug, Default)]
enum MatchState {
    /// Nobody listens.
    #[default]
    Idle,
    Waiting(Regex),
    Matched,
    /// It isn't a pattern. A configuration with such a one is rejected, so this is for whoever makes definitions by hand.
    Invalid(String),
}

/// The part of a line that one stream has come to.
#[derive(Debug)]
pub(in crate::runtime) struct PartialLine {
    matcher: Arc<LogMatcher>,
    lines: LineSplitter,
}

impl LogMatcher {
    /// An ear for output that is read anyway, or must be read because there is something to listen for.
    pub(super) fn for_output(output: &Output, is_needed: bool) -> Option<Arc<LogMatcher>> {
        (is_needed || *output != Output::Null).then(Arc::default)
    }

    /// Listens for a line that matches, from now on.
    pub(super) fn listen_for(&self, pattern: &Text) {
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

    /// Listens no more, and forgets what it has heard.
    pub(super) fn reset(&self) {
        self.is_waiting.store(false, Ordering::Release);
        *self.lock() = MatchState::Idle;
    }

    /// Waits until a line matches.
    ///
    /// # Errors
    /// None can, and why.
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

    /// Hears lines that came together. A pattern is for one of them, so each is asked about by itself.
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
    /// One stream of those that the ear listens to.
    pub(in crate::runtime) fn new(matcher: Arc<LogMatcher>) -> PartialLine {
        PartialLine { matcher, lines: LineSplitter::default() }
    }

    /// Takes what the stream says.
    pub(in crate::runtime) fn feed(&mut self, bytes: &[u8]) {
        if self.matcher.is_waiting.load(Ordering::Acquire) {
            let matcher = &self.matcher;
            self.lines.feed(bytes, &mut |piece: LineChunk<'_>| matcher.search(piece.bytes));
        }
    }

    /// The stream has ended; its last line may have no newline.
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

    /// Whether a pattern is heard in these pieces of a stream.
    fn is_matched(pattern: &str, pieces: &[&[u8]]) -> bool {
        let matcher = LogMatcher::for_output(&Output::Log, true).expect("there is something to listen for");
        matcher.listen_for(&pattern.into());
        let mut line = PartialLine::new(Arc::clone(&matcher));
        for piece in pieces {
            line.feed(piece);
        }
        line.finish();
        matches!(*matcher.lock(), MatchState::Matched)
    }

    #[test]
    fn a_line_counts_as_a_whole_however_it_comes() {
        assert!(is_matched("^Ready to accept .*tcp$", &[b"loading\nReady to acc", b"ept connections tcp\nmore"]));
        assert!(is_matched("ready", &[b"not yet\nready"]), "the last line has no newline");
        assert!(!is_matched("^ready", &[b"not rea", b"dy\n"]));
        assert!(!is_matched("loading.ready", &[b"loading\nready\n"]), "no pattern goes over a line's end");
        assert!(is_matched("(?i)écouté", &["\u{1b}[32mÉCOUTÉ\u{1b}[0m\n".as_bytes()]));
        assert!(is_matched("up", &[b"\xff\xfe up \n"]), "bytes that are no text disturb nobody");
    }

    #[test]
    fn nobody_listens_once_it_was_heard_or_where_nothing_was_asked() {
        let matcher = LogMatcher::for_output(&Output::Log, false).expect("its output is read anyway");
        let mut line = PartialLine::new(Arc::clone(&matcher));
        line.feed(b"half a li");
        matcher.listen_for(&"line".into());
        line.feed(b"ne\nline\n");
        assert!(matches!(*matcher.lock(), MatchState::Matched));
        assert!(!matcher.is_waiting.load(Ordering::Acquire));
        matcher.reset();
        line.feed(b"line\n");
        assert!(matches!(*matcher.lock(), MatchState::Idle));
        assert!(LogMatcher::for_output(&Output::Null, false).is_none());
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let matcher = LogMatcher::default();
        matcher.listen_for(&"(".into());
        let why = tokio.block_on(matcher.matched()).expect_err("nothing can match");
        assert!(why.starts_with("`(` is not a pattern"), "{why}");
    }
}
