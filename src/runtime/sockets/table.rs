//! The open sockets, by address: opens, takes over, restores and closes them.

use super::listener::{self, Failure, resolve};
use super::path_watch::PathWatch;
use super::rival;
use super::socket_file::{PathState, Permissions, SocketFile};
use super::wanted::key;
use crate::access::Trust;
use crate::access::identity::{Identity, IdentityError};
use crate::error_text::words;
use crate::handover::InheritedDescriptors;
use crate::runtime::kept_sockets::KeptSockets;
use reconcile::event::Event;
use reconcile::socket::{Address, Listener, SocketChange};
use reconcile::text::{Name, Text};
use rustix::fd::OwnedFd;
use rustix::fs::fstat;
use rustix::io::ioctl_fionbio;
use rustix::net::AddressFamily;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// The open sockets, and what happened to them.
pub(super) struct SocketTable {
    trust: Trust,
    watch: Arc<PathWatch>,
    sockets: BTreeMap<String, OpenSocket>,
    events: Vec<Event>,
    /// Those that the former program in this process held.
    inherited: Arc<InheritedDescriptors>,
    held: KeptSockets,
}

struct OpenSocket {
    socket: Arc<OwnedFd>,
    /// The process for which it was last opened or passed.
    name: Name,
    listener: Listener,
    /// Where it is bound: a host name is resolved.
    address: Address,
    file: Option<SocketFile>,
}

/// What has to be looked up before a socket can be opened.
pub(super) struct Prepared {
    address: Address,
    permissions: Permissions,
}

/// Why a socket is unavailable.
pub(super) enum Unavailable {
    /// It overlaps a socket that navigator holds for this process. It can be opened once that one is closed.
    Overlaps(Name),
    /// Anything else, in words.
    Refused(String),
}

/// A request for a socket.
pub(super) struct SocketRequest<'a> {
    pub(super) name: &'a Name,
    pub(super) listener: &'a Listener,
    /// Main processes that may listen there already.
    pub(super) main_pids: &'a [u32],
}

/// Looks up the host name and the user of a socket. It may wait for a name server.
pub(super) fn prepare(listener: &Listener) -> Result<Prepared, String> {
    let address = resolve(&listener.address)?;
    let (owner, process) = (
        identity(listener.user.as_ref(), listener.group.as_ref())?,
        identity(listener.process_user.as_ref(), listener.process_group.as_ref())?,
    );
    let acts_as = if process.is_another_user() { process } else { owner.clone() };
    Ok(Prepared { address, permissions: Permissions { mode: listener.mode, owner, acts_as } })
}

fn identity(user: Option<&Text>, group: Option<&Text>) -> Result<Identity, String> {
    Identity::named(user, group).map(|(identity, _)| identity).map_err(|error| match error {
        IdentityError::UnknownUser(user) => format!("unknown user `{user}`"),
        IdentityError::UnknownGroup(group) => format!("unknown group `{group}`"),
        IdentityError::NoPrimaryGroup(user) => format!("user `{user}` has no account, hence no primary group: set `group` too"),
        IdentityError::LookUp { what, error } => format!("looking up {what}: {}", words(&error)),
    })
}

impl SocketTable {
    pub(super) fn new(
        trust: Trust,
        watch: Arc<PathWatch>,
        inherited: Arc<InheritedDescriptors>,
        held: KeptSockets,
    ) -> SocketTable {
        SocketTable { trust, watch, sockets: BTreeMap::new(), events: Vec::new(), inherited, held }
    }

    /// Whether a socket is open with these settings, so that [`prepare`] isn't needed.
    pub(super) fn has(&self, listener: &Listener) -> bool {
        self.sockets.get(&key(&listener.address)).is_some_and(|open| open.has_settings_of(listener))
    }

