//! One run of navigator: what it logs, what runs below it, and that nothing is left when it has ended.

use super::entry::{self, Event, Said};
use super::leftovers::{self, Process};
use super::log::{Line, Log, Stream};
use super::{Signal, Site, client, report};
use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

/// A run of navigator.
#[derive(Debug)]
pub(crate) struct Navigator<'s> {
    site: &'s Site,
    pid: u32,
    /// `None` if it had ended before it could be looked at.
    process: Option<Process>,
    log: Arc<Log>,
    /// Processes seen below navigator when it was signalled: they must be gone when it is.
    seen: BTreeSet<Process>,
}

impl<'s> Navigator<'s> {
    /// Takes over the process that was just started.
    pub(super) fn watch(site: &'s Site, child: std::process::Child) -> Navigator<'s> {
        let pid = child.id();
        Navigator { site, pid, process: leftovers::process(pid), log: Log::collect(child), seen: BTreeSet::new() }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// A number that the kernel tells of navigator in `/proc/PID/status`: sizes are in kilobytes.
    pub(crate) fn status(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).expect("the kernel tells");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Everything that lives below navigator, but its keeper.
    pub(crate) fn descendants(&self) -> BTreeSet<Process> {
        leftovers::descendants(self.pid).into_iter().filter(|process| !leftovers::is_keeper(process)).collect()
    }

    /// Its keeper, and those that it has taken over.
    pub(crate) fn keepers(&self) -> BTreeSet<Process> {
        self.site.keepers()
    }

    /// Kills navigator and its keepers.
    pub(crate) fn kill_with_keepers(&mut self) {
        self.signal(Signal::KILL);
        for keeper in self.keepers() {
            leftovers::send(&keeper, Signal::KILL);
        }
    }

    /// Sends a signal to navigator itself. What runs below it at this moment is remembered for [`Navigator::exits`].
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.seen.extend(leftovers::descendants(self.pid));
        if let Some(process) = &self.process {
            leftovers::send(process, signal);
        }
    }

    /// As [`Navigator::signal`], by number: real-time signals have no names that the harness knows.
    #[track_caller]
    pub(crate) fn send_number(&self, number: i32) {
        client(Command::new("sh").args(["-c", &format!("kill -{number} {}", self.pid)]));
    }

    pub(crate) fn is_running(&self) -> bool {
        !self.log.has_ended()
    }

    /// Kills a process below navigator, as a person or the kernel would.
    #[track_caller]
    pub(crate) fn kill(&self, pid: u32) {
        self.send(pid, Signal::KILL);
    }

    /// As [`Navigator::kill`], with another signal.
    #[track_caller]
    pub(crate) fn send(&self, pid: u32, signal: Signal) {
        let process = leftovers::process(pid).unwrap_or_else(|| panic!("{pid} runs no more\n{}", self.log.describe()));
        leftovers::send(&process, signal);
    }

    /// Children of navigator and of its keepers that have ended and that haven't been waited for.
    pub(crate) fn zombies(&self) -> Vec<u32> {
        let keepers = self.keepers();
        [self.pid].into_iter().chain(keepers.iter().map(|keeper| keeper.pid)).flat_map(leftovers::zombies).collect()
    }

    /// The command line of everything that lives below navigator.
    pub(crate) fn command_lines_below(&self) -> Vec<String> {
        self.descendants().iter().map(leftovers::describe).collect()
    }

    /// The events so far.
    pub(crate) fn events(&self) -> Vec<Event> {
        events(&self.log.lines())
    }

    /// The first event with this message and name, waited for.
    #[track_caller]
    pub(crate) fn event(&self, message: &str, name: &str) -> Event {
        self.nth_event(message, name, 0)
    }

    /// As [`Navigator::event`], the first after this one.
    #[track_caller]
    pub(crate) fn event_after(&self, earlier: &Event, message: &str, name: &str) -> Event {
        let index = earlier.index;
        self.wait(&format!("`{message}` of `{name}`"), |event| event.index > index && event.is(message, name))
    }

    /// As [`Navigator::event`], counted from 0.
    #[track_caller]
    pub(crate) fn nth_event(&self, message: &str, name: &str, n: usize) -> Event {
        let what = format!("`{message}` of `{name}`, number {n}");
        self.log.wait_for(&what, |lines| events(lines).into_iter().filter(|event| event.is(message, name)).nth(n))
    }

    /// The first event that is `wanted`, waited for.
    #[track_caller]
    pub(crate) fn wait(&self, what: &str, wanted: impl Fn(&Event) -> bool) -> Event {
        self.log.wait_for(what, |lines| events(lines).into_iter().find(|event| wanted(event)))
    }

    /// Waits until the process runs; its pid.
    #[track_caller]
    pub(crate) fn started(&self, name: &str) -> u32 {
        self.event("Process started", name).pid()
    }

    /// The value of a variable in the environment of this process.
    pub(crate) fn variable(&self, pid: u32, name: &str) -> String {
        // The kernel lets navigator go on before it shows the environment of the new program.
        self.log().until(&format!("`{name}` of {pid}"), || {
            let environment = fs::read_to_string(format!("/proc/{pid}/environ")).expect("it runs");
            let mut variables = environment.split('\0').filter_map(|variable| variable.split_once('='));
            variables.find(|(found, _)| *found == name).map(|(_, value)| value.to_owned())
        })
    }

    pub(crate) fn count(&self, message: &str, name: &str) -> usize {
        self.events().iter().filter(|event| event.is(message, name)).count()
    }

    /// What the process has written so far, both streams, in the order of arrival.
    pub(crate) fn said(&self, name: &str) -> Vec<Said> {
        said(&self.log.lines()).into_iter().filter(|said| said.name == name).collect()
    }

    /// The first line of the process that is `wanted`, waited for.
    #[track_caller]
    pub(crate) fn says(&self, name: &str, wanted: impl Fn(&str) -> bool) -> Said {
        let fits = |said: &Said| said.name == name && wanted(&said.message);
        self.log.wait_for(&format!("a line of `{name}`"), |lines| said(lines).into_iter().find(fits))
    }

    /// Waits until the children's journal has a line that is `wanted`.
    #[track_caller]
    pub(crate) fn journals(&self, wanted: &str) {
        self.log
            .until(&format!("`{wanted}` in the journal"), || self.site.journal().iter().any(|line| line == wanted).then_some(()));
    }

    /// Waits for the end, and takes whatever it is: for commands that don't stay.
    #[track_caller]
    pub(crate) fn ended(self) -> Ended {
        let (status, at) = self.log.wait_for_exit();
        Ended { code: status.code(), lines: self.log.lines(), at, description: self.log.describe() }
    }

    /// Waits for the end, which must have this exit code and leave no process behind.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Ended {
        self.log.wait_for_exit();
        let seen = self.seen.iter().filter(|process| leftovers::is_alive(process)).cloned().collect();
        let left: Vec<String> = self.site.living().union(&seen).map(leftovers::describe).collect();
        assert!(left.is_empty(), "left behind: {left:#?}\n{}", self.log.describe());
        let ended = self.ended();
        assert_eq!(ended.code, Some(code), "exit code\n{}", ended.description);
        ended
    }

