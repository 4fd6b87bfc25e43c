//! News of a world: what may be told of a run or of watched files, in a form that can be ordered.

use crate::wishes::{FILES, listener, name};
use reconcile::event::{Content, Event, ExitStatus, Pid, Refusal, RunId};
use reconcile::spec::Signal;
use reconcile::text::{Name, Text};

/// Something that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum News {
    Spawned(RunId),
    NotSpawned(RunId, Trouble),
    Ready(RunId),
    Unready(RunId),
    Unhealthy(RunId),
    /// Whether it could be told.
    Reloaded(RunId, bool),
    /// What the files of a process contain, as far as it watches them.
    Content(usize, [Option<u64>; 2]),
    Exited(RunId, End),
    Gone(RunId),
    /// Whether these sockets of a process are held, each by its number.
    Held(usize, [Option<u16>; 10], bool),
    NotDrained(RunId),
}

/// Why a start fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Trouble {
    Missing,
    NoRoom,
    NoSocket,
}

/// How a leader ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Code(i32),
    Signal(Signal),
}

impl News {
    /// The same, as an engine takes it.
    pub(crate) fn event(self) -> Event {
        match self {
            News::Spawned(run) => Event::Spawned { run, pid: Pid(u32::try_from(run.0).unwrap_or(0)) },
            News::NotSpawned(run, trouble) => Event::NotSpawned { run, why: trouble.refusal() },
            News::Ready(run) => Event::Ready { run },
            News::Unready(run) => Event::Unready { run, why: "connection refused".to_string() },
            News::Unhealthy(run) => Event::Unhealthy { run, why: "no answer".to_string() },
            News::Reloaded(run, told) => Event::Reloaded { run, failure: (!told).then(|| "no such process".to_string()) },
            News::Content(process, seen) => {
                let seen = || FILES.into_iter().zip(seen).filter_map(|(path, content)| Some((path, content?)));
                let watch = seen().map(|(path, _)| Text::plain(path)).collect();
                let files = seen().map(|(path, content)| (path.to_string(), content)).collect();
                Event::Content { name: Name::from(name(process)), content: Content { watch, files } }
            }
            News::Exited(run, end) => {
                let status = match end {
                    End::Code(code) => ExitStatus::Code(code),
                    End::Signal(signal) => ExitStatus::Signal(signal),
                };
                Event::Exited { run, status }
            }
            News::Gone(run) => Event::Gone { run },
            News::Held(process, sockets, held) => Event::Held {
                name: Name::from(name(process)),
                listeners: sockets.into_iter().flatten().map(listener).collect(),
                refusal: (!held).then(|| Trouble::NoSocket.refusal()),
            },
            News::NotDrained(run) => Event::NotDrained { run, why: "exit status 1".to_string() },
        }
    }
}

impl Trouble {
    fn refusal(self) -> Refusal {
        match self {
            Trouble::Missing => Refusal::FileNotFound { command: "run".to_string() },
            Trouble::NoRoom => Refusal::Exhausted { what: "processes".to_string() },
            Trouble::NoSocket => Refusal::Listen { address: "*:80".to_string(), why: "address in use".to_string() },
        }
    }
}

/// News of a run that nobody ever asked for.
pub(crate) fn stranger(which: u64) -> Event {
    let run = RunId(1_000_000 + which % 7);
    match which % 8 {
        0 => News::Spawned(run),
        1 => News::NotSpawned(run, Trouble::Missing),
        2 => News::Ready(run),
        3 => News::Exited(run, End::Code(1)),
        4 => News::Unready(run),
        5 => News::Unhealthy(run),
        6 if which.is_multiple_of(3) => News::NotDrained(run),
        6 => News::Reloaded(run, false),
        _ => News::Gone(run),
    }
    .event()
}
