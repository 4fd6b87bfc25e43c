//! Listening sockets that navigator holds, and passes to the programs of its processes.
//!
//! There is one socket for each address, however many processes want it. So an address that moves from one process to another
//! keeps its socket, with the connections that wait in it. What each process wants is recorded at once, on the loop's thread
//! ([`Sockets::want`]). Opening and closing may wait for a name server or a disk, so spawners do it. A socket is closed only
//! when no process wants it any more, so the order in which spawners do their work doesn't matter.

mod keepers;
mod listener;
mod path_watch;
mod rival;
mod socket_file;
mod table;
mod wanted;

use super::kept_sockets::KeptSockets;
use crate::access::Trust;
use crate::handover::InheritedDescriptors;
use path_watch::PathWatch;
use reconcile::event::{Event, Pid, Refusal, RunId};
use reconcile::socket::{Address, Listener};
use reconcile::text::Name;
use rustix::fd::OwnedFd;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use table::{Prepared, SocketRequest, SocketTable, Unavailable, prepare};
use wanted::Wanted;

/// The sockets. Clones share them.
#[derive(Clone)]
pub(super) struct Sockets(Arc<SharedSockets>);

struct SharedSockets {
    are_used: AtomicBool,
    inherited: Arc<InheritedDescriptors>,
    held: KeptSockets,
    /// How much has to happen until no inherited socket is needed any more: the first actions, and what they ask for.
    unsettled: AtomicUsize,
    watch: Arc<PathWatch>,
    /// The loop locks it too, so it is locked only for a moment. If both are locked, the table is locked first.
    wanted: Mutex<Wanted>,
    /// Locked while sockets are opened and closed.
    table: Mutex<SocketTable>,
}

/// The sockets of a process.
pub(super) struct SocketsRequest {
    pub(super) name: Name,
    pub(super) listeners: Vec<Listener>,
    /// Main processes of its runs: what they listen on may be taken over.
    pub(super) main_pids: Vec<u32>,
}

/// Work on the sockets.
pub(super) enum SocketTask {
    /// Open what is missing, close what no process wants, and answer with an [`Event::Held`].
    Hold(SocketsRequest),
    /// A path is missing: put it back. A socket that another program has bound there isn't touched, because that program may be
    /// about to listen on it.
    PutBack,
    /// A run has ended: restore what its programs have removed, replaced or shut down.
    Restore,
    /// Find out which of these processes of a run keep its sockets, and answer with an [`Event::SocketsKept`].
    FindKeepers(RunId, Vec<Pid>, Vec<Listener>),
    /// Find out where these processes of a run listen by sockets of their own, and answer with an [`Event::Listens`] if they do.
    FindOwn(RunId, Vec<Pid>),
}

impl Sockets {
    /// `trust`: the users that may change the directories of sockets. `inherited`: sockets that this process has already.
    /// `held`: what the keeper holds, too.
    pub(super) fn new(trust: Trust, inherited: Arc<InheritedDescriptors>, held: KeptSockets) -> Sockets {
        let watch = Arc::new(PathWatch::default());
        Sockets(Arc::new(SharedSockets {
            are_used: AtomicBool::new(false),
            inherited: Arc::clone(&inherited),
            held: held.clone(),
            unsettled: AtomicUsize::new(1),
            watch: Arc::clone(&watch),
            wanted: Mutex::default(),
            table: Mutex::new(SocketTable::new(trust, watch, inherited, held)),
        }))
    }

    /// Records which sockets a process wants from now on.
    pub(super) fn want(&self, name: &Name, listeners: &[Listener]) {
        self.0.are_used.fetch_or(!listeners.is_empty(), Ordering::Relaxed);
        if listeners.iter().any(|listener| matches!(listener.address, Address::Path(_))) {
            self.0.watch.begin();
        }
        self.wanted().set(name, listeners);
    }

    /// A [`SocketTask::Hold`] will be performed.
    pub(super) fn expect_hold(&self) {
        self.0.unsettled.fetch_add(1, Ordering::Relaxed);
    }

