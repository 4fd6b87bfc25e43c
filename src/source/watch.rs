//! The thread that reads the configuration when an event or the poll shows a finished change, and on request.
//!
//! A slow poll finds changes where the kernel gives no events, or misses some. Every content is delivered once, however it was
//! saved.

use super::debounce::{Debounce, DebounceDecision};
use super::file::{FileSource, FsAnswers, ReadRecord, Reading};
use super::file_stat::FileStats;
use super::fs_events::{EventBacklog, FsEvent, FsEvents, WatchError};
use super::revision::{Contents, Delivery, Revision, Source, Ticket, Tickets, WatchMethod};
use super::watch_paths::WatchPaths;
use super::watched::Watched;
use crate::config::{Inputs, Loaded, Rejected};
use reconcile::desired::Desired;
use reconcile::spec::Spec;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::{debug, info, warn};

/// How often files are checked without an event.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// How long after the kernel refused a watch it is asked again: all programs share its limits.
const WATCH_RETRY_DELAY: Duration = Duration::from_mins(1);

/// With at least this many processes, losing over half of them is a sign of a truncated file.
const MIN_FOR_DOUBT: usize = 4;

/// A handle to the thread that follows the files.
#[derive(Clone, Debug)]
pub struct FileFollower {
    source: FileSource,
    tickets: Tickets,
    requests: Sender<FollowerRequest>,
    active_method: ActiveMethod,
    has_pending_change: Arc<AtomicBool>,
}

/// How changes are found at present; shared between the thread and its handles.
#[derive(Clone, Debug)]
struct ActiveMethod(Arc<Mutex<WatchMethod>>);

impl ActiveMethod {
    fn get(&self) -> WatchMethod {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, method: WatchMethod) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = method;
    }
}

impl Source for FileFollower {
    fn reload(&self) -> Ticket {
        let ticket = self.tickets.next();
        // The thread runs as long as the process, so sending can't fail before exit.
        drop(self.requests.send(FollowerRequest::Reload));
        ticket
    }

    fn check(&self) {
        drop(self.requests.send(FollowerRequest::Check));
    }

    fn stop_watching(&self) {
        drop(self.requests.send(FollowerRequest::StopWatching));
    }

    fn watch_for(&self, definitions: Option<Vec<Arc<Spec>>>) {
        drop(self.requests.send(FollowerRequest::WatchFor(definitions)));
    }

    fn has_pending_change(&self) -> bool {
        self.has_pending_change.load(Ordering::Acquire)
    }

    fn watch_method(&self) -> WatchMethod {
        self.active_method.get()
    }

    fn read(&self, candidate: Option<&Path>, place: Option<&Path>) -> Result<Loaded, Rejected> {
        let at = |path: &Path| self.source.with_path(path.to_owned());
        let reading = match (candidate, place) {
            (None, None) => self.source.read(),
            (Some(path), None) | (None, Some(path)) => at(path).read(),
            (Some(candidate), Some(place)) => at(place).read_in_place(candidate),
        };
        reading.revision
    }
}

#[derive(Debug)]
enum FollowerRequest {
    Reload,
    Check,
    StopWatching,
    WatchFor(Option<Vec<Arc<Spec>>>),
    Event(FsEvent),
}

