//! What the answers to clients need: the way to the loop, and the data that changes outside it.

use super::answers::ErrorAnswer;
use crate::access::{Directory, Trust};
use crate::runtime::{KeeperStatus, OutputHistory};
use crate::snapshot::{KeeperSnapshot, Watch};
use crate::source::{Source, WatchMethod};
use crate::supervisor::{LiveData, News, Published, Request};
use reconcile::text::Name;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc, oneshot};

/// What routes need: the way to the loop, and the data that changes outside it.
#[derive(Clone, Debug)]
pub struct LoopAccess {
    /// The loop's inbox.
    pub news: mpsc::Sender<News>,
    /// Reads the configuration, or another one, for plans.
    pub source: Arc<dyn Source + Send + Sync>,
    /// The last output lines of processes.
    pub history: OutputHistory,
    /// The keeper of the instance.
    pub keeper: KeeperStatus,
    /// The directory of the instance.
    pub directory: Directory,
    /// The users that may own files.
    pub trust: Trust,
    /// The current view, if one is published.
    pub published: Published,
    /// Limits plans to one at a time: each takes a whole processor.
    pub planning: Arc<Semaphore>,
}

impl LiveData for LoopAccess {
    fn watch(&self) -> Watch {
        match self.source.watch_method() {
            WatchMethod::Events => Watch::Events,
            WatchMethod::Poll => Watch::Poll,
            WatchMethod::Off => Watch::Off,
        }
    }

    fn has_pending_change(&self) -> bool {
        self.source.has_pending_change()
    }

    fn keeper(&self) -> KeeperSnapshot {
        self.keeper.get()
    }

    fn last_lines(&self, name: &Name, lines: u64) -> Vec<String> {
        self.history.last(name, lines)
    }
}

/// Sends a request to the loop, and waits for its answer.
pub(super) async fn ask<T>(to: &LoopAccess, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, ErrorAnswer> {
    let (reply, answer) = oneshot::channel();
    to.news.send(News::Request(request(reply))).await.map_err(|_| ErrorAnswer::closing())?;
    answer.await.map_err(|_| ErrorAnswer::closing())
}