    /// One of the things has happened after which no inherited socket may be needed any more.
    pub(super) fn settle_one(&self) {
        if self.0.unsettled.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.inherited.close();
            self.0.held.settle();
        }
    }

    /// Calls `check` whenever a program may have removed the path of a socket. It never ends.
    pub(super) async fn watch_paths(self, check: impl Fn()) {
        self.0.watch.run(|name| self.wanted().includes_file(name), check).await;
    }

    /// Does the work, and returns the events.
    pub(super) fn perform(&self, task: SocketTask) -> Vec<Event> {
        match task {
            SocketTask::Hold(request) => {
                let events = self.hold(request);
                self.settle_one();
                events
            }
            SocketTask::PutBack => self.restore_all(false),
            SocketTask::Restore => self.restore_all(true),
            SocketTask::FindKeepers(run, pids, listeners) => {
                let inodes = self.table().inodes(&listeners);
                keepers::find(&inodes, &pids).map(|by| Event::SocketsKept { run, by }).into_iter().collect()
            }
            SocketTask::FindOwn(run, pids) => {
                let addresses = keepers::own_addresses(&pids);
                let on: Vec<String> = addresses.iter().map(ToString::to_string).collect();
                if on.is_empty() { Vec::new() } else { vec![Event::Listens { run, on: on.join(", ") }] }
            }
        }
    }

    fn restore_all(&self, replaces: bool) -> Vec<Event> {
        let mut table = self.table();
        table.restore_all(replaces);
        table.take_events()
    }

    fn hold(&self, request: SocketsRequest) -> Vec<Event> {
        let mut refusal = None;
        let (_all, mut events) = self.get_all(&request, |listener, got| {
            // One that overlaps another socket of navigator is opened by the start, after the other one is closed.
            if let Err(Unavailable::Refused(why)) = got {
                refusal.get_or_insert_with(|| refuse(listener, why));
            }
            Ok(())
        });
        let SocketsRequest { name, listeners, .. } = request;
        events.push(Event::Held { name, listeners, refusal });
        events
    }

    /// The sockets to pass to a program, in order. Those that are missing are opened. Also returns the events.
    pub(super) fn for_start(&self, request: &SocketsRequest) -> (Result<Vec<Arc<OwnedFd>>, Refusal>, Vec<Event>) {
        self.get_all(request, |listener, got| {
            got.map_err(|unavailable| {
                refuse(
                    listener,
                    match unavailable {
                        Unavailable::Overlaps(other) => format!("address in use by navigator's own socket for `{other}`"),
                        Unavailable::Refused(why) => why,
                    },
                )
            })
        })
    }

    /// Gets each socket and passes it to `take`. Then closes those that no process wants, also if this request is outdated by
    /// now.
    fn get_all<T>(
        &self,
        request: &SocketsRequest,
        mut take: impl FnMut(&Listener, Result<Arc<OwnedFd>, Unavailable>) -> Result<T, Refusal>,
    ) -> (Result<Vec<T>, Refusal>, Vec<Event>) {
        let mut prepared = self.prepare(&request.listeners);
        let mut table = self.table();
        let all = request.listeners.iter().enumerate().map(|(place, listener)| {
            let one = SocketRequest { name: &request.name, listener, main_pids: &request.main_pids };
            take(listener, table.get_or_open(&one, prepared.remove(&place), &|key| self.wanted().includes(key)))
        });
        let all = all.collect();
        table.close_unwanted(&|key| self.wanted().includes(key));
        (all, table.take_events())
    }

    /// Looks up what is needed to open the missing sockets, by their places in the list. Nothing is locked meanwhile.
    fn prepare(&self, listeners: &[Listener]) -> HashMap<usize, Result<Prepared, String>> {
        let missing: Vec<usize> = {
            let table = self.table();
            (0..listeners.len()).filter(|&place| !table.has(&listeners[place])).collect()
        };
        missing.into_iter().map(|place| (place, prepare(&listeners[place]))).collect()
    }

    /// Closes all, at the end. It may wait for a disk.
    pub(super) fn close(&self) {
        *self.wanted() = Wanted::default();
        self.table().close_unwanted(&|_| false);
    }

    /// Whether any socket was ever wanted.
    pub(super) fn are_used(&self) -> bool {
        self.0.are_used.load(Ordering::Relaxed)
    }

    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, SocketTable> {
        self.0.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn refuse(listener: &Listener, why: String) -> Refusal {
    Refusal::Listen { address: listener.shown.shown().to_owned(), why }
}
