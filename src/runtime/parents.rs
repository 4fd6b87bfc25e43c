//! The processes that have children of navigator's: its keepers, and navigator itself.
//!
//! New children are the keeper's. Navigator has some itself where there is no keeper, or after one was killed: the kernel hands
//! them over. A former keeper is that of a navigator that was killed: its processes stay its children, and it ends with the last
//! of them.
//!
//! Which of them is a child's parent doesn't matter to the caller. Nothing is reaped but by [`Parents::reap`], so a pid stays a child's own
//! until then.

use super::child_maker::StartPlace;
use super::keeper_status::KeeperStatus;
use super::kept_sockets::KeptSockets;
use super::proc::Lineage;
use crate::access::Directory;
use crate::error_text::words;
use crate::keeper::{self, KeeperLink, KeeperProcess, LinkError};
use crate::sys::{self, Ended};
use rustix::event::epoll;
use rustix::fd::OwnedFd;
use std::io;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;

/// The processes that have children of navigator's.
pub(super) struct Parents {
    /// The directory of the instance; `None`: navigator has no keeper.
    directory: Option<Directory>,
    keepers: Vec<UsedKeeper>,
    /// Becomes readable when a child of a keeper has ended.
    ends: Arc<AsyncFd<OwnedFd>>,
    place: Arc<StartPlace>,
    sockets: KeptSockets,
    status: KeeperStatus,
    /// What keepers have held before.
    held: Option<Vec<OwnedFd>>,
    /// Children were handed to us without a report.
    has_new_children: bool,
}

/// A keeper that navigator is connected with.
struct UsedKeeper {
    name: String,
    link: KeeperLink,
    /// Whether it is a child of ours, so that its children become ours when it is killed.
    is_child: bool,
    /// It ends with its last child.
    is_retired: bool,
}

impl Parents {
    /// Connects with the keepers of this instance, and starts one if none can be used for new children. `directory`: of the
    /// instance; `None`: navigator has no keeper. `sockets`: what a keeper has to hold.
    ///
    /// # Errors
    /// Out of descriptors or memory.
    pub(super) fn new(directory: Option<Directory>, sockets: KeptSockets, status: KeeperStatus) -> io::Result<Parents> {
        // A limit on the size of files counts for shared memory, too.
        let (directory, place) = match StartPlace::new(directory.clone()) {
            Ok(place) => (directory, place),
            Err(error) => {
                tracing::warn!(target: "navigator", error = words(&error), "Running processes without a keeper");
                (None, StartPlace::new(None)?)
            }
        };
        let place = Arc::new(place);
        let mut parents = Parents {
            directory,
            keepers: Vec::new(),
            ends: sys::epoll_set()?,
            place,
            sockets,
            status,
            held: None,
            has_new_children: false,
        };
        parents.find_keepers();
        // Before one of them is no longer used, and ends.
        let held = parents.ask_each(KeeperLink::descriptors).into_iter().flatten().collect();
        parents.held = (!parents.keepers.is_empty()).then_some(held);
        parents.choose_keeper();
        Ok(parents)
    }

    /// Where new children are made.
    pub(super) fn place(&self) -> Arc<StartPlace> {
        Arc::clone(&self.place)
    }

    /// Becomes readable when a child of a keeper has ended.
    pub(super) fn ends(&self) -> Arc<AsyncFd<OwnedFd>> {
        Arc::clone(&self.ends)
    }

    /// What keepers of earlier navigators hold, or of an earlier program in this process; `None`: there are none.
    pub(super) fn take_held(&mut self) -> Option<Vec<OwnedFd>> {
        self.held.take()
    }

    /// The pids of all of them.
    pub(super) fn pids(&self) -> impl Iterator<Item = u32> {
        [std::process::id()].into_iter().chain(self.keepers.iter().map(|keeper| keeper.link.welcome.pid))
    }

    /// Whether this is one of them.
    pub(super) fn contains(&self, pid: u32) -> bool {
        self.pids().any(|parent| parent == pid)
    }

