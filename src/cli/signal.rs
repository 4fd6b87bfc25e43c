//! `navigator -s reload|stop|quit`: tells the running navigator by a signal.
//!
//! It never trusts a number in a file: the kernel says who holds the lock on it.

use super::arguments::Order;
use super::locate::locate;
use super::{INVALID, NOT_RUNNING, OK, fail, pid_file, variable};
use crate::control::{StateDir, send};
use rustix::process::Signal;
use std::path::PathBuf;
use std::process::ExitCode;

/// Sends the signal to the navigator of the configuration, or to the one of the pid file.
pub(super) fn signal(order: Order, named: Option<PathBuf>, state: &StateDir) -> ExitCode {
    let signal = match order {
        Order::Reload => Signal::HUP,
        Order::Stop => Signal::TERM,
        Order::Quit => Signal::QUIT,
    };
    let (pid_file, asked_for) = pid_file();
    let asked = named.is_some();
    let config = locate(named, variable("NAVIGATOR_CONFIG")).ok();
    let instance = config.as_ref().map(|config| state.lock_of(config));
    // A configuration that is named means that one alone; else the pid file stands in for it.
    let places = match (asked, asked_for) {
        (true, _) => vec![instance],
        (false, true) => vec![Some(pid_file)],
        (false, false) => vec![instance, Some(pid_file)],
    };
    for place in places.into_iter().flatten() {
        match send(&place, signal) {
            Ok(Some(_)) => return OK.into(),
            Ok(None) => {}
            Err(error) => {
                return fail(INVALID, &format!("failed to signal the running navigator: {}", std::io::Error::from(error)));
            }
        }
    }
    match config {
        Some(config) => fail(NOT_RUNNING, &format!("no navigator runs `{}`", config.display())),
        None => fail(NOT_RUNNING, "no navigator runs"),
    }
}
