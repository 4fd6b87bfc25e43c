//! The loop of a navigator that was killed, and the loop of the next one, which goes on from the record.

use super::orphans::orphans;
use super::{World, at, signal, wanted};
use navigator::access::{Directory, Trust};
use navigator::journal::{Accepted, InstanceSecret, Journal, Opened, Record, RecordedFacts, RunKey};
use navigator::runtime::OrphanRun;
use navigator::supervisor::{FormerNavigator, NavigatorSignal, RecordedLife, journal_entry};
use reconcile::event::Pid;
use reconcile::spec::{Restart, Spec};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;

/// A directory of the record, removed at the end of the test.
struct Site(PathBuf);

impl Site {
    fn new(name: &str) -> Site {
        let path = std::env::temp_dir().join(format!("navigator-loop-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("a directory");
        Site(path)
    }

    fn open(&self) -> Opened {
        let directory = Directory::open(&self.0, Trust::everybody()).expect("it was made");
        Journal::open(&directory, Some("boot".to_owned())).expect("a thread")
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _removed = fs::remove_dir_all(&self.0);
    }
}

fn specs() -> Vec<Spec> {
    vec![Spec { restart: Restart::Always, ..Spec::new("db", "db") }, Spec::new("web", "web")]
}

/// What a navigator recorded that ran these processes for five seconds and was killed then.
async fn killed(site: &Site, specs: Vec<Spec>) -> (RecordedFacts, Record, InstanceSecret) {
    let world = World::new(false);
    let host = world.host.clone();
    let first = wanted(specs);
    let record = Record::of([journal_entry(&first.desired, Accepted::default())]);
    let life = world.run(first, async |runtime, _| at(runtime.epoch, 60).await);
    timeout(Duration::from_secs(5), life).await.expect_err("it goes on until it is killed");
    let journal = site.open().journal;
    journal.update(host.recorded.take());
    journal.record_and_wait(journal_entry(&wanted(Vec::new()).desired, Accepted::default()));
    let opened = site.open();
    (opened.facts.expect("they were recorded"), record, opened.journal.secret().clone())
}

fn orphan(name: &str, run: u64) -> OrphanRun {
    let key = RunKey { life: "former".to_owned(), run };
    OrphanRun { name: name.into(), key, pids: vec![Pid(100)], can_be_held: true }
}

async fn next(site: &Site, now: Vec<Spec>, orphans: Vec<OrphanRun>) -> Vec<String> {
    let (facts, record, secret) = killed(site, specs()).await;
    let former = FormerNavigator::TakeOver(Box::new(RecordedLife { orphans, record, facts, secret }));
    let script = async |runtime: &super::FakeRuntime, news: &_| {
        at(runtime.epoch, 1).await;
        signal(news, NavigatorSignal::Terminate).await;
    };
    World::new(false).run_after(former, wanted(now), script).await.0
}

#[tokio::test(start_paused = true)]
async fn running_processes_go_on() {
    let actions = next(&Site::new("go-on"), specs(), vec![orphan("db", 1), orphan("web", 2)]).await;
    let taken_over = ["0.0s take over db#1 (ready)", "0.0s take over web#2 (ready)"];
    assert_eq!(actions, [&taken_over[..], &["1.0s TERM #2", "1.0s TERM #1"]].concat());
}

#[tokio::test(start_paused = true)]
async fn one_that_has_ended_is_restarted_by_its_policy_and_a_changed_one_is_replaced() {
    let changed = vec![specs().remove(0), Spec::new("web", "other")];
    let actions = next(&Site::new("differs"), changed, vec![orphan("web", 2)]).await;
    let replaced = ["0.0s take over web#2 (ready)", "0.0s TERM #2", "0.0s spawn web#3"];
    assert_eq!(actions[..4], [&replaced[..], &["0.5s spawn db#4"]].concat(), "{actions:?}");
}

#[tokio::test(start_paused = true)]
async fn without_facts_what_was_left_is_stopped_and_started_anew() {
    let record = Record::of([journal_entry(&wanted(specs()).desired, Accepted::default())]);
    let secret = InstanceSecret::random().expect("the kernel has random numbers");
    let left = RecordedLife { orphans: vec![orphan("db", 7)], record, facts: RecordedFacts::default(), secret };
    let script = async |runtime: &super::FakeRuntime, news: &_| {
        at(runtime.epoch, 1).await;
        signal(news, NavigatorSignal::Terminate).await;
    };
    let former = FormerNavigator::TakeOver(Box::new(left));
    let (actions, _) = World::new(false).run_after(former, wanted(specs()), script).await;
    assert_eq!(actions[..3], ["0.0s take over db#1", "0.0s TERM #1", "0.0s spawn db#2"], "{actions:?}");
}

#[tokio::test(start_paused = true)]
async fn orphans_are_bound_only_to_be_ended() {
    let script = async |runtime: &super::FakeRuntime, news: &_| {
        at(runtime.epoch, 1).await;
        signal(news, NavigatorSignal::Terminate).await;
    };
    let (actions, _) = World::new(false).run_after(orphans(), wanted(specs()), script).await;
    assert!(actions.iter().all(|action| !action.contains("take over")), "{actions:?}");
}
