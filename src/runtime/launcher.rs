//! Prepares navigator's own process at startup, and records the settings inherited from the program that launched it.
//!
//! Call [`init`] once, before any thread exists: an existing thread would keep the launcher's signal mask.

use super::output::flush_deferred_log;
use crate::handover::{self, LauncherSettings};
use crate::sys;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use thiserror::Error;

/// Settings that navigator was started with, and that its processes get back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// File mode creation mask.
    pub(super) umask: u32,
    /// Limit of open descriptors, soft and hard.
    pub(super) nofile: (u64, u64),
    /// It has a controlling terminal, and doesn't ignore `HUP` as under `nohup`.
    ends_with_terminal: bool,
}

/// Why navigator can't supervise processes here.
#[derive(Debug, Error)]
pub enum InitError {
    /// Signal dispositions or the mask could not be set.
    #[error("failed to reset the signals that navigator was started with: {0}")]
    Signals(io::Error),
    /// Orphaned descendants would go to another process, where navigator could not find them.
    #[error("failed to become the subreaper of orphaned processes: {0}")]
    Subreaper(io::Error),
    /// Descriptors inherited from the launcher would leak into every process.
    #[error("failed to mark inherited descriptors as close-on-exec: {0}")]
    Descriptors(io::Error),
}

/// Prepares navigator's own process, before any thread exists:
/// - makes it the subreaper, to which orphaned descendants are handed
/// - resets inherited signals, ignores `SIGPIPE`, and marks inherited descriptors as close-on-exec
/// - raises its limit of open descriptors to the hard limit, and makes the allocator return unused memory
///
/// Returns the settings that its processes inherit.
///
/// # Errors
/// See [`InitError`]; with each of them processes can't be supervised.
pub fn init() -> Result<Launcher, InitError> {
    sys::keep_little_memory();
    sys::own_signals().map_err(InitError::Signals)?;
    // Signals that came while the former program handed over wait until they can be handled.
    if !handover::is_pending() {
        receive_signals().map_err(InitError::Signals)?;
    }
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|error| InitError::Subreaper(error.into()))?;
    close_inherited_on_exec().map_err(InitError::Descriptors)?;
    let launcher = Launcher::now();
    // If that is refused, fewer processes fit, and a start that doesn't fit fails with a reason.
    let (_, hard) = launcher.nofile;
    let _unchanged = setrlimit(Resource::Nofile, limit(hard, hard));
    sys::grow_descriptor_table(hard);
    Ok(launcher)
}

/// Lets this thread receive signals: all but `SIGCHLD`, which wakes only the thread that asks for it. [`init`] does it, unless the
/// process was handed over. Then call it once signals are handled.
///
/// # Errors
/// Those of `sigprocmask(2)`; none is known to happen.
pub fn receive_signals() -> io::Result<()> {
    sys::unblock_signals()
}

/// Makes a panic in any thread or task abort navigator, after the usual message. A navigator that lives on without one of them
/// would seem healthy and supervise nothing. An abort is noticed, and the next start finds the processes.
pub fn abort_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        flush_deferred_log();
        handover::give_back("it crashed");
        let text = "navigator: this is a bug in navigator, which ends here; its processes go on without it\n";
        // A failure of this write can't be reported anywhere.
        let _dropped = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
        std::process::abort();
    }));
}

impl Launcher {
    /// How many descriptors navigator may have open at once.
    pub fn descriptors(&self) -> u64 {
        self.nofile.1
    }

    /// The settings that the former program in this process was started with.
    pub(crate) fn of_former(settings: LauncherSettings) -> Launcher {
        let LauncherSettings { umask, nofile, ends_with_terminal } = settings;
        Launcher { umask, nofile, ends_with_terminal }
    }

    /// These settings, for the next program in this process.
    pub(crate) fn to_next(self) -> LauncherSettings {
        let Launcher { umask, nofile, ends_with_terminal } = self;
        LauncherSettings { umask, nofile, ends_with_terminal }
    }

    /// Whether navigator's terminal was closed since it was started, and it is to end with it.
    pub fn has_lost_terminal(&self) -> bool {
        self.ends_with_terminal && !has_terminal()
    }

    /// The settings of this process now.
    pub(super) fn now() -> Launcher {
        let mask = rustix::process::umask(Mode::RWXU | Mode::RWXG | Mode::RWXO);
        rustix::process::umask(mask);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let [soft, hard] = [current, maximum].map(|limit| limit.unwrap_or(libc::RLIM_INFINITY));
        let ends_with_terminal = !sys::is_ignored(libc::SIGHUP) && has_terminal();
        Launcher { umask: mask.bits(), nofile: (soft, hard), ends_with_terminal }
    }
}

/// Whether navigator has a controlling terminal.
fn has_terminal() -> bool {
    rustix::fs::open("/dev/tty", OFlags::RDONLY | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

fn limit(soft: u64, hard: u64) -> Rlimit {
    let finite = |value| (value != libc::RLIM_INFINITY).then_some(value);
    Rlimit { current: finite(soft), maximum: finite(hard) }
}

/// Marks every descriptor above 2 as close-on-exec. Navigator opens all later ones that way.
fn close_inherited_on_exec() -> io::Result<()> {
    sys::close_on_exec_from(3).or_else(|_unknown_before_5_11| {
        let open = std::fs::read_dir("/proc/self/fd")?;
        let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers.collect::<Vec<i32>>().into_iter().filter(|&number| number > 2).try_for_each(sys::close_on_exec)
    })
}
