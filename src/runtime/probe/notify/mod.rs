//! Receives notifications by the protocol of `sd_notify(3)`: datagrams of `KEY=VALUE` lines to the socket in `NOTIFY_SOCKET`.
//!
//! Each run has its own socket, so a message belongs to a known run, even if its sender has ended. The socket belongs to the
//! user of the process and has mode 0600, so only that user and root can send to it. Its directory can be entered by all users
//! and listed by none. (An abstract address needs no directory, but has no owner, and some libraries don't support it.) The
//! sender is checked too, because a socket may be passed on. It must belong to the process tree of the run, or run as its user,
//! as navigator's user, or as root.
//!
//! A flood of messages is read at a limited rate ([`limits`]), so that it doesn't slow down others.

mod directory;
mod limits;
mod message;

use super::probe_state::ProbeState;
use super::watchdog::Watchdog;
use crate::error_text::words;
use crate::handover::InheritedDescriptors;
use crate::journal::Author;
use crate::runtime::commands::{CommandContext, Commands};
use crate::runtime::kept_sockets::KeptSockets;
use crate::runtime::proc;
use crate::sys;
use directory::SocketDirectory;
use limits::{CHANGE_COST, Ignored, MessageBudget};
use message::{Notification, parse};
use reconcile::event::RunId;
use rustix::fd::OwnedFd;
use rustix::fs::{Mode, fchmod};
use rustix::io::Errno;
use rustix::net::sockopt::set_socket_passcred;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, UCred, bind,
    recvmsg, socket_with,
};
use rustix::process::geteuid;
use std::collections::BTreeSet;
use std::fs::Permissions;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::unix::AsyncFd;
use tracing::{debug, info, warn};

/// Maximum size of a message in bytes.
const MAX_MESSAGE: usize = 16 * 1024;
/// Maximum number of descriptors in one message (`SCM_MAX_FD`, `unix(7)`).
const MAX_DESCRIPTORS: usize = 253;

/// Creates the sockets of runs.
#[derive(Debug)]
pub(in crate::runtime) struct Notifications {
    /// The state directory: used if the directory for temporary files can't be written.
    state: PathBuf,
    author: Author,
    directory: Mutex<Option<SocketDirectory>>,
    inherited: Arc<InheritedDescriptors>,
    held: KeptSockets,
}

impl Notifications {
    /// `held`: what the keeper holds, too.
    pub(in crate::runtime) fn new(
        state: PathBuf,
        author: Author,
        inherited: Arc<InheritedDescriptors>,
        held: KeptSockets,
    ) -> Notifications {
        Notifications { state, author, directory: Mutex::default(), inherited, held }
    }

    /// Creates the socket of a run; the first call also creates the directory.
    pub(super) fn open(&self, run: RunId) -> io::Result<Socket> {
        // A path is short, so a few digits tell this life from earlier ones: their processes may live.
        let life = &self.author.life[..8.min(self.author.life.len())];
        Socket::open(self.directory()?.join(format!("{life}.{}", run.0)), &self.held)
    }

    /// Opens again the socket of a process that has outlived the navigator that started it, at its recorded path. `owner` is the
    /// user that the process was started as. A process that keeps a connection to the former socket isn't heard, unless that was
    /// inherited.
    ///
    /// # Errors
    /// The path is not in our directory, because it has another name now, or the socket can't be created.
    pub(super) fn reopen(&self, path: &Path, owner: u32) -> io::Result<Socket> {
        let directory = self.directory()?;
        if path.parent() != Some(&directory) || path.file_name().is_none() {
            let why = format!("`{}` is not in `{}`, where sockets are now", path.display(), directory.display());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        if let Some(socket) = self.inherited.notifications(path) {
            return Socket::of(socket, path.to_owned(), &self.held);
        }
        let socket = Socket::open(path.to_owned(), &self.held)?;
        if owner != geteuid().as_raw() {
            lchown(path, Some(owner), None)?;
        }
        Ok(socket)
    }

    /// No process is left: removes also what a killed navigator has left, if this one needed no sockets.
    pub(super) fn finish(&self) {
        if self.directory.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            for base in [&std::env::temp_dir(), &self.state] {
                SocketDirectory::remove_left(base, &self.author.instance);
            }
        }
    }

    fn directory(&self) -> io::Result<PathBuf> {
        let mut directory = self.directory.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = match &mut *directory {
            Some(directory) => directory,
            none => none.insert(self.open_directory()?),
        };
        Ok(directory.path.clone())
    }

    fn open_directory(&self) -> io::Result<SocketDirectory> {
        let instance = &self.author.instance;
        SocketDirectory::open(&std::env::temp_dir(), instance).or_else(|_| SocketDirectory::open_in_state(&self.state, instance))
    }
}