impl FileSource {
    /// Follows the files from the state that `first` recorded, on a thread that lives as long as the process. Passes each further
    /// revision, and each change of watched files, to `deliver`. Returns the contents of the files that the first revision
    /// watches.
    ///
    /// # Errors
    /// The system refuses another thread.
    pub fn follow(self, first: &Reading, deliver: impl Fn(Delivery) + Send + 'static) -> io::Result<(FileFollower, Contents)> {
        let mut watched = Watched::new(self.has_writer);
        let contents = first
            .revision
            .as_ref()
            .map(|loaded| watched.set_definitions(loaded.desired.entries().iter().map(|entry| &entry.spec)))
            .unwrap_or_default();
        let (sender, messages) = mpsc::channel();
        let method = self.watch_method;
        let active_method = ActiveMethod(Arc::new(Mutex::new(method)));
        let tickets = Tickets::default();
        let follower_handle = FileFollower {
            source: self.clone(),
            tickets: tickets.clone(),
            requests: sender.clone(),
            active_method: active_method.clone(),
            has_pending_change: Arc::default(),
        };
        let mut follower = FollowerThread {
            active_method,
            has_pending_change: Arc::clone(&follower_handle.has_pending_change),
            tickets,
            watched,
            source: self,
            deliver,
            method,
            requests: sender,
            backlog: Arc::default(),
            events: None,
            refused_at: None,
            inputs: first.inputs().clone(),
            paths: WatchPaths::default(),
            debounce: Debounce::new(first.record.stats.clone(), !first.record.is_fresh),
            // A change between the first reading and the first watch is found by a check.
            next_check: Instant::now(),
            answers: first.answers.clone(),
            desired: first.revision.as_ref().map_or_else(|_| Desired::nothing(), |loaded| loaded.desired.clone()),
            // Some file systems have no link counts.
            warned_unlinked: first.record.stats.unlinked().map(Path::to_owned).collect(),
            pending_checks: 0,
            is_settled: false,
        };
        thread::Builder::new().name("source".to_owned()).spawn(move || follower.run(&messages))?;
        Ok((follower_handle, contents))
    }
}

struct FollowerThread<D> {
    source: FileSource,
    deliver: D,
    /// How changes are to be found.
    method: WatchMethod,
    active_method: ActiveMethod,
    /// A change was seen that is not delivered yet.
    has_pending_change: Arc<AtomicBool>,
    tickets: Tickets,
    requests: Sender<FollowerRequest>,
    backlog: Arc<EventBacklog>,
    events: Option<FsEvents>,
    /// When the kernel last refused a watch.
    refused_at: Option<Instant>,
    /// What decided the last reading, and the paths where a change of it is seen.
    inputs: Inputs,
    paths: WatchPaths,
    debounce: Debounce,
    /// When to check, even without an event.
    next_check: Instant,
    /// The answers of the file system at the last reading.
    answers: FsAnswers,
    /// The last valid revision. Its definitions are shared with the applied ones, not copied.
    desired: Desired,
    /// The files without a name that were reported.
    warned_unlinked: BTreeSet<PathBuf>,
    /// The files that processes of that revision watch.
    watched: Watched,
    /// How many requested checks are not yet answered.
    pending_checks: usize,
    /// At the last check, everything ready had been read.
    is_settled: bool,
}

impl<D: Fn(Delivery)> FollowerThread<D> {
    fn run(&mut self, messages: &Receiver<FollowerRequest>) {
        loop {
            // The channel stays open: this thread holds a sender for events.
            let first = match self.method {
                WatchMethod::Off => messages.recv().map_err(RecvTimeoutError::from),
                WatchMethod::Events | WatchMethod::Poll => {
                    messages.recv_timeout(self.next_check.saturating_duration_since(Instant::now()))
                }
            };
            let (mut is_requested, mut has_event, before) = (false, false, self.pending_checks);
            self.backlog.clear();
            for message in first.into_iter().chain(messages.try_iter()) {
                match message {
                    FollowerRequest::Reload => is_requested = true,
                    FollowerRequest::Check => self.pending_checks += 1,
                    FollowerRequest::StopWatching => self.stop_watching(),
                    FollowerRequest::WatchFor(definitions) => self.watch_for(definitions.as_deref()),
                    FollowerRequest::Event(event) => has_event |= self.handle_event(event),
                }
            }
            if is_requested {
                let answers = self.tickets.last();
                let reading = self.source.read();
                self.accept(reading, answers, true);
                self.is_settled = true;
                self.check_watched();
            } else if self.method != WatchMethod::Off
                && (has_event || self.pending_checks > before || Instant::now() >= self.next_check)
            {
                self.check();
            }
            if self.method == WatchMethod::Off || self.is_settled {
                (0..std::mem::take(&mut self.pending_checks)).for_each(|_| (self.deliver)(Delivery::Checked));
            }
        }
    }

