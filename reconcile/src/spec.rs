//! The definition of one process, with every default filled in and every `${…}` replaced.
//!
//! A [`Spec`] has two parts. [`Exec`] is its *identity*: if that differs, another run is needed. The rest is its *upkeep*,
//! which a run takes over in place. So "must it restart?" is one `==`.

use crate::replica::Replica;
use crate::resources::Resources;
use crate::schedule::Schedule;
use crate::socket::Listener;
use crate::text::{Name, Text};
use crate::variables::Variables;
pub use crate::variables::{InheritEnv, VariableNames};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// The definition of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Its name, unique in both tiers together.
    pub name: Name,
    /// The list of the file that it is in.
    pub tier: Tier,
    /// Identity: another run is needed if this differs.
    pub exec: Exec,
    /// `false`: defined, but not to run.
    pub enabled: bool,
    /// Its named dependencies. `None`: it comes after the process before it in the list; empty: after none.
    pub depends_on: Option<BTreeMap<Name, Dependency>>,
    /// When a process that ended by itself is started again.
    pub restart: Restart,
    /// How long to wait before it is started again.
    pub backoff: Backoff,
    /// How many restarts in a row, without a healthy run in between, are allowed; `None`: any number.
    pub max_restarts: Option<u32>,
    /// How long to wait before a start, once its named dependencies hold.
    pub start_delay: Duration,
    /// An active check that says when it is ready. Announcements (`notify`, `fd`) are identity: [`Exec::announce`].
    pub ready: Option<Probe>,
    /// How often readiness is checked, and until when. Without effect where neither `ready` nor `announce` is set.
    pub ready_timing: ReadyTiming,
    /// A check of a running process. If it fails, the process has failed.
    pub liveness: Option<Liveness>,
    /// The exit statuses that count as success; `None`: only 0.
    pub success_exit_codes: Option<Vec<u8>>,
    /// Which of its ends shuts navigator down.
    pub shutdown_on: Option<ShutdownOn>,
    /// How it is stopped.
    pub stop: Stop,
    /// How it is told to read its own files again.
    pub reload: Option<SignalOrCommand>,
    /// Paths or globs of files. If their content changes, [`Spec::on_watch`] is done.
    pub watch: Vec<Text>,
    /// What a change of a watched file does.
    pub on_watch: OnWatch,
    /// What a change of identity does to a running process.
    pub on_change: OnChange,
    /// For [`OnChange::Rolling`]: how long a new run has to stay ready before the old one is stopped.
    pub stable: Duration,
    /// Which of several equal processes it is.
    pub replica: Option<Replica>,
    /// When a task runs; `None`: once, as soon as it is wanted.
    pub schedule: Option<Box<Schedule>>,
}

/// The identity of a process: everything that can't be changed while its program runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exec {
    /// The program; without a slash it is looked up in the process's own `PATH`.
    pub command: Text,
    /// Its arguments.
    pub args: Vec<Text>,
    /// Every variable that the configuration sets (its own, env files, global). They override inherited ones.
    pub env: Variables,
    /// Which variables of navigator's own environment it inherits.
    pub inherit_env: InheritEnv,
    /// Relative to navigator's working directory; `None`: that directory itself.
    pub working_dir: Option<Text>,
    /// Whether it runs until stopped, or to completion.
    pub kind: ProcessKind,
    /// Where its standard output and error go.
    pub output: Output,
    /// How it announces by itself that it is ready.
    pub announce: Option<Announce>,
    /// The sockets that it is passed, from descriptor 3 on.
    pub sockets: Vec<Listener>,
    /// The user it runs as, by name or number; `None`: navigator's own.
    pub user: Option<Text>,
    /// The group it runs as, by name or number; `None`: the user's primary group.
    pub group: Option<Text>,
    /// Neither it nor its descendants gain privileges by an exec (`PR_SET_NO_NEW_PRIVS`).
    pub no_new_privs: bool,
    /// File mode creation mask; `None`: the one navigator was started with.
    pub umask: Option<u32>,
    /// Scheduling priority, -20 to 19; `None`: the one navigator was started with.
    pub nice: Option<i32>,
    /// Resource limits by name (`nofile`), each for soft and hard limit.
    pub limits: BTreeMap<&'static str, Limit>,
    /// What its whole tree may use.
    pub resources: Resources,
    /// -1000 to 1000; `None`: the one navigator was started with.
    pub oom_score_adj: Option<i32>,
    /// Fields with other values than here. They are not known: only digests were recorded ([`crate::take_over`]).
    pub unknown_fields: Vec<String>,
}

