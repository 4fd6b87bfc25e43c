//! One check of a run: by the probe that is asked for, within its time, and not too many at the same moment.

use super::{exec, http, net};
use crate::runtime::commands::{CommandContext, Commands};
use reconcile::span::Span;
use reconcile::spec::Probe;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until, timeout};

/// As many checks may be busy at the same moment; the others wait for their turn, in order.
const MAX_CONCURRENT: usize = 32;
/// A check that takes longer is waiting, not busy, and makes room for another.
const SLOW_AFTER: Duration = Duration::from_secs(2);

/// Makes checks. Clones share what bounds them.
#[derive(Clone)]
pub(super) struct Checks {
    commands: Commands,
    permits: Arc<Semaphore>,
    resolver: net::Resolver,
}

impl Checks {
    pub(super) fn new(commands: Commands) -> Checks {
        Checks { commands, permits: Arc::new(Semaphore::new(MAX_CONCURRENT)), resolver: net::Resolver::default() }
    }

    /// Makes one check, once it is its turn.
    ///
    /// # Errors
    /// What it met with, for people.
    pub(super) async fn check(&self, principal: &CommandContext, probe: &Probe, within: Duration) -> Result<(), String> {
        // It is never closed.
        let permit = self.permits.acquire().await.ok();
        tokio::select! {
            outcome = self.run(principal, probe, within) => outcome,
            never = release_when_slow(permit) => match never {},
        }
    }

    async fn run(&self, principal: &CommandContext, probe: &Probe, within: Duration) -> Result<(), String> {
        let answer = async {
            match probe {
                Probe::Tcp(address) => net::connect(&self.resolver, address.value()).await.map(drop),
                Probe::Http(asked) => http::get(&self.resolver, asked).await,
                Probe::Exec(command) => exec::run(&self.commands, principal, command, within).await,
                Probe::Log(_) => Err("output is listened to, not asked".to_owned()),
            }
        };
        if matches!(probe, Probe::Exec(_)) {
            // It sees to its time itself: what it started has to be gone before it has ended.
            return answer.await;
        }
        timeout(within, answer).await.unwrap_or_else(|_| Err(format!("no answer within {}", Span(within))))
    }
}

/// Gives a turn to somebody else, should it take long.
async fn release_when_slow(permit: Option<SemaphorePermit<'_>>) -> Infallible {
    sleep_until(Instant::now() + SLOW_AFTER).await;
    drop(permit);
    std::future::pending().await
}
