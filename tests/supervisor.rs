//! Tests of the event loop with paused time and a fake runtime: messages in, actions out, wake-ups in time.

#[path = "supervisor/orphans.rs"]
mod orphans;
#[path = "supervisor/signals.rs"]
mod signals;
#[path = "supervisor/survivors.rs"]
mod survivors;
#[path = "supervisor/taken_over.rs"]
mod taken_over;

use navigator::config::{ContentHash, Diagnostic, Inputs, Loaded, Rejected, Settings};
use navigator::errand::Errand;
use navigator::journal::FactUpdate;
use navigator::runtime::{FormerRun, PausedOutput, TakenOver};
use navigator::service_manager::ServiceManager;
use navigator::snapshot::PlanReport;
use navigator::source::{Revision, Source, Ticket, Tickets, WatchMethod};
use navigator::supervisor::{
    Ending, FormerNavigator, HandoverOrder, Host, INBOX, LoopView, ManualOrder, NavigatorSignal, News, Perform, Published,
    ReloadOutcome, Request, Supervisor,
};
use reconcile::desired::Desired;
use reconcile::event::{Action, Event, ExitStatus, Pid, RunId, StopBy};
use reconcile::spec::{Restart, Signal as Sent, Spec};
use reconcile::text::{Name, Text};
use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// A runtime in which every action succeeds at once, unless processes ignore their stop signal. It records its actions.
#[derive(Clone)]
struct FakeRuntime {
    events: mpsc::Sender<Event>,
    record: Rc<RefCell<Vec<String>>>,
    ignores_stop: bool,
    survives: Rc<Cell<bool>>,
    epoch: Instant,
}

impl FakeRuntime {
    fn record(&self, what: &str) {
        self.record.borrow_mut().push(format!("{:.1}s {what}", self.epoch.elapsed().as_secs_f64()));
    }

    fn send(&self, event: Event) {
        self.events.try_send(event).expect("the inbox has room");
    }

    fn end(&self, run: RunId, status: ExitStatus) {
        self.send(Event::Exited { run, status });
        self.send(Event::Gone { run });
    }

    fn act(&self, action: Action) {
        match action {
            Action::Spawn { run, spec, .. } => {
                self.record(&format!("spawn {}{run}", spec.name));
                self.send(Event::Spawned { run, pid: Pid(u32::try_from(run.0).expect("few runs")) });
            }
            Action::Stop { run, by: StopBy::Signal(signal) | StopBy::Command(_, signal), .. }
            | Action::StopRest { run, signal } => {
                self.record(&format!("{signal} {run}"));
                if !self.ignores_stop {
                    self.end(run, ExitStatus::Signal(Sent::TERM));
                }
            }
            Action::Hold { name, listeners } => self.send(Event::Held { name, listeners, refusal: None }),
            Action::Drain { .. } | Action::Update { .. } | Action::Reload { .. } => {}
            Action::Kill { run } => {
                self.record(&format!("kill {run}"));
                if !self.survives.get() {
                    self.end(run, ExitStatus::Signal(Sent::KILL));
                }
            }
        }
    }
}

impl Perform for FakeRuntime {
    fn perform(&self, actions: Vec<Action>) {
        for action in actions {
            self.act(action);
        }
    }

    fn signal(&self, run: RunId, signal: Sent) -> io::Result<()> {
        self.record(&format!("signal {signal} {run}"));
        Ok(())
    }

    fn pids(&self, _: RunId) -> Vec<Pid> {
        if self.survives.get() { vec![Pid(7), Pid(8)] } else { Vec::new() }
    }

    fn retain_lines(&self, _: &dyn Fn(&Name) -> bool) {}

    fn take_over(&self, former: &FormerRun) -> TakenOver {
        let FormerRun { run, spec, is_ready, .. } = former;
        self.record(&format!("take over {}{run}{}", spec.name, if *is_ready { " (ready)" } else { "" }));
        TakenOver { main: Some(Pid(100)), is_left: true, exit: None, problem: None }
    }