    fn stop_watching(&mut self) {
        self.method = WatchMethod::Off;
        self.active_method.set(WatchMethod::Off);
        self.has_pending_change.store(false, Ordering::Release);
        self.events = None;
    }

    /// Watches other files than before, and delivers their content.
    fn watch_for(&mut self, definitions: Option<&[Arc<Spec>]>) {
        let contents = match definitions {
            Some(definitions) => self.watched.set_definitions(definitions.iter()),
            None => self.watched.set_definitions(self.desired.entries().iter().map(|entry| &entry.spec)),
        };
        // The directories of these files are watched from the next check on, which reads them again.
        self.next_check = Instant::now();
        if !contents.is_empty() {
            (self.deliver)(Delivery::Contents(contents));
        }
    }

    /// Records an event; returns whether it concerns anything that is read.
    fn handle_event(&mut self, event: FsEvent) -> bool {
        let events = if let Some(events) = &mut self.events { events.expand(event) } else { vec![event] };
        let mut concerns = false;
        for event in events {
            concerns |= self.route_event(event);
        }
        concerns
    }

    fn route_event(&mut self, event: FsEvent) -> bool {
        let concerns = event.name().is_none_or(|name| self.paths.concerns(name));
        let concerns_watched = event.name().is_none_or(|name| self.watched.concerns(name));
        if concerns_watched {
            self.watched.record(event.clone(), Instant::now());
        }
        if concerns {
            self.debounce.record(event, Instant::now());
        }
        concerns || concerns_watched
    }

    fn check(&mut self) {
        // Before the check, so that a later change gives an event.
        self.update_watches();
        let seen = self.debounce.stat_again();
        let now = Instant::now();
        self.next_check = now + POLL_INTERVAL;
        let decision = self.debounce.decide(seen.clone(), now);
        self.has_pending_change.store(self.debounce.has_change(), Ordering::Release);
        self.is_settled = match decision {
            DebounceDecision::Same => {
                self.warn_of_unlinked(&seen);
                true
            }
            DebounceDecision::Wait(until) => {
                self.next_check = self.next_check.min(until);
                false
            }
            DebounceDecision::Read => self.read(&seen),
        };
        self.check_watched();
    }

    /// Checks the files that processes watch.
    fn check_watched(&mut self) {
        let contents = self.watched.check(Instant::now());
        self.is_settled &= self.watched.next_check().is_none();
        self.next_check = self.watched.next_check().map_or(self.next_check, |until| self.next_check.min(until));
        if !contents.is_empty() {
            (self.deliver)(Delivery::Contents(contents));
        }
    }

    /// Warns once of each file that was replaced where navigator can't see it.
    fn warn_of_unlinked(&mut self, seen: &FileStats) {
        for path in seen.unlinked() {
            if self.warned_unlinked.insert(path.to_owned()) {
                warn!(
                    target: "navigator",
                    file = %path.display(),
                    help = "mount its directory instead",
                    "File was replaced outside of its own mount, where that can't be seen"
                );
            }
        }
    }

    /// Reads the files that were judged to be ready. Returns false if they turn out not to be.
    fn read(&mut self, judged: &FileStats) -> bool {
        if let Some(record) = self.source.confirm(&self.answers) {
            let is_ready = self.is_ready(&record, None, judged);
            if is_ready {
                debug!(target: "navigator", "Files read again, content unchanged");
                self.restart_debounce(record);
                self.has_pending_change.store(false, Ordering::Release);
            }
            return is_ready;
        }
        let answers = self.tickets.last();
        let reading = self.source.read();
        let doubt = self.debounce.hold_for_doubt().filter(|_| self.looks_truncated(&reading));
        let is_ready = self.is_ready(&reading.record, doubt, judged);
        if is_ready {
            let is_new = !reading.answers.have_same_contents(&self.answers);
            self.accept(reading, answers, is_new);
        }
        is_ready
    }

