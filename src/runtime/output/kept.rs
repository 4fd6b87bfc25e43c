//! What processes wrote last, kept in memory for whoever asks for it later, and for whoever reads along.
//!
//! It is bounded: a ring of lines for each process, and all of them together. A reader that is slower than a process
//! misses lines and is told how many; nobody ever waits for it.

use super::Format;
use super::lines::Piece;
use super::look::{Look, Source, Stream, Style};
use super::ring::{Copied, Moment, Ring};
use reconcile::text::Name;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::SystemTime;
use tokio::sync::Notify;

/// As much of one process is kept at most.
const EACH: usize = 64 * 1024;
/// As much of all of them together; with many processes each has an equal share.
const ALL: usize = 16 * 1024 * 1024;
/// A reader gets about as much at once.
const BATCH: usize = 64 * 1024;
/// Of a line that is shown beside other things, people read no more characters.
const GLANCE: usize = 400;

/// The last lines of every process. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Kept(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    rings: Mutex<Rings>,
    /// What one ring may hold now; 0: there is none yet.
    share: AtomicUsize,
    /// How many pieces of output there have been.
    pieces: AtomicU64,
    /// Nothing more will be written.
    is_over: AtomicBool,
}

#[derive(Debug, Default)]
struct Rings {
    by_name: BTreeMap<Name, Arc<Ring>>,
    /// Those whose output is thrown away.
    silent: BTreeSet<Name>,
    /// Readers that are to get rings that come later.
    mailboxes: Vec<Weak<Mailbox>>,
}

/// Where a reader learns of more lines.
#[derive(Debug)]
struct Mailbox {
    /// Whose lines it reads; empty: everybody's.
    names: Vec<Name>,
    /// Rings that are new.
    rings: Mutex<Vec<Arc<Ring>>>,
    news: Arc<Notify>,
}

/// The place where one process's lines are kept.
#[derive(Clone, Debug)]
pub(super) struct Place {
    ring: Arc<Ring>,
    shared: Arc<Shared>,
}

impl Place {
    pub(super) fn take(&self, stream: Stream, piece: Piece<'_>) {
        let order = self.shared.pieces.fetch_add(1, Ordering::Relaxed);
        let at = Moment { order, time: SystemTime::now() };
        self.ring.push(stream, piece, at, self.shared.share.load(Ordering::Relaxed));
    }
}

impl Kept {
    /// The place for what a process writes from now on.
    pub(super) fn place(&self, name: &Name) -> Place {
        let mut rings = self.rings();
        rings.silent.remove(name);
        let ring = rings.by_name.get(name).cloned().unwrap_or_else(|| {
            let ring = Arc::new(Ring::new(name.clone()));
            rings.by_name.insert(name.clone(), Arc::clone(&ring));
            rings.announce(&ring);
            self.share_out(&rings);
            ring
        });
        drop(rings);
        Place { ring, shared: Arc::clone(&self.0) }
    }

    /// Takes note that nothing is kept of what a process writes from now on.
    pub(super) fn keep_nothing_of(&self, name: &Name) {
        self.rings().silent.insert(name.clone());
    }

    /// Whether there is nothing to be had of a process because its output is thrown away.
    pub fn is_silent(&self, name: &str) -> bool {
        let rings = self.rings();
        rings.silent.contains(name) && rings.by_name.get(name).is_none_or(|ring| ring.end() == 0)
    }

    /// Forgets what processes wrote that aren't there any more.
    pub(in crate::runtime) fn retain(&self, is_there: &dyn Fn(&Name) -> bool) {
        let mut rings = self.rings();
        rings.by_name.retain(|name, _| is_there(name));
        rings.silent.retain(is_there);
        self.share_out(&rings);
    }

    /// Tells those who read along that nothing more is written.
    pub(in crate::runtime) fn finish(&self) {
        self.0.is_over.store(true, Ordering::Release);
        self.rings().mailboxes.iter().filter_map(Weak::upgrade).for_each(|mailbox| mailbox.news.notify_one());
    }

    /// The last lines of a process, as a person sees them at a glance.
    pub(in crate::runtime) fn last(&self, name: &str, lines: u64) -> Vec<String> {
        let Some(ring) = self.rings().by_name.get(name).cloned() else { return Vec::new() };
        let mut from = ring.first_of_last(lines);
        let mut text = Vec::new();
        while let Some(copied) = ring.copy(from) {
            from = copied.next;
            text.extend_from_slice(&copied.bytes);
        }
        let text = String::from_utf8_lossy(&text);
        text.lines().map(|line| line.chars().take(GLANCE).collect()).collect()
    }

    /// Reads the last lines of these processes, or of all if none is named: of each as many as this, if there are as many.
    /// What is written later comes behind them if `follows`.
    pub fn tail(&self, names: &[Name], lines: u64, follows: bool) -> Tail {
        let mailbox = Arc::new(Mailbox { names: names.to_vec(), rings: Mutex::default(), news: Arc::default() });
        let mut rings = self.rings();
        let begun = rings.by_name.values().filter(|ring| mailbox.wants(ring)).map(|ring| {
            ring.tell(&mailbox.news);
            let end = ring.end();
            Followed { next: ring.first_of_last(lines), end: (!follows).then_some(end), ring: Arc::clone(ring) }
        });
        let rings_of_tail = begun.collect();
        if follows {
            rings.mailboxes.push(Arc::downgrade(&mailbox));
        }
        drop(rings);
        Tail { mailbox, rings: rings_of_tail, follows, shared: Arc::clone(&self.0) }
    }

