//! `navigator [run] [CONFIG]`: builds the supervisor with everything around it, and runs it in the foreground.

use super::arguments::Common;
use super::check::reject;
use super::console::{FAILURE, INTERRUPTED, OK, fail, pid_file, print_error, state_dir, variable};
use super::log::{LogForm, LogLines, LogSettings};
use super::plan_text::brief;
use crate::access::{Directory, FoundPath, Trust};
use crate::config::{self, Diagnostic, Environment, Level, Loaded, Settings, render_all};
use crate::control::{ClaimError, HeldLock, Instance, LoopAccess, Server, StateDir};
use crate::error_text::words;
use crate::journal::{Accepted, FactUpdate, Journal, Opened, time_since};
use crate::paths::{absolute, lasting};
use crate::runtime::{
    self, DeferredFlush, Destination, FormerRun, Launcher, OutputFormat, OutputHistory, Printer, Runtime, Setup, TakenOver,
};
use crate::signals;
use crate::snapshot::PlanReport;
use crate::source::{Delivery, FileFollower, FileSource, Reading, Source, WatchMethod, has_writer};
use crate::supervisor::{
    self, Ending, FormerNavigator, FormerProcesses, Host, INBOX, NavigatorSignal, News, Perform, Published, RecordedLife,
    Supervisor,
};
use crate::terminal::{TerminalStyle, escape, guard, is_color_welcome};
use reconcile::event::{Action, Pid, RunId};
use reconcile::spec;
use reconcile::text::Name;
use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tracing::{debug, error, info, warn};

/// Runs a configuration until a signal ends navigator.
pub(super) fn run(path: &Path, common: &Common, trust: Trust) -> ExitCode {
    runtime::abort_on_panic();
    let launcher = match runtime::init() {
        Ok(launcher) => launcher,
        Err(error) => return fail(FAILURE, &error.to_string()),
    };
    let listener = match SignalListener::open(launcher) {
        Ok(listener) => listener,
        Err(error) => return fail(FAILURE, &format!("failed to listen for signals: {}", words(&error))),
    };
    let method = if common.no_watch { WatchMethod::Off } else { WatchMethod::Events };
    let source = FileSource::new(lasting(path), Environment::current())
        .with_trust(trust)
        .with_writer_check(has_writer)
        .with_watch_method(method);
    let reading = source.read();
    let loaded = match &reading.revision {
        Ok(loaded) => loaded.clone(),
        Err(rejected) => return reject(rejected),
    };
    let state = state_dir(common.state_dir.clone(), trust);
    let instance = match Instance::claim(&state, path) {
        Ok(instance) => instance,
        Err(error) => return fail(FAILURE, &error.to_string()),
    };
    let log = match Log::start(&loaded.settings, common, log_trust(trust)) {
        Ok(log) => log,
        Err(error) => return fail(FAILURE, &format!("failed to start logging: {}", words(&error))),
    };
    let opened = match Journal::open(instance.directory(), runtime::boot()) {
        Ok(opened) => opened,
        Err(error) => return fail(FAILURE, &format!("failed to open the journal: {}", words(&error))),
    };
    let pid_file = lock_pid_file(&state);
    let ending = supervise(
        listener,
        source,
        &reading,
        loaded,
        LoopParts { launcher, log, opened, directory: instance.directory(), fresh: common.fresh },
    );
    if let Some(lock) = pid_file {
        lock.remove();
    }
    instance.release();
    match ending {
        Ok(Ending::Terminated) => OK.into(),
        Ok(Ending::Interrupted) => INTERRUPTED.into(),
        Ok(Ending::Caused(code)) => code.into(),
        Ok(Ending::Incomplete) => FAILURE.into(),
        Err(error) => fail(FAILURE, &error.to_string()),
    }
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
}

