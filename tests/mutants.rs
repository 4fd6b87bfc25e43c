//! The proof that the property tests can fail: bugs that people really make, planted one by one into a copy of the core.
//!
//! Each bug is one line instead of another. Every one of them must be caught within a few thousand histories, and the
//! copy without a bug must pass. A line that is no longer there fails the test: move the bug to where the line went.
#![expect(clippy::print_stdout, reason = "the list of what caught what is for whoever runs the test")]
#![expect(clippy::disallowed_methods, reason = "cargo and the property tests are run to their end; nothing is supervised here")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How many histories a bug may survive.
const HISTORIES: &str = "3000";

/// A bug: this line of this file of `reconcile/src` becomes another one.
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
        line: "outcome.wake_at = plan.wake_at;",
        instead: "outcome.wake_at = plan.wake_at.filter(|_| outcome.actions.is_empty());",
    },
    Bug {
        title: "a dependent follows a name, not a run",
        file: "plan/fate.rs",
        line: "let there = runs.iter().rposition(|other| other.id < run.id && other.was_undisturbed(run.begun));",
        instead: "let there = (!runs.is_empty()).then_some(0);",
    },
    Bug {
        title: "cycles of old and new edges are waited for",
        file: "plan/stop.rs",
        line: "if component_of[index] != component_of[on] {",
        instead: "if component_of.len() > index {",
    },
    Bug {
        title: "a run that outlives its replacement holds up what it depends on",
        file: "plan/stop.rs",
        line: "runs.iter().zip(fates).any(|(run, fate)| matches!(fate, Fate::Go(_) | Fate::Leaving) && !run.reported)",
        instead: "runs.iter().zip(fates).any(|(run, fate)| *fate != Fate::Stay && !run.reported)",
    },
    Bug { title: "a kill is not planned for when a stop begins", file: "plan/stop.rs", line: "plan.wake(until);", instead: "" },
    Bug {
        title: "what depends on a run may outlast it",
        file: "plan/stop.rs",
        line: "let held_by = if anybody_goes && !hurry { holders(view, fates) } else { vec![None; view.rows().len()] };",
        instead: "let held_by: Vec<Option<usize>> = vec![None; view.rows().len()];",
    },
    Bug {
        title: "a shutdown has no end",
        file: "plan/stop.rs",
        line: "closing.hurry || view.now >= closing.since + view.desired.shutdown_timeout()",
        instead: "closing.hurry",
    },
    Bug {
        title: "the deadline of readiness is not looked at",
        file: "plan/fate.rs",
        line: "if view.now >= deadline {",
        instead: "if view.now < deadline && view.now >= deadline {",
    },
    Bug {
        title: "a change of the environment is no change",
        file: "plan/fate.rs",
        line: "Arc::ptr_eq(&run.spec, wanted) || run.spec.exec == wanted.exec",
        instead: "Arc::ptr_eq(&run.spec, wanted) || (run.spec.exec.args == wanted.exec.args && run.spec.exec.kind == wanted.exec.kind)",
    },
    Bug {
        title: "every delay is the first of its row",
        file: "backoff.rs",
        line: "let step = streak.length - u32::from(streak.after_health);",
        instead: "let step = 1 - u32::from(streak.after_health);",
    },
    Bug {
        title: "one restart too few",
        file: "backoff.rs",
        line: "let spent = !success && spec.max_restarts.is_some_and(|most| streak.length > most);",
        instead: "let spent = !success && spec.max_restarts.is_some_and(|most| streak.length >= most);",
    },
    Bug {
        title: "what was removed is remembered when it comes back",
        file: "fold.rs",
        line: "*process = Process { runs: core::mem::take(&mut process.runs), ..Process::default() };",
        instead: "let _ = process;",
    },
    Bug {
        title: "a late exit is taken for that of the run after it",
        file: "fold.rs",
        line: "Event::Exited { run, status } => self.fold_exited(now, run, status, reports),",
        instead: "Event::Exited { run, status } => { let next = RunId(run.0 + 1); self.fold_exited(now, self.observed.run(run).map_or(next, |run| run.id), status, reports) }",
    },
    Bug {
        title: "a stop is over when the leader is gone",
        file: "fold.rs",
        line: "run.exit = Some((status, now));",
        instead: "run.exit = Some((status, now)); self.fold_gone(now, id, reports);",
    },
    Bug {
        title: "a reload starts every delay anew",
        file: "fold.rs",
        line: "self.generation += 1;",
        instead: "self.generation += 1; self.observed.processes.values_mut().for_each(|process| process.due_since = None);",
    },
    Bug {
        title: "an order by hand counts nothing against what came before",
        file: "observed.rs",
        line: "for run in self.runs.iter_mut().filter(|run| !run.is_undisturbed()) {",
        instead: "for run in self.runs.iter_mut().filter(|run| run.forgiven) {",
    },
    Bug {
        title: "an order by hand is lifted by any reload",
        file: "orders.rs",
        line: "Some(entry) if entry.spec == *spec => true,",
        instead: "Some(entry) if entry.spec == *spec => false,",
    },
    Bug {
        title: "a survivor of a kill gets company",
        file: "plan/start.rs",
        line: "if row.runs().len() > outlived || outlived > 1 {",
        instead: "if row.runs().iter().any(|run| !run.reported) && row.runs().len() > outlived {",
    },
    Bug {
        title: "what is added does not wait for what is removed",
        file: "plan/start.rs",
        line: "let removed = still_removing(view);",
        instead: "let removed = still_removing(view).filter(|_| view.desired.entries().is_empty());",
    },
    Bug {
        title: "order alone is no order",
        file: "plan/start.rs",
        line: "let before = self.outlooks.before(self.view, self.entry);",
        instead: "let before = self.outlooks.before(self.view, self.entry).filter(|_| self.view.rows().is_empty());",
    },
    Bug {
        title: "a dependency that was down is followed by nobody",
        file: "plan/fate.rs",
        line: "(is_replaced || was_replaced).then_some(dependency.name)",
        instead: "(is_replaced || (was_replaced && view.rows().is_empty())).then_some(dependency.name)",
    },
    Bug {
        title: "of two obsolete runs each waits for the other's successor",
        file: "plan/fate.rs",
        line: "well(row).any(|other| (other.ready.is_some() && is_same(other, wanted)) || service(other) > service(run))",
        instead: "well(row).any(|other| other.ready.is_some() && is_same(other, wanted))",
    },
];

