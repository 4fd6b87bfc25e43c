//! Rollback: a configuration that fails soon after it was saved is undone as a whole, and isn't tried again.

use crate::harness::{Navigator, Site};

/// A configuration with a process that prints a word and then goes on or ends, and one beside it.
fn config(word: &str, end: &str) -> String {
    format!(
        "rollback: {{ bake: 300ms }}\nmanaged_processes:\n  - {{ name: web, command: sh, args: [-c, 'echo {word}; {end}'], depends_on: [] }}\n  \
         - {{ name: other, command: \"${{FIXTURES}}/child.sh\", args: [other], depends_on: [] }}\n"
    )
}

/// How often a configuration was found to be known as bad.
fn known_bad(navigator: &Navigator<'_>) -> usize {
    navigator.events().iter().filter(|event| event.message == "Configuration known to be bad").count()
}

#[test]
fn a_configuration_that_does_not_stay_well_is_undone_and_not_tried_again() {
    let site = Site::new();
    let navigator = site.start(&config("good", "exec sleep 3600"));
    navigator.wait("a good configuration", |event| event.message == "Configuration good");
    let other = navigator.started("other");
    assert_eq!(site.asks(&["wait"], 0).code, Some(0));

    let bad = config("bad", "sleep 0.1; exit 7");
    site.write("navigator.yml", &bad);
    let undone = navigator.wait("a rollback", |event| event.message == "Configuration rolled back");
    assert_eq!(undone.field("reason"), Some("web: exit status 7"));
    assert_eq!((undone.field("generation"), undone.field("to")), (Some("2"), Some("1")));
    let again = navigator.event_after(&undone, "Process started", "web");
    assert_eq!(navigator.started("other"), other, "what was not changed goes on");

    let waited = site.asks(&["wait"], 3);
    assert!(waited.stderr().contains("generation 2 was rolled back: web: exit status 7"), "{}", waited.stderr());
    let status: serde_json::Value = serde_json::from_str(&site.asks(&["status", "--json"], 3).stdout()).expect("it is JSON");
    assert_eq!(status["config"]["state"], "rolled_back");
    assert_eq!(status["config"]["rolled_back"]["generation"], 2);
    assert_eq!((&status["generation"], &status["converged"]), (&3.into(), &false.into()));
    assert_eq!(status["rollout"]["state"], "good");

    for comment in 0..10 {
        site.write("navigator.yml", &format!("# {comment}\n{bad}"));
        navigator.log().until("the answer", || (known_bad(&navigator) > comment).then_some(()));
    }
    assert_eq!(navigator.count("Process started", "web"), 3, "{again:?}");

    assert_eq!(site.asks(&["reload", "--retry"], 0).code, Some(0));
    let tried = navigator.event_after(&again, "Process started", "web");
    let twice =
        navigator.wait("another rollback", |event| event.message == "Configuration rolled back" && event.index > tried.index);
    assert_eq!(twice.field("to"), Some("3"));

    site.write("navigator.yml", &config("better", "exec sleep 3600"));
    assert_eq!(site.asks(&["wait"], 0).code, Some(0));
    navigator.wait("a good configuration", |event| event.message == "Configuration good" && event.index > twice.index);
    navigator.ends();
}

#[test]
fn status_says_what_a_configuration_on_trial_will_be() {
    let config = |ready: &str| {
        format!(
            "rollback: {{ bake: 1m, deadline: 1h }}\nmanaged_processes:\n  \
             - {{ name: web, command: sleep, args: [\"3600\"], ready: {ready} }}\n"
        )
    };
    let site = Site::new();
    let navigator = site.start(&config("{ log: never, deadline: 30m }"));
    navigator.started("web");
    let status = site.asks(&["status"], 3).stdout();
    assert!(status.contains("on trial: bad in "), "{status}");
    site.write("navigator.yml", &config("{ exec: [\"true\"] }"));
    assert_eq!(site.asks(&["wait"], 0).code, Some(0));
    let status = site.asks(&["status"], 0).stdout();
    assert!(status.contains("on trial: good in "), "{status}");
    navigator.ends();
}

/// The last good configuration is in force, so the files that it watches count.
#[test]
fn after_a_rollback_the_files_of_the_good_configuration_are_watched() {
    let site = Site::new();
    let watching = |word: &str, end: &str, file: &str| {
        config(word, end).replacen("depends_on: []", &format!("depends_on: [], watch: {file}, on_watch: restart"), 1)
    };
    site.write("old.txt", "1");
    site.write("new.txt", "1");
    let navigator = site.start(&watching("good", "exec sleep 3600", "old.txt"));
    navigator.wait("a good configuration", |event| event.message == "Configuration good");
    site.write("navigator.yml", &watching("bad", "sleep 0.1; exit 7", "new.txt"));
    let undone = navigator.wait("a rollback", |event| event.message == "Configuration rolled back");
    let again = navigator.event_after(&undone, "Process started", "web");
    site.write("old.txt", "2");
    let changed = navigator.event_after(&again, "Starting process", "web");
    assert!(changed.field("reason").is_some_and(|reason| reason.ends_with("old.txt changed")), "{changed:?}");

    // The bad file again watches nothing.
    site.write("navigator.yml", &format!("# again\n{}", watching("bad", "sleep 0.1; exit 7", "new.txt")));
    navigator.log().until("the verdict", || (known_bad(&navigator) > 0).then_some(()));
    site.write("old.txt", "3");
    let changed = navigator.event_after(&changed, "Starting process", "web");
    assert!(changed.field("reason").is_some_and(|reason| reason.ends_with("old.txt changed")), "{changed:?}");
    navigator.ends();
}
