//! Runs one check of a probe, with a timeout and a limit of concurrent checks.

use super::{exec, http, net};
use crate::runtime::commands::{CommandContext, Commands};
use crate::runtime::pause::PAUSE;
use reconcile::human_duration::HumanDuration;
use reconcile::spec::Probe;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

/// Maximum number of concurrent checks; others wait in order.
const MAX_CONCURRENT: usize = 32;
/// A check that takes longer mostly waits, and no longer counts as concurrent.
const SLOW_AFTER: Duration = Duration::from_secs(2);

/// The failure of a check during which navigator was paused. It is made again.
const TOO_LATE: &str = "navigator was paused";

/// Runs checks. Clones share the limits.
#[derive(Clone)]
pub(super) struct Checks {
    pub(super) commands: Commands,
    permits: Arc<Semaphore>,
    resolver: net::Resolver,
}

impl Checks {
    pub(super) fn new(commands: Commands) -> Checks {
        Checks { commands, permits: Arc::new(Semaphore::new(MAX_CONCURRENT)), resolver: net::Resolver::default() }
    }

    /// Runs one check when a permit is free.
    ///
    /// # Errors
    /// Why it failed, for users.
    pub(super) async fn check(&self, context: &CommandContext, probe: &Probe, within: Duration) -> Result<(), String> {
        // The semaphore is never closed.
        let permit = self.permits.acquire().await.ok();
        let checks = async {
            loop {
                match self.run(context, probe, within).await {
                    Err(why) if why == TOO_LATE => {}
                    outcome => return outcome,
                }
            }
        };
        tokio::select! {
            outcome = checks => outcome,
            never = release_when_slow(permit) => match never {},
        }
    }

    async fn run(&self, context: &CommandContext, probe: &Probe, within: Duration) -> Result<(), String> {
        let answer = async {
            match probe {
                Probe::Tcp(address) => net::connect(&self.resolver, address.value()).await.map(drop),
                Probe::Http(asked) => http::get(&self.resolver, asked).await,
                Probe::Exec(command) => exec::run(&self.commands, context, command, within).await,
                Probe::Log(_) => Err("a log pattern is matched, not checked".to_owned()),
            }
        };
        if matches!(probe, Probe::Exec(_)) {
            // It applies the timeout itself, because all its processes must have ended when it returns.
            return answer.await;
        }
        let begun = Instant::now();
        match timeout(within, answer).await {
            Ok(outcome) => outcome,
            // Navigator was paused: the answer may have come in time.
            Err(_) if begun.elapsed() >= within + PAUSE => Err(TOO_LATE.to_owned()),
            Err(_) => Err(format!("no answer within {}", HumanDuration(within))),
        }
    }
}

/// Releases the permit of a slow check.
async fn release_when_slow(permit: Option<SemaphorePermit<'_>>) -> Infallible {
    sleep_until(Instant::now() + SLOW_AFTER).await;
    drop(permit);
    std::future::pending().await
}
