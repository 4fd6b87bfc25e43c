//! `navigator [run] [CONFIG]`: builds the supervisor with everything around it, and runs it in the foreground.

use super::arguments::Common;
use super::check::reject;
use super::console::{FAILURE, INTERRUPTED, OK, fail, pid_file, print_error, state_dir, variable};
use super::following::{LoopForFollower, check_git};
use super::log::{LogForm, LogLines, LogSettings};
use super::plan_text::brief;
use super::signal_listener::SignalListener;
use crate::access::{Directory, FoundPath, Trust};
use crate::config::{self, Diagnostic, Environment, Level, Loaded, Rejected, Settings, render_all};
use crate::control::{ClaimError, HeldLock, Instance, InstanceError, LoopAccess, Server, StateDir, UpgradeAnswer};
use crate::error_text::words;
use crate::handover::{self, Handover, InheritedDescriptors, KeptLocks};
use crate::journal::{Accepted, FactUpdate, Journal, Opened, time_since};
use crate::ledger::{DataDir, default_base};
use crate::paths::{absolute, lasting};
use crate::runtime::{
    self, DeferredFlush, Destination, HandedOver, KeeperStatus, Launcher, OutputFormat, OutputHistory, PausedOutput, Printer,
    Runtime, Setup,
};
use crate::service_manager::ServiceManager;
use crate::snapshot::PlanReport;
use crate::source::{
    CommitInForce, Delivery, FileSource, FollowSetup, Reading, RepositoryFollower, Source, WatchMethod, has_writer,
    in_force_at_start,
};
use crate::supervisor::{
    self, Ending, FormerNavigator, FormerProcesses, HandoverOrder, Host, INBOX, News, Published, RecordedLife, Supervisor,
};
use crate::terminal::{TerminalStyle, escape, guard, is_color_welcome};
use reconcile::human_duration::HumanDuration;
use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::mem;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// Runs a configuration until a signal ends navigator.
pub(super) fn run(path: &Path, common: &Common, trust: Trust) -> ExitCode {
    runtime::abort_on_panic();
    let handover = handover::receive();
    match start(path, common, trust, handover) {
        Ok(Ending::Terminated) => OK.into(),
        Ok(Ending::Interrupted) => INTERRUPTED.into(),
        Ok(Ending::Caused(code)) => code.into(),
        Ok(Ending::Incomplete) => FAILURE.into(),
        Err(failure) => {
            handover::give_back(&failure.to_string());
            match failure {
                StartFailure::Rejected(rejected) => reject(&rejected),
                StartFailure::Other(message) => fail(FAILURE, &message),
            }
        }
    }
}

/// Why a configuration can't be run.
#[derive(Debug, thiserror::Error)]
enum StartFailure {
    /// It is wrong.
    #[error("{}", .0.summary())]
    Rejected(Rejected),
    /// Anything else, in words.
    #[error("{0}")]
    Other(String),
}

impl StartFailure {
    /// What was tried, and what the system says.
    fn of(what: &str, error: &io::Error) -> StartFailure {
        StartFailure::Other(format!("{what}: {}", words(error)))
    }
}

impl From<InstanceError> for StartFailure {
    fn from(error: InstanceError) -> StartFailure {
        StartFailure::Other(error.to_string())
    }
}

/// Runs a configuration until a signal ends navigator. `handover`: what the former program in this process said.
fn start(path: &Path, common: &Common, trust: Trust, handover: Option<Handover>) -> Result<Ending, StartFailure> {
    let inherited = handover.is_some().then(InheritedDescriptors::take);
    let launcher = runtime::init().map_err(|error| StartFailure::Other(error.to_string()))?;
    let launcher = handover.as_ref().map_or(launcher, |handover| Launcher::of_former(handover.launcher));
    let listener = SignalListener::open(launcher).map_err(|error| StartFailure::of("failed to listen for signals", &error))?;
    let method = if common.no_watch { WatchMethod::Off } else { WatchMethod::Events };
    let in_force = CommitInForce::default();
    let source = FileSource::new(lasting(path), Environment::current())
        .with_commit(in_force.clone())
        .with_trust(trust)
        .with_writer_check(has_writer)
        .with_watch_method(method);
    let mut reading = source.read();
    let mut loaded = reading.revision.clone().map_err(StartFailure::Rejected)?;
    let state = state_dir(common.state_dir.clone(), trust);
    let held = handover.as_ref().and_then(|handover| handover.locks.clone());
    let instance = match &held {
        Some(held) => Instance::inherited(&state, &held.directory, held.instance)?,
        None => Instance::claim(&state, path)?,
    };
    let data = default_base(common.data_dir.clone(), variable);
    if loaded.source.is_some() {
        check_git().map_err(StartFailure::Other)?;
        let data = DataDir::open(&data, path, trust).map_err(|error| StartFailure::Other(error.to_string()))?;
        in_force_at_start(&data, &in_force).map_err(StartFailure::Other)?;
        // What the commit wants that was in force.
        reading = source.read();
        loaded = reading.revision.clone().map_err(StartFailure::Rejected)?;
    }
    let log = Log::start(&loaded.settings, common, log_trust(trust))
        .map_err(|error| StartFailure::of("failed to start logging", &error))?;
    let opened = Journal::open(instance.directory(), runtime::boot())
        .map_err(|error| StartFailure::of("failed to open the journal", &error))?;
    let pid_file = lock_pid_file(&state, held.and_then(|held| held.pid_file));
    let directory = instance.directory();
    let locks = KeptLocks {
        directory: directory.path().to_owned(),
        instance: instance.lock_descriptor(),
        pid_file: pid_file.as_ref().map(HeldLock::descriptor),
    };
    let fresh = common.fresh && handover.is_none();
    let no_keeper = common.no_keeper;
    let parts =
        LoopParts { launcher, log, opened, directory, fresh, no_keeper, trust, data, in_force, locks, handover, inherited };
    let ending = supervise(listener, source, &reading, loaded, parts);
    if let Some(lock) = pid_file {
        lock.remove();
    }
    instance.release();
    ending.map_err(|error| StartFailure::Other(error.to_string()))
}

