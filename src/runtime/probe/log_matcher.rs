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
    is_open: AtomicBool,
    heard: Mutex<MatchState>,
    news: Notify,
}

#[derive(Debug, Default)]
enum MatchState {
    /// Nobody listens.
    #[default]
    Nothing,
    Waiting(Regex),
    Match,
    /// It isn't a pattern. A configuration with such a one is rejected, so this is for whoever makes definitions by hand.
    NoPattern(String),
}

/// The part of a line that one stream has come to.
#[derive(Debug)]
pub(in crate::runtime) struct PartialLine {
    ear: Arc<LogMatcher>,
    lines: LineSplitter,
}

impl LogMatcher {
    /// An ear for output that is read anyway, or must be read because there is something to listen for.
    pub(super) fn for_output(output: &Output, is_needed: bool) -> Option<Arc<LogMatcher>> {
        (is_needed || *output != Output::Null).then(Arc::default)
    }

    /// Listens for a line that matches, from now on.
    pub(super) fn listen_for(&self, pattern: &Text) {
        let mut heard = self.lock();
        if matches!(&*heard, MatchState::Waiting(regex) if regex.as_str() == pattern.value())
            || matches!(*heard, MatchState::Match)
        {
            return;
        }
        *heard = match Regex::new(pattern.value()) {
            Ok(regex) => MatchState::Waiting(regex),
            Err(error) => MatchState::NoPattern(format!("`{}` is not a pattern: {error}", pattern.shown())),
        };
        self.is_open.store(matches!(*heard, MatchState::Waiting(_)), Ordering::Release);
        self.news.notify_one();
    }

    /// Listens no more, and forgets what it has heard.
    pub(super) fn cover(&self) {
        self.is_open.store(false, Ordering::Release);
        *self.lock() = MatchState::Nothing;
    }

    /// Waits until a line matches.
    ///
    /// # Errors
    /// None can, and why.
    pub(super) async fn heard(&self) -> Result<(), String> {
        loop {
            match &*self.lock() {
                MatchState::Match => return Ok(()),
                MatchState::NoPattern(why) => return Err(why.clone()),
                MatchState::Nothing | MatchState::Waiting(_) => {}
            }
            self.news.notified().await;
        }
    }

    /// Hears lines that came together. A pattern is for one of them, so each is asked about by itself.
    fn hear(&self, lines: &[u8]) {
        let mut heard = self.lock();
        if matches!(&*heard, MatchState::Waiting(regex) if lines.split(|&byte| byte == b'\n').any(|line| regex.is_match(line))) {
            *heard = MatchState::Match;
            self.is_open.store(false, Ordering::Release);
            self.news.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, MatchState> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PartialLine {
    /// One stream of those that the ear listens to.
    pub(in crate::runtime) fn new(ear: Arc<LogMatcher>) -> PartialLine {
        PartialLine { ear, lines: LineSplitter::default() }
    }

    /// Takes what the stream says.
    pub(in crate::runtime) fn hear(&mut self, bytes: &[u8]) {
        if self.ear.is_open.load(Ordering::Acquire) {
            let ear = &self.ear;
            self.lines.feed(bytes, &mut |piece: LineChunk<'_>| ear.hear(piece.bytes));
        }
    }

    /// The stream has ended; its last line may have no newline.
    pub(in crate::runtime) fn end(&mut self) {
        if self.ear.is_open.load(Ordering::Acquire) {
            let ear = &self.ear;
            self.lines.finish(&mut |piece: LineChunk<'_>| ear.hear(piece.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a pattern is heard in these pieces of a stream.
    fn is_heard(pattern: &str, pieces: &[&[u8]]) -> bool {
        let ear = LogMatcher::for_output(&Output::Log, true).expect("there is something to listen for");
        ear.listen_for(&pattern.into());
        let mut hearing = PartialLine::new(Arc::clone(&ear));
        for piece in pieces {
            hearing.hear(piece);
        }
        hearing.end();
        matches!(*ear.lock(), MatchState::Match)
    }

    #[test]
    fn a_line_counts_as_a_whole_however_it_comes() {
        assert!(is_heard("^Ready to accept .*tcp$", &[b"loading\nReady to acc", b"ept connections tcp\nmore"]));
        assert!(is_heard("ready", &[b"not yet\nready"]), "the last line has no newline");
        assert!(!is_heard("^ready", &[b"not rea", b"dy\n"]));
        assert!(!is_heard("loading.ready", &[b"loading\nready\n"]), "no pattern goes over a line's end");
        assert!(is_heard("(?i)écouté", &["\u{1b}[32mÉCOUTÉ\u{1b}[0m\n".as_bytes()]));
        assert!(is_heard("up", &[b"\xff\xfe up \n"]), "bytes that are no text disturb nobody");
    }

    #[test]
    fn nobody_listens_once_it_was_heard_or_where_nothing_was_asked() {
        let ear = LogMatcher::for_output(&Output::Log, false).expect("its output is read anyway");
        let mut hearing = PartialLine::new(Arc::clone(&ear));
        hearing.hear(b"half a li");
        ear.listen_for(&"line".into());
        hearing.hear(b"ne\nline\n");
        assert!(matches!(*ear.lock(), MatchState::Match));
        assert!(!ear.is_open.load(Ordering::Acquire));
        ear.cover();
        hearing.hear(b"line\n");
        assert!(matches!(*ear.lock(), MatchState::Nothing));
        assert!(LogMatcher::for_output(&Output::Null, false).is_none());
    }

    #[test]
    fn what_is_no_pattern_is_said() {
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let ear = LogMatcher::default();
        ear.listen_for(&"(".into());
        let why = tokio.block_on(ear.heard()).expect_err("nothing can match");
        assert!(why.starts_with("`(` is not a pattern"), "{why}");
    }
}
