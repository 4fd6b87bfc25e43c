//! Whether a run that was ready is still alive: one task for each way of finding out. Each tells of one failure, and ends.

use super::check::Checks;
use super::probe_state::ProbeState;
use super::thresholds::spread_fraction;
use super::watchdog::Watchdog;
use crate::runtime::commands::CommandContext;
use reconcile::spec::{Liveness, Probe};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// By checks of ours, the first one an interval after it became ready.
pub(super) async fn by_checks(
    state: Arc<ProbeState>,
    checks: Checks,
    principal: CommandContext,
    probe: Probe,
    Liveness { interval, timeout, failures, .. }: Liveness,
) {
    state.until_ready().await;
    sleep_until(Instant::now() + interval).await;
    // Many may have become ready at one moment; they are not to be checked at one for ever.
    let mut pause = interval.mul_f64(1.0 - spread_fraction(&principal.spec.name));
    let mut in_a_row = 0;
    loop {
        match checks.check(&principal, &probe, timeout).await {
            Ok(()) => in_a_row = 0,
            Err(why) => {
                in_a_row += 1;
                if in_a_row >= failures {
                    return state.unhealthy(why).await;
                }
            }
        }
        sleep_until(Instant::now() + pause).await;
        pause = interval;
    }
}

/// By its own signs of life, which are counted from when it became ready.
pub(super) async fn by_watchdog(state: Arc<ProbeState>, watchdog: Arc<Watchdog>) {
    state.until_ready().await;
    watchdog.alive();
    let why = watchdog.expired().await;
    state.unhealthy(why).await;
}