/// The socket of one run. Its file is removed with it.
#[derive(Debug)]
pub(super) struct Socket {
    messages: AsyncFd<OwnedFd>,
    path: PathBuf,
    held: KeptSockets,
    /// If the keeper holds it, too.
    held_inode: Option<u64>,
}

impl Socket {
    fn of(socket: OwnedFd, path: PathBuf, held: &KeptSockets) -> io::Result<Socket> {
        let held_inode = held.hold(&socket);
        Ok(Socket { messages: sys::readable(socket)?, path, held: held.clone(), held_inode })
    }

    fn open(path: PathBuf, held: &KeptSockets) -> io::Result<Socket> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
        set_socket_passcred(&socket, true)?;
        // The file gets the mode of the bound socket, less the umask: others can never open it, not even between two calls.
        // (Changing the umask would affect all threads.)
        fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
        let address = SocketAddrUnix::new(&path)?;
        match bind(&socket, &address) {
            Err(Errno::ADDRINUSE) => {
                // A killed navigator has left it.
                std::fs::remove_file(&path)?;
                bind(&socket, &address)?;
            }
            bound => bound?,
        }
        // The umask may have removed bits of the owner.
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Socket::of(socket, path, held)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next message, and its sender. Descriptors that come with it are closed.
    async fn receive(&self) -> io::Result<(Vec<u8>, Option<UCred>)> {
        loop {
            let mut ready = self.messages.readable().await?;
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
        self.held_inode.iter().for_each(|inode| self.held.release(*inode));
        // Otherwise it is removed with its directory.
        let _best_effort = std::fs::remove_file(&self.path);
    }
}

fn receive_now(socket: &OwnedFd) -> io::Result<(Vec<u8>, Option<UCred>)> {
    let mut message = vec![0; MAX_MESSAGE];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS), ScmCredentials(1))];
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

/// The receivers of a run's messages.
pub(super) struct NotificationHandlers {
    pub(super) context: CommandContext,
    pub(super) commands: Commands,
    pub(super) state: Arc<ProbeState>,
    pub(super) watchdog: Option<Arc<Watchdog>>,
}

/// Handles the messages of a run until the task is aborted. Once the run is stopping, messages are read and ignored: a program that
/// can't send `STOPPING=1` may fail in the middle of its work.
pub(super) async fn receive(socket: Socket, handlers: NotificationHandlers) {
    let (mut logged_keys, mut budget, mut ignored) = (BTreeSet::new(), MessageBudget::new(), Ignored::default());
    let name = handlers.context.spec.name.as_str();
    loop {
        let received = tokio::select! {
            received = socket.receive() => received,
            () = ignored.until_due() => {
                ignored.report_due(name);
                continue;
            }
        };
        match received {
            Ok(_) if handlers.state.is_over() => budget.spend(1).await,
            Ok((_, Some(sender))) if !handlers.trusts(sender) => {
                ignored.add(name, sender);
                budget.spend(1).await;
            }
            Ok((message, _)) => {
                let notifications = parse(&message);
                budget.spend(u32::from(notifications.is_empty())).await;
                for notification in notifications {
                    budget.spend(handlers.cost(&notification)).await;
                    handlers.handle(notification, &mut logged_keys).await;
                }
            }
            Err(error) => {
                warn!(target: "managed_processes", name, %error, "Can't receive notifications any more");
                return handlers.state.unready(format!("notifications can't be received: {}", words(&error))).await;
            }
        }
    }
}

impl NotificationHandlers {
    /// Whether messages of this sender count for the run.
    fn trusts(&self, sender: UCred) -> bool {
        let Some(leader) = self.context.main_pid.map(|pid| pid.0) else { return false };
        let user = sender.uid.as_raw();
        let process_user = std::fs::metadata(format!("/proc/{leader}")).ok().map(|stat| stat.uid());
        let trusted = [Some(0), Some(geteuid().as_raw()), process_user];
        trusted.contains(&Some(user)) || proc::is_below(sender.pid.as_raw_nonzero().get().cast_unsigned(), leader)
    }

    /// Whether readiness comes from notifications. With a probe, `READY=1` is ignored.
    fn announces_readiness(&self) -> bool {
        self.context.spec.exec.announce.is_some()
    }

    /// The cost of a notification in the run's budget.
    fn cost(&self, notification: &Notification) -> u32 {
        let is_change = match notification {
            Notification::Ready => !self.state.is_ready(),
            // It takes a scan of the processes.
            Notification::MainPid(_) => return CHANGE_COST,
            Notification::Withdrawn(_) => self.state.is_ready(),
            _ => false,
        };
        if is_change && self.announces_readiness() { CHANGE_COST } else { 1 }
    }