    /// Tells it to end, and waits until it has, in order.
    #[track_caller]
    pub(crate) fn ends(mut self) -> Ended {
        self.signal(Signal::TERM);
        self.exits(0)
    }
}

impl Drop for Navigator<'_> {
    /// Cleans up after a failed test, so that it doesn't disturb the next one.
    fn drop(&mut self) {
        if self.log.has_ended() {
            return;
        }
        if std::thread::panicking() {
            report(&self.log.describe());
        }
        let below = leftovers::descendants(self.pid);
        for process in self.process.iter().chain(&below).chain(&self.site.living()) {
            leftovers::send(process, Signal::KILL);
        }
    }
}

/// A run of navigator that is over.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    pub(crate) lines: Vec<Line>,
    pub(crate) at: Instant,
    pub(crate) description: String,
}

impl Ended {
    pub(crate) fn stdout(&self) -> String {
        self.written(Stream::Stdout)
    }

    pub(crate) fn stderr(&self) -> String {
        self.written(Stream::Stderr)
    }

    pub(crate) fn events(&self) -> Vec<Event> {
        events(&self.lines)
    }

    /// What the process has written, both streams.
    pub(crate) fn said(&self, name: &str) -> Vec<String> {
        said(&self.lines).into_iter().filter(|said| said.name == name).map(|said| said.message).collect()
    }

    /// The place of the only event of this kind among all lines.
    #[track_caller]
    pub(crate) fn place(&self, message: &str, name: &str) -> usize {
        let places: Vec<usize> = self.events().iter().filter(|event| event.is(message, name)).map(|event| event.index).collect();
        assert_eq!(places.len(), 1, "`{message}` of `{name}`\n{}", self.description);
        places[0]
    }

    fn written(&self, stream: Stream) -> String {
        self.lines.iter().filter(|line| line.stream == stream).map(|line| line.text() + "\n").collect()
    }
}

fn events(lines: &[Line]) -> Vec<Event> {
    lines.iter().enumerate().filter_map(|(index, line)| entry::event(index, line)).collect()
}

fn said(lines: &[Line]) -> Vec<Said> {
    lines.iter().enumerate().filter_map(|(index, line)| entry::said(index, line)).collect()
}
