//! The proof that the property tests can fail: bugs that people really make, planted one by one into a copy of the core.
//!
//! Each bug is a piece of a line that reads otherwise. The copy holds them all, and goes by the one that is asked for when it
//! runs, so that it is built once. Every bug must be caught within a few thousand histories, and the copy without one must pass.
//! A line that is no longer there fails the test: move the bug to where the line went.
#![expect(clippy::print_stdout, reason = "the list of what caught what is for whoever runs the test")]
#![expect(clippy::disallowed_methods, reason = "cargo and the property tests are run to their end; nothing is supervised here")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many histories a bug may survive.
const HISTORIES: &str = "3000";

/// A bug: in this line of this file of `reconcile/src`, what stands between the marks becomes something else.
struct Bug {
    title: &'static str,
    file: &'static str,
    line: &'static str,
    instead: &'static str,
}

const BUGS: &[Bug] = &[
    Bug {
        title: "the time to wake is not that of the last plan",
        file: "engine.rs",
        line: "outcome.wake_at = «plan.wake_at»;",
        instead: "plan.wake_at.filter(|_| outcome.actions.is_empty())",
    },
    Bug {
        title: "a dependent follows a name, not a run",
        file: "plan/fate.rs",
        line: "let there = «runs.iter().rposition(|other| other.id < run.id && other.was_undisturbed(run.begun))»;",
        instead: "(!runs.is_empty()).then_some(0)",
    },
    Bug {
        title: "cycles of old and new edges are waited for",
        file: "plan/stop.rs",
        line: "if «component_of[index] != component_of[on]» {",
        instead: "component_of.len() > index",
    },
    Bug {
        title: "a run that outlives its replacement holds up what it depends on",
        file: "plan/stop.rs",
        line: "runs.iter().zip(fates).any(|(run, fate)| «matches!(fate, Fate::Go(_) | Fate::Leaving)» && !run.reported)",
        instead: "*fate != Fate::Stay",
    },
    Bug {
        title: "a kill is not planned for when a stop begins", file: "plan/stop.rs", line: "«plan.wake(until)»;", instead: ""
    },
    Bug {
        title: "what depends on a run may outlast it",
        file: "plan/stop.rs",
        line: "let held_by = if «anybody_goes && !hurry» { holders(view, fates) } else { Vec::new() };",
        instead: "false",
    },
    Bug {
        title: "a shutdown has no end",
        file: "plan/stop.rs",
        line: "closing.hurry || «view.now >= closing.since + view.desired.shutdown_timeout()»",
        instead: "false",
    },
    Bug {
        title: "the deadline of readiness is not looked at",
        file: "plan/fate.rs",
        line: "if «view.now >= deadline» {",
        instead: "false",
    },
    Bug {
        title: "a change of the environment is no change",
        file: "plan/fate.rs",
        line: "Arc::ptr_eq(&run.spec, wanted) || «run.spec.exec == wanted.exec»",
        instead: "run.spec.exec.args == wanted.exec.args && run.spec.exec.kind == wanted.exec.kind",
    },
    Bug {
        title: "who failed a check is left alone though it is another check now",
        file: "plan/outlook.rs",
        line: "past.spec.exec != spec.exec || «other_check»",
        instead: "false",
    },
    Bug {
        title: "every delay is the first of its row",
        file: "backoff.rs",
        line: "let step = «streak.length» - u32::from(streak.after_health);",
        instead: "1",
    },
    Bug {
        title: "one restart too few",
        file: "backoff.rs",
        line: "let spent = !success && spec.max_restarts.is_some_and(|most| «streak.length > most»);",
        instead: "streak.length >= most",
    },
    Bug {
        title: "what was removed is remembered when it comes back",
        file: "fold.rs",
        line: "«*process = Facts { runs: core::mem::take(&mut process.runs), ..Facts::default() }.into()»;",
        instead: "let _ = process;",
    },
    Bug {
        title: "a late exit is taken for that of the run after it",
        file: "fold.rs",
        line: "Event::Exited { run, status } => «self.fold_exited(now, run, status, reports)»,",
        instead: "let next = RunId(run.0 + 1); self.fold_exited(now, self.observed.run(run).map_or(next, |run| run.id), status, reports)",
    },
    Bug {
        title: "a stop is over when the leader is gone",
        file: "fold.rs",
        line: "«run.exit = Some((status, now))»;",
        instead: "run.exit = Some((status, now)); self.fold_gone(now, id, reports);",
    },
    Bug {
        title: "a reload starts every delay anew",
        file: "fold.rs",
        line: "«self.generation += 1»;",
        instead: "self.generation += 1; self.observed.processes_mut().for_each(|(_, process)| process.due_since = None);",
    },
    Bug {
        title: "an order by hand counts nothing against what came before",
        file: "observed.rs",
        line: "for run in self.runs.iter_mut().filter(|run| «!run.is_undisturbed()») {",
        instead: "run.forgiven",
    },
    Bug {
        title: "an order by hand is lifted by any reload",
        file: "orders.rs",
        line: "Some(entry) if entry.spec == *spec => «true»,",
        instead: "false",
    },
    Bug {
        title: "a survivor of a kill gets company",
        file: "plan/start.rs",
        line: "if «row.runs().len() > outlived || outlived > 1» {",
        instead: "row.runs().iter().any(|run| !run.reported) && row.runs().len() > outlived",
    },
    Bug {
        title: "what is added does not wait for what is removed",
        file: "plan/start.rs",
        line: "let removed = «still_removing(view)»;",
        instead: "None",
    },
    Bug {
        title: "a plan is taken for the last one while somebody is waited for by name",
        file: "plan/start.rs",
        line: "let all_by_list = «!view.desired.names_dependencies()»;",
        instead: "true",
    },
    Bug {
        title: "a plan is taken for the last one while somebody may be started behind another",
        file: "plan/start.rs",
        line: "all_by_list && «!lead_on»",
        instead: "true",
    },
    Bug {
        title: "everybody in the list may be started behind another",
        file: "plan/start.rs",
        line: "(«place(before, self.under_way)» < STARTS_AHEAD).then_some(before)",
        instead: "0",
    },
    Bug {
        title: "who may be next in the list is not looked at",
        file: "plan/outlook.rs",
        line: "&& (all.listed_before(entry).is_none() || «exec_before(view, fates, entry).is_some()»)",
        instead: "false",
    },
    Bug {
        title: "a run counts as settled that is to be replaced by hand",
        file: "observed.rs",
        line: "is_well && Arc::ptr_eq(&self.spec, wanted) && self.content.is_none() && «!self.unwanted_by_hand»",
        instead: "true",
    },
    Bug {
        title: "a run counts as settled that isn't ready",
        file: "observed.rs",
        line: "let is_well = self.up.is_some() && «self.ready.is_some()» && self.unhealthy.is_none() && self.is_undisturbed();",
        instead: "true",
    },
    Bug { title: "who is settled hears of no shutdown", file: "fold.rs", line: "«self.observed.stir_all()»;", instead: "" },
    Bug {
        title: "who was looked at once is never looked at again",
        file: "plan/view.rs",
        line: "self.looked_at.iter().filter_map(|&index| Some((index, «self.rows[index].quiet()?»))).collect()",
        instead: "self.rows[index].quiet().unwrap_or_default()",
    },
    Bug {
        title: "whoever is first in line isn't looked at",
        file: "plan/outlook.rs",
        line: "«all.first_in_line.push(index)»;",
        instead: "",
    },
    Bug {
        title: "whoever goes because others do isn't looked at",
        file: "plan/fate.rs",
        line: "«fates.along.push(index)»;",
        instead: "",
    },
    Bug {
        title: "who has a delay stands in line at once",
        file: "plan/quiet.rs",
        line: "let is_due = process.due_since.is_some_and(|since| «now >= since + spec.start_delay»);",
        instead: "true",
    },
    Bug {
        title: "who failed stands in line like others",
        file: "plan/quiet.rs",
        line: "(is_in_line() && «rest_in(Some(process), spec) == Rest::Fresh»).then_some(Quiet::InLine)",
        instead: "true",
    },
    Bug {
        title: "who is to forget its delay is held like others",
        file: "plan/quiet.rs",
        line: "let is_held = orders.closing().is_some() && «process.due_since.is_none()» && process.is_settled(spec);",
        instead: "true",
    },
    Bug {
        title: "order alone is no order",
        file: "plan/start.rs",
        line: "let before = «self.outlooks.before(self.view, self.entry)»;",
        instead: "None",
    },
    Bug {
        title: "a dependency that was down is followed by nobody",
        file: "plan/fate.rs",
        line: "(is_replaced || «was_replaced»).then_some(dependency.name)",
        instead: "false",
    },
    Bug {
        title: "of two obsolete runs each waits for the other's successor",
        file: "plan/fate.rs",
        line: "well(row).any(|other| (other.ready.is_some() && is_same(other, wanted)) || «service(other) > service(run)»)",
        instead: "false",
    },
    Bug {
        title: "the deadline of readiness counts again after a lapse",
        file: "plan/fate.rs",
        line: "let (Some(up), None) = (run.up, «run.first_ready») else { return Fate::Stay };",
        instead: "run.ready",
    },
    Bug { title: "what isn't alive goes on", file: "plan/fate.rs", line: "if «run.unhealthy.is_some()» {", instead: "false" },
    Bug {
        title: "what isn't alive serves until its replacement is ready",
        file: "plan/fate.rs",
        line: "OnChange::Keep | OnChange::Rolling if «run.unhealthy.is_none()» && service(run).is_some() => Fate::Outlive,",
        instead: "true",
    },
    Bug {
        title: "a replacement that isn't alive takes the place of the old run",
        file: "plan/fate.rs",
        line: "row.runs().iter().filter(|run| run.is_undisturbed() && «run.unhealthy.is_none()»)",
        instead: "true",
    },
    Bug {
        title: "an old run is given up for a moment in which it isn't ready",
        file: "plan/fate.rs",
        line: "«run.first_ready».map(|_| (run.ready.is_some(), run.id))",
        instead: "run.ready",
    },
    Bug {
        title: "what has failed by a check that is gone has failed all the same",
        file: "plan/fate.rs",
        line: "Fate::Go(why) => «why.is_failure()»,",
        instead: "false",
    },
    Bug {
        title: "a check that is gone is remembered",
        file: "engine.rs",
        line: "if «run.spec.liveness != spec.liveness» {",
        instead: "false",
    },
    Bug {
        title: "a program is told to reload before it can know what to do",
        file: "plan/fate.rs",
        line: "let can = run.spec.on_watch == OnWatch::Reload && run.spec.reload.is_some() && «run.first_ready.is_some()»;",
        instead: "true",
    },
    Bug {
        title: "a change of the list of files makes what changed before it read",
        file: "fold.rs",
        line: "Some(former) => *read = Some(«content.as_read(former)»),",
        instead: "content.clone()",
    },
    Bug {
        title: "late news of files that are not watched any more is taken",
        file: "fold.rs",
        line: "if self.desired.get(name).is_none_or(|entry| «entry.spec.watch != content.watch») {",
        instead: "false",
    },
    Bug {
        title: "a task that has completed never reads its files again",
        file: "plan/outlook.rs",
        line: "if «spec.on_watch == OnWatch::Restart» { unread(past.content.as_ref(), content, spec) } else { None }",
        instead: "false",
    },
    Bug {
        title: "a lapse undoes healthy running",
        file: "observed.rs",
        line: "self.was_ready_for = «self.longest_ready(now)»;",
        instead: "Duration::ZERO",
    },
    Bug {
        title: "the time it takes to stop is healthy running",
        file: "observed.rs",
        line: "let end = «self.stop.as_ref().map_or(at, |stop| stop.since.min(at))»;",
        instead: "at",
    },
];

