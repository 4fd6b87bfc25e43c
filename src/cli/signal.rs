//! `navigator -s reload|stop|quit`: sends a signal to the running navigator.
//!
//! It doesn't trust the pid in a file: the kernel names the process that holds the lock on it.

use super::arguments::SignalOrder;
use super::console::{FAILURE, NOT_RUNNING, OK, USAGE, fail, pid_file, variable};
use super::locate::locate;
use crate::access::FoundPath;
use crate::control::{ClientError, StateDir, send};
use crate::error_text::words;
use rustix::process::Signal;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

/// Sends the signal to the navigator of the configuration, or to the one of the pid file.
pub(super) fn signal(order: SignalOrder, named: Option<PathBuf>, state: &StateDir) -> ExitCode {
    let signal = match order {
        SignalOrder::Reload => Signal::HUP,
        SignalOrder::Stop => Signal::TERM,
        SignalOrder::Quit => Signal::QUIT,
    };
    let (pid_file, is_pid_file_named) = pid_file(state);
    let is_config_named = named.is_some();
    let config = locate(named, variable("NAVIGATOR_CONFIG")).ok();
    let instance = || match state.select(config.as_deref()) {
        Ok(instance) => Ok(Some(instance.lock())),
        Err(ClientError::NotRunning(_) | ClientError::OnlyKeeper { .. } | ClientError::NoneRunning) => Ok(None),
        Err(error) => Err(error),
    };
    let pid_lock = || match FoundPath::find(&pid_file, state.trust()) {
        Ok(place) => Ok(Some(place)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(ClientError::System(error)),
    };
    // Only a navigator of the named configuration is signalled. Without a name, the pid file is used too.
    let places: &[&dyn Fn() -> Result<Option<FoundPath<'static>>, ClientError>] = match (is_config_named, is_pid_file_named) {
        (true, _) => &[&instance],
        (false, true) => &[&pid_lock],
        (false, false) => &[&instance, &pid_lock],
    };
    for place in places {
        let place = match place() {
            Ok(Some(place)) => place,
            Ok(None) => continue,
            Err(error @ ClientError::SeveralRunning(_)) => return fail(USAGE, &error.to_string()),
            Err(ClientError::System(error)) => {
                return fail(FAILURE, &format!("failed to find the running navigator: {}", words(&error)));
            }
            Err(error) => return fail(FAILURE, &error.to_string()),
        };
        match send(&place, state.trust(), signal) {
            Ok(Some(_)) => return OK.into(),
            Ok(None) => {}
            Err(error) => return fail(FAILURE, &error.to_string()),
        }
    }
    match config {
        Some(config) => fail(NOT_RUNNING, &format!("no navigator runs `{}`", config.display())),
        None => fail(NOT_RUNNING, "no navigator runs"),
    }
}