    /// Whether the files that were read are those that were judged, complete and past `doubt`. If not, sets the next check.
    fn is_ready(&mut self, record: &ReadRecord, doubt: Option<Instant>, judged: &FileStats) -> bool {
        let now = Instant::now();
        let until = self.debounce.hold_for_writer(record, now).or(doubt).filter(|until| now < *until);
        let is_steady = record.is_stable(judged);
        if !is_steady {
            self.next_check = now;
        } else if let Some(until) = until {
            self.next_check = self.next_check.min(until);
        }
        is_steady && until.is_none()
    }

    /// Whether so many processes are missing that the file looks truncated.
    fn looks_truncated(&self, reading: &Reading) -> bool {
        let Ok(loaded) = &reading.revision else { return false };
        let known = self.desired.entries();
        let kept = known.iter().filter(|entry| loaded.desired.get(&entry.spec.name).is_some()).count();
        known.len() >= MIN_FOR_DOUBT && kept * 2 < known.len()
    }

    /// Accepts a reading that began after the request `answers`, and delivers it if `is_new`.
    fn accept(&mut self, mut reading: Reading, answers: Ticket, is_new: bool) {
        self.inputs = reading.inputs().clone();
        self.answers = reading.answers;
        self.restart_debounce(reading.record);
        if let Ok(loaded) = &mut reading.revision {
            if self.source.is_awaited(loaded) {
                // What runs goes on until there is a commit.
                loaded.desired = self.desired.clone();
            }
            // Unchanged definitions are found here, because the event loop has other work.
            loaded.desired.share(&self.desired);
            self.desired = loaded.desired.clone();
        }
        if is_new {
            if let Ok(loaded) = &mut reading.revision {
                loaded.contents = self.watched.set_definitions(loaded.desired.entries().iter().map(|entry| &entry.spec));
            }
            (self.deliver)(Delivery::Revision(Revision { answers, outcome: reading.revision.map(Box::new) }));
        }
        self.has_pending_change.store(false, Ordering::Release);
    }

    /// Starts again from the metadata of what was read.
    fn restart_debounce(&mut self, record: ReadRecord) {
        self.debounce = Debounce::new(record.stats, !record.is_fresh);
        // A change during the reading is found by another check.
        self.next_check = Instant::now();
    }

    /// Watches wherever a change can be seen now.
    fn update_watches(&mut self) {
        self.paths = WatchPaths::of(&self.inputs);
        if self.method != WatchMethod::Events || self.refused_at.is_some_and(|at| at.elapsed() < WATCH_RETRY_DELAY) {
            return;
        }
        let watched = self.watch_by_events();
        self.active_method.set(if watched.is_ok() { WatchMethod::Events } else { WatchMethod::Poll });
        match watched {
            Ok(()) if self.refused_at.take().is_some() => info!(target: "navigator", "Files are watched by events again"),
            Ok(()) => {}
            Err(error) => {
                self.events = None;
                if self.refused_at.replace(Instant::now()).is_none() {
                    warn!(target: "navigator", %error, poll = "2s", "Files can't be watched by events");
                }
            }
        }
    }

    fn watch_by_events(&mut self) -> Result<(), WatchError> {
        let events = if let Some(events) = &mut self.events {
            events
        } else {
            let (requests, backlog) = (self.requests.clone(), Arc::clone(&self.backlog));
            // Sending fails only when the thread has ended.
            let take = move |event| drop(backlog.admit(event).map(|event| requests.send(FollowerRequest::Event(event))));
            self.events.insert(FsEvents::new(take)?)
        };
        let directories = self.paths.directories() | self.watched.directories();
        events.watch(&directories)
    }
}
