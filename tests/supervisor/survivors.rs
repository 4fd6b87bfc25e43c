//! Processes that survive `KILL`, as those that wait for a broken disk do.

use super::{World, order, signal, wanted};
use navigator::supervisor::{ManualOrder, NavigatorSignal};
use reconcile::event::{ExitStatus, RunId};
use reconcile::spec::{Signal, Spec};

#[tokio::test(start_paused = true)]
async fn an_answer_names_the_pids_that_survive() {
    World::new(true)
        .run(wanted(vec![Spec::new("web", "web")]), async |runtime, news| {
            runtime.survives.set(true);
            let answers = order(news, ManualOrder::Stop, &["web"]).await;
            assert_eq!(answers, [Err("it can't be killed: pids 7 8 are still there".to_owned())]);
            runtime.survives.set(false);
            runtime.end(RunId(1), ExitStatus::Signal(Signal::KILL));
            signal(news, NavigatorSignal::Quit).await;
        })
        .await;
}