/// The list of the file that a process is in. Applications come after every managed process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    /// `managed_processes`
    #[default]
    Managed,
    /// `applications`
    Application,
}

/// A named dependency: what it must have reached, and what its replacement means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// What it must have reached. `None`: `completed` if it is a task, else `ready`.
    pub condition: Option<Condition>,
    /// The dependent is restarted when the dependency is replaced or restarted by hand, not when it crashes.
    pub restart: bool,
    /// `false`: the dependent waits only as long as the dependency is on its way, and is never blocked by it.
    pub required: bool,
}

impl Default for Dependency {
    fn default() -> Dependency {
        Dependency { condition: None, restart: false, required: true }
    }
}

/// What a dependency must have reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Its program runs.
    Started,
    /// Its probe passed; without one, the same as started.
    Ready,
    /// It exited with status 0 and is not to be started again.
    Completed,
}

/// Whether a process runs until stopped, or to completion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProcessKind {
    /// Meant to run until it is stopped.
    #[default]
    Service,
    /// Meant to exit with status 0; it is completed then.
    Task,
}

/// When a process that ended by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    #[default]
    Never,
    /// After a non-zero status, a signal that navigator did not send, or a start that failed.
    OnFailure,
    /// Also after status 0.
    Always,
}

/// How long to wait before a process that ended by itself is started again.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    /// The first delay.
    pub initial: Duration,
    /// Each delay is the one before times this factor; at least 1.
    pub factor: f64,
    /// The longest delay, without jitter.
    pub max: Duration,
    /// Each delay varies by up to this fraction in either direction, 0 to 1.
    pub jitter: f64,
    /// After running healthily for this long, former failures no longer count.
    pub reset_after: Duration,
    /// The first failure after a healthy run is restarted at once.
    pub first_at_once: bool,
}

impl Backoff {
    /// The same time before every restart.
    pub fn steady(delay: Duration) -> Backoff {
        Backoff { initial: delay, factor: 1.0, max: delay, jitter: 0.0, first_at_once: false, ..Backoff::default() }
    }
}

// `factor` and `jitter` are checked to be finite where they are read, so equality is total.
impl Eq for Backoff {}

impl Default for Backoff {
    fn default() -> Backoff {
        Backoff {
            initial: Duration::from_millis(500),
            factor: 2.0,
            max: Duration::from_secs(30),
            jitter: 0.1,
            reset_after: Duration::from_secs(10),
            first_at_once: true,
        }
    }
}

/// An active check of a process, performed by the runtime.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A GET is answered with an accepted status.
    Http(Box<Http>),
    /// A TCP connection to this address is accepted.
    Tcp(Text),
    /// This command exits with status 0.
    Exec(Vec<Text>),
    /// A line of its own output matches this regular expression.
    Log(Text),
}

/// The GET of an HTTP probe.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Http {
    /// The URL.
    pub url: Text,
    /// The statuses that pass; empty: every 2xx and 3xx.
    pub status: Vec<u16>,
    /// The headers of the request.
    pub headers: BTreeMap<String, Text>,
}

/// How a process announces by itself that it is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Announce {
    /// `READY=1` on a `NOTIFY_SOCKET` (`sd_notify(3)`).
    Notify,
    /// A newline on this descriptor (the s6 convention).
    Fd(u32),
}

/// How often readiness is checked, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadyTiming {
    /// From the end of one check to the start of the next.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// How long after its start the process must be ready. If it isn't, it has failed.
    pub deadline: Duration,
}

impl Default for ReadyTiming {
    fn default() -> ReadyTiming {
        ReadyTiming { interval: Duration::from_millis(200), timeout: Duration::from_secs(1), deadline: Duration::from_mins(1) }
    }
}

/// A check of a running process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// The check; `None`: the `sd_notify` watchdog.
    pub probe: Option<Probe>,
    /// From the end of one check to the start of the next.
    pub interval: Duration,
    /// How long one check may take.
    pub timeout: Duration,
    /// After this many failures in a row, the process has failed.
    pub failures: u32,
}

impl Default for Liveness {
    fn default() -> Liveness {
        Liveness { probe: None, interval: Duration::from_secs(10), timeout: Duration::from_secs(1), failures: 3 }
    }
}