/// Twenty builds cost more than a few thousand histories, so they are not optimized.
const WORKSPACE: &str = "\
[workspace]
members = [\"m*\"]
resolver = \"3\"
[profile.dev]
opt-level = 0
debug = false
incremental = false
";

#[test]
fn every_planted_bug_is_caught() {
    let workspace = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants");
    write(&workspace.join("Cargo.toml"), WORKSPACE);
    plant(&workspace, "m00", None);
    for (name, bug) in names().zip(BUGS) {
        plant(&workspace, &name, Some(bug));
    }
    let programs = build(&workspace);
    let (passed, told) = run(&programs["m00"]);
    assert!(passed, "the core without a planted bug breaks an invariant:\n{told}");
    let mut survivors = Vec::new();
    for (name, bug) in names().zip(BUGS) {
        let (passed, told) = run(&programs[&name]);
        match told.lines().find_map(|line| line.strip_prefix("broken: ")) {
            Some(caught) if !passed => println!("{:64} {caught}", bug.title),
            _ => survivors.push(format!("{}\n{told}", bug.title)),
        }
    }
    assert!(survivors.is_empty(), "planted bugs that nothing catches within {HISTORIES} histories:\n{}", survivors.join("\n"));
}

/// The names of the copies with a bug.
fn names() -> impl Iterator<Item = String> {
    (1..).map(|place| format!("m{place:02}"))
}

/// Copies the core into a package of its own, with a bug in it, to be held to the property tests.
fn plant(workspace: &Path, name: &str, bug: Option<&Bug>) {
    let (root, package) = (Path::new(env!("CARGO_MANIFEST_DIR")), workspace.join(name));
    let properties = root.join("tests/properties/main.rs");
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.0.0\"\nedition = \"2024\"\n[lib]\nname = \"reconcile\"\n[[test]]\nname = \"{name}\"\npath = \"{}\"\n",
        properties.display()
    );
    write(&package.join("Cargo.toml"), &manifest);
    let (source, copy) = (root.join("reconcile/src"), package.join("src"));
    for former in files(&copy).iter().filter(|file| !source.join(file).exists()) {
        fs::remove_file(copy.join(former)).expect("a file that the core no longer has can be removed");
    }
    let mut planted = bug.is_none();
    for file in files(&source) {
        let mut text = fs::read_to_string(source.join(&file)).expect("the core can be read");
        if let Some(bug) = bug.filter(|bug| Path::new(bug.file) == file) {
            let times = text.lines().filter(|line| line.trim() == bug.line).count();
            assert_eq!(times, 1, "`{}` stands {times} times in `{}`; mend the list of bugs", bug.line, bug.file);
            text =
                text.lines().map(|line| if line.trim() == bug.line { bug.instead } else { line }).collect::<Vec<_>>().join("\n");
            planted = true;
        }
        write(&copy.join(&file), &text);
    }
    assert!(planted, "the core has no file `{}`; mend the list of bugs", bug.map_or("", |bug| bug.file));
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

/// Builds the property tests against every copy; answers with the programs by the names of the copies.
fn build(workspace: &Path) -> BTreeMap<String, PathBuf> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string());
    let packages = ["m00".to_string()].into_iter().chain(names().take(BUGS.len()));
    let output = Command::new(cargo)
        .args(["test", "--no-run", "--offline", "--test", "m*", "--message-format=json-render-diagnostics"])
        .args(packages.flat_map(|name| ["--package".to_string(), name]))
        .env("CARGO_TARGET_DIR", workspace.join("target"))
        .current_dir(workspace)
        .output()
        .expect("cargo can be run");
    assert!(output.status.success(), "a planted bug doesn't compile:\n{}", String::from_utf8_lossy(&output.stderr));
    let messages = String::from_utf8_lossy(&output.stdout);
    let artifacts = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let program = |artifact: serde_json::Value| {
        let name = artifact["target"]["name"].as_str()?.to_string();
        Some((name, PathBuf::from(artifact["executable"].as_str()?)))
    };
    artifacts.filter_map(program).collect()
}

/// Runs the property tests; answers with whether they passed, and what they told.
fn run(program: &Path) -> (bool, String) {
    let output = Command::new(program)
        .args(["--nocapture"])
        .env("HISTORIES", HISTORIES)
        .env("SHORT", "1")
        .env_remove("SEED")
        .output()
        .expect("the property tests can be run");
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}
