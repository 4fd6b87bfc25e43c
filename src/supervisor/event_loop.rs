//! The loop itself: takes in messages and events, steps the engine, carries out what it says.

use super::dates;
use super::host::{Host, Perform};
use super::inbox::{Ending, NavigatorSignal, News, ReloadOutcome};
use super::log_events;
use super::orphans::{self, FormerProcesses};
use super::pending_orders::ChangedProcesses;
use super::requests::problem;
use super::sentences::Sentences;
use super::state::{FormerNavigator, Supervisor};
use super::take_over;
use super::view::LoopView;
use crate::config::{Diagnostic, Loaded, Rejected};
use crate::journal::FactUpdate;
use crate::signals;
use crate::snapshot;
use crate::source::{Revision, Ticket};
use jiff::Timestamp;
use reconcile::desired::Desired;
use reconcile::engine::{Engine, StepOutcome};
use reconcile::event::{Action, Content, Event, ExitStatus, Order, Pid, Refusal};
use reconcile::orders::ShutdownCause;
use reconcile::report::{Report, Transition, TransitionKind};
use reconcile::spec::Signal;
use reconcile::text::Name;
use std::mem;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

impl<P: Perform, S: Host> Supervisor<P, S> {
    /// Takes over or ends what a killed navigator left. Then keeps the processes in sync with `first` and later revisions, until it
    /// is told to shut down.
    ///
    /// The performer is returned: the caller drains the rest of the output.
    pub async fn run(
        mut self,
        former: FormerNavigator,
        first: Loaded,
        mut events: mpsc::Receiver<Event>,
        mut news: mpsc::Receiver<News>,
    ) -> (P, Ending) {
        let (mut since, mut deferred) = (Vec::new(), Vec::new());
        match former {
            FormerNavigator::None => {}
            FormerNavigator::End(former) => match self.end_orphans(former, &first, &mut events, &mut news).await {
                Ok(meanwhile) => deferred = meanwhile,
                Err(ending) => return (self.performer, ending),
            },
            FormerNavigator::TakeOver(former) => {
                let (engine, events) = take_over::take_over(&self.performer, &former, &first.desired, self.now());
                self.engine = engine.with_ordered_execs();
                since = events;
                since.extend(self.renewed_dates());
            }
        }
        let mut taken_over = Some(self.undisturbed(&since));
        let mut batch = self.accept(first, Ticket::default());
        batch.append(&mut since);
        batch.extend(deferred.into_iter().flat_map(|item| self.handle(item)));
        let mut wake_at = None;
        let mut has_events = true;
        loop {
            if has_events {
                wake_at = self.step(&mut batch);
                if let Some(before) = taken_over.take() {
                    self.finish_take_over(&before);
                    self.say_ready();
                }
                if self.engine.is_finished() {
                    let ending = match self.engine.orders().closing().and_then(|closing| closing.cause.as_ref()) {
                        _ if self.interrupts.any() => Ending::Interrupted,
                        Some(cause) => Ending::Caused(exit_code(cause)),
                        None => Ending::Terminated,
                    };
                    return (self.performer, ending);
                }
                batch.extend(dates::missing(&self.engine, || self.date()));
                if !batch.is_empty() {
                    continue;
                }
            }
            self.publish_if_due();
            self.show_notice();
            self.hand_over_if_quiet(|| events.is_empty() && news.is_empty()).await;
            let publish_at = self.readers.due();
            let (notice_at, handover_at, ping_at) = (self.notice_due(), self.handover_due(), self.ping_due());
            let step_at = self.catch_up.or(wake_at);
            has_events = tokio::select! {
                Some(event) = events.recv() => {
                    self.woke(wake_at);
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
                    self.woke(wake_at);
                    batch.extend(self.handle(item));
                    // A request for a view needs no planning.
                    !batch.is_empty()
                }
                () = sleep_until(step_at.unwrap_or(self.epoch)), if step_at.is_some() => {
                    self.woke(step_at);
                    self.catch_up.is_none()
                }
                () = sleep_until(publish_at.unwrap_or(self.epoch)), if publish_at.is_some() => false,
                () = sleep_until(notice_at.unwrap_or(self.epoch)), if notice_at.is_some() => false,
                () = sleep_until(handover_at.unwrap_or(self.epoch)), if handover_at.is_some() => false,
                () = sleep_until(ping_at.unwrap_or(self.epoch)), if ping_at.is_some() => {
                    self.ping();
                    false
                }
                plan = self.shown_plan.finished() => {
                    self.host.show_plan(&plan);
                    false
                }
            };
        }
    }

