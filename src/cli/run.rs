//! `navigator [run] [CONFIG]`: puts the floors together and runs them in the foreground.

use super::arguments::Common;
use super::check::reject;
use super::console::{INTERRUPTED, INVALID, OK, fail, pid_file, print_error, state_dir, variable};
use super::log::{LogLines, LogSettings};
use super::plan_text::brief;
use crate::access::{Directory, FoundPath, Trust};
use crate::config::{self, Diagnostic, Environment, Level, Loaded, Settings, render_all};
use crate::control::{ClaimError, HeldLock, Instance, LoopAccess, Server, StateDir};
use crate::error_text::words;
use crate::journal::{Accepted, Journal, Opened};
use crate::runtime::{self, DeferredFlush, Destination, Launcher, OutputFormat, OutputHistory, Printer, Runtime, Setup};
use crate::snapshot::PlanReport;
use crate::source::{Delivery, FileFollower, FileSource, Reading, Source, WatchMethod, has_writer};
use crate::supervisor::{self, Ending, FormerProcesses, Host, INBOX, NavigatorSignal, News, Perform, Published, Supervisor};
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
use tracing::{debug, error, info, warn};

/// Runs a configuration until navigator is told to end.
pub(super) fn run(path: &Path, common: &Common, trust: Trust) -> ExitCode {
    runtime::abort_on_panic();
    let launcher = match runtime::init() {
        Ok(launcher) => launcher,
        Err(error) => return fail(INVALID, &error.to_string()),
    };
    let ears = match SignalListener::open() {
        Ok(ears) => ears,
        Err(error) => return fail(INVALID, &format!("failed to listen for signals: {}", words(&error))),
    };
    let means = if common.no_watch { WatchMethod::Off } else { WatchMethod::Events };
    let source = FileSource::new(path.to_owned(), Environment::current())
        .with_trust(trust)
        .with_writer_check(has_writer)
        .with_watch_method(means);
    let reading = source.read();
    let loaded = match &reading.revision {
        Ok(loaded) => loaded.clone(),
        Err(rejected) => return reject(rejected),
    };
    let state = state_dir(common.state_dir.clone(), trust);
    let instance = match Instance::claim(&state, path) {
        Ok(instance) => instance,
        Err(error) => return fail(INVALID, &error.to_string()),
    };
    let log = match Log::start(&loaded.settings, common, log_trust(trust)) {
        Ok(log) => log,
        Err(error) => return fail(INVALID, &format!("failed to start logging: {}", words(&error))),
    };
    let opened = match Journal::open(instance.directory(), runtime::boot()) {
        Ok(opened) => opened,
        Err(error) => return fail(INVALID, &format!("failed to start keeping a record of what runs: {}", words(&error))),
    };
    let pid_file = claim_pid_file(&state);
    let ending = supervise(ears, source, &reading, loaded, LoopParts { launcher, log, opened, directory: instance.directory() });
    if let Some(claim) = pid_file {
        claim.remove();
    }
    instance.release();
    match ending {
        Ok(Ending::Terminated) => OK.into(),
        Ok(Ending::Interrupted) => INTERRUPTED.into(),
        Err(error) => fail(INVALID, &error.to_string()),
    }
}

/// What the loop stands on.
struct LoopParts<'a> {
    launcher: Launcher,
    log: Log,
    opened: Opened,
    /// Of the instance.
    directory: &'a Directory,
}

