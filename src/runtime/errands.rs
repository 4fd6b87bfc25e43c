//! Runs programs for other parts of navigator: as commands of no run, with their output in memory.

use super::Runtime;
use super::commands::{CommandContext, Purpose};
use super::spawn_extras::SpawnExtras;
use crate::errand::{Errand, ErrandOutcome, MAX_OUTPUT};
use crate::error_text::words;
use reconcile::event::RunId;
use reconcile::spec::{InheritEnv, Spec};
use reconcile::text::Text;
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;
use std::time::Duration;

/// The name of these programs, in their control groups and marks.
pub(super) const NAME: &str = "navigator";

/// The file mode creation mask of these programs: other users may read what they make, unless a directory keeps them out.
const UMASK: u32 = 0o022;

impl Runtime {
    /// Runs a program and answers how it ended. It is killed if it takes too long.
    pub fn run_errand(&self, errand: Errand) {
        let Errand { command, variables, inherited, within, reply } = errand;
        let (output, errors) = match ErrandStream::new().and_then(|output| Ok((output, ErrandStream::new()?))) {
            Ok(streams) => streams,
            Err(error) => {
                let _not_awaited = reply.send(failed(words(&error)));
                return;
            }
        };
        let mut spec = Spec::new(NAME, NAME);
        let names = inherited.iter().map(|name| Text::plain(name)).collect();
        spec.exec.inherit_env = InheritEnv::Only(names);
        spec.exec.env = variables.iter().map(|(name, value)| ((*name).into(), Text::plain(value))).collect();
        spec.exec.umask = Some(UMASK);
        let command: Vec<Text> = command.iter().map(|word| Text::plain(word)).collect();
        let extras = SpawnExtras { output: Some(output.written), errors: Some(errors.written), ..SpawnExtras::default() };
        let (output, errors) = (output.read, errors.read);
        self.run_beside(spec, &command, extras, within, move |end| {
            let outcome = match read(output).and_then(|output| Ok((output, read(errors)?))) {
                Ok((output, errors)) => ErrandOutcome { end, output, errors },
                Err(error) => failed(words(&error)),
            };
            let _not_awaited = reply.send(outcome);
        });
    }

    /// Runs a program that belongs to no run, and calls `done` with how it ended. It is killed if it takes too long.
    pub(super) fn run_beside(
        &self,
        spec: Spec,
        command: &[Text],
        extras: SpawnExtras,
        within: Duration,
        done: impl FnOnce(Result<(), String>) + Send + 'static,
    ) {
        let context = CommandContext { run: RunId(0), spec: Arc::new(spec), main_pid: None };
        let mut started = self.observers.commands.start(&context, Purpose::Check, command, extras);
        tokio::spawn(async move {
            // It ends early only if navigator does.
            done(started.outcome(within).await.unwrap_or_else(|| Err("navigator is shutting down".to_owned())));
        });
    }
}

/// What a program writes, in memory.
struct ErrandStream {
    written: OwnedFd,
    read: File,
}

impl ErrandStream {
    fn new() -> io::Result<ErrandStream> {
        let written = memfd_create("output", MemfdFlags::CLOEXEC)?;
        let read = File::from(written.try_clone()?);
        Ok(ErrandStream { written, read })
    }
}

fn failed(why: String) -> ErrandOutcome {
    ErrandOutcome { end: Err(why), output: Vec::new(), errors: Vec::new() }
}

fn read(mut written: File) -> io::Result<Vec<u8>> {
    let mut output = Vec::new();
    written.rewind()?;
    written.take(MAX_OUTPUT).read_to_end(&mut output)?;
    Ok(output)
}
