//! What has been told of a run so far, so that each change is told once.

use reconcile::event::{Event, RunId};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;

/// How a run stands, and whom to tell when that changes.
#[derive(Debug)]
pub(super) struct Standing {
    run: RunId,
    news: Sender<Event>,
    is_ready: watch::Sender<bool>,
    /// Why it isn't, as far as that was told.
    told: Mutex<Option<String>>,
}

impl Standing {
    /// Nothing was told yet; it isn't ready.
    pub(super) fn new(run: RunId, news: Sender<Event>) -> Standing {
        Standing { run, news, is_ready: watch::Sender::new(false), told: Mutex::default() }
    }

    pub(super) fn is_ready(&self) -> bool {
        *self.is_ready.borrow()
    }

    /// It is ready because nothing more is asked of it. Everybody knows.
    pub(super) fn is_taken_for_ready(&self) {
        self.is_ready.send_replace(true);
    }

    /// It is asked in another way from now on, so what was told of the former way is nobody's answer any more.
    pub(super) fn is_asked_anew(&self) {
        self.replace_told(None);
    }

    /// Waits until it is ready.
    pub(super) async fn until_ready(&self) {
        let mut is_ready = self.is_ready.subscribe();
        // The sender is in our own hands, so it can't go away.
        let _always = is_ready.wait_for(|is_ready| *is_ready).await;
    }

    /// It is ready.
    pub(super) async fn ready(&self) {
        self.replace_told(None);
        if !self.is_ready.send_replace(true) {
            self.tell(Event::Ready { run: self.run }).await;
        }
    }

    /// It isn't ready, for this reason.
    pub(super) async fn unready(&self, why: String) {
        let was_ready = self.is_ready.send_replace(false);
        let is_new = self.replace_told(Some(why.clone())).as_ref() != Some(&why);
        if was_ready || is_new {
            self.tell(Event::Unready { run: self.run, why }).await;
        }
    }

    /// It doesn't live, for this reason.
    pub(super) async fn unhealthy(&self, why: String) {
        self.tell(Event::Unhealthy { run: self.run, why }).await;
    }

    fn replace_told(&self, why: Option<String>) -> Option<String> {
        std::mem::replace(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner), why)
    }

    async fn tell(&self, event: Event) {
        // Whoever listens has gone.
        let _unheard = self.news.send(event).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::mpsc;

    /// What is told of these steps, in short.
    fn told(steps: impl AsyncFnOnce(&Standing)) -> Vec<String> {
        let tokio = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        tokio.block_on(async {
            let (news, mut inbox) = mpsc::channel(16);
            let standing = Standing::new(RunId(1), news);
            steps(&standing).await;
            drop(standing);
            let mut told = Vec::new();
            while let Some(event) = inbox.recv().await {
                told.push(match event {
                    Event::Ready { .. } => "ready".to_owned(),
                    Event::Unready { why, .. } => why,
                    other => panic!("{other:?}"),
                });
            }
            told
        })
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let steps = async |standing: &Standing| {
            standing.unready("connection refused".into()).await;
            standing.unready("connection refused".into()).await;
            standing.unready("status 503".into()).await;
            standing.ready().await;
            standing.ready().await;
            standing.unready("status 503".into()).await;
        };
        assert_eq!(told(steps), ["connection refused", "status 503", "ready", "status 503"]);
    }

    #[test]
    fn what_another_probe_finds_is_told_though_the_former_one_found_the_same() {
        let steps = async |standing: &Standing| {
            standing.unready("connection refused".into()).await;
            standing.is_asked_anew();
            standing.unready("connection refused".into()).await;
        };
        assert_eq!(told(steps), ["connection refused", "connection refused"]);
    }

    #[test]
    fn what_everybody_knows_is_not_told() {
        let steps = async |standing: &Standing| {
            standing.is_taken_for_ready();
            standing.until_ready().await;
            standing.ready().await;
        };
        assert_eq!(told(steps), Vec::<String>::new());
    }
}
