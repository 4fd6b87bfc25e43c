//! Hands this process over to another program of navigator, as in `navigator upgrade`.
//!
//! The other program is executed in place: it has the same pid, so locks stay held, processes stay our children, and a terminal or
//! systemd notices nothing. Pipes, listening sockets and notification sockets stay open ([`descriptors`]). Everything else is in
//! the record of the instance, as after a crash; a file in memory holds what that lacks ([`Handover`]).
//!
//! Until the other program has taken over, it may give the process back: then the former program is executed again.

mod descriptors;
mod program;

pub(crate) use descriptors::InheritedDescriptors;
pub(crate) use program::Program;

use crate::byte_text::ByteText;
use crate::sys::{clock, close_on_exec, exec};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, SeekFrom, memfd_create, readlink, seek};
use rustix::time::ClockId;
use serde::{Deserialize, Serialize};
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The variable with the number of the descriptor of the file.
const VARIABLE: &str = "NAVIGATOR_HANDOVER";
/// The name of the file.
const NAME: &str = "navigator-handover";

/// What one program tells the next. Unknown fields are ignored, so that later versions may add some.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Handover {
    /// The version of the program that hands over, and of the one that takes over.
    pub(crate) versions: [String; 2],
    /// When the former program stopped, by the kernel's monotonic clock.
    pub(crate) begun: Duration,
    /// Why the next program gave up. The former one goes on.
    pub(crate) failure: Option<String>,
    /// The descriptor of the former program.
    former: Option<i32>,
    /// The connection of the client that asked.
    client: Option<i32>,
    /// The descriptors that hold locks. They are never closed.
    pub(crate) locks: Option<KeptLocks>,
    /// What navigator was started with.
    pub(crate) launcher: LauncherSettings,
    /// The output of processes.
    pub(crate) output: HandedOutput,
}

/// The settings that navigator was started with, which it has changed for itself since.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct LauncherSettings {
    /// File mode creation mask.
    pub(crate) umask: u32,
    /// Limit of open descriptors, soft and hard.
    pub(crate) nofile: (u64, u64),
    /// Whether navigator ends with its terminal.
    pub(crate) ends_with_terminal: bool,
}

/// The output of processes that is still in memory.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct HandedOutput {
    /// Lines of which only a part was read.
    pub(crate) unfinished: Vec<BegunLine>,
    /// The last lines of all processes, in their order.
    pub(crate) last_lines: Vec<HandedLines>,
}

/// Lines that came together.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct HandedLines {
    /// The name of the process.
    pub(crate) name: String,
    /// Whether it wrote them to its standard error.
    pub(crate) is_error: bool,
    /// When they came, in nanoseconds since 1970.
    pub(crate) time: i64,
    /// Whether the first one continues the line before.
    pub(crate) continued: bool,
    /// The lines.
    pub(crate) bytes: ByteText,
}

/// The locks that stay held.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct KeptLocks {
    /// The directory of the instance.
    pub(crate) directory: PathBuf,
    /// The descriptor of its lock.
    pub(crate) instance: i32,
    /// The descriptor of the lock on the pid file, if that is held.
    pub(crate) pid_file: Option<i32>,
}

/// The part of a line that was read before its end.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct BegunLine {
    /// The inode of its pipe.
    pub(crate) pipe: u64,
    /// The part.
    pub(crate) bytes: ByteText,
    /// Whether an earlier part was passed on, because the line is too long.
    pub(crate) continued: bool,
}

/// What is handed over, until that is complete.
static PENDING: Mutex<Option<Handover>> = Mutex::new(None);

fn pending() -> std::sync::MutexGuard<'static, Option<Handover>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the former program in this process handed over; `None`: there was none. Call it first of all.
pub(crate) fn receive() -> Option<Handover> {
    let number: i32 = exec::take_variable(VARIABLE)?.to_str()?.parse().ok()?;
    let link = readlink(format!("/proc/self/fd/{number}"), Vec::new()).ok()?;
    if !link.to_string_lossy().contains(NAME) {
        return None;
    }
    let mut text = String::new();
    File::from(exec::own(number)?).read_to_string(&mut text).ok()?;
    let handover: Handover = serde_json::from_str(&text).ok()?;
    // The kernel has named the process after the descriptor.
    let _unchanged = rustix::thread::set_name(c"navigator");
    *pending() = Some(handover.clone());
    Some(handover)
}

