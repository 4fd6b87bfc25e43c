//! The thread that reads the configuration: when a hint or a poll shows that something changed and its writer is done,
//! and when somebody asks.
//!
//! Hints come from the kernel where it gives any; a slow poll stands in where it doesn't, and catches what hints miss.
//! Every content is delivered once, whatever way it was saved.

use super::file::{FileSource, Reading, Stamp, Stamps};
use super::hints::{Hint, Hints};
use super::look::{Look, QUIET, Verdict};
use super::places::Places;
use crate::config::{Inputs, Loaded, Rejected};
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::{Duration, Instant};
use tracing::warn;

/// How often is looked without a hint.
const POLL: Duration = Duration::from_secs(2);

/// How much longer a file written in place must be quiet if over half of its processes vanished: it is nearly always
/// half of a file.
const DOUBT: Duration = Duration::from_secs(1);

/// As many processes there must have been for half of them to be a sign.
const SIGNIFICANT: usize = 4;

/// How changes are found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    /// By what the kernel tells, and by a slow poll beside it.
    Events,
    /// By the poll alone.
    Poll,
    /// Not at all; only when somebody asks.
    Off,
}

/// Asks for the configuration to be read.
#[derive(Clone, Debug)]
pub struct Asker(Sender<Message>);

impl Asker {
    /// Asks. The answer comes by another way, also if nothing changed.
    pub fn ask(&self) {
        // The thread ends only with the process, after every asker; there is nobody left to tell otherwise.
        drop(self.0.send(Message::Ask));
    }
}

#[derive(Debug)]
enum Message {
    Ask,
    Hint(Hint),
}

impl FileSource {
    /// Follows the files from what `first` saw of them, until every asker is dropped, and gives each further revision to
    /// `deliver`, on a thread of its own.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn follow(
        self,
        first: &Reading,
        means: Means,
        deliver: impl Fn(Result<Loaded, Rejected>) + Send + 'static,
    ) -> io::Result<Asker> {
        let (sender, receiver) = mpsc::channel();
        let mut follower = Follower {
            means,
            hints: None,
            hint_to: sender.clone(),
            names: BTreeSet::new(),
            directories: BTreeSet::new(),
            listed: BTreeSet::new(),
            look: Look::default(),
            read: first.stamps.clone(),
            digest: first.digest,
            processes: first.revision.as_ref().map(names).unwrap_or_default(),
            // A change between the first reading and the first watch is seen by a look.
            look_at: Some(Instant::now() + if first.is_shaky { QUIET / 4 } else { Duration::ZERO }),
            is_shaky: first.is_shaky,
            source: self,
            deliver,
        };
        let inputs = first.inputs().clone();
        thread::Builder::new().name("source".to_owned()).spawn(move || {
            follower.watch(&inputs);
            follower.run(&receiver);
        })?;
        Ok(Asker(sender))
    }
}

struct Follower<D> {
    source: FileSource,
    deliver: D,
    means: Means,
    hints: Option<Hints>,
    hint_to: Sender<Message>,
    /// The names and directories that hints are about.
    names: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
    /// The directories of which every entry matters.
    listed: BTreeSet<PathBuf>,
    look: Look,
    /// What was seen when the files were last read.
    read: Stamps,
    digest: u64,
    /// The last reading may have missed a change that left no trace in the stamps.
    is_shaky: bool,
    /// The names in the last revision that was accepted.
    processes: BTreeSet<String>,
    /// When to look again without a hint.
    look_at: Option<Instant>,
}

impl<D: Fn(Result<Loaded, Rejected>)> Follower<D> {
    fn run(&mut self, messages: &Receiver<Message>) {
        loop {
            let first = match self.patience() {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(patience) => messages.recv_timeout(patience),
            };
            let is_time = match first {
                Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => true,
                Ok(_) => false,
            };
            let (mut is_asked, mut is_hinted) = (false, false);
            for message in first.into_iter().chain(messages.try_iter()) {
                match message {
                    Message::Ask => is_asked = true,
                    Message::Hint(hint) if self.concerns(&hint) => {
                        self.look.note(hint);
                        is_hinted = true;
                    }
                    Message::Hint(_) => {}
                }
            }
            if is_asked {
                self.take(true);
            } else if is_time || is_hinted {
                self.look();
            }
        }
    }