/// How a process is stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// Sent to the processes in its scope.
    pub signal: Signal,
    /// After this time, the remaining processes of the tree are killed.
    pub timeout: Duration,
    /// Done before anything else, so that the process can finish its work.
    pub drain: Option<Drain>,
    /// Run instead of the signal.
    pub command: Option<Vec<Text>>,
    /// Which processes get the signal.
    pub scope: StopScope,
}

impl Default for Stop {
    fn default() -> Stop {
        Stop { signal: Signal::TERM, timeout: Duration::from_secs(10), drain: None, command: None, scope: StopScope::Tree }
    }
}

/// The first step of a stop: the main process accepts nothing more, and finishes what it has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drain {
    /// How the main process is told.
    pub by: SignalOrCommand,
    /// After this time, a process that hasn't ended is told to stop.
    pub timeout: Duration,
}

impl Drain {
    /// The default of [`Drain::timeout`].
    pub const TIMEOUT: Duration = Duration::from_secs(30);
}

/// Which processes of a tree get the stop signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StopScope {
    /// All of them.
    #[default]
    Tree,
    /// The main process. Those that are left when it has ended get the signal then.
    Main,
}

/// Which ends of a process shut navigator down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownOn {
    /// It has failed, and is not started again.
    Failure,
    /// It has failed or completed.
    Exit,
}

/// How a process is told something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SignalOrCommand {
    /// By a signal to its main process.
    Signal(Signal),
    /// By a command.
    Command(Vec<Text>),
}

/// What a change of a watched file does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnWatch {
    /// The process's own `reload` action.
    Reload,
    /// A restart.
    #[default]
    Restart,
}

/// What a change of identity does to a running process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnChange {
    /// The old run stops, then the new one starts.
    #[default]
    Restart,
    /// The old run is kept and shown as stale.
    Keep,
    /// The new run is ready before the old one stops.
    Rolling,
}

/// Where standard output and error go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// Line by line into navigator's own output.
    #[default]
    Log,
    /// Into files that are rotated by size.
    Files(OutputFiles),
    /// Nowhere.
    Null,
}

/// The files of the two streams. A stream without a file goes into navigator's own output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputFiles {
    /// The file of standard output.
    pub stdout: Option<Text>,
    /// The file of standard error; often the same.
    pub stderr: Option<Text>,
    /// Bytes after which a file is rotated; 0: never.
    pub max_size: u64,
    /// How many rotated files are kept.
    pub keep: u32,
}

impl Default for OutputFiles {
    fn default() -> OutputFiles {
        OutputFiles { stdout: None, stderr: None, max_size: 50_000_000, keep: 5 }
    }
}

impl OutputFiles {
    /// The files, each once.
    pub fn paths(&self) -> impl Iterator<Item = &Text> {
        let stderr = self.stderr.as_ref().filter(|path| self.stdout.as_ref() != Some(path));
        self.stdout.iter().chain(stderr)
    }
}

/// A resource limit, soft and hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// No limit.
    Unlimited,
    /// At most this much.
    To(u64),
}

/// A signal by its name without `SIG`, as in the file. The runtime knows its number, which differs between systems.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signal(pub &'static str);

impl Signal {
    /// Asks a program to end.
    pub const TERM: Signal = Signal("TERM");
    /// Ends a program without asking.
    pub const KILL: Signal = Signal("KILL");
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Spec {
    /// The default of [`Spec::stable`].
    pub const STABLE: Duration = Duration::from_secs(1);

    /// A definition with defaults for all but its name and command.
    pub fn new(name: &str, command: &str) -> Spec {
        let exec = Exec { command: Text::plain(command), ..Exec::default() };
        Spec { name: Name::from(name), exec, ..Spec::nameless() }
    }

    /// A definition with defaults for everything. It allocates no memory.
    pub fn nameless() -> Spec {
        Spec {
            name: Name::default(),
            tier: Tier::default(),
            exec: Exec::default(),
            enabled: true,
            depends_on: None,
            restart: Restart::default(),
            backoff: Backoff::default(),
            max_restarts: None,
            start_delay: Duration::ZERO,
            ready: None,
            ready_timing: ReadyTiming::default(),
            liveness: None,
            success_exit_codes: None,
            shutdown_on: None,
            stop: Stop::default(),
            reload: None,
            watch: Vec::new(),
            on_watch: OnWatch::default(),
            on_change: OnChange::default(),
            stable: Spec::STABLE,
            replica: None,
            schedule: None,
        }
    }

    /// Whether it has to become ready after its start.
    pub fn has_readiness(&self) -> bool {
        self.ready.is_some() || self.exec.announce.is_some()
    }
}
