//! The chaos test: random edits of the file, saved in every way, while real processes misbehave and are killed; every
//! story is held to the rules that the contract makes.
//!
//! `CHAOS_EDITS=n` says how many edits there are (60), `CHAOS_SEED=n` repeats the history of one seed; with both, the histories
//! begin with that seed. A failure prints its seed, the story up to what went wrong, and the shortest history that was found in
//! `CHAOS_SHRINK=seconds` (45). Processes of a real system don't repeat themselves exactly: a seed may have to be tried again.
#![expect(clippy::print_stdout, reason = "figures and stories are for whoever runs the test")]

#[path = "../properties/dice.rs"]
mod dice;
mod drive;
mod grow;
#[path = "../e2e/harness/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the end-to-end tests use the rest of it")]
mod harness;
mod history;
mod host;
mod places;
mod rules;
mod runs;
mod save;
mod settled;
mod shrink;
mod story;
mod text;

use history::History;
use rules::Violation;
use runs::Account;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use story::{Story, What};

/// How many edits one navigator sees, at most.
const EDITS: usize = 15;

/// How many navigators are driven at a time: each waits more than it works.
const AT_ONCE: usize = 3;

#[test]
fn every_rule_holds_whatever_is_saved_and_killed() {
    let child = child();
    let begun = Instant::now();
    let first = number("CHAOS_SEED");
    let edits = number("CHAOS_EDITS").unwrap_or(if first.is_some() { EDITS } else { 60 });
    let (figures, failure) = try_all(first.unwrap_or(0), edits, &child);
    println!("{figures} in {:.1} s", begun.elapsed().as_secs_f64());
    if let Some(Failure { history, story, violation }) = failure {
        println!("broken: {violation} | after {} edits | CHAOS_SEED={}", figures.edits, history.seed);
        println!("{history}\n{}", story.around(violation.place, 2000, 20));
        let time = Duration::from_secs(u64::try_from(number("CHAOS_SHRINK").unwrap_or(45)).unwrap_or(0));
        shrink_and_tell(history, &violation, time, &child);
        panic!("{violation}");
    }
    assert!(figures.starts > figures.edits, "histories in which little is started test little");
}

/// A history that breaks a rule.
struct Failure {
    history: History,
    story: Story,
    violation: Violation,
}

/// Drives navigators through the histories of these seeds until there were so many edits, or until a rule is broken.
fn try_all(first: usize, edits: usize, child: &Path) -> (Figures, Option<Failure>) {
    let next = AtomicUsize::new(0);
    let result = Mutex::new((Figures::default(), None));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let left = edits.saturating_sub(number.saturating_mul(EDITS)).min(EDITS);
            if left == 0 {
                return;
            }
            let history = History::random(first + number, left);
            let story = drive::drive(&history, child);
            let checked = rules::check(&Account::of(&story));
            let mut result = result.lock().unwrap_or_else(PoisonError::into_inner);
            result.0.add(&history, &story);
            if let Err(violation) = checked {
                // The others finish the history that they are at.
                next.store(usize::MAX / 2, Ordering::Relaxed);
                result.1.get_or_insert(Failure { history, story, violation });
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    result.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Looks for a shorter history that breaks the same rule, and shows it.
fn shrink_and_tell(history: History, violation: &Violation, time: Duration, child: &Path) {
    let fails = |history: &History| {
        let story = drive::drive(history, child);
        let found = rules::check(&Account::of(&story)).err().filter(|found| found.rule == violation.rule);
        found.map(|found| story.around(found.place, 60, 5))
    };
    let last = Mutex::new(String::new());
    let shortest = shrink::shrink(history, Instant::now() + time, |history| {
        let found = fails(history);
        let is_found = found.is_some();
        if let Some(story) = found {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = story;
        }
        is_found
    });
    let story = last.into_inner().unwrap_or_else(PoisonError::into_inner);
    println!("the shortest history found that breaks it:\n{shortest}\n{story}");
}

/// What was tried.
#[derive(Debug, Default)]
struct Figures {
    histories: usize,
    edits: usize,
    generations: usize,
    starts: usize,
    hits: usize,
    kills: usize,
    records: usize,
}

impl Figures {
    fn add(&mut self, history: &History, story: &Story) {
        let account = Account::of(story);
        self.histories += 1;
        self.edits += history.edits();
        self.generations += account.generations.len();
        self.starts += account.runs.len();
        self.hits += story.entries.iter().filter(|entry| matches!(entry.what, What::Hit(..))).count();
        self.kills += account.runs.iter().filter(|run| run.killing.is_some()).count();
        self.records += story.did().count();
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Figures { histories, edits, generations, starts, hits, kills, records } = self;
        write!(f, "{edits} edits in {histories} histories: {generations} generations, {starts} starts, ")?;
        write!(f, "{hits} signals from outside, {kills} kills by navigator, {records} records of processes")
    }
}

fn number(variable: &str) -> Option<usize> {
    std::env::var(variable).ok()?.parse().ok()
}

/// The program that the processes run. Not every way of running tests builds it, so it is built here.
fn child() -> PathBuf {
    let this = std::env::current_exe().expect("a test knows where it is");
    let profile = this.ancestors().nth(2).expect("a test lies in `deps` of its profile");
    let target = profile.parent().expect("a profile lies in the target directory");
    let name = profile.file_name().and_then(|name| name.to_str()).filter(|name| *name != "debug").unwrap_or("dev");
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let mut build = Command::new(cargo);
    build.args(["build", "--quiet", "--locked", "--example", "chaos-child", "--profile", name, "--target-dir"]).arg(target);
    harness::client(build.current_dir(env!("CARGO_MANIFEST_DIR")));
    profile.join("examples/chaos-child")
}
