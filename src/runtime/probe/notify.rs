//! What programs say of themselves by the protocol of `sd_notify(3)`: datagrams of `KEY=VALUE` lines to the socket that
//! `NOTIFY_SOCKET` names.
//!
//! Each run has a socket of its own, so whose message it is needs no guessing, also when its sender has ended already. Its
//! path lies in a directory that every user can pass and nobody can list: a program may run as another user, and an
//! abstract address, which needs no directory, isn't understood by every library. Who sends is checked: it must be of the
//! run's tree, or run as its user, as navigator's, or as root.

use super::standing::Standing;
use super::watchdog::Watchdog;
use crate::runtime::commands::Principal;
use crate::runtime::proc;
use crate::runtime::refusal::words;
use crate::runtime::sys;
use reconcile::event::RunId;
use rustix::fd::OwnedFd;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, UCred, bind,
    recvmsg, socket_with,
};
use std::collections::BTreeSet;
use std::fs::{DirBuilder, Permissions};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tracing::{debug, info, warn};

/// A message may have this many bytes.
const LONGEST: usize = 16 * 1024;
/// As many descriptors come with one message at most (`SCM_MAX_FD`, `unix(7)`).
const MOST_DESCRIPTORS: usize = 253;
/// What the directories of sockets are called, before a random part.
const PREFIX: &str = "navigator-notify-";

/// Makes the sockets of runs.
#[derive(Debug, Default)]
pub(super) struct Notifications(Mutex<Option<Directory>>);

impl Notifications {
    /// Makes the socket of a run; the first one makes the directory, too.
    pub(super) fn open(&self, run: RunId) -> io::Result<Socket> {
        let mut directory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = match &mut *directory {
            Some(directory) => directory,
            none => none.insert(Directory::make(&std::env::temp_dir())?),
        };
        Socket::open(directory.path.join(run.0.to_string()))
    }
}

/// Where the sockets lie. Removed at the end, or by the next navigator that makes one.
#[derive(Debug)]
struct Directory {
    path: PathBuf,
    /// Locked for as long as this navigator lives.
    _held: OwnedFd,
}

impl Directory {
    fn make(base: &Path) -> io::Result<Directory> {
        remove_abandoned(base);
        // The keys of the standard library's hash maps are random numbers of the operating system.
        let path = base.join(format!("{PREFIX}{:016x}", RandomState::new().build_hasher().finish()));
        DirBuilder::new().mode(0o711).create(&path)?;
        // Whatever the mask of navigator's launcher was.
        std::fs::set_permissions(&path, Permissions::from_mode(0o711))?;
        let held = hold(&path)?;
        Ok(Directory { path, _held: held })
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            warn!(target: "navigator", path = %self.path.display(), %error, "The directory of notification sockets is left");
        }
    }
}

/// Locks a directory, unless somebody else has.
fn hold(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    flock(&directory, FlockOperation::NonBlockingLockExclusive)?;
    Ok(directory)
}