/// What the copy of the core has beside its own: which bug it goes by.
const PLANTED: &str = "
extern crate std;
/// Whether this is the bug to go by.
pub fn planted(bug: usize) -> bool {
    static WHICH: std::sync::LazyLock<usize> =
        std::sync::LazyLock::new(|| std::env::var(\"PLANTED\").map_or(0, |bug| bug.parse().expect(\"the number of a bug\")));
    *WHICH == bug
}
";

#[test]
fn every_planted_bug_is_caught() {
    let program = build(&plant());
    let (passed, told) = run(&program, 0);
    assert!(passed, "the core without a planted bug breaks an invariant:\n{told}");
    let caught = Mutex::new(BTreeMap::new());
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some((bug, number)) = Some(next.fetch_add(1, Ordering::Relaxed)).and_then(|at| Some((BUGS.get(at)?, at + 1))) {
            let (passed, told) = run(&program, number);
            let by = told.lines().find_map(|line| line.strip_prefix("broken: ")).filter(|_| !passed).map(ToOwned::to_owned);
            caught.lock().expect("nobody panics with the list").insert(bug.title, by.ok_or(told));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let mut survivors = Vec::new();
    for (title, caught) in caught.into_inner().expect("nobody panicked with the list") {
        match caught {
            Ok(by) => println!("{title:68} {by}"),
            Err(told) => survivors.push(format!("{title}\n{told}")),
        }
    }
    assert!(survivors.is_empty(), "planted bugs that nothing catches within {HISTORIES} histories:\n{}", survivors.join("\n"));
}

/// Copies the core into a package of its own, with every bug in it, to be held to the property tests.
fn plant() -> PathBuf {
    let (root, package) =
        (Path::new(env!("CARGO_MANIFEST_DIR")), Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants").join("package"));
    let properties = root.join("tests/properties/main.rs");
    let manifest = format!(
        "[package]\nname = \"mutants\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[workspace]\n[lib]\nname = \"reconcile\"\n\
         [[test]]\nname = \"properties\"\npath = \"{}\"\n[profile.dev]\nopt-level = 1\ndebug = false\nincremental = false\n",
        properties.display()
    );
    write(&package.join("Cargo.toml"), &manifest);
    let (source, copy) = (root.join("reconcile/src"), package.join("src"));
    let mut texts: BTreeMap<PathBuf, String> = BTreeMap::new();
    for file in files(&source) {
        let text = fs::read_to_string(source.join(&file)).expect("the core can be read");
        texts.insert(file, text);
    }
    for (bug, number) in BUGS.iter().zip(1..) {
        let text = texts.get_mut(Path::new(bug.file));
        infect(text.unwrap_or_else(|| panic!("the core has no file `{}`; mend the list of bugs", bug.file)), bug, number);
    }
    texts.get_mut(Path::new("lib.rs")).expect("the core has a root").push_str(PLANTED);
    for former in files(&copy).iter().filter(|file| !texts.contains_key(*file)) {
        fs::remove_file(copy.join(former)).expect("a file that the core no longer has can be removed");
    }
    for (file, text) in texts {
        write(&copy.join(file), &text);
    }
    package
}

/// Lets a file go by a bug where that is asked for.
fn infect(text: &mut String, bug: &Bug, number: usize) {
    let (before, rest) = bug.line.split_once('«').expect("what the bug replaces begins with a mark");
    let (right, after) = rest.split_once('»').expect("what the bug replaces ends with a mark");
    let line = format!("{before}{right}{after}");
    let times = text.lines().filter(|other| other.trim() == line).count();
    assert_eq!(times, 1, "`{line}` stands {times} times in `{}`; mend the list of bugs", bug.file);
    let infected = format!("{before}(if crate::planted({number}) {{ {} }} else {{ {right} }}){after}", bug.instead);
    let lines = text.lines().map(|other| if other.trim() == line { infected.as_str() } else { other });
    *text = lines.flat_map(|line| [line, "\n"]).collect();
}

/// Every file below a folder, relative to it.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(within) = folders.pop() {
        // A copy that isn't there yet has no files.
        for entry in fs::read_dir(folder.join(&within)).into_iter().flatten().flatten() {
            let path = within.join(entry.file_name());
            if entry.path().is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found
}

/// Writes a file, unless it is so already: what is not touched is not built again.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return;
    }
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    assert!(written.is_ok(), "failed to write `{}`: {written:?}", path.display());
}

/// Builds the property tests against the copy; answers with the program.
fn build(package: &Path) -> PathBuf {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let output = Command::new(cargo)
        .args(["test", "--no-run", "--offline", "--test", "properties", "--message-format=json-render-diagnostics"])
        .env("CARGO_TARGET_DIR", package.with_file_name("target"))
        .current_dir(package)
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "a planted bug doesn't compile:\n{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = artifacts.find_map(|artifact| artifact["executable"].as_str().map(PathBuf::from));
    program.expect("cargo names the program that it has built")
}

/// Runs the property tests with a bug, or with none; answers with whether they passed, and what they told.
fn run(program: &Path, bug: usize) -> (bool, String) {
    let output = Command::new(program)
        .args(["--nocapture", "every_invariant_holds_through_every_history"])
        .env("PLANTED", bug.to_string())
        .env("HISTORIES", HISTORIES)
        .env("SHORT", "1")
        .env_remove("SEED")
        .output()
        .expect("the property tests can be run");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}