/// Whether this process was handed over, and that isn't complete.
pub(crate) fn is_pending() -> bool {
    pending().is_some()
}

/// Gives the process back to the former program, if it was handed over by one and that isn't complete. Returns if there is none, or
/// it can't be executed any more.
pub(crate) fn give_back(why: &str) {
    let Some(handover) = pending().take() else { return };
    // The former program gives up, too.
    if handover.failure.is_some() {
        return;
    }
    if let Some(former) = handover.former.and_then(exec::own) {
        let (client, Some(locks)) = (handover.client, handover.locks.clone()) else { return };
        let handover = Handover { failure: Some(why.to_owned()), former: None, ..handover };
        let error = handover.execute(former.as_fd(), locks, client);
        drop(io::stderr().write_all(format!("navigator: the former program can't be executed: {error}\n").as_bytes()));
    }
}

/// The process is taken over. Returns the connection of the client that asked.
pub(crate) fn complete() -> Option<OwnedFd> {
    let handover = pending().take()?;
    drop(handover.former.and_then(exec::own));
    handover.client.and_then(exec::own)
}

impl Handover {
    /// What this program says to one of another version.
    pub(crate) fn new(to: &str, launcher: LauncherSettings, output: HandedOutput) -> Handover {
        let versions = [env!("CARGO_PKG_VERSION").to_owned(), to.to_owned()];
        Handover { versions, begun: clock::read(ClockId::Monotonic), launcher, output, ..Handover::default() }
    }

    /// How long it has taken by now.
    pub(crate) fn duration(&self) -> Duration {
        clock::read(ClockId::Monotonic).saturating_sub(self.begun)
    }

    /// Executes a program that takes over. `client`: the connection of the client that waits for an answer. Returns only if that
    /// fails; then nothing has changed.
    pub(crate) fn execute(mut self, program: BorrowedFd<'_>, locks: KeptLocks, client: Option<i32>) -> io::Error {
        let held = [Some(locks.instance), locks.pid_file].into_iter().flatten();
        (self.locks, self.client) = (Some(locks), client);
        // Even if it was replaced on the disk.
        let former = match self.former_program() {
            Ok(former) => former,
            Err(error) => return error,
        };
        self.former = former.as_ref().map(AsRawFd::as_raw_fd);
        let file = match self.write() {
            Ok(file) => file,
            Err(error) => return error,
        };
        let kept = descriptors::lasting().into_iter().chain(held).chain(client).chain(self.former);
        let kept: Vec<i32> = kept.chain([file.as_raw_fd()]).collect();
        let blocked = exec::block_signals();
        let prepared = kept.iter().try_for_each(|&number| exec::keep_on_exec(number));
        let error = prepared.err().unwrap_or_else(|| {
            let variables = std::env::vars_os().chain([(VARIABLE.into(), file.as_raw_fd().to_string().into())]);
            let variable = |(mut name, value): (OsString, OsString)| {
                name.push("=");
                name.push(value);
                name
            };
            exec::execute(program, std::env::args_os().collect(), variables.map(variable).collect())
        });
        for number in kept {
            // It was open above.
            let _closed_meanwhile = close_on_exec(number);
        }
        exec::restore_signals(&blocked);
        error
    }

    /// The program of this process, unless it is the former one already.
    fn former_program(&self) -> io::Result<Option<OwnedFd>> {
        if self.failure.is_some() { Ok(None) } else { Program::running().map(Some) }
    }

    fn write(&self) -> io::Result<OwnedFd> {
        let mut file = File::from(memfd_create(NAME, MemfdFlags::CLOEXEC)?);
        file.write_all(&serde_json::to_vec(self)?)?;
        seek(&file, SeekFrom::Start(0))?;
        Ok(file.into())
    }
}