/// Builds the loop and everything around it, and stays in it until it ends.
fn supervise(
    ears: SignalListener,
    source: FileSource,
    reading: &Reading,
    loaded: Loaded,
    base: LoopParts<'_>,
) -> io::Result<Ending> {
    let LoopParts { launcher, log, opened, directory } = base;
    let SignalListener { tokio, news, news_inbox } = ears;
    let _until_the_end = DeferredFlush::new();
    tokio.block_on(async move {
        let (events, event_inbox) = mpsc::channel(INBOX);
        info!(target: "navigator", version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), config = %source.path().display(), "Navigator started");
        let config = std::fs::canonicalize(source.path()).unwrap_or_else(|_| source.path().to_owned());
        let kept = OutputHistory::default();
        let to_loop = news.clone();
        let followed = source.follow(reading, move |delivery| {
            let delivered = match delivery {
                Delivery::Revision(revision) => News::Revision(revision),
                Delivery::Contents(contents) => News::Contents(contents),
                Delivery::Checked => News::Looked,
            };
            // The loop has ended; nobody wants to know any more.
            drop(news.blocking_send(delivered));
        });
        let (asker, contents) =
            followed.map_err(|error| io::Error::other(format!("failed to follow the configuration: {}", words(&error))))?;
        let loaded = Loaded { contents, ..loaded };
        let Opened { journal, former, is_first, damaged } = opened;
        if let Some(aside) = damaged {
            warn!(target: "navigator", aside = %aside.display(), "The record of what ran is damaged and was put aside");
        }
        let (published, retired) = Published::new();
        let door = LoopAccess {
            news: to_loop,
            source: Arc::new(asker.clone()),
            kept: kept.clone(),
            published: published.clone(),
            planning: Arc::new(Semaphore::new(1)),
        };
        let setup = Setup { launcher, printer: log.printer.clone(), history: kept, journal: journal.clone(), former: former.clone() };
        let runtime = Runtime::start(setup, events).map_err(io::Error::other)?;
        let server = Server::open(directory, door, retired)
            .map_err(|error| io::Error::other(format!("failed to open the control socket: {}", words(&error))))?;
        let processes = if is_first { Vec::new() } else { runtime.find_orphans().await };
        let left = FormerProcesses { processes, record: former };
        let supervisor = Supervisor::new(runtime, ForegroundHost { config, asker, log, journal: journal.clone() }, published);
        let (runtime, ending) = supervisor.run(left, loaded, event_inbox, news_inbox).await;
        let survivors = runtime.finish().await;
        server.close().await;
        journal.close();
        if !survivors.is_empty() {
            error!(target: "navigator", pids = ?survivors, "Processes are left that can't be killed");
        }
        Ok(ending)
    })
}

/// The threadless beginning of the loop. Signals are heard from here on, so that one which comes while the first
/// configuration is still being read is obeyed afterwards, and doesn't end navigator as the system would have it.
struct SignalListener {
    tokio: tokio::runtime::Runtime,
    news: mpsc::Sender<News>,
    news_inbox: mpsc::Receiver<News>,
}

impl SignalListener {
    fn open() -> io::Result<SignalListener> {
        // Tokio makes one too, and panics where it can't.
        drop(UnixStream::pair()?);
        let tokio =
            tokio::runtime::Builder::new_current_thread().enable_all().on_thread_park(runtime::flush_deferred_log).build()?;
        let (news, news_inbox) = mpsc::channel(INBOX);
        let within = tokio.enter();
        listen(&news)?;
        drop(within);
        Ok(SignalListener { tokio, news, news_inbox })
    }
}

/// Turns the signals to navigator into news.
fn listen(news: &mpsc::Sender<News>) -> io::Result<()> {
    let signals = [
        (SignalKind::terminate(), NavigatorSignal::Terminate),
        (SignalKind::interrupt(), NavigatorSignal::Interrupt),
        (SignalKind::quit(), NavigatorSignal::Quit),
        (SignalKind::hangup(), NavigatorSignal::Hangup),
        (SignalKind::user_defined2(), NavigatorSignal::Reopen),
    ];
    for (kind, meaning) in signals {
        let (mut stream, news) = (signal(kind)?, news.clone());
        tokio::spawn(async move { while stream.recv().await.is_some() && news.send(News::Signal(meaning)).await.is_ok() {} });
    }
    Ok(())
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

    fn take_over(&self, run: RunId, name: &Name) -> Option<Pid> {
        Runtime::take_over(self, run, name)
    }

    fn let_go(&self) {
        Runtime::release_orphans(self);
    }
}