    fn bind_orphans(&self, run: RunId, name: &Name) -> Option<Pid> {
        self.record(&format!("bind {name}{run}"));
        Some(Pid(100))
    }

    fn release_orphans(&self) {}

    fn starting(&self) -> Vec<Name> {
        Vec::new()
    }

    fn has_events(&self) -> bool {
        false
    }

    async fn pause_output(&self, _: Duration) -> Result<PausedOutput, String> {
        unreachable!("no test here upgrades")
    }

    fn run_errand(&self, _: Errand) {}

    fn take_over_done(&self) {}

    fn run_program(&self, _: &Path, _: &[String], _: Duration, _: oneshot::Sender<Result<(), String>>) {
        unreachable!("no test here upgrades")
    }
}

#[derive(Clone, Debug, Default)]
struct FakeHost {
    tickets: Tickets,
    reloads: Rc<Cell<u32>>,
    reopened: Rc<Cell<u32>>,
    stopped_watching: Rc<Cell<bool>>,
    shown_plans: Rc<RefCell<Vec<PlanReport>>>,
    applied: Rc<Cell<u32>>,
    notices: Rc<RefCell<Vec<String>>>,
    recorded: Rc<RefCell<Vec<FactUpdate>>>,
    /// How many processes went on from a former life, and how many of them were restarted.
    taken_over: Rc<Cell<(usize, usize)>>,
}

impl Source for FakeHost {
    fn has_pending_change(&self) -> bool {
        false
    }

    fn reload(&self) -> Ticket {
        self.reloads.set(self.reloads.get() + 1);
        self.tickets.next()
    }

    fn check(&self) {}

    fn stop_watching(&self) {
        self.stopped_watching.set(true);
    }

    fn watch_for(&self, _: Option<Vec<Arc<Spec>>>) {}

    fn watch_method(&self) -> WatchMethod {
        WatchMethod::Off
    }

    fn read(&self, _: Option<&Path>, _: Option<&Path>) -> Result<Loaded, Rejected> {
        unreachable!("no test here asks for a plan")
    }
}

impl Host for FakeHost {
    fn source(&self) -> &dyn Source {
        self
    }

    fn config(&self) -> PathBuf {
        PathBuf::from("/etc/navigator.yml")
    }

    fn apply(&self, _: &Loaded, _: u64) {
        self.applied.set(self.applied.get() + 1);
    }

    fn record(&self, updates: Vec<FactUpdate>) {
        self.recorded.borrow_mut().extend(updates);
    }

    fn explain(&self, _: &[Diagnostic], _: usize) {}

    fn is_watched(&self) -> bool {
        true
    }

    fn show_plan(&self, plan: &PlanReport) {
        self.shown_plans.borrow_mut().push(plan.clone());
    }

    fn show_notice(&self, text: &str) {
        self.notices.borrow_mut().push(text.to_owned());
    }

    fn reopen(&self) {
        self.reopened.set(self.reopened.get() + 1);
    }

    fn service_manager(&self) -> &ServiceManager {
        const NONE: &ServiceManager = &ServiceManager::NONE;
        NONE
    }

    fn hand_over(&self, _: &HandoverOrder, _: PausedOutput) -> String {
        unreachable!("no test here upgrades")
    }

    fn taken_over(&self, taken: usize, restarted: usize) {
        self.taken_over.set((taken, restarted));
    }
}

struct World {
    runtime: FakeRuntime,
    host: FakeHost,
    news: mpsc::Sender<News>,
    supervisor: Supervisor<FakeRuntime, FakeHost>,
    inboxes: (mpsc::Receiver<Event>, mpsc::Receiver<News>),
    published: Published,
}

