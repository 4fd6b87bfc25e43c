//! Readiness of a run: one task for each kind.

use super::check::Checks;
use super::log_matcher::{LogMatcher, MatchProgress};
use super::pipe;
use super::probe_state::ProbeState;
use super::thresholds::{ProbeVerdict, Thresholds, spread_fraction};
use crate::runtime::commands::CommandContext;
use reconcile::spec::{Probe, ReadyTiming};
use rustix::fd::OwnedFd;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Readiness by checks, which go on until the task is aborted.
pub(super) async fn by_checks(
    state: Arc<ProbeState>,
    checks: Checks,
    context: CommandContext,
    probe: Probe,
    timing: ReadyTiming,
) {
    let mut thresholds = Thresholds::new(timing.interval, spread_fraction(&context.spec.name), state.is_ready());
    loop {
        let outcome = checks.check(&context, &probe, timing.timeout).await;
        match (thresholds.record(outcome.is_ok()), outcome) {
            (ProbeVerdict::Ready, _) => state.ready().await,
            (ProbeVerdict::Unready, Err(why)) => state.unready(why).await,
            (ProbeVerdict::Tolerated | ProbeVerdict::Unready, _) => {}
        }
        sleep_until(Instant::now() + thresholds.pause()).await;
    }
}

/// Readiness by an output line that matches; never withdrawn.
pub(super) async fn by_log(state: Arc<ProbeState>, matcher: Option<Arc<LogMatcher>>, pattern: String) {
    if state.is_ready() {
        return;
    }
    let Some(matcher) = matcher else {
        return state.unready("its output is discarded until its next start, so no line can match".to_owned()).await;
    };
    state.unready(format!("no output, so no line matches `{pattern}`; {BUFFERED}")).await;
    loop {
        match matcher.progress().await {
            MatchProgress::FirstOutput => state.unready(format!("no output line matches `{pattern}`")).await,
            MatchProgress::Matched => return state.ready().await,
            MatchProgress::Invalid(why) => return state.unready(why).await,
        }
    }
}

/// Why a program that has written may seem not to have.
const BUFFERED: &str =
    "a program that buffers its output needs `PYTHONUNBUFFERED=1` in its `env` (Python), or to be run by `stdbuf -oL`";

/// By a newline on a descriptor; never withdrawn.
pub(super) async fn by_descriptor(state: Arc<ProbeState>, pipe: OwnedFd, number: u32) {
    state.unready(format!("no line break on descriptor {number} yet")).await;
    match pipe::read_newline(pipe).await {
        Ok(true) => state.ready().await,
        Ok(false) => state.unready(format!("descriptor {number} was closed without a line break")).await,
        Err(error) => state.unready(format!("descriptor {number} can't be read: {error}")).await,
    }
}

/// Readiness by notifications: only reports what is awaited; the receiver handles the notifications.
pub(super) async fn by_notification(state: Arc<ProbeState>) {
    // A notification may have come first, and says more.
    if !state.is_ready() && !state.has_reported() {
        state.unready("no `READY=1` received yet".to_owned()).await;
    }
}
