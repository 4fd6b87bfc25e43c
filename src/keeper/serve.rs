//! The keeper's main thread: accepts connections, answers navigator, and reports ends.

use super::held::{HeldDescriptors, PIPE};
use super::message::{MAX_DESCRIPTORS, receive_message, send_message};
use super::protocol::{ConnectionRole, Hello, KeeperAnswer, KeeperRequest, PROTOCOL, Welcome};
use super::starts::Starters;
use super::{LISTENER, NAME};
use crate::sys::slot::SlotTable;
use crate::sys::{self, Ended, SignalQueue, exec};
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout, socket_peercred};
use rustix::net::{SendFlags, SocketFlags, accept_with, send};
use rustix::process::{Resource, geteuid, getrlimit};
use std::collections::HashSet;
use std::fs;
use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// How long a keeper without navigator stays after the last of its processes has ended, to know how.
const LINGER: Duration = Duration::from_hours(1);
/// How long a new connection may take to say what it is for.
const HELLO_TIMEOUT: Duration = Duration::from_secs(1);

/// What an epoll event is about, beside [`PIPE`].
const CONNECTION: u64 = 1;
const SIGNALS: u64 = 2;
const CONTROL: u64 = 3;
const SOCKETS: u64 = 4;

/// Runs the keeper. Call it before any thread exists, in a process that [`super::launch`] has made.
pub(crate) fn main() -> ExitCode {
    // Its end is the only way to report an error: navigator notices it, and goes on without a keeper.
    run().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS)
}

fn run() -> io::Result<()> {
    let _named = rustix::thread::set_name(NAME);
    sys::keep_little_memory();
    // Navigator has raised it to the hard limit.
    sys::grow_descriptor_table(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX));
    // For all threads. Children get an empty mask.
    let _never_restored = exec::block_signals();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let listener = exec::own(LISTENER).ok_or(io::ErrorKind::NotFound)?;
    sys::close_on_exec(LISTENER)?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let signals = SignalQueue::new(&[libc::SIGCHLD, libc::SIGTERM])?;
    watch(&epoll, &listener, CONNECTION)?;
    watch(&epoll, signals.descriptor(), SIGNALS)?;
    let held = Arc::new(HeldDescriptors::new(epoll.try_clone()?));
    let starters = Starters::new(Arc::clone(&held));
    let (navigator, sockets, ends, unread) = (None, None, None, HashSet::new());
    let mut keeper = Keeper { epoll, listener, signals, held, starters, navigator, sockets, ends, unread, phase: Phase::Serving };
    while keeper.phase != Phase::Ended {
        keeper.step()?;
    }
    Ok(())
}

fn watch(epoll: &OwnedFd, descriptor: &OwnedFd, data: u64) -> io::Result<()> {
    Ok(epoll::add(epoll, descriptor, epoll::EventData::new_u64(data), epoll::EventFlags::IN)?)
}

struct Keeper {
    epoll: OwnedFd,
    listener: OwnedFd,
    signals: SignalQueue,
    held: Arc<HeldDescriptors>,
    starters: Arc<Starters>,
    /// Navigator's connection for requests; `None`: no navigator runs.
    navigator: Option<OwnedFd>,
    /// Its connection for requests about sockets.
    sockets: Option<OwnedFd>,
    /// Where ends are reported.
    ends: Option<OwnedFd>,
    /// Pipes without writers that aren't read to their end.
    unread: HashSet<u64>,
    phase: Phase,
}

/// Whether the keeper goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// It ends with its last child.
    Retired,
    /// It ends when none of its processes runs.
    Terminating,
    Ended,
}

