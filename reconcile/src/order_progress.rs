//! How far an order by hand has come: done, on its way, or missed.
//!
//! It is derived from facts alone, whatever caused them. Whether an order is done depends on the facts about its process
//! ([`Goal::progress`]), so check it when those change. Whether it is stuck depends on other processes ([`Goal::stuck`]). That
//! lasts, so it may be checked a moment later.

use crate::engine::Engine;
use crate::event::RunId;
use crate::observed::Run;
use crate::pending_reason::{Waits, survivors};
use crate::plan::{Block, Waiting};
use crate::state::ProcessState;
use crate::text::Name;
use alloc::format;
use alloc::string::{String, ToString};

/// The goal of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The process is ready, or has completed.
    Up(Name),
    /// A run newer than this one is ready, or has completed.
    UpAnew(Name, RunId),
    /// The process has no run.
    Down(Name),
}

/// How far a goal has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderProgress {
    /// It is reached.
    Reached,
    /// It is on its way, unless it is stuck.
    Coming,
    /// It is not reached without help; with the reason.
    Missed(String),
}

impl Goal {
    /// The process that it is about.
    pub fn name(&self) -> &Name {
        let (Goal::Up(name) | Goal::UpAnew(name, _) | Goal::Down(name)) = self;
        name
    }

    /// How far the goal has come, by the facts about its process.
    pub fn progress(&self, engine: &Engine) -> OrderProgress {
        match self {
            Goal::Up(name) => up(engine, name, None),
            Goal::UpAnew(name, former) => up(engine, name, Some(*former)),
            Goal::Down(name) => down(engine, name),
        }
    }

    /// Why a goal that is [`OrderProgress::Coming`] is not reached without help; `None`: it is.
    pub fn stuck(&self, engine: &Engine, waits: &Waits) -> Option<String> {
        let mut waiting = waits.of(self.name());
        match self {
            Goal::Up(_) | Goal::UpAnew(..) => waiting.find(|waiting| is_stuck(waiting)).map(ToString::to_string),
            Goal::Down(name) => {
                let is_wanted = engine.desired().get(name).is_some_and(|entry| engine.orders().let_run(&entry.spec));
                (is_wanted && !waiting.any(is_going)).then(|| format!("{name} was started again"))
            }
        }
    }
}

/// The newest of all runs of a process that have begun, gone or not; for [`Goal::UpAnew`].
pub fn newest_run(engine: &Engine, name: &Name) -> RunId {
    let process = engine.observed().processes().get(name);
    let newest = process.and_then(|process| process.runs.last()).map(|run| run.id);
    let past = process.and_then(|process| process.past.as_ref()).map(|past| past.run);
    newest.max(past).unwrap_or(RunId(0))
}

fn up(engine: &Engine, name: &Name, former: Option<RunId>) -> OrderProgress {
    let Some(status) = engine.status(name) else { return OrderProgress::Missed("no longer in the file".to_string()) };
    if let Some(why) = engine.put_back(name) {
        return OrderProgress::Missed(why.to_string());
    }
    let is_new = former.is_none_or(|former| newest_run(engine, name) > former) && !is_replacing(engine, name);
    match status.state {
        ProcessState::Running | ProcessState::Completed if is_new => OrderProgress::Reached,
        ProcessState::Failed | ProcessState::Backoff if is_new => OrderProgress::Missed(status.reason.to_string()),
        ProcessState::Stopped => OrderProgress::Missed(status.reason.to_string()),
        _ => OrderProgress::Coming,
    }
}

/// Whether a new run has yet to take the place of the old one.
fn is_replacing(engine: &Engine, name: &Name) -> bool {
    let runs = engine.observed().processes().get(name).map_or(&[][..], |process| &process.runs);
    runs.iter().any(Run::is_new)
}

fn down(engine: &Engine, name: &Name) -> OrderProgress {
    let runs = engine.observed().processes().get(name).map_or(&[][..], |process| &process.runs);
    if runs.is_empty() {
        return OrderProgress::Reached;
    }
    if let Some(run) = runs.iter().find(|run| run.reported) {
        return OrderProgress::Missed(survivors(run.kill_refused.as_deref()));
    }
    OrderProgress::Coming
}

/// Whether a start waits for something that doesn't happen without help.
fn is_stuck(waiting: &Waiting) -> bool {
    match waiting {
        Waiting::Dependency { why, .. } => *why != Block::Coming,
        Waiting::Survivors(_) => true,
        _ => false,
    }
}

/// Whether a run is stopping, or is to stop once it has started.
fn is_going(waiting: &Waiting) -> bool {
    matches!(waiting, Waiting::Grace(_) | Waiting::Kill | Waiting::Dependent(_) | Waiting::Exec)
}
