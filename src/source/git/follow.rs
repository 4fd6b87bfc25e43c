//! The handle of the follower: the thread that reads files, and beside it the one that follows a repository, once there is one.

use super::answers::{LookOutcome, OrderReply, SourceOrder};
use super::setup::FollowSetup;
use super::thread::{FollowRequest, FollowThread};
use crate::config::{HostSource, Loaded, Rejected};
use crate::source::revision::{Source, Ticket, WatchMethod};
use crate::source::watch::FileFollower;
use reconcile::spec::Spec;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::oneshot;

/// A source that reads files, and follows a repository if the host's own file says so. Clones share it.
#[derive(Clone, Debug)]
pub struct RepositoryFollower {
    files: FileFollower,
    shared: Arc<SharedFollower>,
}

/// What clones share.
#[derive(Debug)]
struct SharedFollower {
    setup: FollowSetup,
    state: Mutex<FollowerState>,
}

#[derive(Debug, Default)]
struct FollowerState {
    /// What is followed.
    source: Option<Arc<HostSource>>,
    /// To the thread that follows, once there was a repository.
    requests: Option<Sender<FollowRequest>>,
}

impl RepositoryFollower {
    /// A follower beside the thread that reads files.
    pub fn new(files: FileFollower, setup: FollowSetup) -> RepositoryFollower {
        RepositoryFollower { files, shared: Arc::new(SharedFollower { setup, state: Mutex::default() }) }
    }

    /// The host's own file was read: from now on this is followed.
    pub fn set_source(&self, source: Option<&Arc<HostSource>>) {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.source.as_ref() == source {
            return;
        }
        state.source = source.cloned();
        let request = FollowRequest::Source(source.cloned());
        if let Some(requests) = &state.requests {
            drop(requests.send(request));
            return;
        }
        let (sender, requests) = channel();
        let mut follower = FollowThread::new(self.shared.setup.clone());
        let started = thread::Builder::new().name("follow".to_owned()).spawn(move || follower.run(&requests));
        if let Err(error) = started {
            tracing::error!(target: "source", %error, "Failed to follow the repository");
            return;
        }
        drop(sender.send(request));
        state.requests = Some(sender);
    }

    /// Sends a request, if a repository is followed.
    fn send(&self, request: FollowRequest) -> bool {
        let state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = state.requests.as_ref().filter(|_| state.source.is_some());
        requests.is_some_and(|requests| requests.send(request).is_ok())
    }
}

impl Source for RepositoryFollower {
    fn reload(&self) -> Ticket {
        self.files.reload()
    }

    fn check(&self) {
        self.files.check();
    }

    fn stop_watching(&self) {
        self.files.stop_watching();
    }

    fn watch_for(&self, definitions: Option<Vec<Arc<Spec>>>) {
        self.files.watch_for(definitions);
    }

    fn has_pending_change(&self) -> bool {
        self.files.has_pending_change()
    }

    fn watch_method(&self) -> WatchMethod {
        self.files.watch_method()
    }

    fn read(&self, candidate: Option<&Path>, place: Option<&Path>) -> Result<Loaded, Rejected> {
        self.files.read(candidate, place)
    }

    fn look(&self, reply: Option<oneshot::Sender<LookOutcome>>) -> bool {
        self.send(FollowRequest::Look(reply))
    }

    fn order(&self, order: SourceOrder, reply: oneshot::Sender<OrderReply>) -> bool {
        self.send(FollowRequest::Order(order, reply))
    }
}
