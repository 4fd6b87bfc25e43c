//! How a run becomes ready, and how that lapses: one task for each way of finding out.

use super::check::Checks;
use super::log_matcher::LogMatcher;
use super::pipe;
use super::probe_state::ProbeState;
use super::thresholds::{ProbeVerdict, Thresholds, share};
use crate::runtime::commands::CommandContext;
use reconcile::spec::{Probe, ReadyTiming};
use rustix::fd::OwnedFd;
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// By checks of ours, from now until the task is ended.
pub(super) async fn by_checks(
    standing: Arc<ProbeState>,
    checks: Checks,
    principal: CommandContext,
    probe: Probe,
    timing: ReadyTiming,
) {
    let mut judge = Thresholds::new(timing.interval, share(&principal.spec.name), standing.is_ready());
    loop {
        let outcome = checks.check(&principal, &probe, timing.timeout).await;
        match (judge.take(outcome.is_ok()), outcome) {
            (ProbeVerdict::Ready, _) => standing.ready().await,
            (ProbeVerdict::Unready, Err(why)) => standing.unready(why).await,
            (ProbeVerdict::Doubt | ProbeVerdict::Unready, _) => {}
        }
        sleep_until(Instant::now() + judge.pause()).await;
    }
}

/// By a line of its output; that it is ready is never taken back.
pub(super) async fn by_log(standing: Arc<ProbeState>, ear: Option<Arc<LogMatcher>>, pattern: String) {
    if standing.is_ready() {
        return;
    }
    let Some(ear) = ear else {
        return standing.unready("its output goes nowhere, and can be heard only from its next start on".to_owned()).await;
    };
    standing.unready(format!("no line of its output matches `{pattern}`")).await;
    match ear.heard().await {
        Ok(()) => standing.ready().await,
        Err(why) => standing.unready(why).await,
    }
}

/// By a newline on a descriptor; that it is ready is never taken back.
pub(super) async fn by_descriptor(standing: Arc<ProbeState>, pipe: OwnedFd, number: u32) {
    standing.unready(format!("no line break came on descriptor {number}")).await;
    match pipe::line_break(pipe).await {
        Ok(true) => standing.ready().await,
        Ok(false) => standing.unready(format!("descriptor {number} was closed without a line break")).await,
        Err(error) => standing.unready(format!("descriptor {number} can't be read: {error}")).await,
    }
}

/// By notifications, which come by another way: says what is waited for.
pub(super) async fn by_notification(standing: Arc<ProbeState>) {
    if !standing.is_ready() {
        standing.unready("no `READY=1` came".to_owned()).await;
    }
}
