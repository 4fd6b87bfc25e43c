//! Takeover: an engine goes on from what a former life of navigator recorded.

use crate::stage::{
    NOTHING, Stage, after, by_hand, content, exited, gone, probed, ready, refused, rolling, spec, started, unready, wanted, with,
};
use reconcile::desired::Desired;
use reconcile::engine::Engine;
use reconcile::event::{Event, ExitStatus, Order, Pid, RunId};
use reconcile::spec::{OnChange, ProcessKind, Restart, Spec};
use reconcile::state::ProcessState;
use reconcile::take_over::FormerLife;
use reconcile::text::Name;
use std::collections::BTreeMap;

/// The same stage in the next life of navigator. These are the former definitions, as far as they are known.
pub(crate) fn next_life(former: &Stage, file: Vec<Spec>) -> Stage {
    let file = Desired::new(file, Desired::SHUTDOWN_TIMEOUT).expect("the definitions fit together");
    let known = |name: &Name| {
        let mut process = former.engine.remember(name)?;
        let lost = file.get(name).map(|entry| &entry.spec).filter(|spec| !spec.exec.unknown_fields.is_empty());
        if let Some(lost) = lost {
            process.facts.runs.iter_mut().for_each(|run| run.spec = lost.clone());
            process.facts.past.iter_mut().for_each(|past| past.spec = lost.clone());
            process.definition = Some(lost.clone());
        }
        Some((name.clone(), process))
    };
    let processes: BTreeMap<_, _> = former.engine.observed().processes().keys().filter_map(known).collect();
    let (generation, last_run) = (former.engine.generation(), former.engine.observed().last_run());
    let engine = Engine::take_over(FormerLife { file, generation, last_run, at: former.now, processes });
    Stage { engine, now: former.now, wake_at: None }
}

/// The same if navigator is started again with the same file.
fn restarted(former: &Stage, file: Vec<Spec>) -> (Stage, Vec<String>) {
    let mut next = next_life(former, file.clone());
    let actions = next.step([wanted(file)]);
    (next, actions)
}

/// A definition of which only digests were recorded.
fn unknown(spec: Spec) -> Spec {
    with(spec, |spec| spec.exec.unknown_fields = vec!["args".to_owned()])
}

fn service(name: &str, version: u32) -> Spec {
    with(spec(name, version), |spec| spec.restart = Restart::Always)
}

#[test]
fn a_settled_world_is_taken_over_without_a_step() {
    let file =
        vec![service("db", 0), after(probed(service("web", 0)), "db", true), with(service("off", 0), |off| off.enabled = false)];
    let mut former = Stage::with(file.clone(), &[1, 2]);
    former.step([ready(2)]);
    former.wait(60_000);
    let (next, actions) = restarted(&former, file);
    assert_eq!(actions, NOTHING);
    assert_eq!(next.engine.statuses(), former.engine.statuses());
    assert!(next.engine.is_converged());
    assert_eq!(next.engine.generation(), 1);
}

#[test]
fn runs_are_numbered_on() {
    let mut former = Stage::with([service("web", 0)], &[1]);
    former.step([exited(1, 1), gone(1)]);
    former.wait(1_000);
    former.step([started(2)]);
    let (mut next, _) = restarted(&former, vec![service("web", 0)]);
    assert_eq!(next.step([by_hand(Order::Restart, "web")]), ["stop web#2 (restarted by hand)"]);
    assert_eq!(next.step([exited(2, 0), gone(2)]), ["spawn web#3 (restarted by hand)"]);
}

#[test]
fn counts_and_backoff_go_on() {
    let web = with(service("web", 0), |web| web.max_restarts = Some(3));
    let mut former = Stage::with([web.clone()], &[1]);
    former.step([exited(1, 1), gone(1)]);
    for run in 2..=3 {
        former.now = former.wake_at.unwrap_or(former.now);
        former.step([]);
        former.step([started(run), exited(run, 1), gone(run)]);
    }
    former.wait(100);
    let due = former.wake_at;
    let (mut next, actions) = restarted(&former, vec![web]);
    assert_eq!((actions, next.wake_at), (vec![], due));
    assert_eq!(next.status("web").map(|web| web.restarts), former.status("web").map(|web| web.restarts));
    next.now = due.expect("it waits for its backoff");
    assert_eq!(next.step([]).len(), 1);
    next.step([started(4), exited(4, 1), gone(4)]);
    assert_eq!(next.status("web").map(|web| web.state), Some(ProcessState::Failed), "the fourth end in a row");
}

