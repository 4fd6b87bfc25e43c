//! What a navigator under test has written so far, and waiting for more of it.
//!
//! Two threads read its pipes to the end, a third waits for its exit; everything else waits on one condition variable.
//! No opinion about what the lines mean: that is [`super::entry`].

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

/// How long anything that must happen may take. Generous, for two cores shared with a compiler; never waited out in a
/// test that passes.
pub(crate) const DEADLINE: Duration = Duration::from_mins(1);

/// How often a condition is asked again that no line announces, such as a port that accepts.
const RETRY: Duration = Duration::from_millis(20);

/// Where navigator wrote a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stream {
    Stdout,
    Stderr,
}

/// One line without its newline.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) at: Instant,
    pub(crate) stream: Stream,
    pub(crate) bytes: Vec<u8>,
}

impl Line {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}

#[derive(Debug)]
struct State {
    started: Instant,
    lines: Vec<Line>,
    open_pipes: usize,
    exit: Option<(ExitStatus, Instant)>,
}

/// Everything one navigator wrote, and how it ended.
#[derive(Debug)]
pub(crate) struct Log {
    state: Mutex<State>,
    news: Condvar,
}

impl Log {
    /// Begins to collect; `child` must have both pipes.
    pub(crate) fn collect(mut child: Child) -> Arc<Log> {
        let state = State { started: Instant::now(), lines: Vec::new(), open_pipes: 2, exit: None };
        let log = Arc::new(Log { state: Mutex::new(state), news: Condvar::new() });
        log.read_in_background(child.stdout.take().expect("stdout is a pipe"), Stream::Stdout);
        log.read_in_background(child.stderr.take().expect("stderr is a pipe"), Stream::Stderr);
        let waiter = Arc::clone(&log);
        std::thread::spawn(move || {
            let status = child.wait().expect("the navigator under test is our own child");
            waiter.change(|state| state.exit = Some((status, Instant::now())));
        });
        log
    }

    fn read_in_background(self: &Arc<Self>, pipe: impl Read + Send + 'static, stream: Stream) {
        let log = Arc::clone(self);
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut bytes = Vec::new();
            while pipe.read_until(b'\n', &mut bytes).expect("a pipe can be read") > 0 {
                if bytes.last() == Some(&b'\n') {
                    bytes.pop();
                }
                let line = Line { at: Instant::now(), stream, bytes: std::mem::take(&mut bytes) };
                log.change(|state| state.lines.push(line));
            }
            log.change(|state| state.open_pipes -= 1);
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.news.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that panicked while it held the lock has left whole lines behind all the same.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// The lines so far.
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines_after(0)
    }

    /// The lines so far, without the first ones.
    pub(crate) fn lines_after(&self, first: usize) -> Vec<Line> {
        self.lock().lines.get(first..).unwrap_or_default().to_vec()
    }

    /// Waits for something new, but no longer than this.
    pub(crate) fn await_news(&self, at_most: Duration) {
        drop(self.news.wait_timeout(self.lock(), at_most).unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    /// What `find` makes of the lines, as soon as it makes something of them.
    ///
    /// # Panics
    /// At the deadline, or as soon as navigator has ended without it.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, find: impl Fn(&[Line]) -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        let mut state = self.lock();
        loop {
            if let Some(found) = find(&state.lines) {
                return found;
            }
            let over = state.exit.is_some() && state.open_pipes == 0;
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!over && !left.is_zero(), "waited for {what}, in vain\n{}", describe(&state));
            state = self.news.wait_timeout(state, left).unwrap_or_else(std::sync::PoisonError::into_inner).0;
        }
    }

    /// Asks `find` again with every line and every few milliseconds, for what no line announces.
    ///
    /// # Panics
    /// At the deadline.
    #[track_caller]
    pub(crate) fn until<T>(&self, what: &str, mut find: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            if let Some(found) = find() {
                return found;
            }
            assert!(Instant::now() < deadline, "waited for {what}, in vain\n{}", self.describe());
            self.await_news(RETRY);
        }
    }

    /// How and when it ended; both pipes have been read to their end then.
    #[track_caller]
    pub(crate) fn wait_for_exit(&self) -> (ExitStatus, Instant) {
        self.until("navigator's exit", || self.exit())
    }

    /// The same, if it has come to that.
    pub(crate) fn exit(&self) -> Option<(ExitStatus, Instant)> {
        let state = self.lock();
        state.exit.filter(|_| state.open_pipes == 0)
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().exit.is_some()
    }

    /// Everything, for the eyes of whoever mends a failed test.
    pub(crate) fn describe(&self) -> String {
        describe(&self.lock())
    }
}

fn describe(state: &State) -> String {
    let mut text = String::from("---- what navigator wrote ----\n");
    for line in &state.lines {
        let seconds = line.at.duration_since(state.started).as_secs_f64();
        let mark = if line.stream == Stream::Stdout { "out" } else { "err" };
        let shown: String = line.text().chars().take(400).collect();
        writeln!(text, "{seconds:8.3} {mark} {shown}").expect("a string takes everything");
    }
    match state.exit {
        Some((status, at)) => writeln!(text, "{:8.3} ended: {status}", at.duration_since(state.started).as_secs_f64()),
        None => writeln!(text, "it still runs"),
    }
    .expect("a string takes everything");
    text
}
