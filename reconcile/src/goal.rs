//! Whether what somebody asked for by hand has come about: done, still on its way, or not going to happen.
//!
//! It is asked again after every step, and looks at facts alone, so that it doesn't matter by which way they came about.

use crate::engine::Engine;
use crate::event::RunId;
use crate::plan::{Block, Waiting};
use crate::state::{Standing, State};
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
pub enum Progress {
    /// It has come about.
    Reached,
    /// It is on its way.
    Coming,
    /// It doesn't come about by itself; and why.
    Missed(String),
}

impl Goal {
    /// How far it has come. `waiting` is what the last step said of it.
    pub fn progress(&self, engine: &Engine, waiting: &[(Name, Waiting)]) -> Progress {
        match self {
            Goal::Up(name) => up(engine, name, waiting, None),
            Goal::UpAnew(name, former) => up(engine, name, waiting, Some(*former)),
            Goal::Down(name) => down(engine, name, waiting),
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

fn up(engine: &Engine, name: &Name, waiting: &[(Name, Waiting)], former: Option<RunId>) -> Progress {
    let Some(standing) = engine.standing(name) else { return Progress::Missed("no longer in the file".to_string()) };
    let is_new = former.is_none_or(|former| newest_run(engine, name) > former);
    match standing.state {
        State::Running | State::Completed if is_new => Progress::Reached,
        State::Failed | State::Backoff if is_new => Progress::Missed(standing.reason.to_string()),
        State::Stopped => Progress::Missed(standing.reason.to_string()),
        _ => stuck(&standing, waiting).map_or(Progress::Coming, Progress::Missed),
    }
}

/// What a process waits for, if that doesn't come by itself.
fn stuck(standing: &Standing, waiting: &[(Name, Waiting)]) -> Option<String> {
    waiting.iter().filter(|(name, _)| *name == standing.name).find_map(|(_, waiting)| match waiting {
        Waiting::Dependency { why: Block::Coming, .. } => None,
        Waiting::Dependency { .. } => Some(waiting.to_string()),
        _ => None,
    })
}

fn down(engine: &Engine, name: &Name, waiting: &[(Name, Waiting)]) -> Progress {
    let runs = engine.observed().processes().get(name).map_or(&[][..], |process| &process.runs);
    if runs.is_empty() {
        return Progress::Reached;
    }
    if runs.iter().any(|run| run.reported) {
        return Progress::Missed("it survives being killed".to_string());
    }
    let is_wanted = engine.desired().get(name).is_some_and(|entry| engine.orders().let_run(&entry.spec));
    let is_going =
        |waiting: &Waiting| matches!(waiting, Waiting::Grace(_) | Waiting::Kill | Waiting::Dependent(_) | Waiting::Exec);
    if is_wanted && !waiting.iter().any(|(other, waiting)| other == name && is_going(waiting)) {
        return Progress::Missed(format!("{name} was started again"));
    }
    Progress::Coming
}
