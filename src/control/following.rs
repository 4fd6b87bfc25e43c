//! Answers about the followed repository.

use super::answers::{Answer, ErrorAnswer, json};
use super::loop_access::LoopAccess;
use crate::snapshot::ConfigProblem;
use crate::source::LookOutcome;
use crate::supervisor::problem;
use hyper::StatusCode;
use reconcile::rollout::CommitOutcome;
use serde_json::json;
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
pub(super) fn looked(outcome: LookOutcome) -> Result<Answer, ErrorAnswer> {
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