    /// Ends the orphans of a killed navigator. Returns the messages that came meanwhile, or an ending if a signal asks for it.
    async fn end_orphans(
        &self,
        former: FormerProcesses,
        first: &Loaded,
        events: &mut mpsc::Receiver<Event>,
        news: &mut mpsc::Receiver<News>,
    ) -> Result<Vec<News>, Ending> {
        let wanted = Arc::new(if former.processes.is_empty() { Desired::nothing() } else { first.desired.clone() });
        let view = |engine: &Engine, now| LoopView::new(0, engine.clone(), now, self.file.clone(), Some(Arc::clone(&wanted)));
        let ended = orphans::end(&self.performer, former, events, news, view).await;
        self.performer.release_orphans();
        ended
    }

    /// Says on a terminal what a shutdown waits for.
    fn show_notice(&mut self) {
        if self.engine.orders().closing().is_some()
            && self.host.is_watched()
            && let Some(text) = self.shutdown_notice.next(&self.engine, self.now(), self.interrupts.any())
        {
            self.host.show_notice(&text);
        }
    }

    fn notice_due(&self) -> Option<Instant> {
        if self.catch_up.is_some() || !self.host.is_watched() {
            return None;
        }
        let due = self.shutdown_notice.due(&self.engine).filter(|due| *due > self.now())?;
        Some(self.epoch + due.since_epoch())
    }

    /// Publishes a view, if readers wait for one and it is due.
    fn publish_if_due(&mut self) {
        let now = self.now();
        self.readers.publish_if_due(|version| LoopView::new(version, self.engine.clone(), now, self.file.clone(), None));
    }

    /// Steps the engine and carries out the outcome. Returns when to step again at the latest.
    fn step(&mut self, batch: &mut Vec<Event>) -> Option<Instant> {
        self.readers.changed();
        // Usually no client waits.
        let changed = (!self.orders.is_empty()).then(|| ChangedProcesses::of_events(&self.engine, batch));
        self.stepped = self.now();
        let outcome = self.engine.step(self.stepped, batch.drain(..));
        self.update_watching();
        let changed = changed.map(|changed| changed.with_outcome(&self.engine, &outcome));
        self.record(&outcome);
        let wake_at = self.carry_out(outcome);
        if let Some(changed) = changed {
            self.orders.answer(&self.engine, changed);
        }
        wake_at
    }

    /// Records what has changed, before anything is done about it.
    fn record(&mut self, outcome: &StepOutcome) {
        let is_accepted = outcome.reports.iter().any(|report| matches!(report, Report::Accepted(_)));
        let generation = is_accepted.then(|| FactUpdate::Generation(self.engine.generation()));
        let names = self.engine.take_unrecorded();
        let remembered = |name: Name| FactUpdate::Process(name.clone(), self.engine.remember(&name).map(Box::new));
        let updates: Vec<FactUpdate> = generation.into_iter().chain(names.into_iter().map(remembered)).collect();
        if !updates.is_empty() {
            self.host.record(updates);
        }
    }