/// What the loop is built from.
struct LoopParts<'a> {
    launcher: Launcher,
    log: Log,
    opened: Opened,
    /// The directory of the instance.
    directory: &'a Directory,
    /// Whether processes of a killed navigator are ended first.
    fresh: bool,
    no_keeper: bool,
    trust: Trust,
    /// The directory for followed repositories.
    data: PathBuf,
    in_force: CommitInForce,
    locks: KeptLocks,
    /// What the former program in this process said.
    handover: Option<Handover>,
    /// What it left open.
    inherited: Option<Arc<InheritedDescriptors>>,
}

/// Builds the loop and everything around it, and runs it until it ends.
fn supervise(
    listener: SignalListener,
    source: FileSource,
    reading: &Reading,
    loaded: Loaded,
    parts: LoopParts<'_>,
) -> io::Result<Ending> {
    let LoopParts { launcher, log, opened, directory, fresh, no_keeper, trust, data, in_force, locks, mut handover, inherited } =
        parts;
    let SignalListener { tokio, news, news_inbox } = listener;
    let _until_the_end = DeferredFlush::new();
    tokio.block_on(async move {
        let (events, event_inbox) = mpsc::channel(INBOX);
        info!(target: "navigator", version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), config = %source.path().display(), "Navigator started");
        let config = absolute(source.path());
        let history = OutputHistory::default();
        let to_loop = news.clone();
        let host = Arc::new(LoopForFollower(news.clone()));
        let setup = FollowSetup { files: source.clone(), data, config: config.clone(), trust, in_force, host };
        let repository: Arc<OnceLock<RepositoryFollower>> = Arc::default();
        let for_files = Arc::clone(&repository);
        let started = source.follow(reading, move |delivery| {
            let message = match delivery {
                Delivery::Revision(revision) => {
                    if let (Some(repository), Some(source)) = (for_files.get(), revision.source()) {
                        repository.set_source(source);
                    }
                    News::Revision(revision)
                }
                Delivery::Contents(contents) => News::Contents(contents),
                Delivery::Checked => News::FilesChecked,
            };
            // Sending fails if the loop has ended.
            drop(news.blocking_send(message));
        });
        let (follower, contents) =
            started.map_err(|error| io::Error::other(format!("failed to follow the configuration: {}", words(&error))))?;
        let follower = repository.get_or_init(|| RepositoryFollower::new(follower, setup));
        follower.set_source(loaded.source.as_ref());
        let loaded = Loaded { contents, ..loaded };
        let Opened { journal, former, facts, epoch, is_first, damaged } = opened;
        if let Some(path) = damaged {
            warn!(target: "navigator", path = %path.display(), "Moved the damaged journal aside");
        }
        let (published, retired) = Published::new();
        let keeper_status = KeeperStatus::default();
        let access = LoopAccess {
            keeper: keeper_status.clone(),
            news: to_loop,
            source: Arc::new(follower.clone()),
            history: history.clone(),
            directory: directory.clone(),
            trust,
            published: published.clone(),
            planning: Arc::new(Semaphore::new(1)),
        };
        let socket = inherited.as_ref().and_then(|inherited| Server::inherited_socket(directory, inherited));
        let output = handover.as_mut().map(|handover| mem::take(&mut handover.output)).unwrap_or_default();
        let setup = Setup {
            launcher,
            printer: log.printer.clone(),
            history,
            journal: journal.clone(),
            state: directory.path().parent().unwrap_or(directory.path()).to_owned(),
            former: former.clone(),
            handed_over: HandedOver::new(inherited, output),
            keepers: (!no_keeper).then(|| directory.clone()),
            keeper_status,
        };
        let runtime = Runtime::start(setup, events).map_err(io::Error::other)?;
        let server = Server::open(directory, socket, access, retired)
            .map_err(|error| io::Error::other(format!("failed to open the control socket: {}", words(&error))))?;
        let orphans = if is_first { Vec::new() } else { runtime.find_orphans().await };
        let facts = facts.unwrap_or_default();
        let former = if fresh {
            journal.update(facts.names().map(|name| FactUpdate::Process(name, None)).collect());
            FormerNavigator::End(FormerProcesses::of(orphans, former))
        } else if facts.generation() > 0 || !orphans.is_empty() {
            let secret = journal.secret().clone();
            FormerNavigator::TakeOver(Box::new(RecordedLife { orphans, record: former, facts, secret }))
        } else {
            FormerNavigator::None
        };
        let epoch = Instant::now().checked_sub(time_since(epoch)).unwrap_or_else(Instant::now);
        let host = ForegroundHost {
            config,
            follower: follower.clone(),
            log,
            journal: journal.clone(),
            launcher,
            locks,
            handover,
            manager: ServiceManager::find(|name| std::env::var_os(name)),
        };
        let supervisor = Supervisor::new(runtime, host, published, epoch);
        let (runtime, ending) = supervisor.run(former, loaded, event_inbox, news_inbox).await;
        let survivors = runtime.finish().await;
        server.close().await;
        journal.close();
        if survivors.is_empty() {
            return Ok(ending);
        }
        let pids = survivors.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        error!(target: "navigator", pids, "Processes survived KILL");
        Ok(Ending::Incomplete)
    })
}

