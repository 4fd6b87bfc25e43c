//! A case of `fixtures/plan/`: a host as `before.yml` settles on it, and what `after.yml` wants of it.
//!
//! `departures.txt`, in the notation of scenarios, says how the host departs from the ideal: habits (`web fails to start`) are
//! there from the beginning, everything else happens once the host has settled.

use super::fixtures;
use super::script::{self, Command};
use super::story::Story;
use navigator::config::{self, Disk, Environment};
use reconcile::desired::Desired;
use reconcile::event::Event;
use std::path::Path;

/// A settled host, and what is wanted of it next.
pub(crate) struct Case {
    pub(crate) story: Story,
    pub(crate) after: Desired,
}

impl Case {
    /// Reads a case, and settles its host. Without a `before.yml`, that is an empty one.
    pub(crate) fn of(folder: &Path) -> Case {
        let mut story = Story::new();
        let (habits, rest) = departures(&folder.join("departures.txt"));
        tell(&mut story, folder, habits);
        let before = folder.join("before.yml");
        if before.exists() {
            story.news(vec![Event::Wanted(wanted(&before))]);
        }
        tell(&mut story, folder, vec![Command::UntilQuiet]);
        let settled = story.answers();
        let departs = !rest.is_empty();
        tell(&mut story, folder, rest);
        let departed = story.answers();
        assert!(!departs || !departed.is_empty(), "{}: the departures change nothing of:\n{settled}", folder.display());
        Case { story, after: wanted(&folder.join("after.yml")) }
    }
}

/// What a file wants, with an empty environment below it.
fn wanted(path: &Path) -> Desired {
    match config::load(path, &Disk, &Environment::default()) {
        Ok(loaded) => loaded.desired,
        Err(rejected) => {
            panic!("{}", config::render_all(&rejected.diagnostics, rejected.omitted, navigator::terminal::TerminalStyle::PLAIN))
        }
    }
}

/// The commands of a file, if it is there: those that say how processes behave, and the rest.
fn departures(path: &Path) -> (Vec<Command>, Vec<Command>) {
    if !path.exists() {
        return (Vec::new(), Vec::new());
    }
    let text = fixtures::read(path);
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let commands =
        lines.map(|line| script::command(line).unwrap_or_else(|error| panic!("{}: `{line}`: {error}", path.display())));
    commands.partition(|command| matches!(command, Command::Habit(..)))
}

fn tell(story: &mut Story, folder: &Path, commands: Vec<Command>) {
    for command in commands {
        story.tell(command).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
}
