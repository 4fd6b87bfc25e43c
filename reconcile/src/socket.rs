//! Listening sockets that navigator holds for a process and passes to each of its runs.
//!
//! A socket belongs to a process, not to a run of it. So it stays open across restarts, crashes and waits, and connections that
//! arrive meanwhile wait in its queue.

use crate::event::Refusal;
use crate::text::Text;
use crate::time::Time;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;

/// A listening socket of a definition. `Debug` shows no address that is secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name in `LISTEN_FDNAMES`: the key in the file, or else the name of the process.
    pub name: Text,
    /// Where it listens.
    pub address: Address,
    /// The address to show. If it is secret, this is the text in the file.
    pub shown: Text,
    /// How many connections may wait to be accepted (`listen(2)`).
    pub backlog: u32,
    /// Whether it is non-blocking (`O_NONBLOCK`), as some programs expect. All processes that have the socket share this flag, so
    /// navigator sets it but never clears it.
    pub nonblocking: bool,
    /// The permissions of its path.
    pub mode: u32,
    /// The user that owns its path; `None`: the one that navigator runs as.
    pub user: Option<Text>,
    /// The group that owns its path; `None`: the one that navigator runs as.
    pub group: Option<Text>,
    /// The `user` of the process. If untrusted users can change a directory of the path, navigator acts with the rights of this
    /// user.
    pub process_user: Option<Text>,
    /// The `group` of the process.
    pub process_group: Option<Text>,
}

impl Listener {
    /// The default of [`Listener::backlog`].
    pub const BACKLOG: u32 = 4096;
    /// The descriptor of a program's first socket (`sd_listen_fds(3)`).
    pub const FIRST_DESCRIPTOR: u32 = 3;
    /// The default of [`Listener::mode`].
    pub const MODE: u32 = 0o666;

    /// A socket with defaults for all but its name and address.
    pub fn new(name: &str, address: Address) -> Listener {
        let shown = Text::plain(&alloc::format!("{address}"));
        Listener {
            name: Text::plain(name),
            address,
            shown,
            backlog: Listener::BACKLOG,
            nonblocking: false,
            mode: Listener::MODE,
            user: None,
            group: None,
            process_user: None,
            process_group: None,
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Listener { name, shown, backlog, mode, user, group, .. } = self;
        let mut listener = f.debug_struct("Listener");
        listener.field("name", name).field("shown", shown).field("backlog", backlog);
        listener.field("mode", &format_args!("{mode:04o}")).field("user", user).field("group", group).finish()
    }
}

/// Where a socket listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// This TCP port of every address of the host, of both families.
    Any(u16),
    /// A TCP port of one address. The unspecified address means all of its family.
    Ip(SocketAddr),
    /// A TCP port of the only address of this host name.
    Host(Text, u16),
    /// A unix socket at this absolute path.
    Path(Text),
    /// A unix socket in the abstract namespace (`unix(7)`), by its name without the `@`.
    Abstract(Text),
}

impl Address {
    /// Whether the two addresses can't both be listened on, because one includes the other.
    pub fn overlaps(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::Any(one), Address::Any(other)) => one == other,
            (Address::Any(port), Address::Ip(address)) | (Address::Ip(address), Address::Any(port)) => address.port() == *port,
            (Address::Ip(one), Address::Ip(other)) => {
                let is_same_family = one.is_ipv4() == other.is_ipv4();
                let is_part = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
                one.port() == other.port() && is_same_family && is_part
            }
            // A host name is resolved only when its socket is opened.
            (one, other) => one == other,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Any(port) => write!(f, "*:{port}"),
            Address::Ip(address) => address.fmt(f),
            Address::Host(name, port) => write!(f, "{}:{port}", name.value()),
            Address::Path(path) => f.write_str(path.value()),
            Address::Abstract(name) => write!(f, "@{}", name.value()),
        }
    }
}

/// What is known about the sockets of a process.
#[derive(Clone, Debug)]
pub struct HeldSockets {
    /// The sockets that navigator is to hold.
    pub listeners: Vec<Listener>,
    /// Whether it does.
    pub state: HoldState,
}

/// Whether navigator holds sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HoldState {
    /// It tries to.
    Pending {
        /// How often in a row it failed before.
        refusals: u32,
    },
    /// It holds all of them.
    Held,
    /// It couldn't open one of them.
    Refused {
        /// Why.
        why: Refusal,
        /// When.
        at: Time,
        /// How often in a row, at least 1.
        count: u32,
    },
}

/// What happened to a socket that navigator holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketChange {
    /// It was opened.
    Opened,
    /// The process had opened it by itself, and navigator holds a copy of it now.
    TakenOver,
    /// It was closed.
    Closed,
    /// A process had removed its path or shut it down, and navigator has restored it.
    Restored,
}

impl HeldSockets {
    /// What is known once navigator is to hold these sockets instead of the `former` ones.
    pub(crate) fn after(former: Option<&HeldSockets>, listeners: Vec<Listener>) -> HeldSockets {
        let state = match former {
            // Some are closed, and the others stay.
            Some(held) if held.state == HoldState::Held && listeners.iter().all(|one| held.listeners.contains(one)) => {
                HoldState::Held
            }
            Some(held) if held.listeners == listeners => HoldState::Pending { refusals: held.refusals() },
            _ => HoldState::Pending { refusals: 0 },
        };
        HeldSockets { listeners, state }
    }

    /// How often in a row they were refused.
    pub(crate) fn refusals(&self) -> u32 {
        match self.state {
            HoldState::Held => 0,
            HoldState::Pending { refusals } | HoldState::Refused { count: refusals, .. } => refusals,
        }
    }
}
