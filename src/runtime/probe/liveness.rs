//! Liveness probes: one task for each kind starts when the run is ready, reports one failure, and ends.

use super::check::Checks;
use super::probe_state::ProbeState;
use super::thresholds::spread_fraction;
use super::watchdog::Watchdog;
use crate::runtime::commands::CommandContext;
use reconcile::spec::{Liveness, Probe};
use std::sync::Arc;
use tokio::time::{Instant, sleep_until};

/// Liveness by checks; the first one follows an interval after the run became ready.
pub(super) async fn by_checks(
    state: Arc<ProbeState>,
    checks: Checks,
    context: CommandContext,
    probe: Probe,
    Liveness { interval, timeout, failures, .. }: Liveness,
) {
    state.until_ready().await;
    sleep_until(Instant::now() + interval).await;
    // Spreads the checks of processes that became ready together.
    let mut pause = interval.mul_f64(1.0 - spread_fraction(&context.spec.name));
    let mut in_a_row = 0;
    loop {
        match checks.check(&context, &probe, timeout).await {
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

/// By its watchdog, which starts when it became ready.
pub(super) async fn by_watchdog(state: Arc<ProbeState>, watchdog: Arc<Watchdog>) {
    state.until_ready().await;
    watchdog.keep_alive();
    let why = watchdog.expired().await;
    state.unhealthy(why).await;
}
