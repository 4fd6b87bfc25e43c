//! `navigator [run] [CONFIG]`: puts the floors together and runs them in the foreground.

use super::arguments::Common;
use super::check::{exit_code, wants_color};
use super::log::{Lines, LogSettings};
use super::{INTERRUPTED, INVALID, OK, fail, pid_file, print_error};
use crate::config::{Environment, Format, Level, Loaded, Settings, render_all};
use crate::control::{Claim, Instance, InstanceError, StateDir};
use crate::runtime::{self, Launcher, Printer, Runtime};
use crate::source::{Asker, FileSource};
use crate::supervisor::{Ending, INBOX, News, Perform, Signal, Supervisor, Surroundings};
use reconcile::event::{Action, Event, Pid, RunId};
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};
use tracing_subscriber::prelude::*;

/// Runs a configuration until navigator is told to end.
pub(super) fn run(path: PathBuf, common: &Common) -> ExitCode {
    let launcher = match runtime::init() {
        Ok(launcher) => launcher,
        Err(error) => return fail(INVALID, &error.to_string()),
    };
    let environment = Environment::current();
    let source = FileSource::new(path.clone(), environment);
    let loaded = match source.load() {
        Ok(loaded) => loaded,
        Err(rejected) => {
            print_error(&render_all(&rejected.diagnostics, rejected.omitted, wants_color()));
            return exit_code(&rejected);
        }
    };
    let state = StateDir::new(common.state_dir.clone(), std::env::var_os("XDG_RUNTIME_DIR").as_deref());
    let instance = match Instance::claim(&state, &path) {
        Ok(instance) => instance,
        Err(error @ InstanceError::Running { .. }) => return fail(INVALID, &error.to_string()),
        Err(error) => return fail(INVALID, &error.to_string()),
    };
    let verbosity = Verbosity::of(common);
    let log = match Log::start(&loaded.settings, verbosity) {
        Ok(log) => log,
        Err(error) => return fail(INVALID, &format!("failed to start logging: {error}")),
    };
    let pid_file = claim_pid_file();
    let result = supervise(launcher, source, loaded, &log);
    log.printer.finish();
    if let Some(claim) = pid_file {
        claim.remove();
    }
    instance.release();
    match result {
        Ok(Ending::Terminated) => OK.into(),
        Ok(Ending::Interrupted) => INTERRUPTED.into(),
        Err(error) => fail(INVALID, &error.to_string()),
    }
}
