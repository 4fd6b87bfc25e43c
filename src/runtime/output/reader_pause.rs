//! A pause of the reader, while another program may take over this process.

use crate::handover::BegunLine;
use std::sync::mpsc;
use tokio::sync::oneshot;

/// A pause, for the reader.
pub(super) struct Pause {
    begun: oneshot::Sender<Vec<BegunLine>>,
    end: mpsc::Receiver<()>,
}

/// The same, for the one that asked for it. It lasts as long as this exists.
pub(in crate::runtime) struct PausedReader {
    _end: mpsc::Sender<()>,
}

impl Pause {
    /// A pause. Also returns what receives the unfinished lines once it has begun.
    pub(super) fn new() -> (Pause, PausedReader, oneshot::Receiver<Vec<BegunLine>>) {
        let ((begun, is_begun), (end, is_over)) = (oneshot::channel(), mpsc::channel());
        (Pause { begun, end: is_over }, PausedReader { _end: end }, is_begun)
    }

    /// Says which lines are unfinished, and waits for the end of the pause.
    pub(super) fn wait(self, unfinished: Vec<BegunLine>) {
        let _not_awaited = self.begun.send(unfinished);
        // It fails when the other end is dropped, which is the end.
        let _over = self.end.recv();
    }
}
