//! Answers about the followed repository.

use super::answers::{Answer, ErrorAnswer, json};
use super::loop_access::LoopAccess;
use crate::config::Loaded;
use crate::ledger::Attempted;
use crate::snapshot::{ConfigProblem, Moment};
use crate::source::{LookOutcome, OrderReply, SourceOrder};
use crate::supervisor::problem;
use hyper::StatusCode;
use jiff::Timestamp;
use reconcile::rollout::CommitOutcome;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::oneshot;

/// Has the followed repository looked at. `None`: none is followed.
pub(super) async fn look(to: &LoopAccess) -> Result<Option<Result<Answer, ErrorAnswer>>, ErrorAnswer> {
    let (reply, outcome) = oneshot::channel();
    if !to.source.look(Some(reply)) {
        return Ok(None);
    }
    let outcome = outcome.await.map_err(|_| ErrorAnswer::closing())?;
    Ok(Some(looked(outcome)))
}

/// The answer to a look.
fn looked(outcome: LookOutcome) -> Result<Answer, ErrorAnswer> {
    match outcome {
        LookOutcome::InForce { generation, changed } => {
            Ok(json(StatusCode::OK, &json!({ "generation": generation, "changed": changed })))
        }
        LookOutcome::Refused(refused) => {
            let status =
                if refused.outcome == CommitOutcome::Held { StatusCode::CONFLICT } else { StatusCode::UNPROCESSABLE_ENTITY };
            let (outcome, reason) = (refused.outcome.as_str(), refused.reason.as_str());
            let message = format!("commit {} is {outcome} ({reason}): {}", &refused.commit, refused.message);
            let problems: Vec<ConfigProblem> = refused.diagnostics.iter().map(problem).collect();
            let error = ErrorAnswer::new(status, message).with("commit", json!(refused.commit));
            let error = error.with("outcome", json!(outcome)).with("reason", json!(reason));
            Err(if problems.is_empty() { error } else { error.with("diagnostics", json!(problems)) })
        }
        LookOutcome::Trouble(message) => {
            Err(ErrorAnswer::new(StatusCode::SERVICE_UNAVAILABLE, format!("nothing was judged: {message}")))
        }
    }
}

/// What was tried, the newest first.
pub(super) async fn history(to: &LoopAccess) -> Result<Answer, ErrorAnswer> {
    match order(to, SourceOrder::History).await? {
        OrderReply::History(attempts) => {
            let attempts: Vec<Value> = attempts.iter().map(attempt).collect();
            Ok(json(StatusCode::OK, &json!(attempts)))
        }
        reply => answered(reply),
    }
}

fn attempt(attempted: &Attempted) -> Value {
    let at = Moment(Timestamp::from_millisecond(attempted.at).unwrap_or(Timestamp::UNIX_EPOCH));
    json!({
        "at": at,
        "commit": attempted.commit,
        "subject": attempted.subject,
        "author": attempted.author,
        "outcome": attempted.outcome,
        "reason": attempted.reason,
        "message": attempted.message,
        "generation": attempted.generation,
        "duration_ms": attempted.duration_ms,
        "plan": attempted.plan,
    })
}

/// The body of an order.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SourceBody {
    /// Its name.
    order: String,
    /// The commit, branch or tag.
    rev: Option<String>,
    /// How long following is suspended.
    seconds: Option<f64>,
    /// Why.
    reason: Option<String>,
}

/// Carries out an order about the followed repository.
pub(super) async fn source_order(to: &LoopAccess, body: SourceBody) -> Result<Answer, ErrorAnswer> {
    let wrong = |message: &str| ErrorAnswer::new(StatusCode::BAD_REQUEST, message);
    let SourceBody { order: name, rev, seconds, reason } = body;
    let named = rev.clone().ok_or_else(|| wrong("no revision is named; send `{\"rev\": \"v1.2\"}`"));
    let seconds = seconds.map(|seconds| Duration::try_from_secs_f64(seconds).map_err(|_| wrong("`seconds` must be a time")));
    let source_order = match name.as_str() {
        "suspend" => SourceOrder::Suspend(seconds.transpose()?, reason),
        "resume" => SourceOrder::Resume,
        "pin" => SourceOrder::Pin(named?),
        "rollback" => SourceOrder::Rollback(rev),
        "accept" => SourceOrder::Accept(named?),
        "retry" => SourceOrder::Retry,
        other => {
            let known = "`suspend`, `resume`, `pin`, `rollback`, `accept` or `retry`";
            return Err(wrong(&format!("unknown order `{other}`; send {known}")));
        }
    };
    answered(order(to, source_order).await?)
}

/// Reads a revision of the followed repository.
///
/// # Errors
/// It can't be read, or its configuration is wrong.
pub(super) async fn revision(to: &LoopAccess, revision: &str) -> Result<Loaded, ErrorAnswer> {
    match order(to, SourceOrder::Read(revision.to_owned())).await? {
        OrderReply::Read(read) => read.outcome.map_err(|rejected| {
            let problems: Vec<ConfigProblem> = rejected.diagnostics.iter().map(problem).collect();
            let message = format!("commit {} is wrong", read.commit);
            ErrorAnswer::new(StatusCode::UNPROCESSABLE_ENTITY, message).with("diagnostics", json!(problems))
        }),
        OrderReply::Refused(why) => Err(ErrorAnswer::new(StatusCode::CONFLICT, why)),
        _ => Err(ErrorAnswer::closing()),
    }
}

async fn order(to: &LoopAccess, order: SourceOrder) -> Result<OrderReply, ErrorAnswer> {
    let (reply, answer) = oneshot::channel();
    if !to.source.order(order, reply) {
        let why = "no repository is followed: the configuration has no `source`";
        return Err(ErrorAnswer::new(StatusCode::CONFLICT, why));
    }
    answer.await.map_err(|_| ErrorAnswer::closing())
}

fn answered(reply: OrderReply) -> Result<Answer, ErrorAnswer> {
    match reply {
        OrderReply::Looked(outcome) => looked(outcome),
        OrderReply::Refused(why) => Err(ErrorAnswer::new(StatusCode::CONFLICT, why)),
        OrderReply::Done | OrderReply::Read(_) | OrderReply::History(_) => Ok(json(StatusCode::OK, &json!({ "changed": false }))),
    }
}
