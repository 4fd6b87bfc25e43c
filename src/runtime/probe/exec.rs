//! A check by a command with the environment and working directory of the process: exit status 0 passes.

use super::pipe;
use crate::error_text::words;
use crate::runtime::commands::{CommandContext, Commands, Purpose};
use crate::runtime::spawn_extras::SpawnExtras;
use crate::sys;
use reconcile::text::Text;
use rustix::fd::OwnedFd;
use std::convert::Infallible;
use std::io;
use std::time::Duration;
use tokio::io::unix::AsyncFd;

/// Bytes kept of the end of the command's output.
const TAIL_BYTES: usize = 1024;
/// Characters shown of its last line.
const SHOWN_CHARS: usize = 160;

/// Runs the command; returns when none of its processes is left.
///
/// # Errors
/// How it ended, and the last line of its output, for users.
pub(super) async fn run(commands: &Commands, context: &CommandContext, command: &[Text], within: Duration) -> Result<(), String> {
    let (mut output, theirs) = CommandOutput::new().map_err(|error| format!("making a pipe: {}", words(&error)))?;
    let passed = SpawnExtras { output: Some(theirs), ..SpawnExtras::default() };
    let mut started = commands.start(context, Purpose::Check, command, passed);
    let outcome = tokio::select! {
        outcome = started.outcome(within) => outcome,
        never = output.drain() => match never {},
    };
    match outcome {
        Some(Ok(())) => Ok(()),
        Some(Err(why)) => Err(match output.last_line(|line, is_cut| commands.without_secrets(line, is_cut, context, command)) {
            Some(line) => format!("{why}: {line}"),
            None => why,
        }),
        None => Err("killed, because its process is ending".to_owned()),
    }
}

/// The end of a command's output.
struct CommandOutput {
    pipe: AsyncFd<OwnedFd>,
    tail: Vec<u8>,
    /// The beginning is missing.
    is_cut: bool,
}

impl CommandOutput {
    fn new() -> io::Result<(CommandOutput, OwnedFd)> {
        let (ours, theirs) = pipe::pair()?;
        let pipe = sys::readable(ours)?;
        Ok((CommandOutput { pipe, tail: Vec::new(), is_cut: false }, theirs))
    }

    /// Reads all output, so that a full pipe never blocks the command.
    async fn drain(&mut self) -> Infallible {
        while let Ok(mut ready) = self.pipe.readable().await {
            let mut chunk = [0; 4096];
            match ready.try_io(|pipe| Ok(rustix::io::read(pipe, &mut chunk)?)) {
                Ok(Ok(0) | Err(_)) => break,
                Ok(Ok(count)) => self.keep_last(&chunk[..count]),
                Err(_would_block) => {}
            }
        }
        std::future::pending().await
    }

    /// The last line that isn't blank, as the filter shows it. Call it when the command has ended.
    fn last_line(mut self, filter: impl FnOnce(&str, bool) -> String) -> Option<String> {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = rustix::io::read(self.pipe.get_ref(), &mut chunk) {
            self.keep_last(&chunk[..count]);
        }
        let text = String::from_utf8_lossy(&self.tail).into_owned();
        let (place, line) = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).last()?;
        let shown = filter(line, self.is_cut && place == 0);
        let plain = shown.trim().chars().filter(|char| !char.is_control());
        Some(plain.take(SHOWN_CHARS).collect())
    }

    fn keep_last(&mut self, chunk: &[u8]) {
        self.tail.extend_from_slice(chunk);
        let surplus = self.tail.len().saturating_sub(TAIL_BYTES);
        self.is_cut |= surplus > 0;
        self.tail.drain(..surplus);
    }
}
