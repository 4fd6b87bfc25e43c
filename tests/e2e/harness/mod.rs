//! Starts the real program on a real configuration, and watches it from outside.
//!
//! A [`Site`] is a directory of its own with a configuration, a state directory and a marker in the environment; a
//! [`Navigator`] is one run of the program there. Whatever a test checks, [`Navigator::exits`] also checks that no
//! process of the site is left. Nothing here knows navigator's code: only its command line, its output and the kernel.

mod bystander;
pub(crate) mod entry;
pub(crate) mod leftovers;
pub(crate) mod log;
mod navigator;
pub(crate) mod ports;
mod repository;
pub(crate) mod servers;
mod site;
pub(crate) mod socket;
mod terminal;

pub(crate) use bystander::Bystander;
pub(crate) use navigator::{Ended, Navigator};
pub(crate) use repository::Repository;
pub(crate) use rustix::process::Signal;
pub(crate) use site::{Site, attempt, client, fixtures};
pub(crate) use terminal::{Played, on_terminal, open_terminal, shown_on_terminal};

/// Says something to whoever runs the tests.
#[expect(clippy::print_stderr, reason = "what a person reads beside a test's outcome")]
pub(crate) fn report(text: &str) {
    eprintln!("{text}");
}