/// The host of the loop.
struct ForegroundHost {
    /// The path that navigator was started with, made absolute.
    config: PathBuf,
    follower: RepositoryFollower,
    log: Log,
    journal: Journal,
    launcher: Launcher,
    locks: KeptLocks,
    /// What the former program in this process said.
    handover: Option<Handover>,
    manager: ServiceManager,
}

impl Host for ForegroundHost {
    fn source(&self) -> &dyn Source {
        &self.follower
    }

    fn apply(&self, loaded: &Loaded, generation: u64) {
        self.log.apply(&loaded.settings);
        let accepted = Accepted { generation, content: loaded.content.to_string() };
        self.journal.record(supervisor::journal_entry(&loaded.desired, accepted));
        let names = loaded.desired.entries().iter().map(|entry| entry.spec.name.len());
        self.log.printer.align(names.max().unwrap_or(0));
    }

    fn record(&self, updates: Vec<FactUpdate>) {
        self.journal.update(updates);
    }

    fn explain(&self, diagnostics: &[Diagnostic], omitted: usize) {
        self.log.explain(diagnostics, omitted);
    }

    fn config(&self) -> PathBuf {
        self.config.clone()
    }

    fn is_watched(&self) -> bool {
        self.log.to_terminal.get()
    }

    fn show_plan(&self, plan: &PlanReport) {
        self.log.printer.log(guard(&brief(plan, TerminalStyle::of(io::stderr()))).as_bytes());
    }

    fn show_notice(&self, text: &str) {
        self.log.printer.log(guard(text).as_bytes());
    }

    fn reopen(&self) {
        self.log.printer.reopen();
    }

    fn service_manager(&self) -> &ServiceManager {
        &self.manager
    }

    fn hand_over(&self, order: &HandoverOrder, mut output: PausedOutput) -> String {
        self.journal.flush();
        let handover = Handover::new(&order.version, self.launcher.to_next(), output.take_rest());
        words(&handover.execute(order.program.as_fd(), self.locks.clone(), Some(order.client.as_raw_fd())))
    }

    fn taken_over(&self, taken: usize, restarted: usize) {
        let Some(handover) = &self.handover else { return };
        let took = handover.duration();
        let [from, to] = handover.versions.each_ref().map(String::as_str);
        let milliseconds = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let duration = HumanDuration(Duration::from_millis(milliseconds)).to_string();
        match handover.failure.as_deref() {
            None => info!(target: "navigator", from, to, processes = taken, restarted, duration, "Navigator upgraded"),
            Some(reason) => {
                error!(target: "navigator", from, to, processes = taken, restarted, duration, reason, "Upgrade failed");
            }
        }
        let Some(client) = handover::complete() else { return };
        let answer = match handover.failure.as_deref() {
            None => UpgradeAnswer::done(from, to, taken, restarted, milliseconds),
            Some(why) => UpgradeAnswer::failed(from, why),
        };
        // The client may have gone.
        let _not_awaited = answer.send(client);
    }
}

