//! What navigator was started with, and what it changes about itself for good.
//!
//! Called once, at the very start: a thread that exists already would keep the launcher's signal mask.

use super::output::flush_deferred_log;
use crate::sys;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::io;
use thiserror::Error;

/// What navigator was started with and its processes are to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Launcher {
    /// File mode creation mask.
    pub(super) umask: u32,
    /// Limit of open descriptors, soft and hard.
    pub(super) nofile: (u64, u64),
}

/// Why navigator can't take its place.
#[derive(Debug, Error)]
pub enum InitError {
    /// Signal dispositions or the mask could not be set.
    #[error("failed to reset the signals that navigator was started with: {0}")]
    Signals(io::Error),
    /// Orphans would go to another process, and nobody could find them.
    #[error("failed to become the one whom orphaned processes are handed to: {0}")]
    Subreaper(io::Error),
    /// Descriptors inherited from the launcher would leak into every process.
    #[error("failed to keep inherited descriptors to navigator: {0}")]
    Descriptors(io::Error),
}

/// Takes over from whoever started navigator, before any thread exists: notes what the processes are to inherit, lets
/// no inherited descriptor or blocked signal go any further, ignores `SIGPIPE` for navigator itself, allows it as many
/// descriptors as it may have, keeps little memory that isn't used, and makes it the one whom orphaned descendants are handed to.
///
/// # Errors
/// See [`InitError`]; each of them means a host that can't be supervised.
pub fn init() -> Result<Launcher, InitError> {
    sys::keep_little_memory();
    sys::own_signals().map_err(InitError::Signals)?;
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).map_err(|error| InitError::Subreaper(error.into()))?;
    keep_inherited_descriptors().map_err(InitError::Descriptors)?;
    let launcher = Launcher::now();
    // At the hard limit already, or not permitted: then fewer processes fit, and a start that doesn't says so.
    let (_, hard) = launcher.nofile;
    let _unchanged = setrlimit(Resource::Nofile, limit(hard, hard));
    make_room_for_descriptors(hard);
    Ok(launcher)
}

/// Has the kernel make room for as many descriptors as a thousand processes need, now that there is no other thread.
///
/// It makes room by doubling; and where there are threads, it waits each time until none of them can be looking at the old table
/// any more (`expand_fdtable` in its `fs/file.c`): 8 to 16 ms, for which whoever opens anything waits, six times on the way to
/// three thousand.
fn make_room_for_descriptors(limit: u64) {
    /// Three for each process, and some. The table takes 33 KiB of the kernel's memory, and stays as large as it was once.
    const ROOM: u64 = 4096;
    let highest = i32::try_from(limit.min(ROOM)).unwrap_or(0) - 1;
    // Whoever was started without a standard error has room made later.
    drop(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), highest));
}

/// Ends navigator when any thread or task of it panics, after the usual message. A navigator that lives on without
/// one of them would look well and supervise nothing; dead, it's noticed, and its next start finds what this one left.
pub fn abort_on_panic() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        usual(panic);
        flush_deferred_log();
        let text = "navigator: this is a bug in navigator, which ends here; its processes go on without it\n";
        // There is nobody else to tell.
        let _unheard = rustix::io::write(rustix::stdio::stderr(), text.as_bytes());
        std::process::abort();
    }));
}

impl Launcher {
    /// How many descriptors navigator may have open at once.
    pub fn descriptors(&self) -> u64 {
        self.nofile.1
    }

    /// What this process has at the moment.
    pub(super) fn now() -> Launcher {
        let mask = rustix::process::umask(rustix::fs::Mode::RWXU | rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
        rustix::process::umask(mask);
        let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
        let [soft, hard] = [current, maximum].map(|limit| limit.unwrap_or(libc::RLIM_INFINITY));
        Launcher { umask: mask.bits(), nofile: (soft, hard) }
    }
}

fn limit(soft: u64, hard: u64) -> Rlimit {
    let finite = |value| (value != libc::RLIM_INFINITY).then_some(value);
    Rlimit { current: finite(soft), maximum: finite(hard) }
}

/// Marks every descriptor beyond the standard ones to be closed by an exec. Those opened later are born that way.
fn keep_inherited_descriptors() -> io::Result<()> {
    sys::close_on_exec_from(3).or_else(|_unknown_before_5_11| {
        let open = std::fs::read_dir("/proc/self/fd")?;
        let numbers = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        numbers.collect::<Vec<i32>>().into_iter().filter(|&number| number > 2).try_for_each(sys::close_on_exec)
    })
}