impl World {
    fn new(ignores_stop: bool) -> World {
        let (events, event_inbox) = mpsc::channel(INBOX);
        let (news, news_inbox) = mpsc::channel(INBOX);
        let runtime = FakeRuntime { events, record: Rc::default(), ignores_stop, survives: Rc::default(), epoch: Instant::now() };
        let host = FakeHost::default();
        let (published, _) = Published::new();
        let supervisor = Supervisor::new(runtime.clone(), host.clone(), published.clone(), runtime.epoch);
        World { runtime, host, news, supervisor, inboxes: (event_inbox, news_inbox), published }
    }

    /// Runs the loop together with `script`. Returns the actions of the runtime.
    async fn run(self, first: Loaded, script: impl AsyncFnOnce(&FakeRuntime, &mpsc::Sender<News>)) -> (Vec<String>, Ending) {
        self.run_after(FormerNavigator::None, first, script).await
    }

    /// The same after a former navigator that was killed.
    async fn run_after(
        self,
        former: FormerNavigator,
        first: Loaded,
        script: impl AsyncFnOnce(&FakeRuntime, &mpsc::Sender<News>),
    ) -> (Vec<String>, Ending) {
        let (events, news) = self.inboxes;
        let ended = self.supervisor.run(former, first, events, news);
        let ((_, ending), ()) = tokio::join!(ended, script(&self.runtime, &self.news));
        let record = self.runtime.record.borrow().clone();
        (record, ending)
    }
}

async fn signal(news: &mpsc::Sender<News>, signal: NavigatorSignal) {
    news.send(News::Signal(signal)).await.expect("the loop listens");
}

async fn at(epoch: Instant, seconds: u64) {
    tokio::time::sleep_until(epoch + Duration::from_secs(seconds)).await;
}

fn wanted(specs: Vec<Spec>) -> Loaded {
    let desired = Desired::new(specs, Desired::SHUTDOWN_TIMEOUT).expect("the definitions fit together");
    let (settings, inputs, content) = (Settings::default(), Inputs::default(), ContentHash::default());
    Loaded { desired, settings, warnings: Vec::new(), inputs, content, contents: Vec::new(), source: None }
}

/// Asks for the current view, or for one that is newer than the given one.
async fn view(news: &mpsc::Sender<News>, newer_than: Option<&LoopView>) -> Arc<LoopView> {
    let (reply, answer) = oneshot::channel();
    let request = Request::View(newer_than.map(LoopView::version), reply);
    news.send(News::Request(request)).await.expect("the loop listens");
    answer.await.expect("the loop answers")
}

/// Gives an order, and waits for its outcomes.
async fn order(news: &mpsc::Sender<News>, order: ManualOrder, names: &[&str]) -> Vec<Result<(), String>> {
    let (reply, answer) = oneshot::channel();
    let names = names.iter().map(|name| Name::from(*name)).collect();
    news.send(News::Request(Request::Order(order, names, reply))).await.expect("the loop listens");
    let mut outcomes = Vec::new();
    for tracked in answer.await.expect("the loop answers") {
        outcomes.push(tracked.outcome.await.expect("the loop answers"));
    }
    outcomes
}

