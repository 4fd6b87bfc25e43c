//! The loop's end of what readers see: publishes a [`View`] when one is asked for, and not too often.
//!
//! A view that is published is of now: the first change after it takes it back. So a reader that finds one need not ask, and what it
//! sees includes everything that was handled before it asked. Where none asks, none is made.

use super::view::LoopView;
use super::{Host, Perform, Supervisor};
use arc_swap::ArcSwapOption;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How long after one view another is made at the earliest, for each process that there is. To make one costs the loop about a
/// thousandth of that; the rest leaves readers, who derive from each view what they show, the time to do so.
const EACH: Duration = Duration::from_micros(20);

/// It is never longer than this.
const LONGEST: Duration = Duration::from_millis(50);

/// Where the loop publishes, and readers look first.
#[derive(Clone, Debug)]
pub struct Published {
    current: Arc<ArcSwapOption<LoopView>>,
    /// Takes views that are of the past. To drop what was derived of one takes longer than to publish it.
    retired: mpsc::UnboundedSender<Arc<LoopView>>,
}

impl Published {
    /// A place where nothing is published yet. What comes out at the other end is to be dropped, on a reader's thread.
    pub fn new() -> (Published, mpsc::UnboundedReceiver<Arc<LoopView>>) {
        let (retired, to_drop) = mpsc::unbounded_channel();
        (Published { current: Arc::default(), retired }, to_drop)
    }

    /// The view of now; `None`: none is published, and the loop makes one when it is asked.
    pub fn current(&self) -> Option<Arc<LoopView>> {
        self.current.load_full()
    }
}

/// The readers that wait for a view, and what they last got.
pub(super) struct Readers {
    published: Published,
    /// How many moments there have been that differ.
    version: u64,
    /// Wait for what is now, or for anything newer than they have seen.
    now: Vec<oneshot::Sender<Arc<LoopView>>>,
    /// Have seen what is now, and wait for what comes next.
    next: Vec<oneshot::Sender<Arc<LoopView>>>,
    /// No other view is made before.
    not_before: Instant,
}

impl Readers {
    pub(super) fn new(published: Published) -> Readers {
        Readers { published, version: 1, now: Vec::new(), next: Vec::new(), not_before: Instant::now() }
    }

    /// A reader wants a view, newer than the one that it has, if it has one.
    pub(super) fn ask(&mut self, newer_than: Option<u64>, reply: oneshot::Sender<Arc<LoopView>>) {
        if newer_than == Some(self.version) {
            self.next.retain(|other| !other.is_closed());
            self.next.push(reply);
        } else {
            self.now.push(reply);
        }
    }

    /// Something that readers may see is about to change.
    pub(super) fn changed(&mut self) {
        self.version += 1;
        // Mostly none is published.
        if self.published.current.load().is_some() {
            let old = self.published.current.swap(None);
            // Without readers it is dropped here.
            drop(old.map(|old| self.published.retired.send(old)));
        }
        self.now.append(&mut self.next);
    }

    /// When a view is to be made; `None`: no reader waits for one.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.now.is_empty()).then_some(self.not_before)
    }
}

impl<P: Perform, S: Host> Supervisor<P, S> {
    /// Makes a view for the readers that wait for one, if it is time for it.
    pub(super) fn publish_if_due(&mut self) {
        let now = Instant::now();
        if self.readers.due().is_none_or(|due| due > now) {
            return;
        }
        let view = self.readers.published.current().unwrap_or_else(|| {
            let view = Arc::new(LoopView::new(self.readers.version, self.engine.clone(), self.now(), self.file.clone(), None));
            self.readers.published.current.store(Some(Arc::clone(&view)));
            self.readers.not_before = now + EACH.saturating_mul(u32::try_from(view.processes()).unwrap_or(u32::MAX)).min(LONGEST);
            view
        });
        for reply in mem::take(&mut self.readers.now) {
            // The reader may have gone meanwhile.
            drop(reply.send(Arc::clone(&view)));
        }
    }
}
