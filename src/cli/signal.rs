//! `navigator -s reload|stop|quit`: sends a signal to the running navigator.
//!
//! It doesn't trust the pid in a file: the kernel names the process that holds the lock on it.

use super::arguments::SignalOrder;
use super::console::{FAILURE, NOT_RUNNING, OK, fail, pid_file, variable};
use super::locate::locate;
use crate::access::FoundPath;
use crate::control::{LOCK, StateDir, send};
use crate::error_text::words;
use rustix::process::Signal;
use std::io;
use std::path::{Path, PathBuf};
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
    let instance = || config.as_ref().map(|config| lock(state, config));
    // Only a navigator of the named configuration is signalled. Without a name, the pid file is used too.
    let places = match (is_config_named, is_pid_file_named) {
        (true, _) => vec![instance()],
        (false, true) => vec![Some(FoundPath::find(&pid_file, state.trust()).map(Some))],
        (false, false) => vec![instance(), Some(FoundPath::find(&pid_file, state.trust()).map(Some))],
    };
    for place in places.into_iter().flatten() {
        let place = match place {
            Ok(Some(place)) => place,
            Ok(None) => continue,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return fail(FAILURE, &format!("failed to find the running navigator: {}", words(&error))),
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

/// The lock of the instance for a configuration, if there is such an instance.
fn lock(state: &StateDir, config: &Path) -> io::Result<Option<FoundPath<'static>>> {
    Ok(state.find(config)?.map(|directory| directory.entry(LOCK)))
}