impl Keeper {
    /// Handles what happens next.
    fn step(&mut self) -> io::Result<()> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(16);
        // Only a keeper without navigator ever ends by itself.
        let linger = Timespec::try_from(LINGER).ok().filter(|_| self.navigator.is_none());
        let count = match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), linger.as_ref()) {
            Err(Errno::INTR) => return Ok(()),
            count => count?,
        };
        for event in &events {
            match { event.data }.u64() {
                CONNECTION => self.accept(),
                SIGNALS => self.take_signals(),
                CONTROL => self.serve(),
                SOCKETS => self.serve_sockets(),
                data => drop(self.unread.insert(data & !PIPE)),
            }
        }
        self.unread.retain(|&inode| self.held.drop_if_empty(inode));
        let is_over = match self.phase {
            Phase::Terminating => self.living() == 0,
            Phase::Serving if self.navigator.is_some() => false,
            // Without navigator, what has ended is kept for a while, and so are sockets.
            Phase::Serving => self.keeps_nothing() || (count == 0 && self.living() == 0),
            Phase::Retired => !sys::has_children(),
            Phase::Ended => true,
        };
        if is_over {
            self.phase = Phase::Ended;
        }
        Ok(())
    }

    /// Takes a new connection. What is wrong with it closes it.
    fn accept(&mut self) {
        let Ok(link) = accept_with(&self.listener, SocketFlags::CLOEXEC) else { return };
        let is_ours = socket_peercred(&link).is_ok_and(|peer| peer.uid.is_root() || peer.uid == geteuid());
        if !is_ours || set_socket_timeout(&link, Timeout::Recv, Some(HELLO_TIMEOUT)).is_err() {
            return;
        }
        let Ok(Some((Hello { role }, descriptors))) = receive_message::<Hello>(&link) else { return };
        if role == ConnectionRole::Control {
            self.serve_rest();
        }
        let is_taken = match role {
            ConnectionRole::Control => self.navigator.is_some(),
            ConnectionRole::Ends => self.ends.is_some() && self.navigator.is_some(),
            ConnectionRole::Sockets | ConnectionRole::Starts | ConnectionRole::Look => false,
        };
        let is_welcome = role == ConnectionRole::Starts || send_message(&link, &self.welcome(is_taken), &[]).is_ok();
        if !is_welcome || is_taken || set_socket_timeout(&link, Timeout::Recv, None).is_err() {
            return;
        }
        match role {
            ConnectionRole::Control if watch(&self.epoll, &link, CONTROL).is_ok() => self.navigator = Some(link),
            ConnectionRole::Ends => self.ends = Some(link),
            ConnectionRole::Starts => {
                let table = descriptors.into_iter().next().and_then(|memory| SlotTable::map(memory).ok());
                // Without a thread, the connection is closed.
                let _closed = table.map(|table| self.starters.serve(link, table));
            }
            ConnectionRole::Sockets if watch(&self.epoll, &link, SOCKETS).is_ok() => self.sockets = Some(link),
            ConnectionRole::Control | ConnectionRole::Sockets | ConnectionRole::Look => {}
        }
    }

    fn welcome(&self, is_taken: bool) -> Welcome {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        Welcome { protocol: PROTOCOL, version, pid: std::process::id(), processes: self.living(), is_taken }
    }

    fn take_signals(&mut self) {
        while let Some((signal, pid)) = self.signals.take() {
            match signal {
                libc::SIGCHLD => self.report_end(pid),
                // With navigator, that decides what is stopped.
                libc::SIGTERM if self.navigator.is_none() => self.terminate(),
                _ => {}
            }
        }
        if self.navigator.is_none() {
            self.reap_adopted();
        }
    }

    /// A full queue loses nothing: navigator is awake, and looks for all ends then.
    fn report_end(&mut self, pid: u32) {
        let sent = self.ends.as_ref().map(|ends| send(ends, &pid.to_le_bytes(), SendFlags::NOSIGNAL | SendFlags::DONTWAIT));
        if matches!(sent, Some(Err(error)) if error != Errno::AGAIN) {
            self.ends = None;
        }
    }

    /// Handles everything that the connected navigator has sent. If it was killed, another one may connect then.
    fn serve_rest(&mut self) {
        let is_readable = |link: &OwnedFd| {
            let mut polled = [PollFd::new(link, PollFlags::IN)];
            matches!(poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(1..))
        };
        while self.navigator.as_ref().is_some_and(is_readable) {
            self.serve();
        }
    }

    /// Handles a request.
    fn serve(&mut self) {
        let Some(navigator) = self.navigator.take() else { return };
        if self.serve_on(&navigator) {
            self.navigator = Some(navigator);
            return;
        }
        // It is gone. Dropping its connection ends the watch on it.
        self.ends = None;
        self.starters.cancel();
        self.reap_adopted();
    }

    /// Handles a request about sockets.
    fn serve_sockets(&mut self) {
        self.sockets = self.sockets.take().filter(|link| self.serve_on(link));
    }

    /// Handles a request. Returns false if the connection is closed.
    fn serve_on(&mut self, link: &OwnedFd) -> bool {
        let served = match receive_message::<KeeperRequest>(link) {
            Ok(Some((request, descriptors))) => self.answer(link, request, descriptors),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => send_message(link, &KeeperAnswer::Unknown, &[]),
            Ok(None) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(error),
        };
        served.is_ok()
    }

    fn answer(&mut self, link: &OwnedFd, request: KeeperRequest, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let answer = match request {
            KeeperRequest::EndedOf(pids) => {
                let ended = pids.into_iter().filter_map(|pid| sys::ended_one(pid).transpose());
                KeeperAnswer::Ended(ended.collect::<io::Result<Vec<Ended>>>()?)
            }
            KeeperRequest::EndedAdopted => KeeperAnswer::Ended(sys::ended_adopted()?.into_iter().collect()),
            KeeperRequest::EndedAny => KeeperAnswer::Ended(sys::ended_child()?.into_iter().collect()),
            KeeperRequest::Reap(pids) => {
                for pid in pids {
                    self.starters.reap(pid);
                }
                return Ok(());
            }
            KeeperRequest::Hold => {
                for descriptor in descriptors {
                    self.held.add(descriptor);
                }
                KeeperAnswer::Done
            }
            KeeperRequest::RetainSockets(inodes) => {
                self.held.retain_sockets(&inodes);
                KeeperAnswer::Done
            }
            KeeperRequest::Descriptors => {
                return self
                    .held
                    .each(MAX_DESCRIPTORS, |now, has_more| send_message(link, &KeeperAnswer::Descriptors { has_more }, now));
            }
            KeeperRequest::Release(inode) => {
                self.held.release(inode);
                KeeperAnswer::Done
            }
            KeeperRequest::Retire => {
                self.phase = Phase::Retired;
                return Ok(());
            }
            KeeperRequest::Bye => {
                self.phase = Phase::Ended;
                return Ok(());
            }
        };
        send_message(link, &answer, &[])
    }

    /// Reaps orphans that have ended. Navigator asks for no other child of theirs than those that it has had started.
    fn reap_adopted(&self) {
        for pid in adopted() {
            if !self.starters.has_made(pid) && matches!(sys::ended_one(pid), Ok(Some(_))) {
                self.starters.reap(pid);
            }
        }
    }

    /// Passes a `TERM` on: this host shuts down.
    fn terminate(&mut self) {
        self.phase = Phase::Terminating;
        for pid in self.starters.made() {
            // Only this process reaps it, and not meanwhile.
            let _has_ended = sys::signal_unreaped(pid.cast_signed(), libc::SIGTERM);
        }
    }

    fn keeps_nothing(&self) -> bool {
        !sys::has_children() && self.held.is_empty()
    }

    /// How many processes it has started that run.
    fn living(&self) -> usize {
        self.starters.made().into_iter().filter(|&pid| matches!(sys::ended_one(pid), Ok(None))).count()
    }
}

/// The children that were handed to this process: the kernel makes them those of the main thread.
fn adopted() -> Vec<u32> {
    let own = std::process::id();
    let list = fs::read_to_string(format!("/proc/self/task/{own}/children")).unwrap_or_default();
    list.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}
