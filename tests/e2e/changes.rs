//! What a save does to processes that are somewhere in between: delayed, backing off, failed; and that what a program was
//! given is what the new file says. What a change of each field does is held to in `fixtures/plan/`.

use crate::harness::{Navigator, Signal, Site};

/// A process by its fields, in one line.
fn process(fields: &str) -> String {
    format!("  - {{ depends_on: [], {fields} }}\n")
}

fn child(name: &str, more: &str) -> String {
    process(&format!("name: {name}, command: \"${{FIXTURES}}/child.sh\", args: [{name}]{more}"))
}

fn list(processes: &[String]) -> String {
    format!("managed_processes:\n{}", processes.concat())
}

/// Puts the file in place in one go.
fn save(site: &Site, configuration: &str) {
    site.write("new", configuration);
    std::fs::rename(site.path("new"), site.path("navigator.yml")).expect("it is ours");
}

#[track_caller]
fn reloads(navigator: &Navigator<'_>, generation: u32) {
    let generation = generation.to_string();
    navigator.wait("the generation", |event| {
        event.message == "Configuration reloaded" && event.field("generation") == Some(generation.as_str())
    });
}

#[test]
fn what_is_removed_during_its_delay_never_starts_and_starts_when_it_is_added_again() {
    let site = Site::new();
    // What would have come before the witness, had it not been removed.
    let witness = child("witness", ", start_delay: 2");
    let mut navigator = site.start(&list(&[child("kept", ""), child("delayed", ", start_delay: 1"), witness.clone()]));
    navigator.journals("kept start");
    save(&site, &list(&[child("kept", ""), witness.clone()]));
    reloads(&navigator, 2);
    navigator.journals("witness start");
    assert_eq!(site.journal(), ["kept start", "witness start"]);
    save(&site, &list(&[child("kept", ""), child("delayed", ", start_delay: 0.1"), witness]));
    navigator.journals("delayed start");
    assert_eq!(navigator.event("Starting process", "delayed").field("reason"), Some("added to file"));
    assert_eq!(site.journal(), ["kept start", "witness start", "delayed start"]);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn what_is_removed_during_its_backoff_never_starts_and_starts_at_once_when_it_is_added_again() {
    let site = Site::new();
    let failing = |backoff: &str| {
        process(&format!("name: failing, command: \"false\", auto_restart: true, backoff: {{ initial: {backoff} }}"))
    };
    let witness = child("witness", ", start_delay: 3");
    let mut navigator = site.start(&list(&[child("kept", ""), failing("1s"), witness.clone()]));
    let restarting = navigator.event("Restarting process", "failing");
    assert_ne!(restarting.field("delay"), Some("0s"), "{restarting:?}");
    save(&site, &list(&[child("kept", ""), witness.clone()]));
    reloads(&navigator, 2);
    navigator.journals("witness start");
    assert_eq!(navigator.count("Starting process", "failing"), 1, "{}", navigator.log().describe());
    // What it failed at before it was removed is forgotten.
    save(&site, &list(&[child("kept", ""), failing("30s"), witness]));
    navigator.nth_event("Process started", "failing", 1);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
    assert_eq!(site.journal()[..2], ["kept start", "witness start"]);
}

#[test]
fn a_corrected_command_starts_though_the_wrong_one_had_failed() {
    for (policy, told) in
        [("auto_restart: false", "Process failed"), ("auto_restart: true, backoff: { initial: 30s }", "Restarting process")]
    {
        let site = Site::new();
        let with = |command: &str| {
            let typo = process(&format!("name: typo, command: \"{command}\", args: [corrected], {policy}"));
            list(&[child("kept", ""), typo])
        };
        let mut navigator = site.start(&with("${FIXTURES}/chidl.sh"));
        navigator.journals("kept start");
        navigator.event(told, "typo");
        save(&site, &with("${FIXTURES}/child.sh"));
        navigator.journals("corrected start");
        assert_eq!(site.journal(), ["kept start", "corrected start"]);
        navigator.signal(Signal::TERM);
        navigator.exits(0);
    }
}

#[test]
fn a_delay_goes_on_over_a_save_that_leaves_its_process_unchanged() {
    let site = Site::new();
    let before = [child("delayed", ", start_delay: 2"), child("mark", ", start_delay: 1"), child("one", "")];
    let mut navigator = site.start(&list(&before));
    navigator.journals("mark start");
    // At least a second has gone. Begun anew, the delay would end after that of the witness.
    let [delayed, mark, _] = before;
    save(&site, &list(&[delayed, mark, child("two", ""), child("witness", ", start_delay: 1.5")]));
    reloads(&navigator, 2);
    let witness = navigator.event("Starting process", "witness");
    assert!(navigator.event("Starting process", "delayed").index < witness.index, "{}", navigator.log().describe());
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn changed_pairs_stop_in_reverse_and_start_in_order() {
    let site = Site::new();
    let names = ["a", "b", "c", "d", "e"];
    let mut arguments = names.map(str::to_owned);
    let file = |arguments: &[String]| {
        let one = |(name, argument): (&&str, &String)| {
            format!("  - {{ name: {name}, command: \"${{FIXTURES}}/child.sh\", args: [{argument}] }}\n")
        };
        format!("managed_processes:\n{}", names.iter().zip(arguments).map(one).collect::<String>())
    };
    let mut navigator = site.start(&file(&arguments));
    for name in names {
        navigator.journals(&format!("{name} start"));
    }
    let all_started = |count: usize| {
        let told = || navigator.events().iter().filter(|event| event.message == "Process started").count();
        navigator.log().until("all starts", || (told() == count).then_some(()));
    };
    let mut starts = names.len();
    all_started(starts);
    // Neighbours, and two with unchanged ones in between.
    for (changed, mark) in [("bc", "2"), ("ae", "3"), ("abcde", "4")] {
        starts += changed.len();
        let before = site.stops().len();
        let already = navigator.events().len();
        for (name, argument) in names.iter().zip(&mut arguments).filter(|(name, _)| changed.contains(**name)) {
            *argument = format!("{name}{mark}");
        }
        save(&site, &file(&arguments));
        for name in changed.chars() {
            navigator.journals(&format!("{name}{mark} start"));
        }
        all_started(starts);
        let stopped: String =
            site.stops()[before..].iter().filter(|line| line.ends_with(" exit")).filter_map(|line| line.chars().next()).collect();
        assert_eq!(stopped, changed.chars().rev().collect::<String>(), "{}", navigator.log().describe());
        let events = navigator.events();
        let of = |message: &str| -> String {
            let told = events[already..].iter().filter(|event| event.message == message);
            told.filter_map(|event| event.field("name").map(str::to_owned)).collect()
        };
        assert_eq!(of("Starting process"), changed, "{}", navigator.log().describe());
        let index = |message: &str, first: bool| {
            let mut told = events[already..].iter().filter(|event| event.message == message).map(|event| event.index);
            if first { told.next() } else { told.next_back() }
        };
        assert!(index("Process stopped", false) < index("Starting process", true), "all are gone first");
    }
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}

#[test]
fn a_program_is_given_what_the_new_env_file_says_and_nothing_that_is_gone_from_it() {
    let site = Site::new();
    site.write("colours.env", "COLOUR=red\nSHADE=dark\n");
    let tells =
        r#"name: tells, command: sh, args: [-c, 'echo "${COLOUR-none} $${SHADE-none}"; exec sleep 3600'], env_file: colours.env"#;
    let tells = tells.replace("${COLOUR-none}", "$${COLOUR-none}");
    let mut navigator = site.start(&list(&[child("kept", ""), process(&tells)]));
    let says = |wanted: &str| {
        navigator.log().until(wanted, || {
            let lines = navigator.log().lines();
            lines.iter().any(|line| line.text() == format!("[tells.stdout] {wanted}")).then_some(())
        });
    };
    says("red dark");
    site.write("colours.env", "COLOUR=blue\n");
    says("blue none");
    assert_eq!(navigator.event("Stopping process", "tells").field("reason"), Some("env changed"));
    // Another way to write the same.
    site.write("colours.env", "# paint\nexport COLOUR='blue'\n");
    navigator.wait("the verdict", |event| event.message == "Configuration unchanged");
    assert_eq!(navigator.count("Starting process", "tells"), 2);
    assert_eq!(navigator.count("Stopping process", "kept"), 0);
    navigator.signal(Signal::TERM);
    navigator.exits(0);
}