#[test]
fn a_completed_task_is_not_started_again() {
    let task = with(spec("migrate", 0), |task| task.exec.kind = ProcessKind::Task);
    let mut former = Stage::with([task.clone()], &[1]);
    former.step([exited(1, 0), gone(1)]);
    let (next, actions) = restarted(&former, vec![task]);
    assert_eq!(actions, NOTHING);
    assert_eq!(next.status("migrate").map(|task| task.state), Some(ProcessState::Completed));
}

#[test]
fn orders_by_hand_last_until_the_definition_changes() {
    let off = with(service("off", 0), |off| off.enabled = false);
    let mut former = Stage::with([service("web", 0), off.clone()], &[1]);
    former.step([by_hand(Order::Stop, "web"), by_hand(Order::Start, "off")]);
    former.step([exited(1, 0), gone(1), started(2)]);
    let (next, actions) = restarted(&former, vec![service("web", 0), off.clone()]);
    assert_eq!(actions, NOTHING);
    assert_eq!(next.status("web").map(|web| web.state), Some(ProcessState::Stopped));
    assert_eq!(next.status("off").map(|off| off.state), Some(ProcessState::Running));
    let mut next = next_life(&former, vec![unknown(service("web", 1)), off.clone()]);
    assert_eq!(next.step([wanted([service("web", 1), off])]), ["spawn web#3 (args changed)"]);
}

#[test]
fn what_changed_meanwhile_is_taken_like_a_save() {
    let mut former = Stage::with([service("db", 0), service("old", 0), service("web", 0)], &[1, 2, 3]);
    former.wait(5_000);
    let mut next = next_life(&former, vec![unknown(service("db", 1)), unknown(service("old", 1)), service("web", 0)]);
    let processes = [service("db", 1), service("new", 0), service("web", 0)];
    let actions = next.step([wanted(processes)]);
    assert_eq!(
        actions,
        ["stop db#1 (args changed)", "stop old#2 (removed from file)"],
        "what is removed goes before anything is added"
    );
    assert_eq!(next.engine.generation(), 2);
}

#[test]
fn the_end_of_a_run_while_navigator_was_away_counts() {
    let mut former = Stage::with([service("web", 0)], &[1]);
    former.wait(60_000);
    let mut next = next_life(&former, vec![service("web", 0)]);
    let lost = Event::Exited { run: RunId(1), status: ExitStatus::Lost };
    assert_eq!(next.step([wanted([service("web", 0)]), lost, gone(1)]), ["spawn web#2 (exit status unknown)"]);
}

#[test]
fn a_rolling_replacement_goes_on() {
    let web = |version| rolling(probed(service("web", version)));
    let mut former = Stage::with([web(0)], &[1]);
    former.step([ready(1)]);
    assert_eq!(former.step([wanted([web(1)])]), ["spawn web#2 (args changed)"]);
    former.step([started(2)]);
    let (mut next, actions) = restarted(&former, vec![web(1)]);
    assert_eq!(actions, NOTHING);
    let mut failing = next_life(&former, vec![web(1)]);
    failing.step([wanted([web(1)])]);
    assert_eq!(next.step([ready(2)]), ["stop web#1 (args changed)"]);
    failing.step([exited(2, 1), gone(2)]);
    assert!(failing.status("web").is_some_and(|web| web.stale && web.state == ProcessState::Running));
    // It stays put back in the next life.
    let (next, actions) = restarted(&failing, vec![web(1)]);
    assert_eq!(actions, NOTHING);
    assert!(next.status("web").is_some_and(|web| web.stale && web.reason.to_string().starts_with("put back")));
}

#[test]
fn a_put_back_definition_is_tried_again_if_what_serves_instead_is_unknown_and_ends() {
    let web = |version| rolling(probed(service("web", version)));
    let mut former = Stage::with([web(0)], &[1]);
    former.step([ready(1)]);
    former.step([wanted([web(1)])]);
    former.step([refused(2)]);
    former.wait(61_000);
    let known = former.engine.remember(&Name::from("web")).expect("it is in the file");
    assert!(known.put_back.is_some(), "{known:?}");
    let lost = std::sync::Arc::new(unknown(web(1)));
    let mut processes = BTreeMap::from([(Name::from("web"), known)]);
    for web in processes.values_mut() {
        web.facts.runs.iter_mut().for_each(|run| run.spec = lost.clone());
        web.put_back.as_mut().expect("it was put back").serving = lost.clone();
    }
    let file = Desired::new(vec![web(1)], Desired::SHUTDOWN_TIMEOUT).expect("one definition");
    let former = FormerLife { file, generation: 2, last_run: former.engine.observed().last_run(), at: former.now, processes };
    let mut next = Stage { engine: Engine::take_over(former), now: reconcile::time::Time::from_millis(70_000), wake_at: None };
    assert_eq!(next.step([wanted([web(1)])]), NOTHING);
    assert!(next.status("web").is_some_and(|web| web.stale));
    let actions = next.step([exited(1, 1), gone(1)]);
    assert_eq!(actions.len(), 1, "{actions:?}");
    assert!(!next.status("web").is_some_and(|web| web.stale), "the definition of the file is tried");
}

