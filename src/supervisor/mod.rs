//! The loop: news in, engine, actions out. The only room that holds an engine, or has a `select!`.
//!
//! Everything else (children, the file, signals) is a producer of news. The loop decides nothing: it asks the engine,
//! hands its actions to whoever performs them, and tells people what changed. A wake-up that wasn't needed plans
//! nothing, so nothing is ever cancelled.

mod left;
mod requests;
mod story;
mod tell;

pub use left::{Left, noted};
pub use requests::{ByHand, Outcome as OrderOutcome, Reloaded, Request, problem};
pub use story::Follow;

use crate::config::{Diagnostic, Loaded, Rejected};
use crate::snapshot::{self, Plan};
use crate::source::{Revision, Source, Ticket};
use jiff::Timestamp;
use reconcile::engine::{Engine, Outcome};
use reconcile::event::{Action, Content, Event, Order, Pid, RunId};
use reconcile::report::{Report, What};
use reconcile::spec;
use reconcile::text::Name;
use reconcile::time::Time;
use requests::Waiters;
use std::io;
use std::mem;
use std::path::PathBuf;
use story::Story;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// How much news may wait for the loop; producers that are faster wait for it.
pub const INBOX: usize = 1024;

/// Performs actions; the outcome of each comes back as an [`Event`].
pub trait Perform {
    /// Does what is to be done, in this order, and returns at once.
    fn perform(&self, actions: Vec<Action>);

    /// Sends a signal to the leader of a run.
    ///
    /// # Errors
    /// That it isn't permitted, or is gone.
    fn signal(&self, run: RunId, signal: spec::Signal) -> io::Result<()>;

    /// The living processes of a run, for people.
    fn pids(&self, run: RunId) -> Vec<Pid>;

    /// The last lines that a process wrote, as many as these or as are kept, for people.
    fn last_lines(&self, name: &Name, lines: u64) -> Vec<String>;

    /// Forgets what processes wrote that aren't there any more.
    fn retain_lines(&self, is_there: &dyn Fn(&Name) -> bool);

    /// Takes what a killed navigator left of a process for this run, from now on. Answers with the number of one of its
    /// processes, or with nothing if it has ended.
    fn take_over(&self, run: RunId, name: &Name) -> Option<Pid>;

    /// Takes nothing more for those runs. Of what couldn't be ended, nothing may be started anew.
    fn let_go(&self);
}

/// The world around the loop, as far as it isn't processes.
pub trait Surroundings {
    /// Where revisions of the configuration come from. What it delivers comes back as [`News`].
    fn source(&self) -> &dyn Source;

    /// The real path of the configuration.
    fn config(&self) -> PathBuf;

    /// Takes over what a configuration says beyond its processes, that is accepted as this generation.
    fn apply(&self, loaded: &Loaded, generation: u64);

    /// Shows somebody who is watching why a configuration changes nothing, beyond what the log says of it.
    fn explain(&self, rejected: &Rejected);

    /// Whether somebody is watching who wants to see what a configuration changes.
    fn is_watched(&self) -> bool;

    /// Shows somebody who is watching what a configuration that has just been accepted changes.
    fn foretell(&self, plan: &Plan);

    /// Opens every log file anew.
    fn reopen(&self);
}

/// What comes into the loop, apart from the events of runs.
#[derive(Debug)]
pub enum News {
    /// A configuration was read.
    Revision(Revision),
    /// Files that these processes watch have another content.
    Contents(Vec<(Name, Content)>),
    /// Once for each time that a look was asked for: whatever was saved before is known.
    Looked,
    /// Somebody sent navigator a signal.
    Signal(Signal),
    /// A client asks for something.
    Request(Request),
}

/// A signal to navigator, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `TERM`: end in order.
    Terminate,
    /// `INT`: end in order; a second one, at once.
    Interrupt,
    /// `QUIT`: end at once.
    Quit,
    /// `HUP`: read the configuration again.
    Hangup,
    /// `USR2`: open log files anew.
    Reopen,
}

/// How the loop ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As `TERM` asked.
    Terminated,
    /// As `INT` or `QUIT` asked.
    Interrupted,
}

/// The loop and what it owns.
pub struct Supervisor<P, S> {
    engine: Engine,
    epoch: Instant,
    performer: P,
    surroundings: S,
    interrupts: u32,
    /// The warnings of the configuration that was accepted last.
    warned: Vec<Diagnostic>,
    /// Why what stands in the file is not in force; empty: it is.
    rejected: Vec<Diagnostic>,
    /// Since when it isn't.
    rejected_at: Option<Timestamp>,
    story: Story,
    /// Clients that wait for something.
    waiters: Waiters,
    /// What the configuration that is about to be taken changes, if somebody wants to see it.
    plan: Option<Plan>,
}

impl<P: Perform, S: Surroundings> Supervisor<P, S> {
    /// A loop that wants nothing yet.
    pub fn new(performer: P, surroundings: S) -> Supervisor<P, S> {
        Supervisor {
            engine: Engine::new().with_ordered_execs(),
            epoch: Instant::now(),
            performer,
            surroundings,
            interrupts: 0,
            warned: Vec::new(),
            rejected: Vec::new(),
            rejected_at: None,
            story: Story::new(),
            waiters: Waiters::default(),
            plan: None,
        }
    }