    /// Gives each ring its share of memory.
    fn share_out(&self, rings: &Rings) {
        let share = EACH.min(ALL / rings.by_name.len().max(1));
        if self.0.share.swap(share, Ordering::Relaxed) > share {
            rings.by_name.values().for_each(|ring| ring.shrink(share));
        }
    }

    /// A panic elsewhere leaves the rings as whole as they were: every change of them is complete before the next begins.
    fn rings(&self) -> MutexGuard<'_, Rings> {
        self.0.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rings {
    /// Gives a new ring to those who want to read it.
    fn announce(&mut self, ring: &Arc<Ring>) {
        self.mailboxes.retain(|mailbox| {
            let Some(mailbox) = mailbox.upgrade() else { return false };
            if mailbox.wants(ring) {
                ring.tell(&mailbox.news);
                mailbox.rings().push(Arc::clone(ring));
            }
            true
        });
    }
}

impl Mailbox {
    fn wants(&self, ring: &Ring) -> bool {
        self.names.is_empty() || self.names.contains(ring.name())
    }

    fn rings(&self) -> MutexGuard<'_, Vec<Arc<Ring>>> {
        self.rings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody who reads what processes wrote, in the order in which it came.
#[derive(Debug)]
pub struct Tail {
    mailbox: Arc<Mailbox>,
    rings: Vec<Followed>,
    follows: bool,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Followed {
    ring: Arc<Ring>,
    /// The number of the line that comes next.
    next: u64,
    /// The number of the line that isn't of interest any more.
    end: Option<u64>,
}

/// What a reader gets: lines of one process that came together, or the news that some are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The process.
    pub name: Name,
    what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Lines(Copied),
    Missed(u64),
}

impl Tail {
    /// What there is to read, of which it gets a bounded number of bytes; nothing: nothing more for now.
    pub fn take(&mut self) -> Vec<Said> {
        let new = std::mem::take(&mut *self.mailbox.rings());
        self.rings.extend(new.into_iter().map(|ring| Followed { ring, next: 0, end: None }));
        let place = |(index, followed): (usize, &Followed)| Some(Reverse((followed.order()?, index)));
        let mut next: BinaryHeap<_> = self.rings.iter().enumerate().filter_map(place).collect();
        let (mut said, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH
            && let Some(Reverse((_, index))) = next.pop()
        {
            let followed = &mut self.rings[index];
            bytes += followed.read(&mut said);
            next.extend(followed.order().map(|order| Reverse((order, index))));
        }
        said
    }

    /// Whether there may be more than what can be taken now.
    pub fn goes_on(&self) -> bool {
        self.follows && !self.shared.is_over.load(Ordering::Acquire)
    }

    /// Waits until there may be more.
    pub async fn more(&self) {
        self.mailbox.news.notified().await;
    }
}

impl Followed {
    /// The place of what comes next, if there is something.
    fn order(&self) -> Option<u64> {
        self.ring.order_of(self.next).filter(|_| self.end.is_none_or(|end| self.next < end))
    }

    /// Reads on; answers with how many bytes that were.
    fn read(&mut self, said: &mut Vec<Said>) -> usize {
        let Some(copied) = self.ring.copy(self.next) else { return 0 };
        let name = self.ring.name();
        let missed = copied.first - self.next;
        if missed > 0 {
            said.push(Said { name: name.clone(), what: What::Missed(missed) });
        }
        self.next = copied.next;
        let bytes = copied.bytes.len();
        said.push(Said { name: name.clone(), what: What::Lines(copied) });
        bytes
    }
}

/// How lines look to whoever reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As they were written.
    Plain,
    /// With the name and the stream before each.
    Named,
    /// One JSON object a line.
    Json,
}

impl Said {
    /// Appends it, whole lines each with its newline, to `out`.
    pub fn write(&self, form: Form, out: &mut Vec<u8>) {
        match &self.what {
            What::Lines(lines) => {
                let look = self.look(form, lines.stream);
                let bytes = lines.bytes.strip_suffix(b"\n").unwrap_or(&lines.bytes);
                look.write_at(lines.time, Piece { bytes, continued: lines.continued }, out);
            }
            What::Missed(count) if form == Form::Json => {
                let missed = serde_json::json!({ "source": self.name.as_str(), "missed": count });
                out.extend_from_slice(format!("{missed}\n").as_bytes());
            }
            What::Missed(count) => self.look(form, Stream::Stdout).remark(&format!("missed {count} lines"), out),
        }
    }

    fn look(&self, form: Form, stream: Stream) -> Look {
        let format = match form {
            Form::Plain => return Look::Plain,
            Form::Named => Format::Text,
            Form::Json => Format::Json,
        };
        Style::new(format).look(&Source::Process(self.name.clone(), stream))
    }
}
