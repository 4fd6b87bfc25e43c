//! Orphans of a killed navigator are ended before anything starts.

use super::{World, at, read, signal, wanted};
use navigator::journal::{Accepted, Record};
use navigator::source::Ticket;
use navigator::supervisor::{Ending, FormerNavigator, FormerProcesses, NavigatorSignal, journal_entry};
use reconcile::event::Pid;
use reconcile::spec::Spec;
use reconcile::text::Name;

/// The orphans of a killed navigator with `db` and `web`.
pub(crate) fn orphans() -> FormerNavigator {
    let former = wanted(vec![Spec::new("db", "db"), Spec::new("web", "web")]);
    let record = Record::of([journal_entry(&former.desired, Accepted::default())]);
    let processes = vec![(Name::from("db"), vec![Pid(100)]), (Name::from("web"), vec![Pid(200)])];
    FormerNavigator::End(FormerProcesses { processes, record })
}

#[tokio::test(start_paused = true)]
async fn orphans_are_ended_in_their_order_before_anything_starts() {
    let (actions, ending) = World::new(false)
        .run_after(orphans(), wanted(vec![Spec::new("web", "web")]), async |runtime, news| {
            at(runtime.epoch, 1).await;
            signal(news, NavigatorSignal::Terminate).await;
        })
        .await;
    let bound = ["0.0s bind db#1", "0.0s bind web#2"];
    let ended = ["0.0s TERM #2", "0.0s TERM #1"];
    assert_eq!(actions, [&bound[..], &ended, &["0.0s spawn web#1", "1.0s TERM #1"]].concat());
    assert_eq!(ending, Ending::Terminated);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_while_orphans_are_ended_starts_nothing() {
    let (actions, ending) = World::new(true)
        .run_after(orphans(), wanted(vec![Spec::new("web", "web")]), async |runtime, news| {
            signal(news, NavigatorSignal::Hangup).await;
            signal(news, NavigatorSignal::Interrupt).await;
            at(runtime.epoch, 2).await;
            signal(news, NavigatorSignal::Interrupt).await;
        })
        .await;
    let bound = ["0.0s bind db#1", "0.0s bind web#2"];
    assert_eq!(actions, [&bound[..], &["0.0s TERM #2", "2.0s kill #1", "2.0s kill #2"]].concat());
    assert_eq!(ending, Ending::Interrupted);
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_while_orphans_are_ended_are_handled_afterwards() {
    let world = World::new(true);
    let host = world.host.clone();
    let (actions, _) = world
        .run_after(orphans(), wanted(vec![Spec::new("web", "web")]), async |runtime, news| {
            signal(news, NavigatorSignal::Hangup).await;
            let newer = wanted(vec![Spec::new("newer", "newer")]);
            news.send(read(newer, Ticket::default())).await.expect("the loop listens");
            at(runtime.epoch, 15).await;
            assert_eq!(host.reloads.get(), 0);
            at(runtime.epoch, 25).await;
            assert_eq!(host.reloads.get(), 1);
            signal(news, NavigatorSignal::Quit).await;
        })
        .await;
    assert_eq!(
        actions[2..],
        ["0.0s TERM #2", "10.0s kill #2", "10.0s TERM #1", "20.0s kill #1", "20.0s spawn newer#1", "25.0s kill #1"]
    );
}