#[test]
fn a_run_that_is_kept_on_purpose_stays_stale() {
    let web = |version| with(service("web", version), |web| web.on_change = OnChange::Keep);
    let mut former = Stage::with([web(0)], &[1]);
    former.step([wanted([web(1)])]);
    assert!(former.status("web").is_some_and(|web| web.stale));
    let (next, actions) = restarted(&former, vec![web(1)]);
    assert_eq!(actions, NOTHING);
    assert!(next.status("web").is_some_and(|web| web.stale));
}

#[test]
fn a_stop_goes_on_to_its_end() {
    let mut former = Stage::with([service("web", 0)], &[1]);
    former.step([by_hand(Order::Stop, "web")]);
    former.wait(4_000);
    let (mut next, actions) = restarted(&former, vec![service("web", 0)]);
    assert_eq!(actions, NOTHING);
    assert_eq!(next.wait(5_999), NOTHING);
    assert_eq!(next.wait(1), ["kill web#1"]);
}

#[test]
fn readiness_and_its_deadline_go_on() {
    let mut former = Stage::with([probed(service("web", 0))], &[1]);
    former.step([unready(1)]);
    former.wait(59_000);
    let (mut next, actions) = restarted(&former, vec![probed(service("web", 0))]);
    assert_eq!(actions, NOTHING);
    assert_eq!(next.wait(999), NOTHING);
    assert_eq!(next.wait(1).len(), 1, "it is not ready by its deadline");
}

#[test]
fn a_watched_file_that_changed_meanwhile_counts() {
    let web = || with(service("web", 0), |web| web.watch = vec!["a.conf".into()]);
    let mut former = Stage::new();
    former.step([wanted([web()]), content("web", &["a.conf"], [("a.conf", 1)])]);
    former.step([started(1)]);
    former.wait(60_000);
    let unchanged = || content("web", &["a.conf"], [("a.conf", 1)]);
    let mut next = next_life(&former, vec![web()]);
    assert_eq!(next.step([wanted([web()]), unchanged()]), NOTHING);
    let mut next = next_life(&former, vec![web()]);
    let changed = content("web", &["a.conf"], [("a.conf", 2)]);
    assert_eq!(next.step([wanted([web()]), changed]), ["stop web#1 (a.conf changed)"]);
}

#[test]
fn after_a_shutdown_that_was_cut_short_everything_runs_again() {
    let file = vec![service("db", 0), service("web", 0)];
    let mut former = Stage::with(file.clone(), &[1, 2]);
    assert_eq!(former.step([Event::Order(Order::Shutdown)]).len(), 2);
    former.step([exited(2, 0), gone(2)]);
    let (mut next, actions) = restarted(&former, file);
    assert_eq!(actions, ["spawn web#3 (shutdown)"]);
    assert_eq!(next.step([exited(1, 0), gone(1)]), ["spawn db#4 (shutdown)"]);
}

#[test]
fn a_program_that_was_just_started_counts_as_running_since_then() {
    let mut former = Stage::new();
    assert_eq!(former.step([wanted([service("web", 0)])]), ["spawn web#1 (added to file)"]);
    let mut known = former.engine.remember(&Name::from("web")).expect("it is in the file");
    known.facts.runs = known.facts.runs.iter().map(|run| run.clone().found_running(Pid(100))).collect();
    let file = Desired::new(vec![service("web", 0)], Desired::SHUTDOWN_TIMEOUT).expect("one definition");
    let processes = BTreeMap::from([(Name::from("web"), known)]);
    let former = FormerLife { file, generation: 1, last_run: RunId(1), at: former.now, processes };
    let mut next = Stage { engine: Engine::take_over(former), now: reconcile::time::Time::from_millis(70_000), wake_at: None };
    assert_eq!(next.step([wanted([service("web", 0)])]), NOTHING);
    assert!(next.engine.is_converged(), "{:?}", next.engine.statuses());
}