    /// Whether a hint is about anything that decides what is read. Others may write what they like beside it.
    fn concerns(&self, hint: &Hint) -> bool {
        hint.name().is_none_or(|name| {
            self.names.contains(name) || name.parent().is_some_and(|directory| self.listed.contains(directory))
        })
    }

    /// How long to wait for a message; `None`: for ever.
    fn patience(&self) -> Option<Duration> {
        let due = self.look_at.map(|at| at.saturating_duration_since(Instant::now()));
        match self.means {
            Means::Off => None,
            Means::Events | Means::Poll => Some(due.map_or(POLL, |due| due.min(POLL))),
        }
    }

    fn look(&mut self) {
        self.look_at = None;
        if std::mem::take(&mut self.is_shaky) {
            return self.take(false);
        }
        let seen: Stamps = self.read.keys().map(|path| (path.clone(), Stamp::of(path))).collect();
        match self.look.judge(&self.read, seen, Instant::now()) {
            Verdict::Same => {}
            Verdict::Wait(until) => self.look_at = Some(until),
            Verdict::Read => self.take(false),
        }
    }

    /// Reads, and delivers what is new, or whatever it is if somebody asked.
    fn take(&mut self, is_asked: bool) {
        let reading = self.source.read();
        if !is_asked && self.is_doubtful(&reading) {
            let until = self.look.since().unwrap_or_else(Instant::now) + QUIET + DOUBT;
            if Instant::now() < until {
                self.look_at = Some(until);
                return;
            }
        }
        let is_new = reading.digest != self.digest;
        self.watch(reading.inputs());
        self.digest = reading.digest;
        self.is_shaky = reading.is_shaky;
        self.look.forget();
        self.read = reading.stamps;
        // At once for what changed while it was read and watched; a little later if the clock couldn't tell.
        self.look_at = Some(Instant::now() + if self.is_shaky { QUIET / 4 } else { Duration::ZERO });
        if is_new || is_asked {
            if let Ok(loaded) = &reading.revision {
                self.processes = names(loaded);
            }
            (self.deliver)(reading.revision);
        }
    }

    /// Whether a change in place leaves less than half of what there was.
    fn is_doubtful(&self, reading: &Reading) -> bool {
        let Ok(loaded) = &reading.revision else { return false };
        let left = names(loaded).intersection(&self.processes).count();
        self.processes.len() >= SIGNIFICANT && left * 2 < self.processes.len() && !self.look.is_whole(&self.read, &reading.stamps)
    }

    /// Watches wherever a change of these inputs can be seen.
    fn watch(&mut self, inputs: &Inputs) {
        if self.means == Means::Off {
            return;
        }
        let mut places = Places::default();
        inputs.files.iter().for_each(|file| places.add_file(file));
        inputs.directories.iter().for_each(|directory| places.add_directory(directory));
        (self.names, self.directories, self.listed) = (places.names, places.directories, places.listed);
        if self.means == Means::Events
            && let Err(error) = self.watch_by_events()
        {
            warn!(target: "navigator", %error, poll = "2s", "Files can't be watched by events");
            self.hints = None;
            self.means = Means::Poll;
        }
    }

    fn watch_by_events(&mut self) -> notify::Result<()> {
        let hints = if let Some(hints) = &mut self.hints {
            hints
        } else {
            let hint_to = self.hint_to.clone();
            // The thread has ended; nobody wants hints any more.
            let hints = Hints::new(move |hint| drop(hint_to.send(Message::Hint(hint))))?;
            self.hints.insert(hints)
        };
        hints.watch(&self.directories)
    }
}

fn names(loaded: &Loaded) -> BTreeSet<String> {
    loaded.desired.entries().iter().map(|entry| entry.spec.name.to_string()).collect()
}