    /// Ends what a killed navigator left; then makes the host what `first` says, and keeps it what later revisions say,
    /// until it is told to end.
    ///
    /// The caller keeps the performer: what is left of output is drained by whoever made it.
    pub async fn run(
        mut self,
        left: Left,
        first: Loaded,
        mut events: mpsc::Receiver<Event>,
        mut news: mpsc::Receiver<News>,
    ) -> (P, Ending) {
        let shown = |engine: &Engine, now| self.snapshot_of(false, left::processes(engine, now, &first.desired));
        let ended = left::end(&self.performer, left, &mut events, &mut news, shown).await;
        self.performer.let_go();
        let heard = match ended {
            Ok(heard) => heard,
            Err(ending) => return (self.performer, ending),
        };
        let mut batch = self.accept(first, Ticket::default());
        batch.extend(heard.into_iter().flat_map(|item| self.hear(item)));
        loop {
            let outcome = self.engine.step(self.now(), batch.drain(..));
            let wake_at = self.carry_out(outcome);
            if self.engine.is_finished() {
                let ending = if self.interrupts > 0 { Ending::Interrupted } else { Ending::Terminated };
                return (self.performer, ending);
            }
            tokio::select! {
                Some(event) = events.recv() => {
                    batch.push(event);
                    while let Ok(event) = events.try_recv() {
                        batch.push(event);
                    }
                    for event in &batch {
                        self.answer_process_reload(event);
                    }
                }
                Some(item) = news.recv() => batch.extend(self.hear(item)),
                () = sleep_until(wake_at.unwrap_or(self.epoch)), if wake_at.is_some() => {}
            }
        }
    }

    fn now(&self) -> Time {
        Time::after_epoch(self.epoch.elapsed())
    }

    /// Performs what is to be done and tells what changed. Answers with when to look again.
    fn carry_out(&mut self, outcome: Outcome) -> Option<Instant> {
        let Outcome { mut actions, reports, wake_at } = outcome;
        // Nobody can tell whether a program was on its way already when its start was told of, and it takes a while: so that comes
        // first. Of a stop it's told first, as it may be answered with the last lines of a program.
        if actions.iter().all(|action| matches!(action, Action::Spawn { .. })) {
            self.performer.perform(mem::take(&mut actions));
        }
        for report in &reports {
            tell::report(report);
            self.story.report(report, self.engine.generation());
            match report {
                Report::Accepted(_) => {
                    self.plan.take().iter().for_each(|plan| self.surroundings.foretell(plan));
                    self.performer.retain_lines(&|name| self.engine.standing(name).is_some());
                }
                Report::Process(transition) => {
                    if let (What::Survives, Some(run)) = (&transition.what, transition.run) {
                        tell::survivors(&transition.name, &self.performer.pids(run));
                    }
                }
                Report::Unchanged => {}
            }
        }
        self.performer.perform(actions);
        self.answer();
        wake_at.map(|at| self.epoch + at.since_epoch())
    }

    /// What news means for the engine.
    fn hear(&mut self, news: News) -> Vec<Event> {
        match news {
            News::Revision(Revision { answers, outcome: Ok(loaded) }) => self.accept(*loaded, answers),
            News::Revision(Revision { answers, outcome: Err(rejected) }) => {
                self.reject(rejected, answers);
                Vec::new()
            }
            News::Contents(contents) => contents.into_iter().map(of_content).collect(),
            News::Looked => {
                self.looked();
                Vec::new()
            }
            News::Signal(signal) => Vec::from_iter(self.obey(signal)),
            News::Request(request) => Vec::from_iter(self.take(request)),
        }
    }

    /// What a configuration means: that it is wanted, and at the same moment what the files contain that it names.
    fn accept(&mut self, loaded: Loaded, answers: Ticket) -> Vec<Event> {
        let is_news = self.engine.is_news(&loaded.desired);
        let generation = self.engine.generation() + u64::from(is_news);
        self.surroundings.apply(&loaded, generation);
        let is_told = |new: &&Diagnostic| self.warned.iter().any(|old| (&old.file, &old.message) == (&new.file, &new.message));
        loaded.warnings.iter().filter(|new| !is_told(new)).for_each(tell::warning);
        self.warned = loaded.warnings;
        // What the first one starts is told by the log alone.
        let is_change = self.engine.generation() > 0 && self.surroundings.is_watched();
        self.plan = is_change.then(|| self.plan(&loaded.desired));
        self.rejected.clear();
        self.rejected_at = None;
        self.answer_reloads(answers, &Reloaded::Accepted(generation, is_news));
        let contents = loaded.contents.into_iter().map(of_content);
        std::iter::once(Event::Wanted(loaded.desired)).chain(contents).collect()
    }

    fn reject(&mut self, rejected: Rejected, answers: Ticket) {
        tell::rejected(&rejected);
        self.surroundings.explain(&rejected);
        let problems: Vec<snapshot::Problem> = rejected.diagnostics.iter().map(problem).collect();
        self.story.rejected(self.engine.generation(), &serde_json::json!(problems));
        self.rejected = rejected.diagnostics;
        self.rejected_at.get_or_insert_with(Timestamp::now);
        self.answer_reloads(answers, &Reloaded::Rejected(problems));
    }

    fn obey(&mut self, signal: Signal) -> Option<Event> {
        let order = match signal {
            Signal::Terminate => Order::Shutdown,
            Signal::Interrupt => {
                self.interrupts += 1;
                if self.interrupts > 1 { Order::Hurry } else { Order::Shutdown }
            }
            Signal::Quit => {
                self.interrupts += 1;
                Order::Hurry
            }
            Signal::Hangup => {
                // The log says what comes of it.
                let _ticket = self.surroundings.source().reload();
                return None;
            }
            Signal::Reopen => {
                self.surroundings.reopen();
                return None;
            }
        };
        // Every order that a signal gives is one to end.
        self.surroundings.source().stop_watching();
        Some(Event::Order(order))
    }
}

fn of_content((name, content): (Name, Content)) -> Event {
    Event::Content { name, content }
}