    /// Performs the actions and reports what changed. Returns when to step again at the latest.
    fn carry_out(&mut self, outcome: StepOutcome) -> Option<Instant> {
        let StepOutcome { mut actions, reports, wake_at } = outcome;
        // Logging takes time. Starts are performed before they are logged: the order can't be seen from outside. Stops are logged
        // first, because a program may answer with its last lines.
        if actions.iter().all(|action| matches!(action, Action::Spawn { .. })) {
            self.performer.perform(mem::take(&mut actions));
        }
        let sentences = self.host.is_watched().then(|| Sentences::of(&reports));
        let mut survivors = Vec::new();
        for (index, report) in reports.iter().enumerate() {
            let pids = self.pids_to_log(report);
            // Most main processes leave nothing behind.
            if is_about_rest(report) && pids.is_empty() {
                continue;
            }
            let sentence = sentences.as_ref().map(|sentences| sentences.at(index, self.engine.desired()));
            survivors.extend(log_events::named_survivors(report, &pids));
            let is_mended = matches!(report, Report::Unchanged) && mem::take(&mut self.file.is_mended);
            log_events::report(report, &pids, &self.engine, sentence.as_deref(), is_mended);
            self.history.report(report, self.engine.generation());
            match report {
                Report::Accepted(_) => {
                    self.say_ready();
                    self.shown_plan.take_ready().iter().for_each(|plan| self.host.show_plan(plan));
                    self.performer.retain_lines(&|name| self.engine.status(name).is_some());
                }
                Report::ShuttingDown(_) => self.shutdown_begins(),
                Report::Process(_)
                | Report::Stalled { .. }
                | Report::Unchanged
                | Report::Good(_)
                | Report::RolledBack { .. }
                | Report::KnownBad => {}
            }
        }
        self.performer.perform(actions);
        if !survivors.is_empty() {
            let outcome = self.engine.step(self.stepped, survivors);
            return self.carry_out(outcome);
        }
        wake_at.map(|at| self.epoch + at.since_epoch())
    }

    /// The living processes of a run, if the log line of this report names them.
    fn pids_to_log(&self, report: &Report) -> Vec<Pid> {
        let Report::Process(Transition { what, run: Some(run), .. }) = report else { return Vec::new() };
        // In a hurry, finding them would take too long.
        let is_hurried = self.engine.orders().closing().is_some_and(|closing| closing.hurry);
        match what {
            TransitionKind::Killing(_) if is_hurried => Vec::new(),
            TransitionKind::Killing(_) | TransitionKind::StoppingRest(_) | TransitionKind::Survives(_) => {
                self.performer.pids(*run)
            }
            _ => Vec::new(),
        }
    }

    /// Handles a message. Returns the events that it means for the engine.
    fn handle(&mut self, news: News) -> Vec<Event> {
        match news {
            News::Revision(Revision { answers, outcome: Ok(loaded) }) => self.accept(*loaded, answers),
            News::Revision(Revision { answers, outcome: Err(rejected) }) => {
                self.reject(&rejected, answers);
                Vec::new()
            }
            News::Contents(contents) => contents.into_iter().map(content_event).collect(),
            News::FilesChecked => {
                self.answer_file_check();
                Vec::new()
            }
            News::Errand(errand) => {
                self.performer.run_errand(errand);
                Vec::new()
            }
            News::Source(source) => {
                self.readers.changed();
                self.file.source = source.map(Arc::from);
                Vec::new()
            }
            News::ClockChanged => self.renewed_dates(),
            News::Signal(signal) => Vec::from_iter(self.handle_signal(signal)),
            News::Request(request) => self.handle_request(request),
        }
    }

    /// Accepts a configuration, together with the content of the files that it names. During a shutdown it is dropped.
    fn accept(&mut self, loaded: Loaded, answers: Ticket) -> Vec<Event> {
        if self.engine.orders().closing().is_some() {
            self.answer_reloads(answers, &ReloadOutcome::Closing);
            return Vec::new();
        }
        self.readers.changed();
        self.watching.end();
        let is_news = self.engine.is_news(&loaded.desired);
        let generation = self.engine.generation() + u64::from(is_news);
        self.host.apply(&loaded, generation);
        self.log_new_warnings(&loaded.warnings);
        // The log alone says what the first configuration starts.
        if self.engine.generation() > 0 && self.host.is_watched() {
            self.shown_plan.make(&self.engine, self.now(), &loaded.desired);
        }
        self.file.is_mended = !self.file.errors.is_empty();
        self.file.errors = Arc::default();
        self.file.rejected_at = None;
        self.answer_reloads(answers, &ReloadOutcome::Accepted(generation, is_news));
        let contents = loaded.contents.into_iter().map(content_event);
        std::iter::once(Event::Wanted(loaded.desired)).chain(contents).collect()
    }

