//! A story being told: commands go in, the world turns, and answers come out.

use super::script::{self, Command};
use super::trace::Trace;
use super::world::World;
use reconcile::desired::Desired;
use reconcile::event::Event;
use reconcile::time::Time;
use std::time::Duration;

/// How many moments `until quiet` may take.
const MOMENTS: usize = 1_000;

/// A world, and what was told of it.
pub(crate) struct Story {
    pub(crate) world: World,
    trace: Trace,
    shutdown_timeout: Duration,
}

impl Story {
    /// A story that begins on an empty host.
    pub(crate) fn new() -> Story {
        Story { world: World::default(), trace: Trace::default(), shutdown_timeout: Desired::SHUTDOWN_TIMEOUT }
    }

    /// Takes a command, and plays everything that takes no time.
    pub(crate) fn tell(&mut self, command: Command) -> Result<(), String> {
        match command {
            Command::At(time, command) => {
                self.pass_until(time)?;
                self.tell(*command)?;
            }
            Command::Until(time) => self.pass_until(time)?,
            Command::UntilQuiet => self.pass_until_quiet()?,
            Command::ShutdownTimeout(timeout) => self.shutdown_timeout = timeout,
            Command::Want(specs) => self.news(vec![Event::Wanted(script::desired(specs, self.shutdown_timeout)?)]),
            Command::Order(order) => self.news(vec![Event::Order(order)]),
            Command::Status => self.trace.status(&self.world),
            Command::Happens(run, happening) => {
                let news = self.world.happening(&run, happening)?;
                self.news(news);
            }
            Command::File(path, written) => {
                let news = self.world.write(path, written);
                self.news(news);
            }
            Command::Habit(name, habit) => self.world.habit(name, habit),
            Command::AllGoesWell => self.world.forget_habits(),
        }
        Ok(())
    }

    /// Gives the engine some news now.
    pub(crate) fn news(&mut self, news: Vec<Event>) {
        let finished = self.world.engine.is_finished();
        self.world.news(news, |world, outcome| self.trace.step(world, outcome));
        self.end_of_moment(finished);
    }

    /// What was answered since this was last asked.
    pub(crate) fn answers(&mut self) -> String {
        self.trace.take()
    }

    fn pass_until_quiet(&mut self) -> Result<(), String> {
        for _ in 0..MOMENTS {
            match self.world.next() {
                Some(time) if !self.world.engine.is_finished() => self.pass_until(time)?,
                _ => return Ok(()),
            }
        }
        Err(format!("it isn't quiet after {MOMENTS} moments; write `until TIME`"))
    }

    fn pass_until(&mut self, end: Time) -> Result<(), String> {
        if end < self.world.now {
            return Err(format!("{end} has passed: it is {}", self.world.now));
        }
        // Moment by moment, so that waits are told at the end of each.
        while let Some(at) = self.world.next().filter(|at| *at <= end) {
            let finished = self.world.engine.is_finished();
            self.world.pass_until(at, |world, outcome| self.trace.step(world, outcome));
            self.end_of_moment(finished);
        }
        self.world.now = end;
        Ok(())
    }

    fn end_of_moment(&mut self, was_finished: bool) {
        self.trace.moment(self.world.now);
        if !was_finished && self.world.engine.is_finished() {
            self.trace.line(self.world.now, "finished");
        }
    }
}