/// The output of log lines and processes' lines.
struct Log {
    printer: Printer,
    settings: Arc<LogSettings>,
    /// Whether the log is shown on a terminal, as text.
    to_terminal: Cell<bool>,
    /// A level from the command line or the environment, which the file doesn't override.
    level: Option<Level>,
}

impl Log {
    fn start(settings: &Settings, common: &Common, trust: Trust) -> io::Result<Log> {
        let level = asked_level(common);
        let printer = Printer::start(line_format(settings), destination(settings), trust)?;
        let log_settings = Arc::new(LogSettings::new(level.unwrap_or(settings.level), log_form(settings)));
        let (writer, names) = (printer.clone(), printer.clone());
        let prefix = move |name: &str, colour| names.name_prefix(name, colour);
        let lines = LogLines::new(Arc::clone(&log_settings), move |line: Vec<u8>| writer.log(&line), prefix);
        // It fails only in tests that share a process.
        drop(tracing::subscriber::set_global_default(lines));
        let to_terminal = Cell::new(is_read_on_terminal(settings));
        Ok(Log { printer, settings: log_settings, to_terminal, level })
    }

    /// On a terminal, prints diagnostics with their source lines.
    fn explain(&self, diagnostics: &[Diagnostic], omitted: usize) {
        if self.to_terminal.get() && !diagnostics.is_empty() {
            let text = render_all(diagnostics, omitted, TerminalStyle::of(io::stderr()));
            self.printer.log(guard(&text).as_bytes());
        }
    }

    fn apply(&self, settings: &Settings) {
        self.to_terminal.set(is_read_on_terminal(settings));
        self.settings.set(self.level.unwrap_or(settings.level), log_form(settings));
        self.printer.redirect(line_format(settings), destination(settings));
    }
}

/// The users that may own directories above log files: any, if navigator isn't root and has only its own user's rights.
pub(super) fn log_trust(trust: Trust) -> Trust {
    if rustix::process::geteuid().is_root() { trust } else { Trust::everybody() }
}

/// The level of the command line, else of `$LOG_LEVEL`.
fn asked_level(common: &Common) -> Option<Level> {
    if common.verbose {
        return Some(Level::Debug);
    }
    if common.quiet {
        return Some(Level::Warn);
    }
    match variable("LOG_LEVEL")?.to_string_lossy().to_ascii_lowercase().as_str() {
        "error" => Some(Level::Error),
        "warn" | "warning" => Some(Level::Warn),
        "info" => Some(Level::Info),
        "debug" => Some(Level::Debug),
        "trace" => Some(Level::Trace),
        other => {
            print_error(&format!("navigator: `LOG_LEVEL` is `{}`; use error, warn, info, debug or trace\n", escape(other)));
            None
        }
    }
}

fn line_format(settings: &Settings) -> OutputFormat {
    let to_terminal = settings.file.is_none() && io::stdout().is_terminal();
    match settings.format {
        config::LogFormat::Json => OutputFormat::Json,
        config::LogFormat::Text if to_terminal => OutputFormat::Terminal { colour: is_color_welcome() },
        config::LogFormat::Text => OutputFormat::Text,
    }
}

fn is_read_on_terminal(settings: &Settings) -> bool {
    settings.file.is_none() && settings.format == config::LogFormat::Text && io::stderr().is_terminal()
}

fn log_form(settings: &Settings) -> LogForm {
    match settings.format {
        config::LogFormat::Json => LogForm::Json,
        config::LogFormat::Text if is_read_on_terminal(settings) => LogForm::Terminal,
        config::LogFormat::Text => LogForm::Text,
    }
}

fn destination(settings: &Settings) -> Destination {
    settings.file.clone().map_or(Destination::Standard, Destination::File)
}

/// Locks the pid file and writes the pid into it, unless that was `inherited`. Without it, navigator runs all the same.
fn lock_pid_file(state: &StateDir, inherited: Option<i32>) -> Option<HeldLock> {
    let (path, is_named) = pid_file(state);
    let found = FoundPath::find(&path, state.trust()).map_err(|source| ClaimError::System { path: path.clone(), source });
    match found.and_then(|place| match inherited {
        Some(lock) => Ok(HeldLock::inherited(place, lock)),
        None => HeldLock::new(place),
    }) {
        Ok(lock) => Some(lock),
        Err(ClaimError::Held(pid)) if !is_named => {
            debug!(target: "navigator", path = %path.display(), pid, "Another navigator holds the default pid file");
            None
        }
        Err(error) => {
            warn!(target: "navigator", path = %path.display(), %error, "Failed to lock the pid file");
            None
        }
    }
}
