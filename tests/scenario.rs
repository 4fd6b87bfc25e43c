//! Stories in virtual time: each file of `fixtures/scenario/` is a rule in prose, a script, and what the engine answers.

mod support {
    pub(crate) mod golden;
    pub(crate) mod process;
    pub(crate) mod script;
    pub(crate) mod trace;
    pub(crate) mod world;
}

use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::event::Event;
use reconcile::time::Time;
use std::time::Duration;
use support::golden;
use support::script::{self, Command};
use support::trace::Trace;
use support::world::World;

/// How many moments `until quiet` may take.
const MOMENTS: usize = 1_000;

#[test]
fn scenarios() {
    golden::compare(golden::cases("scenario").into_iter().map(|path| {
        let played = play(&golden::read(&path)).unwrap_or_else(|error| panic!("{}:{error}", path.display()));
        (path, played)
    }));
}

/// The script with the engine's answers below each of its commands; those that it has are left out.
fn play(script: &str) -> Result<String, String> {
    let mut story =
        Story { world: World::new(Engine::new(), Time::ZERO), trace: Trace::default(), patience: Desired::SHUTDOWN_TIMEOUT };
    let mut played = String::new();
    let mut command = String::new();
    for (number, line) in script.lines().enumerate() {
        if line.starts_with(' ') {
            continue;
        }
        played.push_str(line);
        played.push('\n');
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        command.push_str(line);
        // A list goes on in the next line.
        if command.ends_with(',') {
            command.push(' ');
            continue;
        }
        script::command(&command).and_then(|command| story.tell(command)).map_err(|error| format!("{}: {error}", number + 1))?;
        played.push_str(&story.trace.take());
        command.clear();
    }
    Ok(played)
}

struct Story {
    world: World,
    trace: Trace,
    patience: Duration,
}

impl Story {
    fn tell(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::At(time, command) => {
                self.pass_until(time)?;
                self.tell(*command)?;
            }
            Command::Until(time) => self.pass_until(time)?,
            Command::UntilQuiet => {
                for _ in 0..MOMENTS {
                    let Some(time) = self.world.next().filter(|_| !self.world.engine.is_finished()) else { return Ok(()) };
                    self.pass_until(time)?;
                }
                return Err(format!("it isn't quiet after {MOMENTS} moments; write `until TIME`"));
            }
            Command::ShutdownTimeout(timeout) => self.patience = timeout,
            Command::Want(specs) => self.news(vec![Event::Wanted(script::desired(specs, self.patience)?)]),
            Command::Order(order) => self.news(vec![Event::Order(order)]),
            Command::Status => self.trace.status(&self.world),
            Command::Happens(run, happening) => {
                let news = self.world.happening(&run, happening)?;
                self.news(news);
            }
            Command::Habit(name, habit) => self.world.habit(name, habit),
        }
        Ok(())
    }

    fn news(&mut self, news: Vec<Event>) {
        let running = !self.world.engine.is_finished();
        self.world.news(news, |world, outcome| self.trace.step(world, outcome));
        self.end_of_moment(running);
    }

    fn pass_until(&mut self, end: Time) -> Result<(), String> {
        if end < self.world.now {
            return Err(format!("{end} has passed: it is {}", self.world.now));
        }
        // Moment by moment, so that waits are told at the end of each.
        while let Some(at) = self.world.next().filter(|at| *at <= end) {
            let running = !self.world.engine.is_finished();
            self.world.pass_until(at, |world, outcome| self.trace.step(world, outcome));
            self.end_of_moment(running);
        }
        self.world.now = end;
        Ok(())
    }

    fn end_of_moment(&mut self, running: bool) {
        self.trace.moment(self.world.now);
        if running && self.world.engine.is_finished() {
            self.trace.line(self.world.now, "finished");
        }
    }
}