    async fn handle(&self, notification: Notification, logged_keys: &mut BTreeSet<String>) {
        let name = self.context.spec.name.as_str();
        let announces_readiness = self.announces_readiness();
        match notification {
            Notification::Ready if announces_readiness => self.state.ready().await,
            Notification::Withdrawn(why) if announces_readiness => self.state.unready(why.to_owned()).await,
            Notification::Ready | Notification::Withdrawn(_) => {}
            Notification::Status(status) => {
                let status = self.commands.without_secrets(&status, false, &self.context, &[]);
                debug!(target: "managed_processes", name, status, "Notification");
                if announces_readiness && !self.state.is_ready() {
                    self.state.unready(status).await;
                }
            }
            Notification::Alive => self.watchdog.iter().for_each(|watchdog| watchdog.keep_alive()),
            Notification::Limit(limit) => self.watchdog.iter().for_each(|watchdog| watchdog.set_limit(limit)),
            Notification::Trigger => self.watchdog.iter().for_each(|watchdog| watchdog.trigger()),
            Notification::MainPid(pid) => {
                if let Err(reason) = self.commands.change_main(self.context.run, pid) {
                    warn!(target: "managed_processes", name, pid, reason, "Ignored `MAINPID`");
                }
            }
            Notification::Ignored(key) => log_ignored(name, &key, logged_keys),
        }
    }
}

/// Logs once for each key that it is ignored.
fn log_ignored(name: &str, key: &str, logged_keys: &mut BTreeSet<String>) {
    if logged_keys.insert(key.to_owned()) {
        info!(target: "managed_processes", name, key, "Ignored notification with an unsupported key");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixDatagram;

    /// An instance of this test's own.
    fn author(instance: &str) -> Author {
        Author { instance: format!("{instance}-{}", std::process::id()), life: "0123456789abcdef".to_owned() }
    }

    #[test]
    fn messages_carry_their_sender_and_sockets_are_removed() {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let notifications = Notifications::new(std::env::temp_dir(), author("senders"), Arc::default(), KeptSockets::default());
        let path = tokio.block_on(async {
            let socket = notifications.open(RunId(7)).expect("a socket");
            let sender = UnixDatagram::unbound().expect("a socket");
            let mode = std::fs::metadata(socket.path()).expect("it is bound").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "only its owner may send");
            sender.send_to(b"READY=1", socket.path()).expect("it is open");
            let (message, credentials) = socket.receive().await.expect("a message");
            assert_eq!(message, b"READY=1");
            let credentials = credentials.expect("the kernel adds the sender");
            assert_eq!(credentials.pid, rustix::process::getpid());
            socket.path().to_owned()
        });
        assert!(!path.exists(), "the socket's file was not removed");
        let directory = path.parent().expect("it lay in a directory").to_owned();
        assert_eq!(std::fs::metadata(&directory).expect("it stays").permissions().mode() & 0o777, 0o711);
        drop(notifications);
        assert!(!directory.exists(), "the directory was not removed");
    }

    #[test]
    fn a_process_that_outlived_a_navigator_is_heard_again() {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_io().build().expect("a runtime");
        let (first, next) = (author("survivors"), Author { life: "fedcba9876543210".to_owned(), ..author("survivors") });
        let directory = std::env::temp_dir().join(format!("navigator-notify-{}", first.instance));
        std::fs::create_dir(&directory).expect("its name is new");
        let sender = UnixDatagram::unbound().expect("a socket");
        let path = directory.join("01234567.7");
        drop(UnixDatagram::bind(&path).expect("it is new"));
        sender.send_to(b"READY=1", &path).expect_err("the first navigator was killed");
        let owner = if geteuid().is_root() { 65534 } else { geteuid().as_raw() };
        tokio.block_on(async {
            let notifications = Notifications::new(std::env::temp_dir(), next, Arc::default(), KeptSockets::default());
            let reopened = notifications.reopen(&path, owner).expect("it is in our directory");
            let stat = std::fs::metadata(&path).expect("it is bound");
            assert_eq!((stat.uid(), stat.permissions().mode() & 0o777), (owner, 0o600));
            let started = notifications.open(RunId(7)).expect("a socket");
            assert_eq!((started.path().parent(), started.path() == path), (path.parent(), false), "a run of the same number");
            sender.send_to(b"WATCHDOG=1", &path).expect("it is open");
            assert_eq!(reopened.receive().await.expect("a message").0, b"WATCHDOG=1");
            // A file that a navigator of the same life left is replaced, too.
            drop(UnixDatagram::bind(directory.join("fedcba98.8")).expect("it is new"));
            notifications.open(RunId(8)).expect("a socket");
            for outside in [directory.clone(), directory.join(".."), directory.join("a/b"), "/tmp/7".into(), "7".into()] {
                let error = notifications.reopen(&outside, owner).expect_err("it is elsewhere");
                assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{}", outside.display());
            }
        });
        assert!(!directory.exists(), "the directory was not removed");
        std::fs::create_dir(&directory).expect("it is removed");
        Notifications::new(std::env::temp_dir(), first, Arc::default(), KeptSockets::default()).finish();
        assert!(!directory.exists(), "a navigator without notifications leaves nothing either");
    }
}