    /// The events since the last call. From now on the keeper holds what is open.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        for open in self.sockets.values() {
            let _inode = self.held.hold(&open.socket);
        }
        self.watch.set_complete(self.sockets.values().filter_map(|open| open.file.as_ref()).all(|file| file.watch().is_some()));
        std::mem::take(&mut self.events)
    }

    /// The inodes of these sockets; `None` for one that isn't open.
    pub(super) fn inodes(&self, listeners: &[Listener]) -> Vec<Option<u64>> {
        let socket = |listener: &Listener| self.sockets.get(&key(&listener.address)).map(|open| &open.socket);
        listeners.iter().map(|listener| fstat(socket(listener)?).ok().map(|stat| stat.st_ino)).collect()
    }

    /// Returns the socket at an address, and opens it if it is missing. Closes other sockets that are in the way, unless
    /// `is_wanted` is true for their key.
    pub(super) fn get_or_open(
        &mut self,
        request: &SocketRequest<'_>,
        prepared: Option<Result<Prepared, String>>,
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> Result<Arc<OwnedFd>, Unavailable> {
        let &SocketRequest { name, listener, .. } = request;
        let key = key(&listener.address);
        let prepare = || prepared.unwrap_or_else(|| prepare(listener)).map_err(Unavailable::Refused);
        let Some(open) = self.sockets.get_mut(&key) else {
            let (open, what) = self.open(request, &prepare()?, is_wanted)?;
            self.events.push(open.event(what));
            let socket = open.to_pass()?;
            self.sockets.insert(key, open);
            return Ok(socket);
        };
        open.name = name.clone();
        if open.has_settings_of(listener) {
            // What doesn't concern the open socket may have changed, such as `shown`.
            open.listener = listener.clone();
        } else {
            open.change(listener, &prepare()?.permissions).map_err(|failure| Unavailable::Refused(failure.in_words()))?;
        }
        if open.restore(self.trust, &self.watch, &self.held, true).map_err(|failure| Unavailable::Refused(failure.in_words()))? {
            self.events.push(open.event(SocketChange::Restored));
        }
        open.to_pass()
    }

    fn open(
        &mut self,
        request: &SocketRequest<'_>,
        prepared: &Prepared,
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(OpenSocket, SocketChange), Unavailable> {
        let &SocketRequest { name, listener, main_pids } = request;
        let Prepared { address, permissions } = prepared;
        let opened = |socket, file, what| {
            let (name, listener, address) = (name.clone(), listener.clone(), address.clone());
            Ok((OpenSocket { socket, name, listener, address, file }, what))
        };
        if let Some(socket) = self.inherited.listener(|socket| rival::is_at(socket, address) == Some(true)) {
            let file = match address {
                Address::Path(path) => SocketFile::adopt(Path::new(path.value()), self.trust, permissions).ok(),
                _ => None,
            };
            if file.is_some() || !matches!(address, Address::Path(_)) {
                let file = file.map(|file| file.watched_by(&self.watch));
                return opened(with_backlog(socket, listener.backlog), file, SocketChange::TakenOver);
            }
        }
        // `bind` would connect to a path to find out whether a process listens there. So a path is taken over before that.
        if let (Address::Path(path), false) = (address, main_pids.is_empty())
            && let Some(socket) = rival::find(address).iter().find_map(|rival| rival.copy(main_pids, address))
            && let Ok(file) = SocketFile::adopt(Path::new(path.value()), self.trust, permissions)
        {
            let file = Some(file.watched_by(&self.watch));
            return opened(with_backlog(socket, listener.backlog), file, SocketChange::TakenOver);
        }
        let (trust, watch) = (self.trust, Arc::clone(&self.watch));
        let bind = || bind(address, trust, permissions, listener.backlog, &watch);
        let mut attempt = bind();
        if matches!(attempt, Err(Failure::InUse)) && self.close_overlapping(address, is_wanted) {
            attempt = bind();
        }
        match attempt {
            Ok((socket, file)) => return opened(Arc::new(socket), file, SocketChange::Opened),
            Err(Failure::Other(why)) => return Err(Unavailable::Refused(why)),
            Err(Failure::InUse) => {}
        }
        // Two host names may resolve to the same address.
        if let Some(same) = self.sockets.values().find(|open| open.address == *address) {
            return opened(Arc::clone(&same.socket), None, SocketChange::Opened);
        }
        if let Some(other) = self.sockets.values().find(|open| open.address.overlaps(address)) {
            return Err(Unavailable::Overlaps(other.name.clone()));
        }
        let rivals = rival::find(address);
        match rivals.iter().find_map(|rival| rival.copy(main_pids, address)) {
            Some(socket) if !matches!(address, Address::Path(_)) => {
                opened(with_backlog(socket, listener.backlog), None, SocketChange::TakenOver)
            }
            _ => Err(Unavailable::Refused(rival::in_use_message(&rivals, main_pids))),
        }
    }

    /// Closes sockets that no process wants and that are in the way of an address; returns whether there were any.
    fn close_overlapping(&mut self, address: &Address, is_wanted: &dyn Fn(&str) -> bool) -> bool {
        self.close_matching(&|key, open| open.address.overlaps(address) && !is_wanted(key))
    }

    /// Closes the sockets that no process wants.
    pub(super) fn close_unwanted(&mut self, is_wanted: &dyn Fn(&str) -> bool) {
        self.close_matching(&|key, _| !is_wanted(key));
    }

    fn close_matching(&mut self, is_closed: &dyn Fn(&str, &OpenSocket) -> bool) -> bool {
        let (mut has_closed, mut watches, mut released) = (false, Vec::new(), Vec::new());
        self.sockets.retain(|key, open| {
            let closes = is_closed(key, open);
            if closes {
                if let Some(file) = &open.file {
                    file.remove();
                    watches.extend(file.watch());
                }
                self.events.push(open.event(SocketChange::Closed));
                has_closed = true;
                released.push(Arc::clone(&open.socket));
            }
            !closes
        });
        // At once, so that the address is free.
        for socket in released {
            release(&self.held, &socket);
        }
        self.end_watches(&watches);
        has_closed
    }

    /// Ends these watches, except those of directories that still have a socket.
    fn end_watches(&self, of_closed: &[i32]) {
        let in_use =
            |watch: &i32| self.sockets.values().filter_map(|open| open.file.as_ref()?.watch()).any(|other| other == *watch);
        of_closed.iter().filter(|watch| !in_use(watch)).for_each(|watch| self.watch.remove(*watch));
    }

    /// Restores what programs have removed or shut down. `replaces`: also a path at which a program has bound another socket,
    /// if no process listens on that any more.
    pub(super) fn restore_all(&mut self, replaces: bool) {
        for open in self.sockets.values_mut() {
            match open.restore(self.trust, &self.watch, &self.held, replaces) {
                Ok(false) => {}
                Ok(true) => self.events.push(open.event(SocketChange::Restored)),
                // The next start tries again, and reports it.
                Err(failure) => {
                    let (name, address) = (open.name.as_str(), open.listener.shown.shown());
                    tracing::debug!(target: "managed_processes", name, address, error = failure.in_words(), "Socket not restored");
                }
            }
        }
    }
}

impl OpenSocket {
    fn has_settings_of(&self, other: &Listener) -> bool {
        let Listener { backlog, mode, user, group, process_user, process_group, .. } = &self.listener;
        (*backlog, *mode) == (other.backlog, other.mode)
            && (user, group) == (&other.user, &other.group)
            && (process_user, process_group) == (&other.process_user, &other.process_group)
    }

    /// The socket, with the flags that its programs need.
    fn to_pass(&self) -> Result<Arc<OwnedFd>, Unavailable> {
        if self.listener.nonblocking {
            ioctl_fionbio(&self.socket, true).map_err(|error| Unavailable::Refused(words(&error.into())))?;
        }
        Ok(Arc::clone(&self.socket))
    }

    fn event(&self, what: SocketChange) -> Event {
        Event::Socket { name: self.name.clone(), address: self.listener.shown.shown().to_owned(), what }
    }

    /// Applies changed settings.
    fn change(&mut self, listener: &Listener, permissions: &Permissions) -> Result<(), Failure> {
        if let Some(file) = &mut self.file {
            file.change(permissions)?;
        }
        listener::begin(&*self.socket, listener.backlog)?;
        self.listener = listener.clone();
        Ok(())
    }

    /// Makes it usable again if a program has removed its path or shut it down. Returns whether that was needed.
    fn restore(&mut self, trust: Trust, watch: &PathWatch, held: &KeptSockets, replaces: bool) -> Result<bool, Failure> {
        let listens = listener::listens(&self.socket)?;
        if let Some(file) = &self.file {
            let is_lost = match file.put_back(replaces)? {
                PathState::PutBack if listens => return Ok(true),
                PathState::Kept | PathState::PutBack => false,
                PathState::Lost => true,
            };
            if listens && !is_lost {
                return Ok(false);
            }
            // No name of it is left, or it was shut down. A unix socket can't listen again after that, so it is replaced.
            let Address::Path(path) = &self.address else { return Ok(false) };
            let (path, permissions) = (Path::new(path.value()), file.permissions().clone());
            file.remove();
            release(held, &self.socket);
            let (socket, file) = SocketFile::open(path, trust, &permissions, self.listener.backlog)?;
            (self.socket, self.file) = (Arc::new(socket), Some(file.watched_by(watch)));
            return Ok(true);
        }
        if !listens && let Address::Abstract(_) = self.address {
            // The name is free only once no process has the old socket. So ours is closed first, by assigning a placeholder.
            release(held, &self.socket);
            self.socket = Arc::new(listener::stream_socket(AddressFamily::UNIX)?);
            self.socket = Arc::new(listener::open(&self.address, self.listener.backlog)?);
        } else if !listens {
            listener::begin(&*self.socket, self.listener.backlog)?;
        }
        Ok(!listens)
    }
}

/// The keeper holds a socket no longer.
fn release(held: &KeptSockets, socket: &OwnedFd) {
    if let Ok(stat) = fstat(socket) {
        held.release(stat.st_ino);
    }
}

/// Gives a socket that a program opened by itself the backlog of its definition.
fn with_backlog(socket: OwnedFd, backlog: u32) -> Arc<OwnedFd> {
    // It listens already. If this fails, it keeps its backlog.
    let _as_before = listener::begin(&socket, backlog);
    Arc::new(socket)
}

fn bind(
    address: &Address,
    trust: Trust,
    permissions: &Permissions,
    backlog: u32,
    watch: &PathWatch,
) -> Result<(OwnedFd, Option<SocketFile>), Failure> {
    match address {
        Address::Path(path) => {
            let (socket, file) = SocketFile::open(Path::new(path.value()), trust, permissions, backlog)?;
            Ok((socket, Some(file.watched_by(watch))))
        }
        address => listener::open(address, backlog).map(|socket| (socket, None)),
    }
}