    /// Children that were handed to one of them, and perhaps some that navigator has started.
    pub(super) fn adopted(&self, lineage: &Lineage) -> Vec<u32> {
        self.pids().flat_map(|parent| lineage.adopted(parent)).filter(|&pid| !self.contains(pid)).collect()
    }

    /// All children.
    pub(super) fn children(&self, lineage: &Lineage) -> Vec<u32> {
        self.pids().flat_map(|parent| lineage.children(parent)).filter(|&pid| !self.contains(pid)).collect()
    }

    /// Which of these children have ended.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(super) fn ended_of(&mut self, pids: &[u32]) -> io::Result<Vec<Ended>> {
        let mut ended = Vec::new();
        for &pid in pids {
            ended.extend(sys::ended_one(pid)?);
        }
        if ended.len() < pids.len() {
            ended.extend(self.ask_each(|link| link.ended_of(pids.to_vec())).into_iter().flatten());
        }
        Ok(ended)
    }

    /// An adopted child that has ended. Where the kernel can't tell, any child.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(super) fn ended_adopted(&mut self) -> io::Result<Option<Ended>> {
        let own = self.own(sys::ended_adopted)?;
        Ok(own.or_else(|| self.ask_until(KeeperLink::ended_adopted)))
    }

    /// Any child that has ended.
    ///
    /// # Errors
    /// Those of `waitid(2)`, which are bugs.
    pub(super) fn ended_any(&mut self) -> io::Result<Option<Ended>> {
        self.has_new_children = false;
        let own = self.own(sys::ended_child)?;
        Ok(own.or_else(|| self.ask_until(KeeperLink::ended_any)))
    }

    /// Reaps a child that has ended. From here on another process may have its pid.
    pub(super) fn reap(&mut self, pid: u32) {
        if sys::reap(pid).is_err() {
            self.ask_each(|link| link.reap(vec![pid]));
        }
    }

    /// Whether children have to be looked at that nothing reports.
    pub(super) fn has_new_children(&self) -> bool {
        self.has_new_children
    }

    /// The pids of children of keepers that have ended since the last call. One of them may stand for several.
    pub(super) fn reported(&mut self) -> Vec<u32> {
        self.ask_each(KeeperLink::reported).into_iter().flatten().collect()
    }

    /// Ends all keepers, once their last children are gone.
    pub(super) fn end(&mut self) {
        self.place.set(None, Vec::new());
        for UsedKeeper { name, link, is_child, .. } in self.keepers.drain(..) {
            let pid = link.welcome.pid;
            link.end();
            if is_child {
                // Nothing depends on its exit status.
                let _reaped = sys::wait_for(pid);
            }
            self.directory.iter().for_each(|directory| keeper::remove(directory, &name));
        }
    }

    /// A child of ours that has ended. Keepers are no children that the caller knows: those that have ended are given up.
    fn own(&mut self, ask: fn() -> io::Result<Option<Ended>>) -> io::Result<Option<Ended>> {
        loop {
            let ended = ask()?;
            let is_it = |keeper: &UsedKeeper| keeper.is_child && ended.is_some_and(|ended| ended.pid == keeper.link.welcome.pid);
            let Some(place) = self.keepers.iter().position(is_it) else { return Ok(ended) };
            self.lose(place);
        }
    }

    /// Asks every keeper, and gives up those that don't answer.
    fn ask_each<T>(&mut self, ask: impl Fn(&KeeperLink) -> io::Result<T>) -> Vec<T> {
        let (mut answers, mut lost) = (Vec::new(), Vec::new());
        for (place, keeper) in self.keepers.iter().enumerate() {
            match ask(&keeper.link) {
                Ok(answer) => answers.push(answer),
                Err(_) => lost.push(place),
            }
        }
        lost.into_iter().rev().for_each(|place| self.lose(place));
        answers
    }

    /// Asks keepers until one has an answer.
    fn ask_until<T>(&mut self, ask: impl Fn(&KeeperLink) -> io::Result<Option<T>>) -> Option<T> {
        self.ask_each(ask).into_iter().flatten().next()
    }

    /// Gives up a keeper that has ended, or that doesn't answer.
    fn lose(&mut self, place: usize) {
        let UsedKeeper { name, link, is_child, is_retired } = self.keepers.remove(place);
        let pid = link.welcome.pid;
        drop(link);
        if is_child {
            // It may hang. Its pid is its own until it is waited for.
            let _has_ended = sys::signal_unreaped(pid.cast_signed(), libc::SIGKILL);
            let _reaped = sys::wait_for(pid);
            self.has_new_children = true;
        }
        self.directory.iter().for_each(|directory| keeper::remove(directory, &name));
        self.choose_keeper();
        if is_retired {
            tracing::debug!(target: "navigator", pid, "Former keeper ended");
        } else if is_child {
            tracing::warn!(target: "navigator", pid, "Keeper lost, its processes are navigator's own now");
        }
    }

    /// Connects with the keepers that run.
    fn find_keepers(&mut self) {
        let Some(directory) = self.directory.clone() else { return };
        let names = keeper::names(&directory).unwrap_or_default();
        for name in names {
            match self.open(&directory, &name) {
                Ok(()) => {}
                Err(LinkError::Gone) => keeper::remove(&directory, &name),
                Err(error) => tracing::warn!(target: "navigator", name, %error, "Keeper can't be used"),
            }
        }
    }

    fn open(&mut self, directory: &Directory, name: &str) -> Result<(), LinkError> {
        let link = KeeperLink::open(directory, name)?;
        epoll::add(self.ends.get_ref(), link.ends(), epoll::EventData::new_u64(0), epoll::EventFlags::IN)
            .map_err(io::Error::from)?;
        self.sockets.add_keeper(directory, name)?;
        let is_child = sys::is_child(link.welcome.pid);
        self.keepers.push(UsedKeeper { name: name.to_owned(), link, is_child, is_retired: false });
        Ok(())
    }

    /// Chooses the keeper for new children, and starts one if there is none. It has to be our child, so that nothing is lost when
    /// it is killed; and of this version, because others may not know every setting of a process.
    fn choose_keeper(&mut self) {
        let is_usable = |keeper: &&UsedKeeper| keeper.is_child && keeper.link.welcome.version == env!("CARGO_PKG_VERSION");
        if !self.keepers.iter().any(|keeper| is_usable(&keeper))
            && let Some(directory) = self.directory.clone()
            && let Err(error) = self.launch(&directory)
        {
            tracing::warn!(target: "navigator", error = words(&error), "Running processes without a keeper");
        }
        let chosen = self.keepers.iter().rev().find(is_usable);
        self.status.set(chosen.map(|keeper| (keeper.link.welcome.pid, keeper.link.welcome.version.clone())));
        let chosen = chosen.map(|keeper| (keeper.name.clone(), keeper.link.welcome.pid));
        let is_chosen = |pid| chosen.as_ref().is_some_and(|&(_, chosen)| chosen == pid);
        for keeper in self.keepers.iter_mut().filter(|keeper| !keeper.is_retired && !is_chosen(keeper.link.welcome.pid)) {
            // If it is gone, its connection for ends says so.
            keeper.is_retired = keeper.link.retire().is_ok();
        }
        let pids = self.keepers.iter().map(|keeper| keeper.link.welcome.pid).collect();
        self.place.set(chosen, pids);
    }

    fn launch(&mut self, directory: &Directory) -> io::Result<()> {
        let KeeperProcess { name, pid } = keeper::launch(directory)?;
        let opened = self.open(directory, &name);
        opened.map_err(|error| {
            // It is ours, and not reaped.
            let _has_ended = sys::signal_unreaped(pid.cast_signed(), libc::SIGKILL);
            let _reaped = sys::wait_for(pid);
            keeper::remove(directory, &name);
            io::Error::other(error.to_string())
        })
    }
}
