//! What a change of the file would do: each case of `fixtures/plan/` is a file before and after, the steps between them, and what a
//! person is shown of it on a terminal: by a reload, and by `navigator plan --diff`.

mod support {
    pub(crate) mod case;
    pub(crate) mod fixtures;
    pub(crate) mod golden;
    pub(crate) mod process;
    pub(crate) mod script;
    pub(crate) mod steps;
    pub(crate) mod story;
    pub(crate) mod trace;
    pub(crate) mod world;
}

use navigator::cli::plan_text::{brief, full};
use navigator::config::{ChangeEffect, ConfigKey, not_yet, process_keys};
use navigator::snapshot::PlanReport;
use navigator::terminal::TerminalStyle;
use std::fs;
use std::path::Path;
use support::case::Case;
use support::steps::steps;
use support::{fixtures, golden};

#[test]
fn plans() {
    let mut failures = Vec::new();
    for folder in fixtures::cases("plan") {
        let Case { story, after } = Case::of(&folder);
        let steps = steps(&story.world.engine, story.world.now, &after);
        golden::settle(&folder.join("plan.txt"), &steps, &mut failures);
        let plan = PlanReport::of(&story.world.engine, story.world.now, &after);
        let look = TerminalStyle { width: Some(80), color: false };
        golden::settle(&folder.join("shown.txt"), &brief(&plan, look), &mut failures);
        golden::settle(&folder.join("asked.txt"), &full(&plan, true, look), &mut failures);
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// What the steps of a case must be and name, where one field of `web` has changed.
fn is_as_promised(key: &ConfigKey, plan: &str) -> bool {
    let steps: Vec<&str> = plan.lines().map(str::trim_start).filter(|line| line.starts_with(['+', '-', '±', '~'])).collect();
    let signs: String = steps.iter().filter_map(|step| step.chars().next()).collect();
    // What it is called in reasons, where that is another word.
    let called = match key.name {
        "auto_restart" => "restart",
        "env_file" => "env",
        name => name,
    };
    // A part of it is named with it: `stop.timeout`.
    let is_named = |step: &&str| {
        let fields = step.split_once('(').and_then(|(_, reason)| reason.strip_suffix(" changed)")).unwrap_or_default();
        fields.split(", ").all(|field| field.split('.').next() == Some(called))
    };
    match key.change {
        ChangeEffect::Restart => signs == "±±" && steps.iter().all(is_named),
        // A task that waits for its date has no run that could take it over.
        ChangeEffect::InPlace if key.name == "schedule" => signs.is_empty() && plan.ends_with("1 updated\n"),
        ChangeEffect::InPlace => signs == "~" && steps.iter().all(is_named),
        ChangeEffect::StartsOrStops => signs == "-" || signs == "+",
        ChangeEffect::AnotherProcess => signs == "-+",
        ChangeEffect::None => false,
    }
}

/// The case of a field is the folder `field-KEY`.
#[test]
fn every_supported_field_of_a_process_has_a_case_that_does_what_its_class_of_change_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/plan");
    let later: Vec<&str> = not_yet().collect();
    let mut failures = Vec::new();
    for key in process_keys().into_iter().filter(|key| !later.contains(&key.name)) {
        let plan = folder.join(format!("field-{}/plan.txt", key.name));
        match fs::read_to_string(&plan) {
            Ok(text) if is_as_promised(&key, &text) => {}
            Ok(text) => {
                failures.push(format!("a change of `{}` is {:?}, but {} is\n{text}", key.name, key.change, plan.display()));
            }
            Err(_) => failures.push(format!("`{}` has no case: {} is missing", key.name, plan.display())),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