    /// Logs the warnings that the configuration before did not have.
    fn log_new_warnings(&mut self, warnings: &[Diagnostic]) {
        let old = mem::replace(&mut self.file.warnings, warnings.iter().map(problem).collect());
        let is_old = |new: &&Diagnostic| old.iter().any(|old| (&old.file, &old.message) == (&new.file, &new.message));
        let new: Vec<Diagnostic> = warnings.iter().filter(|new| !is_old(new)).cloned().collect();
        // On a terminal they are shown with their source lines.
        if !self.host.is_watched() {
            new.iter().for_each(log_events::warning);
        }
        self.host.explain(&new, 0);
    }

    fn reject(&mut self, rejected: &Rejected, answers: Ticket) {
        self.readers.changed();
        log_events::rejected(rejected, self.host.is_watched());
        self.host.explain(&rejected.diagnostics, rejected.omitted);
        let problems: Vec<snapshot::ConfigProblem> = rejected.diagnostics.iter().map(problem).collect();
        self.history.rejected(self.engine.generation(), &serde_json::json!(problems));
        self.file.errors = problems.clone().into();
        self.file.rejected_at.get_or_insert_with(Timestamp::now);
        self.say_ready();
        self.answer_reloads(answers, &ReloadOutcome::Rejected(problems));
    }

    fn handle_signal(&mut self, signal: NavigatorSignal) -> Option<Event> {
        let order = match signal {
            NavigatorSignal::TerminalClosed => {
                log_events::terminal_closed();
                Order::Shutdown
            }
            NavigatorSignal::Interrupt if self.interrupts.interrupt(Instant::now()) => Order::Hurry,
            NavigatorSignal::Terminate | NavigatorSignal::Interrupt => Order::Shutdown,
            NavigatorSignal::Quit => {
                self.interrupts.quit();
                Order::Hurry
            }
            NavigatorSignal::Other(signal) => {
                log_events::signal_ignored(signal);
                return None;
            }
            NavigatorSignal::Hangup => {
                // No client waits: the outcome is logged. A look reads the files, too.
                if !self.host.source().look(None) {
                    let _ticket = self.host.source().reload();
                }
                return None;
            }
            NavigatorSignal::Reopen => {
                self.host.reopen();
                return None;
            }
        };
        // Both orders begin or hasten a shutdown.
        self.shutdown_begins();
        Some(Event::Order(order))
    }

    fn shutdown_begins(&self) {
        self.host.source().stop_watching();
        self.host.service_manager().stopping();
    }
}

fn is_about_rest(report: &Report) -> bool {
    matches!(report, Report::Process(Transition { what: TransitionKind::StoppingRest(_), .. }))
}

/// The exit code of a shutdown that the end of a process caused.
fn exit_code(cause: &ShutdownCause) -> u8 {
    let code = match &cause.status {
        ExitStatus::Code(code) => u8::try_from(*code).ok(),
        ExitStatus::Signal(signal) => u8::try_from(128 + signals::number(*signal)).ok(),
        ExitStatus::OutOfMemory => u8::try_from(128 + signals::number(Signal::KILL)).ok(),
        // As shells have it.
        ExitStatus::NotStarted(Refusal::CommandNotFound { .. } | Refusal::FileNotFound { .. }) => Some(127),
        ExitStatus::NotStarted(_) => Some(126),
        ExitStatus::Lost => None,
    };
    // A process that failed a check may have exited with status 0.
    code.filter(|code| cause.success || *code != 0).unwrap_or(1)
}

fn content_event((name, content): (Name, Content)) -> Event {
    Event::Content { name, content }
}
