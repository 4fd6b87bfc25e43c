//! What `navigator plan` shows of a file is what real processes then go through when it is saved, in its order: over random
//! files, one after the other.
//!
//! `FILES=n` says how many, `SEED=n` which.

use crate::harness::entry::Event;
use crate::harness::{Navigator, Signal, Site, report};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fmt::Write;

/// A step, as verb and name.
type Step = (String, String);

#[test]
fn what_is_planned_is_what_real_processes_go_through() {
    let number = |variable: &str| std::env::var(variable).ok().and_then(|text| text.parse().ok());
    let (files, seed) = (number("FILES").unwrap_or(51), number("SEED").unwrap_or(1));
    let mut dice = Dice(seed);
    let site = Site::new();
    let mut before = File::random(&mut dice);
    let mut navigator = site.start_unwatched(&before.text());
    let mut taken = settled(&navigator, 0, before.processes.len()).len();
    let mut total = 0;
    for file in 1..files {
        let after = before.changed(&mut dice);
        site.write("navigator.yml", &after.text());
        let planned = planned(&site);
        assert_eq!(site.run(["reload"]).code, Some(0));
        assert_eq!(site.run(["wait"]).code, Some(0));
        let done = settled(&navigator, taken, planned.len());
        taken += done.len();
        total += done.len();
        let story = || format!("seed {seed}, file {file}\nbefore\n{}\nafter\n{}", before.text(), after.text());
        assert_eq!(sorted(&planned), sorted(&done), "{}", story());
        let is_ordered = |one: &Step, other: &Step| {
            let by = if one.0 == "stop" { &before } else { &after };
            one.1 == other.1 || one.0 == other.0 && by.relates(&one.1, &other.1)
        };
        assert_eq!(ordered(&planned, is_ordered), ordered(&done, is_ordered), "{}", story());
        before = after;
    }
    report(&format!("{files} files, {total} steps"));
    assert!(total > usize::try_from(files).unwrap_or(0) / 2, "{total} steps of {files} files test little");
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

/// The steps in the log behind the first of them, once there are as many as were planned. More of them show with the next file.
fn settled(navigator: &Navigator, taken: usize, planned: usize) -> Vec<Step> {
    let step = |event: Event| {
        let verb = match event.message.as_str() {
            "Starting process" => "start",
            "Stopping process" => "stop",
            "Process updated" => "update",
            _ => return None,
        };
        Some((verb.to_owned(), event.field("name")?.to_owned()))
    };
    let steps = || navigator.events().into_iter().filter_map(step).skip(taken).collect::<Vec<Step>>();
    navigator.log().until("every planned step", || Some(steps()).filter(|steps| steps.len() >= planned))
}

/// The steps that are planned, wave by wave.
fn planned(site: &Site) -> Vec<Step> {
    let text = site.run(["plan"]).stdout();
    let order = text.lines().skip_while(|line| !line.starts_with("in this order")).skip(1).take_while(|line| !line.is_empty());
    let steps: Vec<Step> = order.flat_map(steps_of_line).collect();
    if !steps.is_empty() {
        return steps;
    }
    // Of a single process there is no order to tell.
    let plan: Value = serde_json::from_str(&site.run(["plan", "--format", "json"]).stdout()).expect("a plan is JSON");
    let changes = plan["changes"].as_array().expect("a plan has changes").clone();
    assert!(changes.len() < 2, "{text}");
    let steps = changes.iter().flat_map(|change| {
        let verbs: &[&str] = match change["action"].as_str() {
            Some("restart") => &["stop", "start"],
            Some("start") => &["start"],
            Some("stop") => &["stop"],
            _ => &["update"],
        };
        let name = change["name"].as_str().expect("a change has a name").to_owned();
        verbs.iter().map(move |verb| ((*verb).to_owned(), name.clone()))
    });
    steps.collect()
}

/// `  2. stop redis, web`; the number is told once for a wave.
fn steps_of_line(line: &str) -> Vec<Step> {
    let words = line.trim_start().trim_start_matches(|char: char| char.is_ascii_digit()).trim_start_matches(". ");
    let (verb, names) = words.split_once(' ').expect("a verb and names");
    names.split(", ").map(|name| (verb.to_owned(), name.to_owned())).collect()
}

fn sorted(steps: &[Step]) -> Vec<&Step> {
    let mut sorted: Vec<&Step> = steps.iter().collect();
    sorted.sort();
    sorted
}

/// Every two steps whose order counts, the earlier one first.
fn ordered(steps: &[Step], counts: impl Fn(&Step, &Step) -> bool) -> BTreeSet<(Step, Step)> {
    let pairs = steps.iter().enumerate().flat_map(|(at, one)| steps[at + 1..].iter().map(move |other| (one, other)));
    pairs.filter(|(one, other)| counts(one, other)).map(|(one, other)| (one.clone(), other.clone())).collect()
}

/// Random numbers that anybody can repeat (a linear congruential generator, by Knuth's constants).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

#[derive(Clone)]
struct Process {
    name: String,
    version: usize,
    grace: usize,
    enabled: bool,
    /// The names of some that stand before it, and whether it follows them; `None`: by its place alone.
    needs: Option<Vec<(String, bool)>>,
}

#[derive(Clone)]
struct File {
    processes: Vec<Process>,
}

impl File {
    fn random(dice: &mut Dice) -> File {
        let mut file = File { processes: Vec::new() };
        for number in 0..3 + dice.below(5) {
            file.add(dice, number);
        }
        file
    }

    fn add(&mut self, dice: &mut Dice, number: usize) {
        let name = format!("p{number}");
        if self.processes.iter().any(|process| process.name == name) {
            return;
        }
        self.processes.push(Process { name, version: 0, grace: 5, enabled: true, needs: None });
        self.rewire(dice, self.processes.len() - 1);
    }

    /// Gives a process other dependencies.
    fn rewire(&mut self, dice: &mut Dice, at: usize) {
        let running = |process: &&Process| process.enabled;
        let earlier: Vec<String> = self.processes[..at].iter().filter(running).map(|process| process.name.clone()).collect();
        let mut needs: Vec<(String, bool)> = Vec::new();
        for name in earlier {
            if dice.chance(30) {
                needs.push((name, dice.chance(30)));
            }
        }
        self.processes[at].needs = dice.chance(50).then_some(needs);
    }

    fn changed(&self, dice: &mut Dice) -> File {
        let mut file = self.clone();
        for _ in 0..=dice.below(4) {
            let at = dice.below(file.processes.len());
            match dice.below(6) {
                0 => {
                    let number = dice.below(10);
                    file.add(dice, number);
                }
                1 if file.processes.len() > 2 => drop(file.processes.remove(at)),
                1 | 2 => file.processes[at].version += 1,
                3 => file.processes[at].grace += 1,
                4 => file.rewire(dice, at),
                _ => file.processes[at].enabled ^= true,
            }
        }
        file.mended()
    }

    /// The same without needs of what is not there, or doesn't run: then nothing would ever be settled.
    fn mended(mut self) -> File {
        let running: BTreeSet<String> =
            self.processes.iter().filter(|process| process.enabled).map(|process| process.name.clone()).collect();
        for process in &mut self.processes {
            process.needs.iter_mut().for_each(|needs| needs.retain(|(name, _)| running.contains(name)));
        }
        self
    }

    fn text(&self) -> String {
        let mut text = "managed_processes:\n".to_owned();
        for Process { name, version, grace, enabled, needs } in &self.processes {
            let needs = needs.as_ref().map(|needs| {
                let needs: Vec<String> =
                    needs.iter().map(|(name, restart)| format!("{name}: {{ restart: {restart} }}")).collect();
                format!(", depends_on: {{ {} }}", needs.join(", "))
            });
            let _ = writeln!(
                text,
                "  - {{ name: {name}, command: sleep, args: [infinity], env: {{ VERSION: {version} }}, \
                 stop: {{ timeout: {grace}s }}, enabled: {enabled}{} }}",
                needs.unwrap_or_default()
            );
        }
        text
    }

    /// Whether one of these comes after the other: by a name, or by its place, over any number of others.
    fn relates(&self, one: &str, other: &str) -> bool {
        self.is_behind(one, other) || self.is_behind(other, one)
    }

    fn is_behind(&self, later: &str, earlier: &str) -> bool {
        let Some(at) = self.processes.iter().position(|process| process.name == later) else { return false };
        let process = &self.processes[at];
        let before: Vec<&str> = match &process.needs {
            Some(needs) => needs.iter().map(|(name, _)| name.as_str()).collect(),
            None => self.processes[..at].last().map(|process| process.name.as_str()).into_iter().collect(),
        };
        before.iter().any(|name| *name == earlier || self.is_behind(name, earlier))
    }
}