/// What the loop may ask of the program around it.
struct ForegroundHost {
    /// The real path of the configuration.
    config: PathBuf,
    asker: FileFollower,
    log: Log,
    journal: Journal,
}

impl Host for ForegroundHost {
    fn source(&self) -> &dyn Source {
        &self.asker
    }

    fn apply(&self, loaded: &Loaded, generation: u64) {
        self.log.apply(&loaded.settings);
        let accepted = Accepted { generation, content: loaded.content.to_string() };
        self.journal.record(supervisor::noted(&loaded.desired, accepted));
        let names = loaded.desired.entries().iter().map(|entry| entry.spec.name.len());
        self.log.printer.align(names.max().unwrap_or(0));
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

    fn foretell(&self, plan: &PlanReport) {
        self.log.printer.log(guard(&brief(plan, TerminalStyle::of(io::stderr()))).as_bytes());
    }

    fn reopen(&self) {
        self.log.printer.reopen();
    }
}

/// Where log lines and the processes' lines go.
struct Log {
    printer: Printer,
    settings: Arc<LogSettings>,
    /// Whether somebody reads the log on a terminal, as text.
    to_terminal: Cell<bool>,
    /// A level from the command line or the environment, which the file doesn't override.
    level: Option<Level>,
}

impl Log {
    fn start(settings: &Settings, common: &Common, trust: Trust) -> io::Result<Log> {
        let level = asked_level(common);
        let printer = Printer::start(line_format(settings), destination(settings), trust)?;
        let log_settings = Arc::new(LogSettings::new(level.unwrap_or(settings.level), settings.format, colors(settings)));
        let writer = printer.clone();
        let lines = LogLines::new(Arc::clone(&log_settings), move |line: Vec<u8>| writer.log(&line));
        // Only tests within one process could have set another one before.
        drop(tracing::subscriber::set_global_default(lines));
        let to_terminal = Cell::new(is_read_on_terminal(settings));
        Ok(Log { printer, settings: log_settings, to_terminal, level })
    }

    /// On a terminal, the source lines with their carets follow the log line.
    fn explain(&self, diagnostics: &[Diagnostic], omitted: usize) {
        if self.to_terminal.get() && !diagnostics.is_empty() {
            let text = render_all(diagnostics, omitted, TerminalStyle::of(io::stderr()));
            self.printer.log(guard(&text).as_bytes());
        }
    }

    fn apply(&self, settings: &Settings) {
        self.to_terminal.set(is_read_on_terminal(settings));
        self.settings.set(self.level.unwrap_or(settings.level), settings.format, colors(settings));
        self.printer.redirect(line_format(settings), destination(settings));
    }
}

/// The users that may own directories on the way to log files. A navigator that isn't root has no rights but its user's own.
pub(super) fn log_trust(trust: Trust) -> Trust {
    if rustix::process::geteuid().is_root() { trust } else { Trust::everybody() }
}

/// The level that the command line asks for, or else `$LOG_LEVEL`.
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
            print_error(&format!("navigator: `LOG_LEVEL` is `{}`; it can be error, warn, info, debug or trace\n", escape(other)));
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

fn colors(settings: &Settings) -> bool {
    is_read_on_terminal(settings) && is_color_welcome()
}

fn destination(settings: &Settings) -> Destination {
    settings.file.clone().map_or(Destination::Standard, Destination::File)
}

/// Holds the pid file. One that another process holds, or that can't be written, keeps navigator from nothing.
fn claim_pid_file(state: &StateDir) -> Option<HeldLock> {
    let (path, asked_for) = pid_file(state);
    let claimed = FoundPath::find(&path, state.trust()).map_err(|source| ClaimError::System { path: path.clone(), source });
    match claimed.and_then(HeldLock::new) {
        Ok(claim) => Some(claim),
        Err(ClaimError::Held(pid)) if !asked_for => {
            debug!(target: "navigator", path = %path.display(), pid, "The usual pid file is held by another navigator");
            None
        }
        Err(error) => {
            warn!(target: "navigator", path = %path.display(), %error, "The pid file can't be held");
            None
        }
    }
}
