//! Signals to navigator, and what a terminal shows of a shutdown.

use super::{World, at, signal, wanted};
use navigator::supervisor::{Ending, NavigatorSignal};
use reconcile::spec::Spec;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn interrupts_within_half_a_second_are_one() {
    let (actions, _) = World::new(true)
        .run(wanted(vec![Spec::new("web", "web")]), async |runtime, news| {
            for tenths in [0, 2, 4] {
                tokio::time::sleep_until(runtime.epoch + Duration::from_millis(100 * tenths)).await;
                signal(news, NavigatorSignal::Interrupt).await;
            }
            tokio::time::sleep_until(runtime.epoch + Duration::from_millis(500)).await;
            signal(news, NavigatorSignal::Interrupt).await;
        })
        .await;
    assert_eq!(actions, ["0.0s spawn web#1", "0.0s TERM #1", "0.5s kill #1"]);
}

#[tokio::test(start_paused = true)]
async fn a_closed_terminal_is_a_shutdown_and_other_signals_are_nothing() {
    let (actions, ending) = World::new(true)
        .run(wanted(vec![Spec::new("web", "web")]), async |runtime, news| {
            signal(news, NavigatorSignal::Other(reconcile::spec::Signal("USR1"))).await;
            at(runtime.epoch, 1).await;
            signal(news, NavigatorSignal::TerminalClosed).await;
        })
        .await;
    assert_eq!(actions, ["0.0s spawn web#1", "1.0s TERM #1", "11.0s kill #1"]);
    assert_eq!(ending, Ending::Terminated);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_on_a_terminal_says_what_it_waits_for() {
    let world = World::new(true);
    let host = world.host.clone();
    let (_, ending) = world
        .run(wanted(vec![Spec::new("db", "db"), Spec::new("web", "web")]), async |_, news| {
            signal(news, NavigatorSignal::Interrupt).await;
        })
        .await;
    assert_eq!(ending, Ending::Interrupted);
    let notices = host.notices.borrow();
    assert_eq!(
        *notices,
        ["waiting up to 9s for `web`; press Ctrl-C again to kill\n", "waiting up to 10s for `db`; press Ctrl-C again to kill\n"]
    );
}
