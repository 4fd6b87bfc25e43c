//! Counts the `INT` and `QUIT` signals of a shutdown.

use std::time::Duration;
use tokio::time::Instant;

/// `INT` signals within this time are one Ctrl-C: the terminal sends it to navigator and to a wrapper, which forwards it.
const SAME_PRESS: Duration = Duration::from_millis(500);

/// The `INT` and `QUIT` signals so far.
#[derive(Debug, Default)]
pub(super) struct Interrupts {
    count: u32,
    last: Option<Instant>,
}

impl Interrupts {
    /// Counts an `INT`. Returns true if everything is to be killed.
    pub(super) fn interrupt(&mut self, now: Instant) -> bool {
        if self.last.is_none_or(|last| now - last >= SAME_PRESS) {
            self.count += 1;
            self.last = Some(now);
        }
        self.count > 1
    }

    /// Counts a `QUIT`, which kills everything.
    pub(super) fn quit(&mut self) {
        self.count += 2;
    }

    /// Whether there was any.
    pub(super) fn any(&self) -> bool {
        self.count > 0
    }
}