/// Builds the loop and everything around it, and runs it until it ends.
fn supervise(
    listener: SignalListener,
    source: FileSource,
    reading: &Reading,
    loaded: Loaded,
    parts: LoopParts<'_>,
) -> io::Result<Ending> {
    let LoopParts { launcher, log, opened, directory, fresh } = parts;
    let SignalListener { tokio, news, news_inbox } = listener;
    let _until_the_end = DeferredFlush::new();
    tokio.block_on(async move {
        let (events, event_inbox) = mpsc::channel(INBOX);
        info!(target: "navigator", version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), config = %source.path().display(), "Navigator started");
        let config = absolute(source.path());
        let history = OutputHistory::default();
        let to_loop = news.clone();
        let started = source.follow(reading, move |delivery| {
            let message = match delivery {
                Delivery::Revision(revision) => News::Revision(revision),
                Delivery::Contents(contents) => News::Contents(contents),
                Delivery::Checked => News::FilesChecked,
            };
            // Sending fails if the loop has ended.
            drop(news.blocking_send(message));
        });
        let (follower, contents) =
            started.map_err(|error| io::Error::other(format!("failed to follow the configuration: {}", words(&error))))?;
        let loaded = Loaded { contents, ..loaded };
        let Opened { journal, former, facts, epoch, is_first, damaged } = opened;
        if let Some(path) = damaged {
            warn!(target: "navigator", path = %path.display(), "Moved the damaged journal aside");
        }
        let (published, retired) = Published::new();
        let access = LoopAccess {
            news: to_loop,
            source: Arc::new(follower.clone()),
            history: history.clone(),
            published: published.clone(),
            planning: Arc::new(Semaphore::new(1)),
        };
        let setup = Setup {
            launcher,
            printer: log.printer.clone(),
            history,
            journal: journal.clone(),
            state: directory.path().parent().unwrap_or(directory.path()).to_owned(),
            former: former.clone(),
        };
        let runtime = Runtime::start(setup, events).map_err(io::Error::other)?;
        let server = Server::open(directory, access, retired)
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
        let host = ForegroundHost { config, follower, log, journal: journal.clone() };
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

/// Receives signals from the start, before threads exist. So a signal during the first reading of the configuration is handled
/// afterwards, instead of killing navigator.
struct SignalListener {
    tokio: tokio::runtime::Runtime,
    news: mpsc::Sender<News>,
    news_inbox: mpsc::Receiver<News>,
}

impl SignalListener {
    fn open(launcher: Launcher) -> io::Result<SignalListener> {
        // Tokio makes one too, and panics on an error.
        drop(UnixStream::pair()?);
        let tokio =
            tokio::runtime::Builder::new_current_thread().enable_all().on_thread_park(runtime::flush_deferred_log).build()?;
        let (news, news_inbox) = mpsc::channel(INBOX);
        let context = tokio.enter();
        listen(launcher, &news)?;
        if let Err(error) = supervisor::watch_clock(news.clone()) {
            warn!(target: "navigator", error = words(&error), "Failed to watch the clock, which only schedules need");
        }
        drop(context);
        Ok(SignalListener { tokio, news, news_inbox })
    }
}

/// Sends the signals to navigator to the loop.
fn listen(launcher: Launcher, news: &mpsc::Sender<News>) -> io::Result<()> {
    // Writes to a closed pipe or beyond `ulimit -f` fail instead.
    let handled = signals::deadly().filter(|number| ![libc::SIGPIPE, libc::SIGXFSZ].contains(number));
    for number in handled {
        let (mut stream, news) = (signal(SignalKind::from_raw(number))?, news.clone());
        tokio::spawn(async move {
            while stream.recv().await.is_some() && news.send(News::Signal(meaning(launcher, number))).await.is_ok() {}
        });
    }
    Ok(())
}

/// What a signal means that has just arrived.
fn meaning(launcher: Launcher, number: i32) -> NavigatorSignal {
    match number {
        libc::SIGTERM => NavigatorSignal::Terminate,
        libc::SIGINT => NavigatorSignal::Interrupt,
        libc::SIGQUIT => NavigatorSignal::Quit,
        libc::SIGHUP if launcher.has_lost_terminal() => NavigatorSignal::TerminalClosed,
        libc::SIGHUP => NavigatorSignal::Hangup,
        libc::SIGUSR2 => NavigatorSignal::Reopen,
        other => NavigatorSignal::Other(signals::name(other)),
    }
}

impl Perform for Runtime {
    fn perform(&self, actions: Vec<Action>) {
        Runtime::perform(self, actions);
    }

    fn signal(&self, run: RunId, signal: spec::Signal) -> io::Result<()> {
        Runtime::signal(self, run, signal)
    }

    fn pids(&self, run: RunId) -> Vec<Pid> {
        Runtime::pids(self, run)
    }

    fn retain_lines(&self, is_there: &dyn Fn(&Name) -> bool) {
        Runtime::retain_lines(self, is_there);
    }

    fn take_over(&self, former: &FormerRun) -> TakenOver {
        Runtime::take_over(self, former)
    }

    fn bind_orphans(&self, run: RunId, name: &Name) -> Option<Pid> {
        Runtime::bind_orphans(self, run, name)
    }

    fn release_orphans(&self) {
        Runtime::release_orphans(self);
    }
}

/// The host of the loop.
struct ForegroundHost {
    /// The path that navigator was started with, made absolute.
    config: PathBuf,
    follower: FileFollower,
    log: Log,
    journal: Journal,
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

/// Locks the pid file and writes the pid into it. Without it, navigator runs all the same.
fn lock_pid_file(state: &StateDir) -> Option<HeldLock> {
    let (path, is_named) = pid_file(state);
    let found = FoundPath::find(&path, state.trust()).map_err(|source| ClaimError::System { path: path.clone(), source });
    match found.and_then(HeldLock::new) {
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
