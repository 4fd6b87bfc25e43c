//! The reported state of a run, so that each change is reported once.

use reconcile::event::{Event, RunId};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;
use tokio::sync::mpsc::Sender;

/// Whether a run is ready, and where changes are reported.
#[derive(Debug)]
pub(super) struct ProbeState {
    run: RunId,
    events: Sender<Event>,
    is_ready: AtomicBool,
    /// The run is stopping or has ended: nothing is reported any more.
    is_over: AtomicBool,
    /// Wakes tasks that wait until it is ready. (A watch channel would take 400 bytes for each process.)
    became_ready: Notify,
    /// The last reported reason why it isn't ready.
    reported: Mutex<Option<String>>,
}

impl ProbeState {
    /// Not ready, and nothing reported yet.
    pub(super) fn new(run: RunId, events: Sender<Event>) -> ProbeState {
        let [is_ready, is_over] = [false; 2].map(AtomicBool::new);
        ProbeState { run, events, is_ready, is_over, became_ready: Notify::new(), reported: Mutex::default() }
    }

    /// The run is stopping or has ended.
    pub(super) fn end(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    pub(super) fn is_ready(&self) -> bool {
        self.is_ready.load(Ordering::Acquire)
    }

    /// Marks it ready without a report: it has no readiness check.
    pub(super) fn assume_ready(&self) {
        self.become_ready();
    }

    /// Returns whether it was ready before.
    fn become_ready(&self) -> bool {
        let was_ready = self.is_ready.swap(true, Ordering::AcqRel);
        self.became_ready.notify_waiters();
        was_ready
    }

    /// Forgets the reported reason, because another check begins.
    pub(super) fn reset_reported(&self) {
        self.replace_reported(None);
    }

    /// Whether a reason why it isn't ready was reported since the check began.
    pub(super) fn has_reported(&self) -> bool {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Waits until it is ready.
    pub(super) async fn until_ready(&self) {
        loop {
            let mut became_ready = pin!(self.became_ready.notified());
            // From here on, a change to ready wakes this task.
            became_ready.as_mut().enable();
            if self.is_ready() {
                return;
            }
            became_ready.await;
        }
    }

    /// Reports that it is ready.
    pub(super) async fn ready(&self) {
        self.replace_reported(None);
        if !self.become_ready() {
            self.send(Event::Ready { run: self.run }).await;
        }
    }

    /// Reports that it isn't ready, and why.
    pub(super) async fn unready(&self, why: String) {
        let was_ready = self.is_ready.swap(false, Ordering::AcqRel);
        let is_new = self.replace_reported(Some(why.clone())).as_ref() != Some(&why);
        if was_ready || is_new {
            self.send(Event::Unready { run: self.run, why }).await;
        }
    }

    /// Reports that it is unhealthy, and why.
    pub(super) async fn unhealthy(&self, why: String) {
        self.send(Event::Unhealthy { run: self.run, why }).await;
    }

    fn replace_reported(&self, why: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.reported.lock().unwrap_or_else(PoisonError::into_inner), why)
    }

    async fn send(&self, event: Event) {
        // The receiver has ended.
        let _closed = self.events.send(event).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    /// What these steps report.
    fn reported(steps: impl AsyncFnOnce(&ProbeState)) -> Vec<String> {
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        tokio.block_on(async {
            let (events, mut inbox) = mpsc::channel(16);
            let state = ProbeState::new(RunId(1), events);
            steps(&state).await;
            drop(state);
            let mut reported = Vec::new();
            while let Some(event) = inbox.recv().await {
                reported.push(match event {
                    Event::Ready { .. } => "ready".to_owned(),
                    Event::Unready { why, .. } => why,
                    other => panic!("{other:?}"),
                });
            }
            reported
        })
    }

    #[test]
    fn the_same_state_is_not_reported_twice() {
        let steps = async |state: &ProbeState| {
            state.unready("connection refused".into()).await;
            state.unready("connection refused".into()).await;
            state.unready("status 503".into()).await;
            state.ready().await;
            state.ready().await;
            state.unready("status 503".into()).await;
        };
        assert_eq!(reported(steps), ["connection refused", "status 503", "ready", "status 503"]);
    }

    #[test]
    fn the_same_reason_from_another_probe_is_reported_again() {
        let steps = async |state: &ProbeState| {
            state.unready("connection refused".into()).await;
            state.reset_reported();
            state.unready("connection refused".into()).await;
        };
        assert_eq!(reported(steps), ["connection refused", "connection refused"]);
    }

    #[test]
    fn a_waiting_task_is_woken_when_it_becomes_ready() {
        let steps = async |state: &ProbeState| {
            let ((), ()) = tokio::join!(state.until_ready(), async {
                state.unready("no".into()).await;
                tokio::task::yield_now().await;
                state.ready().await;
            });
        };
        assert_eq!(reported(steps), ["no", "ready"]);
    }

    #[test]
    fn assumed_readiness_is_not_reported() {
        let steps = async |state: &ProbeState| {
            state.assume_ready();
            state.until_ready().await;
            state.ready().await;
        };
        assert_eq!(reported(steps), Vec::<String>::new());
    }
}
