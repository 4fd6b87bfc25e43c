//! Reads recorded output of several processes in order, and follows it.
//!
//! A reader keeps a position in each buffer, and reads from there at its own pace. Writers don't wait for it: lines dropped in
//! between are counted as missed.

use super::OutputFormat;
use super::line_buffer::{CopiedLines, LineBuffer};
use super::line_format::{LineFormat, LineSource, LineStyles, Stream};
use super::lines::LineChunk;
use jiff::Timestamp;
use reconcile::text::Name;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// Bytes that a reader gets at once, about.
const BATCH: usize = 64 * 1024;

/// Which of the kept lines are read.
#[derive(Clone, Copy, Debug)]
pub struct LastLines {
    /// At most this many of each process.
    pub count: u64,
    /// Only those that came at this time or later.
    pub since: Option<Timestamp>,
}

/// A reader of recorded output, in order of arrival.
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
    /// The number of the next line.
    next: u64,
    /// The number of the first line that is not wanted.
    end: Option<u64>,
}

/// Lines of one process that came together, or the number of missed ones.
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

    /// The next lines, a bounded number of bytes; empty: nothing more for now.
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

    /// Whether more may come later.
    pub fn goes_on(&self) -> bool {
        self.follows && !self.is_over.load(Ordering::Acquire)
    }

    /// Waits until there may be more lines.
    pub async fn more(&self) {
        self.mailbox.news.notified().await;
    }
}

impl FollowedBuffer {
    /// The position of the next line among all processes, if there is one.
    fn order(&self) -> Option<u64> {
        self.buffer.order_of(self.next).filter(|_| self.end.is_none_or(|end| self.next < end))
    }

    /// Reads the next lines; returns their bytes.
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

/// The format of lines for a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TailFormat {
    /// The lines as they are.
    Text {
        /// With `[name.stream]` before each line.
        named: bool,
        /// With the time of its arrival before each line, and before the name.
        timed: bool,
    },
    /// One JSON object a line.
    Json,
}

impl TailItem {
    /// Appends it to `out` as whole lines.
    pub fn write(&self, format: TailFormat, out: &mut Vec<u8>) {
        match &self.content {
            TailContent::Lines(lines) => {
                let format = match (format, self.line_format(format, lines.stream)) {
                    (TailFormat::Text { timed: true, .. }, format) => format.behind(&format!("{:.3} ", lines.time)),
                    (_, format) => format,
                };
                let bytes = lines.bytes.strip_suffix(b"\n").unwrap_or(&lines.bytes);
                format.write_at(lines.time, LineChunk { bytes, continued: lines.continued }, out);
            }
            TailContent::Missed(count) if format == TailFormat::Json => {
                let missed = serde_json::json!({ "source": self.name.as_str(), "missed": count });
                out.extend_from_slice(format!("{missed}\n").as_bytes());
            }
            TailContent::Missed(count) => {
                self.line_format(format, Stream::Stdout).write_notice(&format!("missed {count} lines"), out);
            }
        }
    }

    fn line_format(&self, format: TailFormat, stream: Stream) -> LineFormat {
        let format = match format {
            TailFormat::Text { named: false, .. } => return LineFormat::Plain,
            TailFormat::Text { named: true, .. } => OutputFormat::Text,
            TailFormat::Json => OutputFormat::Json,
        };
        LineStyles::new(format).format_of(&LineSource::Process(self.name.clone(), stream))
    }
}

/// Notifies a reader of new lines and new buffers.
#[derive(Debug)]
pub(super) struct Mailbox {
    /// Processes to read; empty: all.
    names: Vec<Name>,
    /// New buffers.
    buffers: Mutex<Vec<Arc<LineBuffer>>>,
    news: Arc<Notify>,
}

impl Mailbox {
    /// For these processes, or for all if `names` is empty.
    pub(super) fn new(names: &[Name]) -> Mailbox {
        Mailbox { names: names.to_vec(), buffers: Mutex::default(), news: Arc::default() }
    }

    /// Starts to read a buffer: its last lines and, if it `follows`, later ones.
    pub(super) fn begin(&self, buffer: &Arc<LineBuffer>, last: LastLines, follows: bool) -> FollowedBuffer {
        buffer.add_listener(&self.news);
        let since = last.since.map_or(0, |time| buffer.first_since(time));
        FollowedBuffer {
            next: buffer.first_of_last(last.count).max(since),
            end: (!follows).then(|| buffer.end()),
            buffer: Arc::clone(buffer),
        }
    }

    /// Takes a new buffer, if it is wanted.
    pub(super) fn offer(&self, buffer: &Arc<LineBuffer>) {
        if self.wants(buffer) {
            buffer.add_listener(&self.news);
            self.buffers().push(Arc::clone(buffer));
        }
    }

    /// Wakes the reader.
    pub(super) fn wake(&self) {
        self.news.notify_one();
    }

    /// Whether a buffer is wanted.
    pub(super) fn wants(&self, buffer: &LineBuffer) -> bool {
        self.names.is_empty() || self.names.contains(buffer.name())
    }

    fn buffers(&self) -> MutexGuard<'_, Vec<Arc<LineBuffer>>> {
        self.buffers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