#[tokio::test(start_paused = true)]
async fn a_published_view_is_current_and_withdrawn_by_the_next_change() {
    let world = World::new(false);
    let published = world.published.clone();
    let mut web = Spec::new("web", "web");
    web.restart = Restart::Never;
    world
        .run(wanted(vec![web]), async |runtime, news| {
            assert!(published.current().is_none(), "no reader asks, so no view is made");
            at(runtime.epoch, 1).await;
            let first = view(news, None).await;
            assert!(first.is_converged(&[]) && first.named("web").len() == 1);
            assert!(Arc::ptr_eq(&first, &view(news, None).await), "nothing changed");
            assert!(Arc::ptr_eq(&first, &published.current().expect("it is still current")));
            runtime.end(RunId(1), ExitStatus::Code(1));
            let second = view(news, Some(&first)).await;
            assert!(!second.is_converged(&[]) && first.is_converged(&[]), "a view doesn't change");
            assert_eq!(order(news, ManualOrder::Start, &["web"]).await[0], Ok(()));
            assert!(published.current().is_none(), "it was withdrawn before the order was answered");
            assert!(view(news, None).await.is_converged(&[]));
            signal(news, NavigatorSignal::Terminate).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn views_are_rate_limited_by_the_number_of_processes() {
    let specs: Vec<Spec> = (0..200).map(|number| Spec::new(&format!("process-{number}"), "it")).collect();
    World::new(false)
        .run(wanted(specs), async |runtime, news| {
            at(runtime.epoch, 1).await;
            let (mut views, mut seen) = (0, view(news, None).await);
            let begun = Instant::now();
            for number in 1..=100 {
                // Each is a change; the reader asks again as soon as it is answered.
                runtime.end(RunId(number), ExitStatus::Code(1));
                let next = view(news, Some(&seen)).await;
                (views, seen) = (views + 1, next);
            }
            let least = Duration::from_millis(4) * (views - 1);
            assert!(begun.elapsed() >= least, "{views} views in {:?}", begun.elapsed());
            signal(news, NavigatorSignal::Quit).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn an_order_for_several_processes_is_one_step_in_dependency_order() {
    let specs = vec![Spec::new("a", "a"), Spec::new("b", "b"), Spec::new("c", "c")];
    let (actions, _) = World::new(false)
        .run(wanted(specs), async |runtime, news| {
            at(runtime.epoch, 1).await;
            assert_eq!(order(news, ManualOrder::Restart, &["a", "b", "c"]).await, [Ok(()), Ok(()), Ok(())]);
            signal(news, NavigatorSignal::Quit).await;
        })
        .await;
    let restarted = ["1.0s TERM #3", "1.0s TERM #2", "1.0s TERM #1", "1.0s spawn a#4", "1.0s spawn b#5", "1.0s spawn c#6"];
    assert_eq!(actions[3..9], restarted);
}

#[tokio::test(start_paused = true)]
async fn a_revision_during_a_shutdown_changes_nothing() {
    let world = World::new(true);
    let host = world.host.clone();
    world
        .run(wanted(vec![Spec::new("web", "web")]), async |runtime, news| {
            at(runtime.epoch, 1).await;
            signal(news, NavigatorSignal::Terminate).await;
            let late = wanted(vec![Spec::new("late", "late")]);
            news.send(read(late, Ticket::default())).await.expect("the loop listens");
        })
        .await;
    assert_eq!((host.applied.get(), host.shown_plans.borrow().len()), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn processes_start_in_order_and_stop_in_reverse() {
    let desired = wanted(vec![Spec::new("db", "db"), Spec::new("web", "web")]);
    let (actions, ending) = World::new(false).run(desired, async |_, news| signal(news, NavigatorSignal::Terminate).await).await;
    assert_eq!(actions, ["0.0s spawn db#1", "0.0s spawn web#2", "0.0s TERM #2", "0.0s TERM #1"]);
    assert_eq!(ending, Ending::Terminated);
}

#[tokio::test(start_paused = true)]
async fn the_loop_wakes_for_backoff_and_for_the_stop_timeout() {
    let mut spec = Spec::new("web", "web");
    spec.restart = Restart::OnFailure;
    spec.backoff.jitter = 0.0;
    let (actions, _) = World::new(true)
        .run(wanted(vec![spec]), async |runtime, news| {
            at(runtime.epoch, 1).await;
            runtime.end(RunId(1), ExitStatus::Code(1));
            at(runtime.epoch, 5).await;
            signal(news, NavigatorSignal::Terminate).await;
            signal(news, NavigatorSignal::Terminate).await;
        })
        .await;
    assert_eq!(actions, ["0.0s spawn web#1", "1.5s spawn web#2", "5.0s TERM #2", "15.0s kill #2"]);
}

#[tokio::test(start_paused = true)]
async fn a_second_interrupt_kills_and_a_repeated_term_does_not() {
    let (actions, ending) = World::new(true)
        .run(wanted(vec![Spec::new("web", "web")]), async |runtime, news| {
            signal(news, NavigatorSignal::Interrupt).await;
            at(runtime.epoch, 2).await;
            signal(news, NavigatorSignal::Terminate).await;
            at(runtime.epoch, 3).await;
            signal(news, NavigatorSignal::Interrupt).await;
        })
        .await;
    assert_eq!(actions, ["0.0s spawn web#1", "0.0s TERM #1", "3.0s kill #1"]);
    assert_eq!(ending, Ending::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn hangup_reloads_and_usr2_reopens_without_touching_processes() {
    let world = World::new(false);
    let host = world.host.clone();
    let (actions, _) = world
        .run(wanted(vec![Spec::new("web", "web")]), async |_, news| {
            signal(news, NavigatorSignal::Hangup).await;
            signal(news, NavigatorSignal::Reopen).await;
            signal(news, NavigatorSignal::Quit).await;
        })
        .await;
    assert_eq!(actions, ["0.0s spawn web#1", "0.0s kill #1"]);
    assert_eq!((host.reloads.get(), host.reopened.get()), (1, 1));
    assert!(host.stopped_watching.get(), "the shutdown releases file watches");
}

/// A delivery of the source, for a reading that began after this request.
fn read(loaded: Loaded, answers: Ticket) -> News {
    News::Revision(Revision { answers, outcome: Ok(Box::new(loaded)) })
}

#[tokio::test(start_paused = true)]
async fn a_request_to_reload_is_answered_by_a_reading_that_began_after_it() {
    let world = World::new(false);
    let host = world.host.clone();
    let revision = |name: &str| wanted(vec![Spec::new(name, name)]);
    world
        .run(revision("a"), async |_, news| {
            let send = async |item| news.send(item).await.expect("the loop listens");
            let reload = async || {
                let (reply, answer) = oneshot::channel();
                send(News::Request(Request::Reload(reply))).await;
                // When a later request is answered, the reload has been taken in.
                let (reply, taken) = oneshot::channel();
                send(News::Request(Request::Follow(None, reply))).await;
                taken.await.expect("it is answered");
                (host.tickets.last(), answer)
            };
            let (first, mut first_answer) = reload().await;
            send(read(revision("b"), Ticket::default())).await;
            let (second, mut second_answer) = reload().await;
            assert!(first_answer.try_recv().is_err(), "that reading began before the request");
            send(read(revision("c"), first)).await;
            assert_eq!(first_answer.await, Ok(ReloadOutcome::Accepted(3, true)));
            assert!(second_answer.try_recv().is_err(), "that reading began before the second request");
            send(read(revision("c"), second)).await;
            assert_eq!(second_answer.await, Ok(ReloadOutcome::Accepted(3, false)));
            signal(news, NavigatorSignal::Terminate).await;
        })
        .await;
}

#[tokio::test(start_paused = true)]
async fn the_plan_of_a_reload_is_shown_once_on_a_terminal() {
    let world = World::new(false);
    let host = world.host.clone();
    let revision = |args: &[&str]| {
        let mut spec = Spec::new("web", "web");
        spec.exec.args = args.iter().map(|arg| Text::plain(arg)).collect();
        wanted(vec![Spec::new("db", "db"), spec])
    };
    world
        .run(revision(&[]), async |_, news| {
            for args in [&[][..], &["-v"], &["-v"]] {
                news.send(read(revision(args), Ticket::default())).await.expect("the loop listens");
            }
            signal(news, NavigatorSignal::Terminate).await;
        })
        .await;
    let plans = host.shown_plans.borrow();
    let changes: Vec<String> =
        plans.iter().flat_map(|plan| &plan.changes).map(|change| format!("{} {}", change.action, change.name)).collect();
    assert_eq!((plans.len(), changes), (1, vec!["restart web".to_owned()]));
}
