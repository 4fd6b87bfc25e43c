//! Whether what was ordered by hand has come about: done, still on its way, or not going to happen.
//!
//! It looks at facts alone, so that it doesn't matter by which way they came about. Whether it is done shows in the facts about the
//! process itself ([`Goal::progress`]), and is asked when those change. Whether it is stuck depends on other processes
//! ([`Goal::stuck`]): that lasts, and may be found out a moment later.

use crate::engine::Engine;
use crate::event::RunId;
use crate::pending_reason::Waits;
use crate::plan::{Block, Waiting};
use crate::state::ProcessState;
use crate::text::Name;
use alloc::format;
use alloc::string::{String, ToString};

/// What is to come about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The process is ready, or has completed.
    Up(Name),
    /// The same of a run that is newer than this one.
    UpAnew(Name, RunId),
    /// Nothing of the process runs.
    Down(Name),
}

/// How far a goal has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderProgress {
    /// It has come about.
    Reached,
    /// It is on its way, unless it is stuck.
    Coming,
    /// It doesn't come about by itself; and why.
    Missed(String),
}

impl Goal {
    /// The process that it is about.
    pub fn name(&self) -> &Name {
        let (Goal::Up(name) | Goal::UpAnew(name, _) | Goal::Down(name)) = self;
        name
    }

    /// How far it has come, by the facts about its process.
    pub fn progress(&self, engine: &Engine) -> OrderProgress {
        match self {
            Goal::Up(name) => up(engine, name, None),
            Goal::UpAnew(name, former) => up(engine, name, Some(*former)),
            Goal::Down(name) => down(engine, name),
        }
    }

    /// Why a goal that is [`Progress::Coming`] doesn't come about by itself; `None`: it does.
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
    let living = process.and_then(|process| process.runs.last()).map(|run| run.id);
    let past = process.and_then(|process| process.past.as_ref()).map(|past| past.run);
    living.max(past).unwrap_or(RunId(0))
}

fn up(engine: &Engine, name: &Name, former: Option<RunId>) -> OrderProgress {
    let Some(standing) = engine.status(name) else { return OrderProgress::Missed("no longer in the file".to_string()) };
    let is_new = former.is_none_or(|former| newest_run(engine, name) > former);
    match standing.state {
        ProcessState::Running | ProcessState::Completed if is_new => OrderProgress::Reached,
        ProcessState::Failed | ProcessState::Backoff if is_new => OrderProgress::Missed(standing.reason.to_string()),
        ProcessState::Stopped => OrderProgress::Missed(standing.reason.to_string()),
        _ => OrderProgress::Coming,
    }
}

fn down(engine: &Engine, name: &Name) -> OrderProgress {
    let runs = engine.observed().processes().get(name).map_or(&[][..], |process| &process.runs);
    if runs.is_empty() {
        return OrderProgress::Reached;
    }
    if runs.iter().any(|run| run.reported) {
        return OrderProgress::Missed("it survives being killed".to_string());
    }
    OrderProgress::Coming
}

/// Whether a start waits for something that doesn't come by itself.
fn is_stuck(waiting: &Waiting) -> bool {
    matches!(waiting, Waiting::Dependency { why, .. } if *why != Block::Coming)
}

/// Whether a run is on its way out, or is to be told to stop once it has begun.
fn is_going(waiting: &Waiting) -> bool {
    matches!(waiting, Waiting::Grace(_) | Waiting::Kill | Waiting::Dependent(_) | Waiting::Exec)
}
