//! A runtime with its inbox, for one test at a time, because a process has only one reaper.

use navigator::access::{Directory, Trust};
use navigator::journal::{Journal, Opened};
use navigator::runtime::{
    self, Destination, HandedOver, KeeperStatus, Launcher, OutputFormat, OutputHistory, Printer, Runtime, Setup,
};
use reconcile::event::{Action, Event, ExitStatus, Pid, Refusal, RunId, StopBy};
use reconcile::spec::{Output, OutputFiles, Signal, Spec, StopScope};
use reconcile::text::Text;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::time::timeout;

/// How long a step may take on a busy machine; reached only if something is wrong.
const DEADLINE: Duration = Duration::from_mins(1);

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
static LAUNCHER: OnceLock<Launcher> = OnceLock::new();

pub(crate) struct Host {
    runtime: Runtime,
    inbox: Receiver<Event>,
    /// All events, in order.
    pub(crate) events: Vec<Event>,
    /// The test's directory.
    pub(crate) directory: PathBuf,
    next: u64,
}

/// A shell script as a process of this name.
pub(crate) fn script(name: &str, script: &str) -> Spec {
    let mut spec = Spec::new(name, "sh");
    spec.exec.args = vec![Text::plain("-c"), Text::plain(script)];
    spec
}

/// Both streams into this file.
pub(crate) fn output_file(path: &str, max_size: u64, keep: u32) -> Output {
    Output::Files(OutputFiles { stdout: Some(path.into()), stderr: Some(path.into()), max_size, keep })
}

/// Runs a test with a host, and checks that nothing of it is left. Returns what the processes printed.
pub(crate) fn on_host(name: &str, test: impl AsyncFnOnce(&mut Host)) -> String {
    on_host_with(name, |_| {}, test)
}

/// The same, with a check of the process after [`runtime::init`].
pub(crate) fn on_host_with(name: &str, look: impl FnOnce(&Launcher), test: impl AsyncFnOnce(&mut Host)) -> String {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    // Once in a process, as in the program: it would reset tokio's handler of `SIGCHLD`.
    let launcher = *LAUNCHER.get_or_init(|| runtime::init().expect("init"));
    look(&launcher);
    let directory = std::env::temp_dir().join(format!("navigator-{name}-{}", std::process::id()));
    // A test that failed leaves its directory, and pids are reused.
    let _none = fs::remove_dir_all(&directory);
    fs::create_dir(&directory).expect("a directory for the test");
    let log = directory.join("log");
    let trust = Trust::of_this_process();
    let printer = Printer::start(OutputFormat::Text, Destination::File(log.clone()), trust).expect("printer");
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
    tokio.block_on(async {
        let (news, inbox) = channel(16);
        let Opened { journal, former, .. } =
            Journal::open(&Directory::open(&directory, Trust::everybody()).expect("it was made"), runtime::boot())
                .expect("journal");
        let (history, state, handed_over) = (OutputHistory::default(), directory.clone(), HandedOver::default());
        let setup = Setup {
            launcher,
            printer,
            history,
            journal,
            state,
            former,
            handed_over,
            keepers: None,
            keeper_status: KeeperStatus::default(),
        };
        let runtime = Runtime::start(setup, news).expect("runtime");
        let mut host = Host { runtime, inbox, events: Vec::new(), directory: directory.clone(), next: 1 };
        test(&mut host).await;
        let survivors = timeout(DEADLINE, host.runtime.finish()).await.expect("the end takes too long");
        assert_eq!(survivors, []);
    });
    assert_eq!(children(), "", "children are left");
    let lines = String::from_utf8_lossy(&fs::read(log).unwrap_or_default()).into_owned();
    fs::remove_dir_all(directory).expect("the test's directory can be removed");
    lines
}

/// Calls `doing` while no runtime of this process reaps, so that it may wait for children itself.
pub(crate) fn without_host<T>(doing: impl FnOnce() -> T) -> T {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    doing()
}

/// The pids of our children, including zombies.
pub(crate) fn children() -> String {
    let threads = fs::read_dir("/proc/self/task").expect("threads");
    threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("children")).ok()).collect()
}

impl Host {
    pub(crate) fn spawn(&mut self, spec: Spec) -> RunId {
        self.start(spec, None)
    }

    /// Starts a process that must not be executed before another one's exec is over.
    pub(crate) fn spawn_after(&mut self, spec: Spec, after: RunId) -> RunId {
        self.start(spec, Some(after))
    }

    fn start(&mut self, spec: Spec, after: Option<RunId>) -> RunId {
        let run = RunId(self.next);
        self.next += 1;
        self.perform(Action::Spawn { run, spec: Arc::new(spec), after });
        run
    }

