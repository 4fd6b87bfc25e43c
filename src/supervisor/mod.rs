//! The loop: news in, engine, actions out. The only room that holds an engine, or has a `select!`.
//!
//! Everything else (children, the file, signals) is a producer of news. The loop decides nothing: it asks the engine,
//! hands its actions to whoever performs them, and tells people what changed. A wake-up that wasn't needed plans
//! nothing, so nothing is ever cancelled.

mod event_stream;
mod log_events;
mod orphans;
mod pending_orders;
mod readers;
mod requests;
mod shown_plan;
mod view;

pub use event_stream::{EventSubscription, PastEvent};
pub use orphans::{FormerProcesses, noted};
pub use pending_orders::{OrderOutcome, TrackedOrder};
pub use readers::Published;
pub use requests::{ManualOrder, ReloadOutcome, Request, problem};
pub use view::{LiveData, LoopView, RenderedSnapshot};

use crate::config::{Diagnostic, Loaded, Rejected};
use crate::snapshot::{self, PlanReport};
use crate::source::{Revision, Source, Ticket};
use event_stream::EventHistory;
use jiff::Timestamp;
use pending_orders::{ChangedProcesses, PendingOrders};
use readers::Readers;
use reconcile::desired::Desired;
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, Content, Event, Order, Pid, RunId};
use reconcile::report::{Report, TransitionKind};
use reconcile::spec;
use reconcile::text::Name;
use reconcile::time::Time;
use requests::WaitingClients;
use shown_plan::ShownPlan;
use std::io;
use std::mem;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use view::File;

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

    /// Forgets what processes wrote that aren't there any more.
    fn retain_lines(&self, is_there: &dyn Fn(&Name) -> bool);

    /// Takes what a killed navigator left of a process for this run, from now on. Answers with the number of one of its
    /// processes, or with nothing if it has ended.
    fn take_over(&self, run: RunId, name: &Name) -> Option<Pid>;

    /// Takes nothing more for those runs. Of what couldn't be ended, nothing may be started anew.
    fn let_go(&self);
}

/// The world around the loop, as far as it isn't processes.
pub trait Host {
    /// Where revisions of the configuration come from. What it delivers comes back as [`News`].
    fn source(&self) -> &dyn Source;

    /// The real path of the configuration.
    fn config(&self) -> PathBuf;

    /// Takes over what a configuration says beyond its processes, that is accepted as this generation.
    fn apply(&self, loaded: &Loaded, generation: u64);

    /// Shows on a terminal what is wrong with a configuration, or dubious, beyond what the log says of it; and that so many more
    /// problems are not shown.
    fn explain(&self, diagnostics: &[Diagnostic], omitted: usize);

    /// Whether somebody is watching who wants to see what a configuration changes.
    fn is_watched(&self) -> bool;

    /// Shows somebody who is watching what a configuration that has just been accepted changes.
    fn foretell(&self, plan: &PlanReport);

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
    Signal(NavigatorSignal),
    /// A client asks for something.
    Request(Request),
}

/// A signal to navigator, by what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NavigatorSignal {
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
    /// What is known of the file.
    file: File,
    story: EventHistory,
    readers: Readers,
    goals: PendingOrders,
    waiters: WaitingClients,
    /// What the configuration that was taken last changes, for a terminal.
    foretold: ShownPlan,
}

impl<P: Perform, S: Host> Supervisor<P, S> {
    /// A loop that wants nothing yet.
    pub fn new(performer: P, surroundings: S, published: Published) -> Supervisor<P, S> {
        let file = File { path: surroundings.config(), ..File::default() };
        Supervisor {
            engine: Engine::new().with_ordered_execs(),
            epoch: Instant::now(),
            performer,
            surroundings,
            interrupts: 0,
            file,
            story: EventHistory::new(),
            readers: Readers::new(published),
            goals: PendingOrders::default(),
            waiters: WaitingClients::default(),
            foretold: ShownPlan::default(),
        }
    }

    /// Ends what a killed navigator left; then makes the host what `first` says, and keeps it what later revisions say,
    /// until it is told to end.
    ///
    /// The caller keeps the performer: what is left of output is drained by whoever made it.
    pub async fn run(
        mut self,
        left: FormerProcesses,
        first: Loaded,
        mut events: mpsc::Receiver<Event>,
        mut news: mpsc::Receiver<News>,
    ) -> (P, Ending) {
        let wanted = Arc::new(if left.processes.is_empty() { Desired::nothing() } else { first.desired.clone() });
        let shown = |engine: &Engine, now| LoopView::new(0, engine.clone(), now, self.file.clone(), Some(Arc::clone(&wanted)));
        let ended = orphans::end(&self.performer, left, &mut events, &mut news, shown).await;
        self.performer.let_go();
        let heard = match ended {
            Ok(heard) => heard,
            Err(ending) => return (self.performer, ending),
        };
        let mut batch = self.accept(first, Ticket::default());
        batch.extend(heard.into_iter().flat_map(|item| self.hear(item)));
        let mut wake_at = None;
        let mut has_news = true;
        loop {
            if has_news {
                wake_at = self.step(&mut batch);
                if self.engine.is_finished() {
                    let ending = if self.interrupts > 0 { Ending::Interrupted } else { Ending::Terminated };
                    return (self.performer, ending);
                }
            }
            self.publish_if_due();
            let publish_at = self.readers.due();
            has_news = tokio::select! {
                Some(event) = events.recv() => {
                    batch.push(event);
                    while let Ok(event) = events.try_recv() {
                        batch.push(event);
                    }
                    for event in &batch {
                        self.answer_process_reload(event);
                    }
                    true
                }
                Some(item) = news.recv() => {
                    batch.extend(self.hear(item));
                    // What readers ask for is nothing to plan about.
                    !batch.is_empty()
                }
                () = sleep_until(wake_at.unwrap_or(self.epoch)), if wake_at.is_some() => true,
                () = sleep_until(publish_at.unwrap_or(self.epoch)), if publish_at.is_some() => false,
                plan = self.foretold.made() => {
                    self.surroundings.foretell(&plan);
                    false
                }
            };
        }
    }

