//! The runs and sockets of a process, as `status` shows them.

use crate::engine::Engine;
use crate::event::Pid;
use crate::observed::Run;
use crate::reason::Reason;
use crate::socket::Listener;
use crate::state::{ProcessState, state_of_run};
use crate::text::Name;
use crate::time::Time;
use alloc::vec::Vec;

/// The status of one run of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunStatus {
    /// Its main process, if it is running.
    pub pid: Option<Pid>,
    /// The generation of its definition.
    pub generation: u64,
    /// Its state.
    pub state: ProcessState,
    /// Why it is in this state.
    pub reason: Reason,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it finishes its work before it is told to end.
    pub draining: bool,
    /// Whether it has yet to take the place of another run.
    pub is_new: bool,
    /// Since when its program runs.
    pub since: Option<Time>,
}

/// A socket of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketStatus<'a> {
    /// The socket.
    pub listener: &'a Listener,
    /// A process that has it open, if that is known.
    pub kept_by: Option<Pid>,
}

impl Engine {
    /// The runs of a process that are not gone, oldest first.
    pub fn runs(&self, name: &Name) -> Vec<RunStatus> {
        self.observed.processes().get(name).map_or(&[][..], |process| &process.runs).iter().map(RunStatus::of).collect()
    }

    /// The sockets that navigator holds for a process, or is to hold.
    pub fn sockets(&self, name: &Name) -> Vec<SocketStatus<'_>> {
        let Some(process) = self.observed.processes().get(name) else { return Vec::new() };
        let Some(held) = &process.sockets else { return Vec::new() };
        let keeper = |listener: &Listener| {
            process.runs.iter().rev().filter(|run| run.is_undisturbed()).find_map(|run| {
                let place = run.spec.exec.sockets.iter().position(|own| own.address == listener.address)?;
                *run.kept_by.as_ref()?.get(place)?
            })
        };
        held.listeners.iter().map(|listener| SocketStatus { listener, kept_by: keeper(listener) }).collect()
    }
}

impl RunStatus {
    pub(crate) fn of(run: &Run) -> RunStatus {
        let (state, reason) = state_of_run(run);
        let is_running = run.exit.is_none();
        RunStatus {
            pid: run.pid.filter(|_| is_running),
            generation: run.generation,
            state,
            reason,
            ready: run.ready.is_some() && run.is_undisturbed(),
            draining: is_running && run.stop.as_ref().is_some_and(|stop| stop.drains_until.is_some()),
            is_new: run.is_new(),
            since: run.up.filter(|_| is_running),
        }
    }
}
