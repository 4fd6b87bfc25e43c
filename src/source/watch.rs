//! The thread that reads the configuration: when a hint or a poll shows that something changed and its writer is done,
//! and when somebody asks.
//!
//! Hints come from the kernel where it gives any; a slow poll stands in where it doesn't, and catches what hints miss.
//! Every content is delivered once, whatever way it was saved.

use super::debounce::{Debounce, DebounceDecision};
use super::file::{FileSource, FsAnswers, ReadRecord, Reading};
use super::file_stat::FileStats;
use super::fs_events::{EventBacklog, FsEvent, FsEvents, WatchRefusal};
use super::revision::{Contents, Delivery, Revision, Source, Ticket, Tickets, WatchMethod};
use super::watch_paths::WatchPaths;
use super::watched::Watched;
use crate::config::{Inputs, Loaded, Rejected};
use reconcile::desired::Desired;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// How often is looked without a hint.
const POLL: Duration = Duration::from_secs(2);

/// How long after the kernel has refused to give hints it is asked again: limits on watching are shared by all programs.
const REFUSED: Duration = Duration::from_mins(1);

/// As many processes there must have been for it to be a sign that over half of them vanished: of half a file, mostly.
const SIGNIFICANT: usize = 4;

/// Files that are followed, for those who ask.
#[derive(Clone, Debug)]
pub struct FileFollower {
    source: FileSource,
    tickets: Tickets,
    ask: Sender<FollowerRequest>,
    found_by: FoundBy,
}

/// How changes are found just now; shared by whoever finds them and whoever wants to know.
#[derive(Clone, Debug)]
struct FoundBy(Arc<Mutex<WatchMethod>>);

impl FoundBy {
    fn get(&self) -> WatchMethod {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, means: WatchMethod) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = means;
    }
}

impl Source for FileFollower {
    fn reload(&self) -> Ticket {
        let ticket = self.tickets.next();
        // The thread ends with the process only; there is nobody left to tell then.
        drop(self.ask.send(FollowerRequest::Ask));
        ticket
    }

    fn look(&self) {
        // As above.
        drop(self.ask.send(FollowerRequest::Look));
    }

    fn look_no_more(&self) {
        // As above.
        drop(self.ask.send(FollowerRequest::LookNoMore));
    }

    fn means(&self) -> WatchMethod {
        self.found_by.get()
    }

    fn read(&self, candidate: Option<&Path>) -> Result<Loaded, Rejected> {
        candidate.map_or_else(|| self.source.read(), |path| self.source.instead(path.to_owned()).read()).revision
    }
}

#[derive(Debug)]
enum FollowerRequest {
    Ask,
    Look,
    LookNoMore,
    Hint(FsEvent),
}

impl FileSource {
    /// Follows the files from what `first` saw of them, for the rest of the process, and gives each further revision, and
    /// each other content of watched files, to `deliver`, on a thread of its own. Answers with what the watched files of the
    /// first revision contain now.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn follow(self, first: &Reading, deliver: impl Fn(Delivery) + Send + 'static) -> io::Result<(FileFollower, Contents)> {
        let mut watched = Watched::new(self.has_writer);
        let contents = first.revision.as_ref().map(|loaded| watched.want(&loaded.desired)).unwrap_or_default();
        let (sender, messages) = mpsc::channel();
        let means = self.means;
        let found_by = FoundBy(Arc::new(Mutex::new(means)));
        let tickets = Tickets::default();
        let asker =
            FileFollower { source: self.clone(), tickets: tickets.clone(), ask: sender.clone(), found_by: found_by.clone() };
        let mut follower = FollowerThread {
            found_by,
            tickets,
            watched,
            source: self,
            deliver,
            means,
            hint_to: sender,
            backlog: Arc::default(),
            hints: None,
            refused_at: None,
            inputs: first.inputs().clone(),
            places: WatchPaths::default(),
            look: Debounce::new(first.evidence.stamps.clone(), !first.evidence.is_fresh),
            // A change between the first reading and the first watch is seen by a look.
            look_at: Instant::now(),
            answers: first.answers.clone(),
            desired: first.revision.as_ref().map_or_else(|_| Desired::nothing(), |loaded| loaded.desired.clone()),
            // Some file systems don't count names.
            nameless: first.evidence.stamps.nameless().map(Path::to_owned).collect(),
            lookers: 0,
            is_settled: false,
        };
        thread::Builder::new().name("source".to_owned()).spawn(move || follower.run(&messages))?;
        Ok((asker, contents))
    }
}

