//! Reading what processes wrote last and what they write next, in the order in which it came.
//!
//! A reader has its place in each ring, and takes what is behind it when it has time: nobody waits for it, and what was pushed
//! out in between is counted.

use super::OutputFormat;
use super::line_buffer::{CopiedLines, LineBuffer};
use super::line_format::{LineFormat, LineStyles, Source, Stream};
use super::lines::LineChunk;
use reconcile::text::Name;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A reader gets about as much at once.
const BATCH: usize = 64 * 1024;

/// Somebody who reads what processes wrote, in the order in which it came.
#[derive(Debug)]
pub struct Tail {
    mailbox: Arc<Mailbox>,
    buffers: Vec<FollowedBuffer>,
    follows: bool,
    is_over: Arc<AtomicBool>,
}

#[derive(Debug)]
pub(super) struct FollowedBuffer {
    buffer: Arc<LineBuffer>,
    /// The number of the line that comes next.
    next: u64,
    /// The number of the line that isn't of interest any more.
    end: Option<u64>,
}

/// What a reader gets: lines of one process that came together, or the news that some are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TailItem {
    /// The process.
    pub name: Name,
    content: TailContent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum TailContent {
    Lines(CopiedLines),
    Missed(u64),
}

impl Tail {
    pub(super) fn new(mailbox: &Arc<Mailbox>, buffers: Vec<FollowedBuffer>, follows: bool, is_over: &Arc<AtomicBool>) -> Tail {
        Tail { mailbox: Arc::clone(mailbox), buffers, follows, is_over: Arc::clone(is_over) }
    }

    /// What there is to read, of which it gets a bounded number of bytes; nothing: nothing more for now.
    pub fn take(&mut self) -> Vec<TailItem> {
        let new = std::mem::take(&mut *self.mailbox.buffers());
        self.buffers.extend(new.into_iter().map(|buffer| FollowedBuffer { buffer, next: 0, end: None }));
        let key = |(index, followed): (usize, &FollowedBuffer)| Some(Reverse((followed.order()?, index)));
        let mut next: BinaryHeap<_> = self.buffers.iter().enumerate().filter_map(key).collect();
        let (mut items, mut bytes) = (Vec::new(), 0);
        while bytes < BATCH
            && let Some(Reverse((_, index))) = next.pop()
        {
            let followed = &mut self.buffers[index];
            bytes += followed.read(&mut items);
            next.extend(followed.order().map(|order| Reverse((order, index))));
        }
        items
    }

    /// Whether there may be more than what can be taken now.
    pub fn goes_on(&self) -> bool {
        self.follows && !self.is_over.load(Ordering::Acquire)
    }

    /// Waits until there may be more.
    pub async fn more(&self) {
        self.mailbox.news.notified().await;
    }
}

impl FollowedBuffer {
    /// The place of what comes next, if there is something.
    fn order(&self) -> Option<u64> {
        self.buffer.order_of(self.next).filter(|_| self.end.is_none_or(|end| self.next < end))
    }

    /// Reads on; answers with how many bytes that were.
    fn read(&mut self, items: &mut Vec<TailItem>) -> usize {
        let Some(copied) = self.buffer.copy(self.next) else { return 0 };
        let name = self.buffer.name();
        let missed = copied.first - self.next;
        if missed > 0 {
            items.push(TailItem { name: name.clone(), content: TailContent::Missed(missed) });
        }
        self.next = copied.next;
        let bytes = copied.bytes.len();
        items.push(TailItem { name: name.clone(), content: TailContent::Lines(copied) });
        bytes
    }
}

/// How lines look to whoever reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFormat {
    /// As they were written.
    Plain,
    /// With the name and the stream before each.
    Named,
    /// One JSON object a line.
    Json,
}

impl TailItem {
    /// Appends it, whole lines each with its newline, to `out`.
    pub fn write(&self, format: TailFormat, out: &mut Vec<u8>) {
        match &self.content {
            TailContent::Lines(lines) => {
                let format = self.line_format(format, lines.stream);
                let bytes = lines.bytes.strip_suffix(b"\n").unwrap_or(&lines.bytes);
                format.write_at(lines.time, LineChunk { bytes, continued: lines.continued }, out);
            }
            TailContent::Missed(count) if format == TailFormat::Json => {
                let missed = serde_json::json!({ "source": self.name.as_str(), "missed": count });
                out.extend_from_slice(format!("{missed}\n").as_bytes());
            }
            TailContent::Missed(count) => {
                self.line_format(format, Stream::Stdout).write_notice(&format!("missed {count} lines"), out)
            }
        }
    }

    fn line_format(&self, format: TailFormat, stream: Stream) -> LineFormat {
        let format = match format {
            TailFormat::Plain => return LineFormat::Plain,
            TailFormat::Named => OutputFormat::Text,
            TailFormat::Json => OutputFormat::Json,
        };
        LineStyles::new(format).format_of(&Source::Process(self.name.clone(), stream))
    }
}

/// Where a reader learns of more lines.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Whose lines it reads; empty: everybody's.
    names: Vec<Name>,
    /// Rings that are new.
    buffers: Mutex<Vec<Arc<LineBuffer>>>,
    news: Arc<Notify>,
}

impl Mailbox {
    /// For these processes, or for all if none is named.
    pub(super) fn new(names: &[Name]) -> Mailbox {
        Mailbox { names: names.to_vec(), buffers: Mutex::default(), news: Arc::default() }
    }

    /// Begins to read a ring: its last lines and, if it `follows`, those behind them.
    pub(super) fn begin(&self, buffer: &Arc<LineBuffer>, lines: u64, follows: bool) -> FollowedBuffer {
        buffer.add_listener(&self.news);
        FollowedBuffer { next: buffer.first_of_last(lines), end: (!follows).then(|| buffer.end()), buffer: Arc::clone(buffer) }
    }

    /// Takes a new ring, if it is of interest.
    pub(super) fn offer(&self, buffer: &Arc<LineBuffer>) {
        if self.wants(buffer) {
            buffer.add_listener(&self.news);
            self.buffers().push(Arc::clone(buffer));
        }
    }

    /// Has the reader look.
    pub(super) fn wake(&self) {
        self.news.notify_one();
    }

    /// Whether a ring is of interest.
    pub(super) fn wants(&self, buffer: &LineBuffer) -> bool {
        self.names.is_empty() || self.names.contains(buffer.name())
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Arc<LineBuffer>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
