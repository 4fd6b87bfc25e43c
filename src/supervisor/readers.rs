//! Publishes views of the loop for readers: on request only, and rate-limited.
//!
//! A published view is current: the next change withdraws it. So a reader that finds one need not ask the loop, and sees everything
//! that was handled before.

use super::view::LoopView;
use arc_swap::ArcSwapOption;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// The least time between two views, for each process. Making a view takes the loop about a thousandth of it; the rest is for the
/// readers, which derive their answers from it.
const PER_PROCESS: Duration = Duration::from_micros(20);

/// The upper limit of that time.
const LONGEST: Duration = Duration::from_millis(50);

/// Where the loop publishes its current view. Readers look here first.
#[derive(Clone, Debug)]
pub struct Published {
    current: Arc<ArcSwapOption<LoopView>>,
    /// Takes outdated views: dropping what was derived from one takes longer than publishing it.
    retired: mpsc::UnboundedSender<Arc<LoopView>>,
}

impl Published {
    /// Nothing is published yet. A reader's thread must receive and drop the outdated views.
    pub fn new() -> (Published, mpsc::UnboundedReceiver<Arc<LoopView>>) {
        let (retired, outdated) = mpsc::unbounded_channel();
        (Published { current: Arc::default(), retired }, outdated)
    }

    /// The current view; `None`: ask the loop for one.
    pub fn current(&self) -> Option<Arc<LoopView>> {
        self.current.load_full()
    }
}

/// The readers that wait for a view.
pub(super) struct Readers {
    published: Published,
    /// Counts the changes.
    version: u64,
    /// Wait for the current view.
    waiting: Vec<oneshot::Sender<Arc<LoopView>>>,
    /// Have seen the current view, and wait for the next change.
    waiting_for_change: Vec<oneshot::Sender<Arc<LoopView>>>,
    /// When the next view may be made.
    not_before: Instant,
}

impl Readers {
    pub(super) fn new(published: Published) -> Readers {
        Readers { published, version: 1, waiting: Vec::new(), waiting_for_change: Vec::new(), not_before: Instant::now() }
    }

    /// Adds a reader that wants the current view, or one newer than the version that it has.
    pub(super) fn ask(&mut self, newer_than: Option<u64>, reply: oneshot::Sender<Arc<LoopView>>) {
        if newer_than == Some(self.version) {
            self.waiting_for_change.retain(|other| !other.is_closed());
            self.waiting_for_change.push(reply);
        } else {
            self.waiting.push(reply);
        }
    }

    /// Withdraws the published view, because something that it shows is about to change.
    pub(super) fn changed(&mut self) {
        self.version += 1;
        // Usually none is published.
        if self.published.current.load().is_some() {
            let old = self.published.current.swap(None);
            // Without a reader's thread it is dropped here.
            drop(old.map(|old| self.published.retired.send(old)));
        }
        self.waiting.append(&mut self.waiting_for_change);
    }

    /// When the next view is due; `None`: no reader waits for one.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then_some(self.not_before)
    }

    /// Publishes a view and sends it to the readers that wait, if one is due. `make` makes it, with this version.
    pub(super) fn publish_if_due(&mut self, make: impl FnOnce(u64) -> LoopView) {
        let now = Instant::now();
        if self.due().is_none_or(|due| due > now) {
            return;
        }
        let view = self.published.current().unwrap_or_else(|| {
            let view = Arc::new(make(self.version));
            self.published.current.store(Some(Arc::clone(&view)));
            let processes = u32::try_from(view.processes()).unwrap_or(u32::MAX);
            self.not_before = now + PER_PROCESS.saturating_mul(processes).min(LONGEST);
            view
        });
        for reply in mem::take(&mut self.waiting) {
            // Sending fails if the reader has gone.
            drop(reply.send(Arc::clone(&view)));
        }
    }
}
