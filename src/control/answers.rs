//! HTTP answers: JSON, an error with its reason, or a stream of lines.

use crate::runtime::{Tail, TailFormat};
use crate::supervisor::{EventSubscription, PastEvent, RenderedSnapshot};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Bytes, Frame};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
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

/// An HTTP answer.
pub(super) type Answer = Response<UnsyncBoxBody<Bytes, Infallible>>;

/// An error: an HTTP status, and a JSON object with an `error`.
#[derive(Debug)]
pub(super) struct ErrorAnswer {
    status: StatusCode,
    body: Value,
    /// The method that the path takes, for `Allow`.
    allowed: Option<Method>,
}

impl ErrorAnswer {
    pub(super) fn new(status: StatusCode, error: impl Into<String>) -> ErrorAnswer {
        ErrorAnswer { status, body: json!({ "error": error.into() }), allowed: None }
    }

    /// The path takes another method (RFC 9110, 15.5.6).
    pub(super) fn method_not_allowed(path: &str, method: &Method, allowed: Method) -> ErrorAnswer {
        let error = ErrorAnswer::new(StatusCode::METHOD_NOT_ALLOWED, format!("`{path}` takes {allowed}, not {method}"));
        ErrorAnswer { allowed: Some(allowed), ..error }
    }

    /// Navigator shuts down before it can answer.
    pub(super) fn closing() -> ErrorAnswer {
        ErrorAnswer::new(StatusCode::SERVICE_UNAVAILABLE, "navigator is shutting down")
    }

    /// Adds a key to the JSON object.
    pub(super) fn with(mut self, key: &str, value: Value) -> ErrorAnswer {
        self.body[key] = value;
        self
    }

    pub(super) fn answer(self) -> Answer {
        let mut answer = json(self.status, &self.body);
        let allowed = self.allowed.and_then(|method| HeaderValue::from_str(method.as_str()).ok());
        allowed.and_then(|method| answer.headers_mut().insert(ALLOW, method));
        answer
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
    // So that a shell prompt after it begins a new line.
    text.push(b'\n');
    with_type(status, "application/json", Full::new(Bytes::from(text)).boxed_unsync())
}

/// A snapshot as JSON. Clients share its text.
pub(super) fn snapshot(status: StatusCode, rendered: Arc<RenderedSnapshot>) -> Answer {
    if let Err(why) = rendered.json() {
        let why = format!("failed to write the answer: {why}");
        return ErrorAnswer::new(StatusCode::INTERNAL_SERVER_ERROR, why).answer();
    }
    with_type(status, "application/json", Full::new(Bytes::from_owner(TextBody(rendered))).boxed_unsync())
}

struct TextBody(Arc<RenderedSnapshot>);

impl AsRef<[u8]> for TextBody {
    fn as_ref(&self) -> &[u8] {
        // If it couldn't be written, an error was sent instead.
        self.0.json().unwrap_or_default()
    }
}

/// A stream of output lines of processes.
///
/// At most two batches wait for a slow client. Further lines stay in the output history until newer ones replace them.
pub(super) fn lines(mut tail: Tail, form: TailFormat) -> Answer {
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        loop {
            // Checked before the lines are taken, so that the last lines are not missed.
            let (goes_on, mut batch) = (tail.goes_on(), Vec::new());
            tail.take().iter().for_each(|line| line.write(form, &mut batch));
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
    with_type(StatusCode::OK, kind, LineBody { lines }.boxed_unsync())
}

/// A stream of events, one JSON object a line. It ends when navigator does.
pub(super) fn events(subscription: EventSubscription) -> Answer {
    let EventSubscription { past, mut live } = subscription;
    let (sender, lines) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut batch = Vec::new();
        for event in past {
            write(&event, &mut batch);
        }
        loop {
            // Events that wait are sent in one piece.
            while batch.len() < BATCH {
                match live.try_recv() {
                    Ok(event) => write(&event, &mut batch),
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
                Ok(event) => write(&event, &mut batch),
                Err(RecvError::Lagged(count)) => write_lost(count, &mut batch),
                Err(RecvError::Closed) => return,
            }
        }
    });
    with_type(StatusCode::OK, "application/x-ndjson", LineBody { lines }.boxed_unsync())
}

/// About how many bytes of events are sent in one piece.
const BATCH: usize = 16 * 1024;

fn write(event: &PastEvent, lines: &mut Vec<u8>) {
    let before = lines.len();
    // Writing to memory doesn't fail. Half a line would be worse than none.
    match serde_json::to_writer(&mut *lines, &event.event()) {
        Ok(()) => lines.push(b'\n'),
        Err(_) => lines.truncate(before),
    }
}

fn write_lost(count: u64, lines: &mut Vec<u8>) {
    lines.extend_from_slice(format!("{}\n", json!({ "event": "lost", "count": count })).as_bytes());
}

fn with_type(status: StatusCode, kind: &'static str, body: UnsyncBoxBody<Bytes, Infallible>) -> Answer {
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

/// How many pieces of streams have been sent.
static PIECES_SENT: AtomicU64 = AtomicU64::new(0);

/// Grows as long as clients read their streams.
pub(super) fn pieces_sent() -> u64 {
    PIECES_SENT.load(Ordering::Relaxed)
}

/// A body that is sent piece by piece, as lines come.
struct LineBody {
    lines: mpsc::Receiver<Bytes>,
}

impl Body for LineBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.lines.poll_recv(context).map(|line| {
            PIECES_SENT.fetch_add(1, Ordering::Relaxed);
            line.map(|line| Ok(Frame::data(line)))
        })
    }
}