    pub(crate) fn stop(&self, run: RunId) {
        self.stop_all(&[run]);
    }

    /// Stops these together, as a shutdown does.
    pub(crate) fn stop_all(&self, runs: &[RunId]) {
        self.runtime.perform(runs.iter().map(|&run| Action::Stop {
            run,
            by: StopBy::Signal(Signal::TERM),
            scope: StopScope::Tree,
        }));
    }

    pub(crate) fn perform(&self, action: Action) {
        self.runtime.perform([action]);
    }

    pub(crate) fn kill(&self, run: RunId) {
        self.perform(Action::Kill { run });
    }

    pub(crate) fn pids(&self, run: RunId) -> Vec<Pid> {
        self.runtime.pids(run)
    }

    /// The first value of `find`, from the events so far or those to come.
    pub(crate) async fn until<T>(&mut self, mut find: impl FnMut(&Event) -> Option<T>) -> T {
        if let Some(found) = self.events.iter().find_map(&mut find) {
            return found;
        }
        loop {
            let event = timeout(DEADLINE, self.inbox.recv()).await;
            let event = event.unwrap_or_else(|_| panic!("nothing happens after {:?}", self.events)).expect("the runtime lives");
            let found = find(&event);
            self.events.push(event);
            if let Some(found) = found {
                return found;
            }
        }
    }

    /// The next event of any kind.
    pub(crate) async fn next(&mut self) -> Event {
        let event = timeout(DEADLINE, self.inbox.recv()).await.expect("something happens").expect("the runtime lives");
        self.events.push(event.clone());
        event
    }

    pub(crate) async fn spawned(&mut self, run: RunId) -> Pid {
        self.until(|event| match event {
            Event::Spawned { run: of, pid } if *of == run => Some(*pid),
            Event::NotSpawned { run: of, why } if *of == run => panic!("not spawned: {why}"),
            _ => None,
        })
        .await
    }

    pub(crate) async fn refused(&mut self, run: RunId) -> Refusal {
        self.until(|event| match event {
            Event::NotSpawned { run: of, why } if *of == run => Some(why.clone()),
            Event::Spawned { run: of, .. } if *of == run => panic!("spawned"),
            _ => None,
        })
        .await
    }

    pub(crate) async fn exited(&mut self, run: RunId) -> ExitStatus {
        self.until(|event| match event {
            Event::Exited { run: of, status } if *of == run => Some(status.clone()),
            Event::NotSpawned { run: of, why } if *of == run => panic!("not spawned: {why}"),
            _ => None,
        })
        .await
    }

    pub(crate) async fn gone(&mut self, run: RunId) {
        self.until(|event| matches!(event, Event::Gone { run: of } if *of == run).then_some(())).await;
    }

    /// Waits until the run is ready.
    pub(crate) async fn ready(&mut self, run: RunId) {
        self.until(|event| match event {
            Event::Ready { run: of } if *of == run => Some(()),
            Event::NotSpawned { run: of, why } if *of == run => panic!("not spawned: {why}"),
            Event::Exited { run: of, status } if *of == run => panic!("not ready, but {status}"),
            _ => None,
        })
        .await;
    }

    /// Waits until the run is reported unready for a reason that contains `wanted`.
    pub(crate) async fn unready(&mut self, run: RunId, wanted: &str) {
        self.until(|event| match event {
            Event::Unready { run: of, why } if *of == run && why.contains(wanted) => Some(()),
            _ => None,
        })
        .await;
    }

    /// Waits until the run is reported unhealthy. Returns the reason.
    pub(crate) async fn unhealthy(&mut self, run: RunId) -> String {
        self.until(|event| match event {
            Event::Unhealthy { run: of, why } if *of == run => Some(why.clone()),
            _ => None,
        })
        .await
    }

    /// Forgets the events so far, so that only later ones are found.
    pub(crate) fn forget(&mut self) {
        self.events.clear();
    }

    /// Runs a process to its end.
    pub(crate) async fn complete(&mut self, spec: Spec) -> ExitStatus {
        let run = self.spawn(spec);
        let status = self.exited(run).await;
        self.gone(run).await;
        status
    }

    /// Waits until a process has written to this FIFO, and returns the text.
    pub(crate) async fn read_fifo(&self, fifo: &Path) -> String {
        let path = fifo.to_owned();
        let reading = tokio::task::spawn_blocking(move || fs::read_to_string(path));
        timeout(DEADLINE, reading).await.expect("nothing is written").expect("reader").expect("FIFO")
    }

    /// A FIFO in the test's directory.
    pub(crate) fn fifo(&self, name: &str) -> PathBuf {
        let path = self.directory.join(name);
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).expect("FIFO");
        path
    }
}