struct FollowerThread<D> {
    source: FileSource,
    deliver: D,
    /// By what means changes are to be found.
    means: WatchMethod,
    found_by: FoundBy,
    tickets: Tickets,
    hint_to: Sender<FollowerRequest>,
    backlog: Arc<EventBacklog>,
    hints: Option<FsEvents>,
    /// When the kernel last refused to give hints.
    refused_at: Option<Instant>,
    /// What decided the last reading, and where a change of that can be seen.
    inputs: Inputs,
    places: WatchPaths,
    look: Debounce,
    /// When to look, with or without a hint.
    look_at: Instant,
    /// What the files said at the last reading.
    answers: FsAnswers,
    /// What the last revision wanted that was valid. Its definitions are those in force, not copies of them.
    desired: Desired,
    /// The files that were found without a name, and told of.
    nameless: BTreeSet<PathBuf>,
    /// What the processes of that revision watch.
    watched: Watched,
    /// How many wait until everything that was saved has been delivered.
    lookers: usize,
    /// At the last look, what there was to read had been read.
    is_settled: bool,
}

impl<D: Fn(Delivery)> FollowerThread<D> {
    fn run(&mut self, messages: &Receiver<FollowerRequest>) {
        loop {
            // There is always somebody who may send: this thread itself, on behalf of the kernel.
            let first = match self.means {
                WatchMethod::Off => messages.recv().map_err(RecvTimeoutError::from),
                WatchMethod::Events | WatchMethod::Poll => {
                    messages.recv_timeout(self.look_at.saturating_duration_since(Instant::now()))
                }
            };
            let (mut is_asked, mut is_hinted, before) = (false, false, self.lookers);
            self.backlog.clear();
            for message in first.into_iter().chain(messages.try_iter()) {
                match message {
                    FollowerRequest::Ask => is_asked = true,
                    FollowerRequest::Look => self.lookers += 1,
                    FollowerRequest::LookNoMore => self.look_no_more(),
                    FollowerRequest::Hint(hint) => is_hinted |= self.note(hint),
                }
            }
            if is_asked {
                let answers = self.tickets.last();
                let reading = self.source.read();
                self.take(reading, answers, true);
                self.is_settled = true;
                self.look_at_watched();
            } else if self.means != WatchMethod::Off && (is_hinted || self.lookers > before || Instant::now() >= self.look_at) {
                self.look();
            }
            if self.means == WatchMethod::Off || self.is_settled {
                (0..std::mem::take(&mut self.lookers)).for_each(|_| (self.deliver)(Delivery::Looked));
            }
        }
    }

    fn look_no_more(&mut self) {
        self.means = WatchMethod::Off;
        self.found_by.set(WatchMethod::Off);
        self.hints = None;
    }

    /// Takes a hint in, if it is about anything that decides what is read.
    fn note(&mut self, hint: FsEvent) -> bool {
        let hints = if let Some(hints) = &mut self.hints { hints.note(hint) } else { vec![hint] };
        let mut concerns = false;
        for hint in hints {
            concerns |= self.note_one(hint);
        }
        concerns
    }

    fn note_one(&mut self, hint: FsEvent) -> bool {
        let concerns = hint.name().is_none_or(|name| self.places.concern(name));
        let concerns_watched = hint.name().is_none_or(|name| self.watched.concern(name));
        if concerns_watched {
            self.watched.note(hint.clone(), Instant::now());
        }
        if concerns {
            self.look.note(hint, Instant::now());
        }
        concerns || concerns_watched
    }

    fn look(&mut self) {
        // Before the look, so that what changes after it gives a hint.
        self.watch();
        let seen = self.look.again();
        let now = Instant::now();
        self.look_at = now + POLL;
        self.is_settled = match self.look.judge(seen.clone(), now) {
            DebounceDecision::Same => {
                self.warn_of_nameless(&seen);
                true
            }
            DebounceDecision::Wait(until) => {
                self.look_at = self.look_at.min(until);
                false
            }
            DebounceDecision::Read => self.read(&seen),
        };
        self.look_at_watched();
    }

    /// Looks at what processes watch.
    fn look_at_watched(&mut self) {
        let contents = self.watched.look(Instant::now());
        self.is_settled &= self.watched.look_at().is_none();
        self.look_at = self.watched.look_at().map_or(self.look_at, |until| self.look_at.min(until));
        if !contents.is_empty() {
            (self.deliver)(Delivery::Contents(contents));
        }
    }