    /// Has the engine take in what happened, and carries out what it says. Answers with when to look again.
    fn step(&mut self, batch: &mut Vec<Event>) -> Option<Instant> {
        self.readers.changed();
        // Mostly no client waits.
        let touched = (!self.goals.is_empty()).then(|| ChangedProcesses::before(&self.engine, batch));
        let outcome = self.engine.step(self.now(), batch.drain(..));
        let touched = touched.map(|touched| touched.by(&self.engine, &outcome));
        let wake_at = self.carry_out(outcome);
        if let Some(touched) = touched {
            self.goals.answer(&self.engine, touched);
        }
        wake_at
    }

    fn now(&self) -> Time {
        Time::after_epoch(self.epoch.elapsed())
    }

    /// Performs what is to be done and tells what changed. Answers with when to look again.
    fn carry_out(&mut self, outcome: StepOutcome) -> Option<Instant> {
        let StepOutcome { mut actions, reports, wake_at } = outcome;
        // Nobody can tell whether a program was on its way already when its start was told of, and it takes a while: so that comes
        // first. Of a stop it's told first, as it may be answered with the last lines of a program.
        if actions.iter().all(|action| matches!(action, Action::Spawn { .. })) {
            self.performer.perform(mem::take(&mut actions));
        }
        for report in &reports {
            log_events::report(report);
            self.story.report(report, self.engine.generation());
            match report {
                Report::Accepted(_) => {
                    self.foretold.is_in_force().iter().for_each(|plan| self.surroundings.foretell(plan));
                    self.performer.retain_lines(&|name| self.engine.status(name).is_some());
                }
                Report::Process(transition) => {
                    if let (TransitionKind::Survives, Some(run)) = (&transition.what, transition.run) {
                        log_events::survivors(&transition.name, &self.performer.pids(run));
                    }
                }
                Report::Unchanged => {}
            }
        }
        self.performer.perform(actions);
        wake_at.map(|at| self.epoch + at.since_epoch())
    }

    /// What news means for the engine.
    fn hear(&mut self, news: News) -> Vec<Event> {
        match news {
            News::Revision(Revision { answers, outcome: Ok(loaded) }) => self.accept(*loaded, answers),
            News::Revision(Revision { answers, outcome: Err(rejected) }) => {
                self.reject(&rejected, answers);
                Vec::new()
            }
            News::Contents(contents) => contents.into_iter().map(of_content).collect(),
            News::Looked => {
                self.looked();
                Vec::new()
            }
            News::Signal(signal) => Vec::from_iter(self.obey(signal)),
            News::Request(request) => self.take(request),
        }
    }

    /// What a configuration means: that it is wanted, and at the same moment what the files contain that it names. Nothing, once
    /// navigator is told to end.
    fn accept(&mut self, loaded: Loaded, answers: Ticket) -> Vec<Event> {
        if self.engine.orders().closing().is_some() {
            self.answer_reloads(answers, &ReloadOutcome::Closing);
            return Vec::new();
        }
        self.readers.changed();
        let is_news = self.engine.is_news(&loaded.desired);
        let generation = self.engine.generation() + u64::from(is_news);
        self.surroundings.apply(&loaded, generation);
        let warnings: Arc<[_]> = loaded.warnings.iter().map(problem).collect();
        let told = mem::replace(&mut self.file.warnings, warnings);
        let is_told = |new: &&Diagnostic| told.iter().any(|old| (&old.file, &old.message) == (&new.file, &new.message));
        let new: Vec<Diagnostic> = loaded.warnings.iter().filter(|new| !is_told(new)).cloned().collect();
        new.iter().for_each(log_events::warning);
        self.surroundings.explain(&new, 0);
        // What the first one starts is told by the log alone.
        if self.engine.generation() > 0 && self.surroundings.is_watched() {
            self.foretold.make(&self.engine, self.now(), &loaded.desired);
        }
        self.file.errors = Arc::default();
        self.file.rejected_at = None;
        self.answer_reloads(answers, &ReloadOutcome::Accepted(generation, is_news));
        let contents = loaded.contents.into_iter().map(of_content);
        std::iter::once(Event::Wanted(loaded.desired)).chain(contents).collect()
    }

    fn reject(&mut self, rejected: &Rejected, answers: Ticket) {
        self.readers.changed();
        log_events::rejected(rejected);
        self.surroundings.explain(&rejected.diagnostics, rejected.omitted);
        let problems: Vec<snapshot::ConfigProblem> = rejected.diagnostics.iter().map(problem).collect();
        self.story.rejected(self.engine.generation(), &serde_json::json!(problems));
        self.file.errors = problems.clone().into();
        self.file.rejected_at.get_or_insert_with(Timestamp::now);
        self.answer_reloads(answers, &ReloadOutcome::Rejected(problems));
    }

    fn obey(&mut self, signal: NavigatorSignal) -> Option<Event> {
        let order = match signal {
            NavigatorSignal::Terminate => Order::Shutdown,
            NavigatorSignal::Interrupt => {
                self.interrupts += 1;
                if self.interrupts > 1 { Order::Hurry } else { Order::Shutdown }
            }
            NavigatorSignal::Quit => {
                self.interrupts += 1;
                Order::Hurry
            }
            NavigatorSignal::Hangup => {
                // The log says what comes of it.
                let _ticket = self.surroundings.source().reload();
                return None;
            }
            NavigatorSignal::Reopen => {
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