/// Removes what navigators of this user left behind that were killed.
fn remove_abandoned(base: &Path) {
    let own = rustix::process::geteuid().as_raw();
    for entry in std::fs::read_dir(base).into_iter().flatten().flatten() {
        let is_ours = || std::fs::symlink_metadata(entry.path()).is_ok_and(|stat| stat.is_dir() && stat.uid() == own);
        if is_name(&entry.file_name().to_string_lossy()) && is_ours() && hold(&entry.path()).is_ok() {
            // What can't be removed was going to be left anyway.
            let _left = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Whether a directory of sockets could be called so.
fn is_name(name: &str) -> bool {
    let random = name.strip_prefix(PREFIX);
    random.is_some_and(|random| random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// The socket of one run. Its name is removed with it.
#[derive(Debug)]
pub(super) struct Socket {
    socket: AsyncFd<OwnedFd>,
    path: PathBuf,
}

impl Socket {
    fn open(path: PathBuf) -> io::Result<Socket> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        set_socket_passcred(&socket, true)?;
        bind(&socket, &SocketAddrUnix::new(&path)?)?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o666))?;
        Ok(Socket { socket: sys::readable(socket)?, path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next message, and who sent it. Descriptors that come with it are closed.
    async fn receive(&self) -> io::Result<(Vec<u8>, Option<UCred>)> {
        loop {
            let mut ready = self.socket.readable().await?;
            match ready.try_io(|socket| receive_now(socket.get_ref())) {
                Ok(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(received) => return received,
                Err(_would_block) => {}
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // With its directory, otherwise.
        let _left = std::fs::remove_file(&self.path);
    }
}

fn receive_now(socket: &OwnedFd) -> io::Result<(Vec<u8>, Option<UCred>)> {
    let mut message = vec![0; LONGEST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS), ScmCredentials(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = recvmsg(socket, &mut [IoSliceMut::new(&mut message)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut sender = None;
    for part in ancillary.drain() {
        if let RecvAncillaryMessage::ScmCredentials(credentials) = part {
            sender = Some(credentials);
        }
    }
    message.truncate(received.bytes);
    Ok((message, sender))
}

/// Whom the messages of a run are for.
pub(super) struct Audience {
    pub(super) principal: Principal,
    pub(super) standing: Arc<Standing>,
    pub(super) watchdog: Option<Arc<Watchdog>>,
}

/// Takes the messages of a run until the task is ended.
pub(super) async fn receive(socket: Socket, audience: Audience) {
    let mut noted = BTreeSet::new();
    let name = audience.principal.spec.name.as_str();
    loop {
        match socket.receive().await {
            Ok((_, Some(sender))) if !audience.trusts(sender) => {
                let (pid, user) = (sender.pid.as_raw_nonzero().get(), sender.uid.as_raw());
                warn!(target: "managed_processes", name, sender = pid, user, "Notification of a stranger ignored");
            }
            Ok((message, _)) => {
                for sign in signs(&message) {
                    audience.take(sign, &mut noted).await;
                }
            }
            Err(error) => {
                warn!(target: "managed_processes", name, %error, "Notifications can't be received any more");
                return audience.standing.unready(format!("notifications can't be received: {}", words(&error))).await;
            }
        }
    }
}

impl Audience {
    /// Whether the sender may speak for the run.
    fn trusts(&self, sender: UCred) -> bool {
        let Some(leader) = self.principal.leader.map(|pid| pid.0) else { return false };
        let user = sender.uid.as_raw();
        let of_leader = std::fs::metadata(format!("/proc/{leader}")).ok().map(|stat| stat.uid());
        let usual = [Some(0), Some(rustix::process::geteuid().as_raw()), of_leader];
        usual.contains(&Some(user)) || is_below(sender.pid.as_raw_nonzero().get().cast_unsigned(), leader)
    }

    async fn take(&self, sign: Sign, noted: &mut BTreeSet<String>) {
        let name = self.principal.spec.name.as_str();
        // What is ready by a probe isn't ready by its own word as well.
        let speaks_for_itself = self.principal.spec.exec.announce.is_some();
        match sign {
            Sign::Ready if speaks_for_itself => self.standing.ready().await,
            Sign::Withdrawn(why) if speaks_for_itself => self.standing.unready(why.to_owned()).await,
            Sign::Ready | Sign::Withdrawn(_) => {}
            Sign::Status(status) => {
                debug!(target: "managed_processes", name, status, "Notification");
                if speaks_for_itself && !self.standing.is_ready() {
                    self.standing.unready(status).await;
                }
            }
            Sign::Alive => self.watchdog.iter().for_each(|watchdog| watchdog.alive()),
            Sign::Limit(limit) => self.watchdog.iter().for_each(|watchdog| watchdog.set_limit(limit)),
            Sign::Trigger => self.watchdog.iter().for_each(|watchdog| watchdog.trigger()),
            Sign::MainPid(pid) if Some(pid) == self.principal.leader.map(|leader| leader.0) => {}
            Sign::MainPid(_) => note(name, "MAINPID", noted),
            Sign::Ignored(key) => note(name, &key, noted),
        }
    }
}

/// Says once of each key that it means nothing here.
fn note(name: &str, key: &str, noted: &mut BTreeSet<String>) {
    if noted.insert(key.to_owned()) {
        info!(target: "managed_processes", name, key, "Notification ignored: navigator has no use for it");
    }
}

/// Whether a process is in the session of another one, or descends from it.
fn is_below(pid: u32, leader: u32) -> bool {
    /// No tree is deeper that anybody made on purpose.
    const DEEPEST: usize = 64;
    let mut at = pid;
    for _ in 0..DEEPEST {
        let Some(stat) = proc::stat(at) else { return false };
        if at == leader || stat.session == leader {
            return true;
        }
        at = stat.parent;
    }
    false
}

/// What a line of a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sign {
    Ready,
    /// It is ready no more, until it says so again.
    Withdrawn(&'static str),
    Status(String),
    Alive,
    Limit(Duration),
    Trigger,
    MainPid(u32),
    Ignored(String),
}

/// What a message says, in the order of its lines. What isn't part of the protocol says nothing.
fn signs(message: &[u8]) -> Vec<Sign> {
    let lines = message.split(|&byte| byte == b'\n').filter_map(|line| std::str::from_utf8(line).ok());
    lines.filter_map(|line| line.split_once('=')).filter_map(|(key, value)| sign(key, value)).collect()
}

fn sign(key: &str, value: &str) -> Option<Sign> {
    Some(match (key, value) {
        ("READY", "1") => Sign::Ready,
        ("RELOADING", "1") => Sign::Withdrawn("it is reloading"),
        ("STOPPING", "1") => Sign::Withdrawn("it is stopping"),
        ("STATUS", status) if !status.is_empty() => Sign::Status(status.to_owned()),
        ("WATCHDOG", "1") => Sign::Alive,
        ("WATCHDOG", "trigger") => Sign::Trigger,
        ("WATCHDOG_USEC", micros) => Sign::Limit(Duration::from_micros(micros.parse().ok().filter(|micros| *micros > 0)?)),
        ("MAINPID", pid) => Sign::MainPid(pid.parse().ok()?),
        ("ERRNO" | "BUSERROR" | "VARLINKERROR" | "FDSTORE" | "FDSTOREREMOVE" | "NOTIFYACCESS" | "EXTEND_TIMEOUT_USEC", _) => {
            Sign::Ignored(key.to_owned())
        }
        // `BARRIER=1` asks for nothing but that its descriptor is closed once all before it was read.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    #[test]
    fn lines_of_the_protocol_are_understood_in_their_order() {
        let found = signs(b"RELOADING=1\nSTATUS=Loading 50 % of a=b\nREADY=1\nMAINPID=42\nWATCHDOG=1\n");
        let expected = [
            Sign::Withdrawn("it is reloading"),
            Sign::Status("Loading 50 % of a=b".to_owned()),
            Sign::Ready,
            Sign::MainPid(42),
            Sign::Alive,
        ];
        assert_eq!(found, expected);
        let found = signs(b"WATCHDOG=trigger\nWATCHDOG_USEC=5000000\nERRNO=2\nSTOPPING=1");
        let expected = [
            Sign::Trigger,
            Sign::Limit(Duration::from_secs(5)),
            Sign::Ignored("ERRNO".to_owned()),
            Sign::Withdrawn("it is stopping"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn nonsense_says_nothing() {
        for message in [
            &b""[..],
            b"READY",
            b"READY=0",
            b"READY=1 ",
            b"ready=1",
            b"\xff\xfe=1",
            b"WATCHDOG=yes",
            b"WATCHDOG_USEC=0",
            b"WATCHDOG_USEC=-1",
            b"MAINPID=x",
            b"BARRIER=1",
            b"X_OWN=1",
            b"STATUS=",
            b"=\n=\n",
        ] {
            assert_eq!(signs(message), [], "{}", message.escape_ascii());
        }
    }

    #[test]
    fn messages_come_with_their_sender_and_nothing_is_left() {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let notifications = Notifications::default();
        let path = tokio.block_on(async {
            let socket = notifications.open(RunId(7)).expect("a socket");
            let sender = UnixDatagram::unbound().expect("a socket");
            sender.send_to(b"READY=1", socket.path()).expect("it is open");
            let (message, credentials) = socket.receive().await.expect("a message");
            assert_eq!(message, b"READY=1");
            let credentials = credentials.expect("the kernel says who sent it");
            assert_eq!(credentials.pid, rustix::process::getpid());
            socket.path().to_owned()
        });
        assert!(!path.exists(), "the socket's name is left");
        let directory = path.parent().expect("it lay in a directory").to_owned();
        assert_eq!(std::fs::metadata(&directory).expect("it stays").permissions().mode() & 0o777, 0o711);
        drop(notifications);
        assert!(!directory.exists(), "the directory is left");
    }

    #[test]
    fn the_next_navigator_removes_what_a_killed_one_left() {
        let base = std::env::temp_dir().join(format!("navigator-abandoned-{}", std::process::id()));
        std::fs::create_dir(&base).expect("its name is new");
        let (abandoned, strangers) = (base.join(format!("{PREFIX}{:016x}", 7)), base.join(format!("{PREFIX}of-another")));
        std::fs::create_dir(&abandoned).expect("it is ours");
        std::fs::write(abandoned.join("1"), "").expect("it is ours");
        std::fs::create_dir(&strangers).expect("it is ours");
        let first = Directory::make(&base).expect("a directory");
        assert!(!abandoned.exists() && strangers.exists());
        let second = Directory::make(&base).expect("a directory");
        assert!(first.path.exists(), "it is in use");
        drop((first, second));
        std::fs::remove_dir_all(&base).expect("it is ours");
    }

    #[test]
    fn descent_is_seen() {
        let own = std::process::id();
        let parent = proc::stat(own).expect("we exist").parent;
        assert!(is_below(own, own) && is_below(own, parent));
        assert!(!is_below(parent, own) || proc::stat(parent).is_some_and(|stat| stat.session == own));
    }
}