    /// Tells once of each file that was replaced where navigator can't see it.
    fn warn_of_nameless(&mut self, seen: &FileStats) {
        for path in seen.nameless() {
            if self.nameless.insert(path.to_owned()) {
                warn!(
                    target: "navigator",
                    file = %path.display(),
                    help = "mount the directory that it lies in",
                    "The file is mounted by itself and was replaced outside, where that can't be seen"
                );
            }
        }
    }

    /// Reads what was judged to be ready, unless it turns out that it is not; whether it was.
    fn read(&mut self, judged: &FileStats) -> bool {
        if let Some(evidence) = self.source.confirm(&self.answers) {
            let is_ready = self.is_ready(&evidence, None, judged);
            if is_ready {
                debug!(target: "navigator", "Files were read again, and say the same");
                self.seen(evidence);
            }
            return is_ready;
        }
        let answers = self.tickets.last();
        let reading = self.source.read();
        let doubt = self.look.doubt().filter(|_| self.is_doubtful(&reading));
        let is_ready = self.is_ready(&reading.evidence, doubt, judged);
        if is_ready {
            let is_new = !reading.answers.are_as_in(&self.answers);
            self.take(reading, answers, is_new);
        }
        is_ready
    }

    /// Whether what was judged to be ready is what was read, whole, and no longer in `doubt`. If not, says when to look again.
    fn is_ready(&mut self, evidence: &ReadRecord, doubt: Option<Instant>, judged: &FileStats) -> bool {
        let now = Instant::now();
        let until = self.look.unfinished(evidence, now).or(doubt).filter(|until| now < *until);
        let is_steady = evidence.is_steady(judged);
        if !is_steady {
            self.look_at = now;
        } else if let Some(until) = until {
            self.look_at = self.look_at.min(until);
        }
        is_steady && until.is_none()
    }

    /// Whether so much is missing that it looks like the beginning of a file.
    fn is_doubtful(&self, reading: &Reading) -> bool {
        let Ok(loaded) = &reading.revision else { return false };
        let known = self.desired.entries();
        let left = known.iter().filter(|entry| loaded.desired.get(&entry.spec.name).is_some()).count();
        known.len() >= SIGNIFICANT && left * 2 < known.len()
    }

    /// Takes a reading for what there is, and delivers it if that is of interest. It began after the request that it `answers`.
    fn take(&mut self, mut reading: Reading, answers: Ticket, is_of_interest: bool) {
        self.inputs = reading.inputs().clone();
        self.answers = reading.answers;
        self.seen(reading.evidence);
        if let Ok(loaded) = &mut reading.revision {
            // What didn't change is found here, and not by the loop, which has others to answer.
            loaded.desired.share(&self.desired);
            self.desired = loaded.desired.clone();
        }
        if is_of_interest {
            if let Ok(loaded) = &mut reading.revision {
                loaded.contents = self.watched.want(&loaded.desired);
            }
            (self.deliver)(Delivery::Revision(Revision { answers, outcome: reading.revision.map(Box::new) }));
        }
    }

    /// Goes on from what was seen of what was read.
    fn seen(&mut self, evidence: ReadRecord) {
        self.look = Debounce::new(evidence.stamps, !evidence.is_fresh);
        // What changed while it was read is seen by another look.
        self.look_at = Instant::now();
    }

    /// Watches wherever a change can be seen now: that depends on what stands where.
    fn watch(&mut self) {
        self.places = WatchPaths::of(&self.inputs);
        if self.means != WatchMethod::Events || self.refused_at.is_some_and(|at| at.elapsed() < REFUSED) {
            return;
        }
        let watched = self.watch_by_events();
        self.found_by.set(if watched.is_ok() { WatchMethod::Events } else { WatchMethod::Poll });
        match watched {
            Ok(()) if self.refused_at.take().is_some() => info!(target: "navigator", "Files are watched by events again"),
            Ok(()) => {}
            Err(error) => {
                self.hints = None;
                if self.refused_at.replace(Instant::now()).is_none() {
                    warn!(target: "navigator", %error, poll = "2s", "Files can't be watched by events");
                }
            }
        }
    }

    fn watch_by_events(&mut self) -> Result<(), WatchRefusal> {
        let hints = if let Some(hints) = &mut self.hints {
            hints
        } else {
            let (hint_to, backlog) = (self.hint_to.clone(), Arc::clone(&self.backlog));
            // The thread has ended; nobody wants hints any more.
            let take = move |hint| drop(backlog.admit(hint).map(|hint| hint_to.send(FollowerRequest::Hint(hint))));
            self.hints.insert(FsEvents::new(take)?)
        };
        let directories = self.places.directories() | self.watched.directories();
        hints.watch(&directories)
    }
}
