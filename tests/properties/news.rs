//! News of a world: what may be told of a run or of watched files, in a form that can be ordered.

use crate::wishes::{FILES, name};
use reconcile::event::{Content, Event, ExitStatus, Pid, Refusal, RunId};
use reconcile::spec::Signal;
use reconcile::text::{Name, Text};

/// Something that is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum News {
    Spawned(RunId),
    NotSpawned(RunId),
    Ready(RunId),
    Unready(RunId),
    Unhealthy(RunId),
    /// Whether it could be told.
    Reloaded(RunId, bool),
    /// What the files of a process contain, as far as it watches them.
    Content(usize, [Option<u64>; 2]),
    Exited(RunId, End),
    Gone(RunId),
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
            News::NotSpawned(run) => Event::NotSpawned { run, why: Refusal::FileNotFound { command: "run".to_string() } },
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
        }
    }
}

/// News of a run that nobody ever asked for.
pub(crate) fn stranger(which: u64) -> Event {
    let run = RunId(1_000_000 + which % 7);
    match which % 8 {
        0 => News::Spawned(run),
        1 => News::NotSpawned(run),
        2 => News::Ready(run),
        3 => News::Exited(run, End::Code(1)),
        4 => News::Unready(run),
        5 => News::Unhealthy(run),
        6 => News::Reloaded(run, false),
        _ => News::Gone(run),
    }
    .event()
}
