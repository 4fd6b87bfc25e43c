//! Answers in the form in which they are sent: JSON, a failure with its reason, or a stream of lines.

use crate::runtime::{Tail, TailFormat};
use crate::supervisor::{EventSubscription, PastEvent, RenderedSnapshot};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::mpsc;

/// An answer.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// Why there is no answer: a status, and a JSON object with an `error`.
#[derive(Debug)]
pub(super) struct ErrorAnswer {
    status: StatusCode,
    body: Value,
}

impl ErrorAnswer {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> ErrorAnswer {
        ErrorAnswer { status, body: json!({ "error": error.into() }) }
    }

    /// Navigator ends before it can answer.
    pub(super) fn closing() -> ErrorAnswer {
        ErrorAnswer::new(StatusCode::SERVICE_UNAVAILABLE, "navigator is shutting down")
    }

    pub(super) fn with(mut self, key: &str, value: Value) -> ErrorAnswer {
        self.body[key] = value;
        self
    }

    pub(super) fn answer(self) -> Answer {
        json(self.status, &self.body)
    }
}

/// An answer in JSON.
pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    let mut text = match serde_json::to_vec(value) {
        Ok(text) => text,
        Err(error) => {
            let failure = ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to write the answer: {error}"));
            return failure.answer();
        }
    };
    // For whoever looks at it on a terminal.
    text.push(b'\n');
    typed(status, "application/json", Full::new(Bytes::from(text)).boxed_unsync())
}

/// How everything stands, in the text that all who ask within a moment share.
pub(super) fn snapshot(status: StatusCode, shown: Arc<RenderedSnapshot>) -> Answer {
    if let Err(why) = shown.json() {
        let why = format!("failed to write the answer: {why}");
        return ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, why).answer();
    }
    typed(status, "application/json", Full::new(Bytes::from_owner(TextBody(shown))).boxed_unsync())
}

struct TextBody(Arc<RenderedSnapshot>);

impl AsRef<[u8]> for TextBody {
    fn as_ref(&self) -> &[u8] {
        // It has been written: else there is a failure in its place.
        self.0.json().unwrap_or_default()
    }
}

/// What processes wrote, for as long as there is something to read and somebody reads it.
///
/// What isn't read stays where it is kept until newer lines push it out, so no more than two batches wait for a client.
pub(super) fn lines(mut tail: Tail, form: TailFormat) -> Answer {
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            // Asked first: what comes in between is taken all the same.
            let (goes_on, mut batch) = (tail.goes_on(), Vec::new());
            tail.take().iter().for_each(|said| said.write(form, &mut batch));
            if !batch.is_empty() {
                if sender.send(Bytes::from(batch)).await.is_err() {
                    return;
                }
            } else if goes_on {
                tokio::select! {
                    () = tail.more() => {}
                    () = sender.closed() => return,
                }
            } else {
                return;
            }
        }
    });
    let kind = if form == TailFormat::Json { "application/x-ndjson" } else { "text/plain; charset=utf-8" };
    typed(StatusCode::OK, kind, LineBody { lines }.boxed_unsync())
}

/// A stream of events, one JSON object a line, which ends when navigator does.
pub(super) fn events(follow: EventSubscription) -> Answer {
    let EventSubscription { past, mut live } = follow;
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut batch = Vec::new();
        for happened in past {
            write(&happened, &mut batch);
        }
        loop {
            // What has happened meanwhile goes along.
            while batch.len() < BATCH {
                match live.try_recv() {
                    Ok(happened) => write(&happened, &mut batch),
                    Err(TryRecvError::Lagged(count)) => write_lost(count, &mut batch),
                    Err(TryRecvError::Empty | TryRecvError::Closed) => break,
                }
            }
            if !batch.is_empty() && sender.send(Bytes::from(mem::take(&mut batch))).await.is_err() {
                return;
            }
            let next = tokio::select! {
                next = live.recv() => next,
                () = sender.closed() => return,
            };
            match next {
                Ok(happened) => write(&happened, &mut batch),
                Err(RecvError::Lagged(count)) => write_lost(count, &mut batch),
                Err(RecvError::Closed) => return,
            }
        }
    });
    typed(StatusCode::OK, "application/x-ndjson", LineBody { lines }.boxed_unsync())
}

/// About as much of a stream of events is sent in one piece.
const BATCH: usize = 16 * 1024;

fn write(happened: &PastEvent, lines: &mut Vec<u8>) {
    let before = lines.len();
    // It fails nowhere but in memory, which doesn't fail; half a line would be worse than none.
    match serde_json::to_writer(&mut *lines, &happened.event()) {
        Ok(()) => lines.push(b'\n'),
        Err(_) => lines.truncate(before),
    }
}

fn write_lost(count: u64, lines: &mut Vec<u8>) {
    lines.extend_from_slice(format!("{}\n", json!({ "event": "lost", "count": count })).as_bytes());
}

fn typed(status: StatusCode, kind: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// How many pieces of streams have been taken to be sent.
static SENT: AtomicU64 = AtomicU64::new(0);

/// Grows as long as clients that follow something read.
pub(super) fn sent() -> u64 {
    SENT.load(Ordering::Relaxed)
}

/// A body that is sent line by line, as the lines come.
struct LineBody {
    lines: mpsc::Receiver<Bytes>,
}

impl Body for LineBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.lines.poll_recv(context).map(|line| {
            SENT.fetch_add(1, Ordering::Relaxed);
            line.map(|line| Ok(Frame::data(line)))
        })
    }
}
